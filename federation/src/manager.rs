//! The manager: what it knows, what each input leads to, and what is due when.

mod connecting;
mod foreign;
mod gossip;
mod hello;
mod issuing;
mod members;
mod operator;
mod partnering;
mod renewing;
mod sharing;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kernel::{AskId, Digest, DomainKey, NodeId, Rng, Span, Time, Wake};
use rear_proto::{
    DamagedRecord, Request, Signed, Signer, Table,
    flavour::{Domain, Party},
    local::{DomainSecret, Partner, Realm},
    membership::{Certificate, Credentials, Descriptor, Role},
    record::decode,
    signed::alike,
};

use crate::{
    charter::Charter,
    config::Config,
    invitations::Invitations,
    mail::{Effect, Greeting, Input, MemberView, Response},
    partners::Partners,
    rate::Rate,
    record::{self, DescriptorRecord, MemberRecord, OwnRecord, PeersRecord, RevokedRecord, SecretRecord, TokenRecord},
    roll::{Addresses, Member, Roll},
    timers::{Timer, Timers},
    tokens::Tokens,
    visitors::Visitors,
};
use connecting::Kept;
use foreign::Foreign;
use partnering::Accepting;

/// The Federation Manager.
#[derive(Debug)]
pub struct Manager {
    config: Config,
    signer: Signer,
    me: NodeId,
    rng: Rng,
    /// Which of its lives this node is in: how often it has started.
    life: [u8; 4],
    /// The domain; `None` for a node that is of none.
    charter: Option<Charter>,
    /// This node's own certificate.
    own: Option<Signed<Certificate>>,
    /// What it says that this node is.
    role: Role,
    /// What the domain's supernodes share, where this node is one or hands it out.
    secret: Option<DomainSecret>,
    /// This node's own addresses.
    addresses: Vec<String>,
    /// Members to begin with, as the issuer told them.
    bootstrap: Vec<Party>,
    members: Roll,
    /// Nodes that are connected, members or not.
    ///
    /// Boxed, as is much here, since a map makes room for eleven at once, and most nodes have a few.
    peers: BTreeMap<NodeId, Box<Peer>>,
    /// Nodes that the transport was told to keep connected, and where.
    kept: BTreeMap<NodeId, Kept>,
    partners: Partners,
    /// Partners' supernodes and catalogues of other domains.
    foreign: BTreeMap<NodeId, Foreign>,
    visitors: Visitors,
    invitations: Invitations,
    /// Invitations that are being taken up.
    accepting: BTreeMap<AskId, Accepting>,
    /// What the other managers were told of partners.
    announced: Option<Arc<[Partner]>>,
    /// Partners of whom there is something new that the own domain's nodes were not told yet.
    unshared: BTreeSet<DomainKey>,
    last_shared: Option<Time>,
    last_described: Option<Time>,
    tokens: Tokens,
    timers: Timers,
    hellos: Rate,
    joins: Rate,
    accepts: Rate,
    /// How often partners, by their domains' keys, have said something new of themselves.
    news: Rate,
    asks: BTreeMap<AskId, Asked>,
    next_ask: u64,
    last_spread: Option<Time>,
    renewals_tried: u64,
    restored: Restored,
}

/// What was kept of the domain's word, until it can be checked at the start.
#[derive(Debug, Default)]
struct Restored {
    descriptor: Option<Signed<Descriptor>>,
    revoked: Vec<(NodeId, Time)>,
}

/// A node that is connected.
#[derive(Debug, Default)]
struct Peer {
    /// Where, as the transport has it.
    addresses: Addresses,
    /// As what the others were told that it is here.
    told: Option<Told>,
    /// The HELLO that waits for its answer.
    hello: Option<AskId>,
    /// HELLOs in a row that had none.
    unanswered: u32,
    /// Which of its lives it is in, as its HELLO says.
    life: Option<[u8; 4]>,
    /// Whether it was told whom this node knows.
    introduced: bool,
    /// How often in a row it has not taken note of the partners that it was told.
    unnoted: u32,
}

