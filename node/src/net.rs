//! The doer of messages: puts the mind's questions to other nodes, and theirs to the mind.

mod greetings;

use std::sync::Arc;

use agent::Event;
use kernel::{AskId, NodeId, Span};
use rear_proto::{Answer, Ask, Code, Refusal, Reply, Request, flavour::Party, wire::codec};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use transport::{AskError, Handle, Protocol, Tunnel};

use self::greetings::Greetings;
use crate::{
    door::{self, Desk},
    host::Mind,
};

/// Speaks to other nodes for the mind.
#[derive(Clone)]
pub struct Net {
    handle: Handle,
    mind: Mind,
    tasks: TaskTracker,
    meetings: Arc<Semaphore>,
    desk: Desk,
    greetings: Greetings,
    /// Whether others are told where this node listens.
    announce: bool,
}

/// How many nodes found on the local network are dialled at once; anybody there can say that any number is.
const MEETINGS: usize = 64;

/// Takes in the streams that other nodes open for a contract's channel.
pub trait TunnelDoor: Send + Sync + 'static {
    /// Serves one stream until it ends; `peer` is proven.
    fn admit(&self, peer: NodeId, stream: Tunnel);
}

impl Net {
    /// Makes the doer over a running transport; without `announce` nobody is told where this node listens, since it
    /// can't be reached there.
    pub fn new(handle: Handle, mind: Mind, tasks: TaskTracker, desk: Desk, announce: bool) -> Self {
        let meetings = Arc::new(Semaphore::new(MEETINGS));
        Self { handle, mind, tasks, meetings, desk, greetings: Greetings::default(), announce }
    }

    /// Puts a question; the answer, or the lack of one, goes to the mind.
    pub fn ask(&self, ask: AskId, to: Party, body: Ask, deadline: Span) {
        let Self { handle, mind, desk, greetings, .. } = self.clone();
        if !to.addresses.is_empty() {
            handle.know(to.node, to.addresses);
        }
        self.tasks.spawn(async move {
            let protocol = door::protocol_of(&body.request);
            let name = body.request.name();
            let is_hello = matches!(body.request, Request::Hello(_));
            tracing::trace!(to = %to.node, message = name, "asking");
            let answer = handle.ask(to.node, protocol, codec::encode(&body), deadline).await;
            let reply = match answer {
                Ok(bytes) => desk.read_reply(handle.id(), to.node, bytes).await,
                Err(error) => Err(refusal_of(&error)),
            };
            if let Err(refusal) = &reply {
                tracing::debug!(to = %to.node, message = name, %refusal, "no answer of use");
            }
            let says_who = is_hello && reply.as_ref().is_ok_and(|reply| matches!(reply.answer, Answer::Hello(_)));
            // When the node ends, nobody waits for this.
            let _ = mind.tell(Event::Answered { ask, reply: reply.map(Box::new) }).await;
            if says_who {
                greetings.said(&to.node);
            }
        });
    }

    /// Remembers a node's addresses and keeps a connection to it.
    pub fn keep_connected(&self, party: Party) {
        self.handle.know(party.node, party.addresses);
        self.handle.keep(party.node, true);
    }

    /// Closes all connections to a node and lets it in no more.
    pub fn block(&self, node: NodeId) {
        self.handle.keep(node, false);
        self.handle.block(node);
    }

    /// Says whether a node is a member, or a partner's: no stranger's connection crowds out one of those, and one that
    /// is no more is not dialled again.
    pub fn trust(&self, node: NodeId, trust: bool) {
        self.handle.trust(node, trust);
        if !trust {
            self.handle.keep(node, false);
        }
    }

