//! The manager: what it knows, and which of its parts each input goes to.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kernel::{
    AllocationId, AskId, ContractId, DomainKey, Key, NodeId, Rng, Ticket, Time, Wake,
    planted::{self, Bug},
};
use rear_proto::{
    Answer, Code, Refusal, Request, Signed, Signer, Trace,
    flavour::Party,
    local::{Caller, Me, Partner},
    membership::{Credentials, Role},
    message::{EndReason, Extensions},
};

use crate::{
    agreement::Agreement,
    buyer::Buy,
    close::Tell,
    config::Config,
    keys::Keys,
    mail::{Effect, Input},
    quota::Quota,
    record::{HoldRecord, Name},
    relay::Renewing,
    release::Telling,
    seller::Sale,
    timers::Timers,
};

/// Agrees contracts and keeps to them, as a buyer and as a seller.
#[derive(Debug)]
pub struct Manager {
    pub(crate) config: Config,
    pub(crate) signer: Signer,
    pub(crate) me: NodeId,
    pub(crate) domain: DomainKey,
    pub(crate) role: Role,
    /// Domains whose supernodes may vouch for what comes from there.
    pub(crate) partners: Arc<[Partner]>,
    pub(crate) rng: Rng,
    /// Own proof of membership; without it nothing is bought or sold.
    pub(crate) credentials: Option<Credentials>,
    /// Whether the disk takes promises.
    pub(crate) storage: bool,
    /// Since when this node is up: what was asked before it has forgotten.
    pub(crate) started: Time,
    /// Until when nothing expires, after the clock has jumped.
    pub(crate) suspended: Time,

    /// What others have asked for and not given back, by the name of their order.
    pub(crate) sales: BTreeMap<Name, Sale>,
    /// The sale that each allocation belongs to.
    pub(crate) allocations: BTreeMap<AllocationId, Name>,
    /// The sales that were not yet active: they stand for capacity that nobody pays.
    pub(crate) pending: BTreeSet<Name>,
    /// What this node asks for, holds and has bought, by key.
    pub(crate) buys: BTreeMap<Key, Buy>,
    /// At a relay: the order that each of its own is for, by key, for as long as anything of it is left.
    pub(crate) fronts: BTreeMap<Key, Name>,
    /// At a relay: renewals that are asked for one hop on, by the contract there.
    pub(crate) renewing: BTreeMap<ContractId, Renewing>,
    /// Holds, given and taken, and those that ended not long ago.
    pub(crate) holds: BTreeMap<Name, HoldRecord>,
    /// Those of them that have ended or were purchased, by when.
    pub(crate) ended_holds: BTreeSet<(Time, Name)>,
    /// Contracts that live, and those that ended last.
    pub(crate) contracts: BTreeMap<ContractId, Agreement>,
    /// Those of them that have ended, by when.
    pub(crate) ended: BTreeSet<(Time, ContractId)>,
    /// Live contracts by their other party.
    pub(crate) shared: BTreeMap<NodeId, BTreeSet<ContractId>>,
    /// Ends that another party has still to be told of.
    pub(crate) tellings: BTreeMap<Name, Telling>,
    pub(crate) keys: Keys,
    /// What each buyer was promised lately.
    pub(crate) quota: Quota,

    /// Questions of ours that wait for an answer.
    pub(crate) asks: BTreeMap<AskId, Purpose>,
    next_ask: u64,
    /// What is to be done at a time.
    pub(crate) chores: Timers<Chore>,
    /// What ends at a time.
    pub(crate) expiries: Timers<Expiry>,
    /// Renewals read back before their contracts, until the start.
    pub(crate) restored: BTreeMap<ContractId, BTreeMap<u32, Signed<rear_proto::Renewal>>>,
}

/// What a question of ours is about.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// RESERVE or PURCHASE of this key.
    Buy(Key),
    /// RENEW of this contract.
    Renew(ContractId),
    /// RELEASE of this order.
    Release(Name),
    /// KEEPALIVE.
    Keepalive { sent: Time, contracts: Vec<ContractId> },
}

/// What is to be done at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Chore {
    /// Say RESERVE or PURCHASE again, or give up.
    Repeat(Key),
    /// Say RELEASE again.
    Release(Name),
    /// Ask for a renewal.
    Renew(ContractId),
    /// Say KEEPALIVE.
    Keepalive(NodeId),
    /// Answer a RELEASE whose capacity is not back yet.
    AnswerRelease(Name),
}

/// What ends at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Expiry {
    /// The time to purchase a hold.
    Hold(Name),
    /// The time to activate a contract.
    Activation(ContractId),
    /// A contract's lease.
    Lease(ContractId),
    /// A contract's term.
    Term(ContractId),
    /// The time for which a RELEASE is repeated.
    Telling(Name),
}