/// What the other managers were told of a node that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    addresses: Addresses,
    role: Role,
    realm: Realm,
}

/// What was asked of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Hello(NodeId),
    Renewal(NodeId),
    Accept(NodeId),
    Partners(NodeId),
}

/// How this node stands in its domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The domain.
    pub domain: Domain,
    /// This node.
    pub node: NodeId,
    /// What it is there.
    pub role: Role,
    /// Whether it may certify others.
    pub issuer: bool,
    /// Until when its certificate is good.
    pub expires: Time,
    /// The number of the list of issuers.
    pub list: u64,
    /// The sequence of the newest description of the domain, where one is known.
    pub sequence: Option<u64>,
    /// How many members are connected.
    pub connected: usize,
    /// What a person should look at, with a remedy.
    pub warning: Option<String>,
}

impl Manager {
    /// Makes a manager that is of no domain yet; its rows make it a member.
    pub fn new(config: Config, signer: Signer, rng: Rng) -> Self {
        Self {
            hellos: Rate::new(config.rate_window, config.hellos),
            joins: Rate::new(config.rate_window, config.joins),
            accepts: Rate::new(config.rate_window, config.accepts),
            news: Rate::new(config.rate_window, foreign::NEWS),
            config,
            me: signer.id(),
            signer,
            rng,
            life: [0; 4],
            charter: None,
            own: None,
            role: Role::Node,
            secret: None,
            addresses: Vec::new(),
            bootstrap: Vec::new(),
            members: Roll::default(),
            peers: BTreeMap::new(),
            kept: BTreeMap::new(),
            partners: Partners::default(),
            foreign: BTreeMap::new(),
            visitors: Visitors::default(),
            invitations: Invitations::default(),
            accepting: BTreeMap::new(),
            announced: None,
            unshared: BTreeSet::new(),
            last_shared: None,
            last_described: None,
            tokens: Tokens::default(),
            timers: Timers::default(),
            asks: BTreeMap::new(),
            next_ask: 0,
            last_spread: None,
            renewals_tried: 0,
            restored: Restored::default(),
        }
    }

    /// Remembers a row that was kept, in any order.
    ///
    /// # Errors
    /// When the row can't be read, or proves nothing.
    pub fn restore(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), DamagedRecord> {
        match table {
            Table::Membership => self.restore_membership(key, value),
            Table::Members => {
                let node = NodeId(record::key32(table, key)?);
                let MemberRecord { certificate, addresses } = decode(table, value)?;
                let claimed = certificate.claimed().ok_or_else(|| record::damaged(table, "it has no certificate"))?;
                let member = Member::new(&certificate, claimed.expires, alike::list(addresses));
                let member = member.filter(|member| *member.node() == node);
                self.members.put(member.ok_or_else(|| record::damaged(table, "its certificate is another node's"))?);
                Ok(())
            }
            Table::Tokens => {
                let digest = Digest(record::key32(table, key)?);
                let token: TokenRecord = decode(table, value)?;
                self.timers.set(Timer::TokenEnds(digest), token.expires);
                self.tokens.put(digest, token);
                Ok(())
            }
            Table::Partners => self.restore_partners(key, value),
            Table::Starts
            | Table::Intents
            | Table::Flavours
            | Table::Allocations
            | Table::Ratings
            | Table::Candidates
            | Table::Reservations
            | Table::Contracts
            | Table::Renewals
            | Table::Keys
            | Table::Peerings
            | Table::Workloads => Err(record::damaged(table, "it is not federation's")),
        }
    }