    /// Tells the mind what the transport tells, until the transport stops or `stop` is called.
    pub async fn listen(self, mut events: transport::Events, tunnels: impl TunnelDoor, stop: CancellationToken) {
        loop {
            let event = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                event = events.next() => event,
            };
            let told = match event {
                None => return,
                Some(transport::Event::Listening { address }) => {
                    tracing::info!(%address, "listening");
                    if self.announce {
                        self.mind.tell(Event::Addresses(self.handle.listening().await)).await
                    } else {
                        Ok(())
                    }
                }
                Some(transport::Event::Connected { peer, address, dialled }) => {
                    tracing::debug!(%peer, %address, dialled, "connected");
                    self.greetings.connected(peer);
                    // Where a connection came from is no place to dial; where one was dialled is.
                    let addresses = if dialled { vec![address] } else { Vec::new() };
                    self.mind.tell(Event::PeerUp { party: Party { node: peer, addresses } }).await
                }
                Some(transport::Event::Disconnected { peer }) => {
                    tracing::debug!(%peer, "disconnected");
                    self.greetings.disconnected(&peer);
                    self.mind.tell(Event::PeerDown { node: peer }).await
                }
                Some(transport::Event::Asked { peer, protocol, body, answer }) => {
                    self.serve(peer, protocol, body, answer);
                    Ok(())
                }
                Some(transport::Event::Opened { peer, tunnel }) => {
                    tunnels.admit(peer, tunnel);
                    Ok(())
                }
                Some(transport::Event::RoundTrip { peer, span }) => {
                    self.mind.tell(Event::RoundTrip { peer, span }).await
                }
                Some(transport::Event::Found { peer, addresses }) => {
                    self.meet(peer, addresses);
                    Ok(())
                }
                Some(transport::Event::Unreachable { peer }) => {
                    tracing::debug!(%peer, "unreachable");
                    Ok(())
                }
            };
            if told.is_err() {
                return;
            }
        }
    }

    /// Connects to a node that was found on the local network; whether it is one of ours, HELLO will tell.
    fn meet(&self, peer: NodeId, addresses: Vec<String>) {
        let Ok(permit) = Arc::clone(&self.meetings).try_acquire_owned() else {
            return tracing::debug!(%peer, "too many nodes are found at once to meet this one too");
        };
        let handle = self.handle.clone();
        self.tasks.spawn(async move {
            let _permit = permit;
            for address in addresses {
                // Where it is connected already, as a peer that has told its addresses is, this does nothing.
                match handle.dial(&format!("{address}/p2p/{peer}")).await {
                    Ok(_) => return,
                    Err(error) => tracing::trace!(%peer, %error, "not to be met here"),
                }
            }
        });
    }

    /// Serves one question in a task of its own: decoding and signatures take other cores' time, not the mind's.
    fn serve(&self, peer: NodeId, protocol: Protocol, body: Vec<u8>, answer: transport::Answer) {
        let (mind, desk, greetings) = (self.mind.clone(), self.desk.clone(), self.greetings.clone());
        self.tasks.spawn(async move {
            let reply = match desk.read_ask(peer, protocol, body).await {
                Ok(ask) => {
                    tracing::trace!(from = %peer, message = ask.request.name(), "asked");
                    put(&mind, &greetings, peer, ask).await
                }
                Err(refusal) => Err(refusal),
            };
            let reply = reply.unwrap_or_else(|refusal| Reply {
                answer: refusal.into(),
                steps: Vec::new(),
                extensions: Default::default(),
            });
            if let Err(error) = answer.send(codec::encode(&reply)) {
                tracing::debug!(to = %peer, %error, "an answer found nobody");
            }
        });
    }
}

/// Puts a peer's question to the mind; one that is refused to a stranger once more, when the peer has said HELLO.
async fn put(mind: &Mind, greetings: &Greetings, peer: NodeId, ask: Ask) -> Result<Reply, Refusal> {
    if matches!(ask.request, Request::Hello(_)) {
        let reply = mind.ask(peer, ask).await;
        greetings.said(&peer);
        return reply;
    }
    let again = greetings.is_due(&peer).then(|| ask.clone());
    let reply = mind.ask(peer, ask).await;
    let is_stranger = |reply: &Reply| matches!(&reply.answer, Answer::Refused(why) if why.code() == Code::NotAMember);
    match again {
        Some(ask) if reply.as_ref().is_ok_and(is_stranger) && greetings.wait(&peer).await => mind.ask(peer, ask).await,
        Some(_) | None => reply,
    }
}

/// What the lack of an answer means to the manager that asked.
fn refusal_of(error: &AskError) -> Refusal {
    match error {
        AskError::Timeout { .. } => Refusal::new(Code::Timeout, error.to_string()),
        AskError::Busy { retry_after, .. } => {
            Refusal::new(Code::Overloaded, error.to_string()).retry_after(*retry_after)
        }
        AskError::RequestTooLarge { .. } => Refusal::new(Code::TooLarge, error.to_string()),
        AskError::Unreadable { .. } => Refusal::new(Code::Malformed, error.to_string()),
        AskError::NotSent(_) => Refusal::new(Code::Unavailable, error.to_string()),
        // It may have been acted upon: the same as no answer in time.
        AskError::NoAnswer(_) | AskError::Closed(_) => Refusal::new(Code::Timeout, error.to_string()),
    }
}

/// Puts one question before there is a mind, as joining a domain does.
///
/// # Errors
/// The refusal, or why there was no answer.
pub async fn ask_once(handle: &Handle, to: NodeId, request: Request, deadline: Span) -> Result<Reply, Refusal> {
    let protocol = door::protocol_of(&request);
    let body = Ask { request, tell: false, extensions: Default::default() };
    let bytes = handle.ask(to, protocol, codec::encode(&body), deadline).await.map_err(|error| refusal_of(&error))?;
    door::read_reply(&handle.id(), &to, &bytes)
}