impl Manager {
    /// Makes a manager without a memory.
    pub fn new(config: Config, me: Me, rng: Rng) -> Self {
        let Me { signer, domain, role } = me;
        Self {
            me: signer.id(),
            config,
            signer,
            domain,
            role,
            partners: Arc::default(),
            rng,
            credentials: None,
            storage: true,
            started: Time::default(),
            suspended: Time::default(),
            sales: BTreeMap::new(),
            allocations: BTreeMap::new(),
            pending: BTreeSet::new(),
            buys: BTreeMap::new(),
            fronts: BTreeMap::new(),
            renewing: BTreeMap::new(),
            holds: BTreeMap::new(),
            ended_holds: BTreeSet::new(),
            contracts: BTreeMap::new(),
            ended: BTreeSet::new(),
            shared: BTreeMap::new(),
            tellings: BTreeMap::new(),
            keys: Keys::default(),
            quota: Quota::default(),
            asks: BTreeMap::new(),
            next_ask: 0,
            chores: Timers::default(),
            expiries: Timers::default(),
            restored: BTreeMap::new(),
        }
    }

    /// Asks another node, and remembers what about.
    pub(crate) fn ask(
        &mut self,
        purpose: Purpose,
        to: Party,
        request: Request,
        deadline: kernel::Span,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) -> AskId {
        self.next_ask += 1;
        let ask = AskId(self.next_ask);
        self.asks.insert(ask, purpose);
        out.push(Effect::Ask { ask, to, request, deadline, trace });
        ask
    }

    #[allow(clippy::too_many_arguments, reason = "who asks for what, as whom, and for which story")]
    fn asked(
        &mut self,
        now: Time,
        ticket: Ticket,
        from: NodeId,
        caller: Caller,
        request: &Request,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) {
        let begins = matches!(request, Request::Reserve(_) | Request::Purchase(_) | Request::Renew(_));
        if begins && let Err(refusal) = self.may_trade(&caller) {
            return refuse(ticket, refusal, out);
        }
        match request {
            Request::Reserve(reserve) => self.asked_reserve(now, ticket, from, caller, reserve, trace, out),
            Request::Purchase(buy) => self.asked_purchase(now, ticket, from, buy, trace, out),
            Request::Renew(renew) => self.asked_renew(now, ticket, from, caller, renew, trace, out),
            Request::Release(release) => self.asked_release(now, ticket, from, release, out),
            Request::Keepalive(keepalive) => self.asked_keepalive(now, ticket, from, &keepalive.contracts, out),
            Request::Hello(_)
            | Request::Join(_)
            | Request::List(_)
            | Request::Accept(_)
            | Request::Partners(_)
            | Request::Advertise(_)
            | Request::Refresh(_)
            | Request::Withdraw(_)
            | Request::Subscribe(_)
            | Request::CapacityDigest(_) => {
                let text = format!("{} is nothing about contracts", request.name());
                refuse(ticket, Refusal::new(Code::Malformed, text), out);
            }
        }
    }

    fn answered(&mut self, now: Time, ask: AskId, answer: Result<Answer, Refusal>, out: &mut Vec<Effect>) {
        match self.asks.remove(&ask) {
            Some(Purpose::Buy(key)) => self.answered_buy(now, key, ask, answer, out),
            Some(Purpose::Renew(contract)) => self.answered_renew(now, contract, ask, answer, out),
            Some(Purpose::Release(name)) => self.answered_release(now, name, ask, &answer, out),
            Some(Purpose::Keepalive { sent, contracts }) => {
                self.answered_keepalive(now, sent, &contracts, answer, out);
            }
            None => self.answered_late(now, answer, out),
        }
    }

    /// Says whether the far end of a contract's channel is of another domain.
    pub fn is_abroad(&self, contract: &ContractId) -> bool {
        self.contracts.get(contract).is_some_and(|agreement| agreement.record.abroad)
    }

    fn peer_up(&mut self, now: Time, node: NodeId, out: &mut Vec<Effect>) {
        self.tell_again(now, &node, out);
        self.keep_alive(now, node, out);
    }

    /// Ends everything with a node that is no longer a member; it is not told, for it may not be spoken to.
    fn member_gone(&mut self, now: Time, node: NodeId, out: &mut Vec<Effect>) {
        for contract in self.shared.get(&node).cloned().unwrap_or_default() {
            self.close_contract(now, contract, EndReason::Removed, Tell::No, out);
        }
        self.give_up_seller(now, &node, out);
        let sales: Vec<Name> = self.sales.range(Name::all_of(node)).map(|(name, _)| *name).collect();
        for name in sales {
            self.end_sale(now, name, EndReason::Removed, Tell::No, None, out);
        }
        self.stop_telling(&node, out);
        self.chores.cancel(&Chore::Keepalive(node));
    }

    /// Lets nothing expire for one lease, in which everybody can be heard of once more.
    fn clock_jumped(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.suspended = now + self.config.lease;
        let peers: Vec<NodeId> = self.shared.keys().copied().collect();
        for peer in peers {
            self.keep_alive(now, peer, out);
        }
    }