    fn restore_membership(&mut self, key: &[u8], value: &[u8]) -> Result<(), DamagedRecord> {
        let table = Table::Membership;
        if key == record::OWN {
            let OwnRecord { credentials: Credentials { list, certificate } } = decode(table, value)?;
            let charter = Charter::new(&list).ok_or_else(|| record::damaged(table, "its list of issuers is forged"))?;
            self.charter = Some(charter);
            self.role = certificate.claimed().map_or(Role::Node, |own| own.role);
            self.own = Some(certificate);
        } else if key == record::DESCRIPTOR {
            let DescriptorRecord { descriptor } = decode(table, value)?;
            self.restored.descriptor = Some(descriptor);
        } else if key == record::SECRET {
            let SecretRecord { secret } = decode(table, value)?;
            self.secret = Some(DomainSecret(secret));
        } else if key == record::PEERS {
            let PeersRecord { peers } = decode(table, value)?;
            self.bootstrap = peers;
        } else if let Some(node) = key.strip_prefix(record::REVOKED) {
            let RevokedRecord { until } = decode(table, value)?;
            self.restored.revoked.push((NodeId(record::key32(table, node)?), until));
        } else {
            return Err(record::damaged(table, format!("its key '{}' is not known", String::from_utf8_lossy(key))));
        }
        Ok(())
    }

    /// Comes to life: shows its credentials, forgets what is over, and looks for the members it knows.
    pub fn start(&mut self, now: Time, starts: u32, out: &mut Vec<Effect>) {
        self.life = starts.to_be_bytes();
        let Restored { descriptor, revoked } = std::mem::take(&mut self.restored);
        if let Some(charter) = &mut self.charter {
            for (node, until) in revoked {
                charter.revoke(node, until);
            }
            if let Some(descriptor) = &descriptor {
                charter.learn_descriptor(descriptor, now);
            }
        }
        self.show_credentials(out);
        self.found_secret(out);
        self.show_secret(out);
        let removals: Vec<(NodeId, Time)> = self.revoked().map(|(node, until)| (*node, *until)).collect();
        for (node, until) in removals {
            self.timers.set(Timer::RevocationEnds(node), until);
            // The transport remembers nothing over a restart.
            if until > now && node != self.me {
                out.push(Effect::MemberGone { node, removed: true });
            }
        }
        let members: Vec<NodeId> = self.members.iter().map(|(node, _)| *node).collect();
        for node in members {
            self.reconsider(now, node, out);
        }
        let live: Vec<Party> = self
            .members
            .iter()
            .filter(|(node, _)| self.is_live(now, node))
            .map(|(node, member)| Party { node: *node, addresses: member.addresses.to_vec() })
            .chain(self.bootstrap.iter().filter(|peer| !self.members.contains(&peer.node)).cloned())
            .collect();
        self.keep_supernodes(out);
        for party in live {
            self.keep_connected(party, out);
        }
        self.recall_partners(now, out);
        self.schedule_renewal(now);
        self.tend(now, out);
    }

    // -- looking in -------------------------------------------------------------------------------------

    /// Returns the members known, by node; this node is not among them.
    pub fn members(&self) -> impl Iterator<Item = MemberView> {
        self.members.iter().map(|(node, member)| MemberView {
            node: *node,
            role: member.role(),
            addresses: member.addresses.to_vec(),
            connected: self.peers.contains_key(node),
            last_heard: member.last_heard(),
            expires: member.expires,
            revoked: self.is_revoked(node),
        })
    }

    /// Returns how this node stands in its domain; `None` where it is of none.
    pub fn status(&self, now: Time) -> Option<Status> {
        let (charter, own) = (self.charter.as_ref()?, self.own.as_ref()?.claimed()?);
        let name = &charter.domain().name;
        let warning = if charter.is_revoked(&self.me) {
            Some(format!(
                "this node was removed from domain {name}: ask for a new key and a token if that was a mistake"
            ))
        } else if charter.issuers().expires <= now {
            Some(format!("the list of issuers of domain {name} has expired: sign another with the domain's key"))
        } else if own.expires <= now {
            Some(format!(
                "this node's certificate has expired and no issuer of domain {name} renewed it: join again with a token"
            ))
        } else if !charter.is_issuer(&own.issuer) {
            Some(format!("{}, who certified this node, is no longer an issuer of domain {name}", own.issuer))
        } else if self.renewal_is_overdue(now, own) {
            Some(format!("this node's certificate could not be renewed yet: no issuer of domain {name} answered"))
        } else {
            None
        };
        Some(Status {
            domain: charter.domain().clone(),
            node: self.me,
            role: own.role,
            issuer: charter.is_issuer(&self.me),
            expires: own.expires.min(charter.issuers().expires),
            list: charter.issuers().number,
            sequence: charter.described().map(|descriptor| descriptor.sequence),
            connected: self
                .peers
                .iter()
                .filter(|(node, peer)| peer.told.is_some() && self.members.contains(node))
                .count(),
            warning,
        })
    }

    /// Returns this node's own proof of membership.
    pub fn credentials(&self) -> Option<Credentials> {
        let (charter, certificate) = (self.charter.as_ref()?, self.own.as_ref()?);
        Some(Credentials { list: charter.list().clone(), certificate: certificate.clone() })
    }

    /// Says whether a node is a member in good standing: certified, not expired, not removed.
    pub fn is_live(&self, now: Time, node: &NodeId) -> bool {
        self.members.get(node).is_some_and(|member| member.expires > now) && !self.is_revoked(node)
    }

    /// Returns what this node is in its domain.
    pub(crate) const fn role(&self) -> Role {
        self.role
    }

    pub(crate) fn is_blocked(&self, node: &NodeId) -> bool {
        self.config.blocked.contains(node)
    }

    /// Says whether a node was removed from the domain, as far as this one knows.
    pub fn is_revoked(&self, node: &NodeId) -> bool {
        self.charter.as_ref().is_some_and(|charter| charter.is_revoked(node))
    }

    fn revoked(&self) -> impl Iterator<Item = (&NodeId, &Time)> {
        self.charter.iter().flat_map(|charter| charter.revoked())
    }

    // -- what many parts need ---------------------------------------------------------------------------

    fn ask(&mut self, asked: Asked, to: Party, request: Request, out: &mut Vec<Effect>) -> AskId {
        self.ask_within(asked, to, request, self.config.hello_deadline, out)
    }

    /// Returns what was asked, once.
    fn answer_to(&mut self, ask: AskId) -> Option<Asked> {
        let asked = self.asks.remove(&ask);
        if self.asks.is_empty() {
            // An empty map keeps its room, and at rest nothing is asked.
            self.asks = BTreeMap::new();
        }
        asked
    }

    fn ask_within(
        &mut self,
        asked: Asked,
        to: Party,
        request: Request,
        deadline: Span,
        out: &mut Vec<Effect>,
    ) -> AskId {
        let ask = AskId(self.next_ask);
        self.next_ask += 1;
        self.asks.insert(ask, asked);
        out.push(Effect::Ask { ask, to, request, deadline });
        ask
    }

    /// Makes the secret of a domain that was founded before domains had one. Only a single issuer may: two would make
    /// two.
    fn found_secret(&mut self, out: &mut Vec<Effect>) {
        let issuers = self.charter.as_ref().map(|charter| charter.issuers().issuers.as_slice());
        if self.secret.is_none() && issuers == Some(&[self.me]) {
            let secret = DomainSecret(self.rng.bytes());
            out.push(Effect::Keep(record::secret(&secret)));
            self.secret = Some(secret);
        }
    }

    /// Tells Discovery the secret of the domain, at a supernode.
    fn show_secret(&self, out: &mut Vec<Effect>) {
        if self.role == Role::Supernode {
            out.extend(self.secret.clone().map(Effect::Secret));
        }
    }

    /// Tells Contract of this node's own proof of membership.
    fn show_credentials(&self, out: &mut Vec<Effect>) {
        out.extend(self.credentials().map(|credentials| Effect::Credentials(Box::new(credentials))));
    }

    /// Keeps this node's own proof of membership, and shows it.
    fn keep_credentials(&self, out: &mut Vec<Effect>) {
        if let Some(credentials) = self.credentials() {
            out.push(Effect::Keep(record::own(&credentials)));
            out.push(Effect::Credentials(Box::new(credentials)));
        }
    }
}

impl kernel::Manager for Manager {
    type Input = Input;
    type Effect = Effect;