    fn do_chore(&mut self, now: Time, chore: Chore, out: &mut Vec<Effect>) {
        match chore {
            Chore::Repeat(key) => self.repeat_or_give_up(now, key, out),
            Chore::Release(name) => self.send_release(now, name, out),
            Chore::Renew(contract) => self.renew_due(now, contract, out),
            Chore::Keepalive(node) => self.keep_alive(now, node, out),
            Chore::AnswerRelease(name) => self.sale_over(name, out),
        }
    }

    fn expire(&mut self, now: Time, expiry: Expiry, out: &mut Vec<Effect>) {
        match expiry {
            Expiry::Activation(_) if planted::is(Bug::NeverLapse) => {}
            Expiry::Lease(_) if planted::is(Bug::EndlessLease) => {}
            Expiry::Telling(_) if planted::is(Bug::TellForEver) => {}
            Expiry::Hold(name) => self.hold_lapsed(now, name, out),
            Expiry::Activation(contract) => self.activation_over(now, contract, out),
            Expiry::Lease(contract) => self.close_contract(now, contract, EndReason::Lost, Tell::Yes, out),
            Expiry::Term(contract) => self.close_contract(now, contract, EndReason::Expired, Tell::Yes, out),
            Expiry::Telling(name) => self.telling_over(name, out),
        }
    }
}

impl kernel::Manager for Manager {
    type Input = Input;
    type Effect = Effect;

    fn handle(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Start { request, wish, trace } => self.start_buying(now, request, *wish, trace, out),
            Input::Purchase { request, key, trace } => self.start_purchase(now, request, key, trace, out),
            Input::End { key, reason } => self.end_buy(now, key, reason, out),
            Input::Granted { allocation, price, epoch: _ } => self.granted(now, allocation, price, out),
            Input::Denied { allocation, refusal } => self.denied(now, allocation, refusal, out),
            Input::Evict { allocation } => self.evict(now, allocation, out),
            Input::Freed { allocation } => self.freed(allocation, out),
            Input::LookUp { inquiry, contract, customer, trace } => {
                self.look_up(inquiry, contract, &customer, trace, out);
            }
            Input::Activated { contract } => self.activated(now, contract, out),
            Input::RenewByHand { ticket, contract } => self.renew_by_hand(now, ticket, contract, out),
            Input::Resolved { allocation, way } => self.resolved(now, allocation, way, out),
            Input::Partners(partners) => {
                self.partners = partners;
            }
            Input::Asked { ticket, from, caller, request, trace } => {
                self.asked(now, ticket, from, caller, &request, trace, out);
            }
            Input::Answered { ask, from: _, answer } => self.answered(now, ask, answer, out),
            Input::PeerUp { node } => self.peer_up(now, node, out),
            Input::MemberGone { .. } if planted::is(Bug::TradeWithRemoved) => {}
            Input::MemberGone { node } => self.member_gone(now, node, out),
            Input::Credentials(credentials) => self.credentials = Some(*credentials),
            Input::Storage { ok } => self.storage = ok,
            Input::ClockJumped => self.clock_jumped(now, out),
        }
    }

    fn next_wake(&self) -> Option<Wake> {
        let chore = self.chores.first().map(|(at, chore)| (at, chore.word()));
        let expiry = self.expiries.first().map(|(at, expiry)| (at.max(self.suspended), expiry.word()));
        let key = self.keys.next_end().map(|at| (at, "key to forget"));
        let hold = self.ended_holds.first().map(|(at, _)| (*at + self.config.keys_kept, "hold to forget"));
        [chore, expiry, key, hold].into_iter().flatten().min()
    }

    fn wake(&mut self, now: Time, out: &mut Vec<Effect>) {
        while let Some(chore) = self.chores.due(now) {
            self.do_chore(now, chore, out);
        }
        if now >= self.suspended {
            while let Some(expiry) = self.expiries.due(now) {
                self.expire(now, expiry, out);
            }
        }
        out.extend(self.keys.forget_due(now).into_iter().map(Effect::Keep));
        self.forget_holds(now, out);
    }
}

impl Chore {
    const fn word(&self) -> &'static str {
        match self {
            Self::Repeat(_) => "question to repeat",
            Self::Release(_) => "RELEASE to repeat",
            Self::Renew(_) => "contract to renew",
            Self::Keepalive(_) => "keepalive",
            Self::AnswerRelease(_) => "RELEASE to answer",
        }
    }
}

impl Expiry {
    const fn word(&self) -> &'static str {
        match self {
            Self::Hold(_) => "time to purchase",
            Self::Activation(_) => "time to activate",
            Self::Lease(_) => "lease",
            Self::Term(_) => "term",
            Self::Telling(_) => "end of a RELEASE's repeats",
        }
    }
}

/// Answers a question with a refusal.
pub(crate) fn refuse(ticket: Ticket, refusal: Refusal, out: &mut Vec<Effect>) {
    out.push(Effect::Reply { ticket, answer: refusal.into() });
}

/// Room for what comes later, of which there is nothing yet.
pub(crate) fn none_yet() -> Extensions {
    Extensions::new()
}