    fn handle(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::PeerUp { party } => self.peer_up(now, party, out),
            Input::PeerDown { node } => self.peer_down(&node, out),
            Input::Asked { ticket, from, request: Greeting::Hello(hello) } => {
                self.greeted(now, ticket, from, &hello, out);
            }
            Input::Asked { ticket, from, request: Greeting::Join(join) } => {
                self.asked_in(now, ticket, from, &join, out);
            }
            Input::Asked { ticket, from, request: Greeting::Accept(accept) } => {
                self.asked_accept(now, ticket, from, *accept, out);
            }
            Input::Asked { ticket, from, request: Greeting::Partners(partners) } => {
                self.told_partners(now, ticket, from, *partners, out);
            }
            Input::Answered { ask, from, answer } => match self.answer_to(ask) {
                Some(Asked::Hello(node)) if node == from => self.hello_answered(now, ask, from, answer, out),
                Some(Asked::Renewal(node)) if node == from => self.renewal_answered(now, from, answer, out),
                Some(Asked::Accept(node)) if node == from => self.accept_answered(now, ask, answer, out),
                Some(Asked::Partners(node)) if node == from => self.partners_noted(now, from, &answer),
                Some(_) | None => {}
            },
            Input::Addresses(addresses) => self.moved(now, addresses, out),
            Input::Invite { ticket, role, ttl } => {
                let result = self.invite(now, role, ttl, out);
                out.push(Effect::Respond { ticket, result });
            }
            Input::Remove { ticket, node } => {
                let result = self.remove(now, node, out);
                out.push(Effect::Respond { ticket, result });
            }
            Input::PartnerInvite { ticket, name, ttl } => {
                let result = self.partner_invite(now, name, ttl, out);
                out.push(Effect::Respond { ticket, result });
            }
            Input::PartnerAccept { ticket, token, name } => {
                if let Err(refusal) = self.partner_accept(now, ticket, token, name, out) {
                    out.push(Effect::Respond { ticket, result: Err::<Response, _>(refusal) });
                }
            }
            Input::PartnerSwitch { ticket, name, on } => {
                let result = self.partner_switch(now, &name, on, out);
                out.push(Effect::Respond { ticket, result });
            }
            Input::PartnerRemove { ticket, name } => {
                let result = self.partner_remove(now, &name, out);
                out.push(Effect::Respond { ticket, result });
            }
        }
    }

    fn next_wake(&self) -> Option<Wake> {
        self.timers.next()
    }

    fn wake(&mut self, now: Time, out: &mut Vec<Effect>) {
        while let Some(timer) = self.timers.due(now) {
            match timer {
                Timer::Hello(node) => self.say_hello(now, node, out),
                Timer::Spread => self.spread(now, out),
                Timer::Renew => self.renew(now, out),
                Timer::Reissue => self.reissue(now, out),
                Timer::MembersEnd => {
                    self.members_end(now, out);
                    self.tend(now, out);
                }
                Timer::RevocationEnds(node) => self.revocation_ends(now, node, out),
                Timer::TokenEnds(digest) => {
                    if self.tokens.remove(&digest) {
                        out.push(Effect::Keep(rear_proto::Row::drop(Table::Tokens, digest.as_bytes())));
                    }
                }
                Timer::Describe => self.tend(now, out),
                Timer::ForeignEnds(node) => self.foreign_ends(now, node, out),
                Timer::InvitationEnds(digest) => {
                    if self.invitations.remove(&digest) {
                        out.push(Effect::Keep(record::invitation(&digest, None)));
                    }
                }
                Timer::PartnerEnds(domain) => self.forget_partner(&domain, out),
                Timer::Share => self.share(now, out),
                Timer::ShareWith(node) => self.share_with(now, node, out),
            }
        }
    }
}

/// Cuts a node's addresses down to what is allowed.
fn bounded(mut addresses: Vec<String>) -> Vec<String> {
    addresses.retain(|address| address.len() <= rear_proto::door::MAX_WORD && !address.is_empty());
    addresses.truncate(rear_proto::door::MAX_ADDRESSES);
    addresses
}
