//! The route table: every effect of every manager, and the mail, row or output that it becomes.
//!
//! There is no wildcard arm: a new effect does not compile until somebody has said where it goes.

use kernel::{AskId, Span, Ticket};
use rear_proto::{Answer, Request, Row, Trace, fabric::FabricReply, flavour::Party, local::Placement, story::Deed};

use crate::event::{Output, Response, Watch};

/// A letter to one manager.
#[derive(Debug)]
pub(crate) enum Mail {
    Orchestrator(orchestrator::Input),
    Rear(rear::Input),
    Discovery(discovery::Input),
    Contract(contract::Input),
    Network(network::Input),
    Vfabric(vfabric::Input),
    Federation(federation::Input),
}

/// The managers, as senders of questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sender {
    Discovery,
    Contract,
    Federation,
}

/// What an effect becomes.
#[derive(Debug)]
pub(crate) enum Routed {
    /// A letter to a manager of this node.
    Mail(Mail),
    /// A question to another node, whose answer goes back to the sender.
    Ask { sender: Sender, ask: AskId, to: Party, request: Request, deadline: Span, trace: Trace },
    /// The answer to another node's question; its steps are added when the batch is closed.
    Reply { ticket: Ticket, answer: Answer },
    /// The answer to the far end of a contract; likewise.
    FabricReply { ticket: Ticket, reply: Box<FabricReply> },
    /// A question to the far end of a contract.
    Send { id: u64, trace: Trace },
    /// It has its answer, or was never said.
    Sent { id: u64 },
    /// Something for the doers.
    Output(Output),
    /// A row to keep.
    Row(Row),
    /// A step that was done.
    Did(Trace, Deed),
}

pub(crate) fn orchestrator(effect: orchestrator::Effect, out: &mut Vec<Routed>) {
    use orchestrator::Effect as E;
    let rear = |input| Routed::Mail(Mail::Rear(input));
    let vfabric = |input| Routed::Mail(Mail::Vfabric(input));
    let last = match effect {
        E::LookUp { request, selector, origin, trace } => {
            rear(rear::Input::LookUp { request, selector, origin, trace })
        }
        E::Acquire { request, selector, mode, term, ceiling, origin, trace } => {
            rear(rear::Input::Acquire { request, selector, mode, term, ceiling, origin, trace })
        }
        E::Use { request, contract, trace } => rear(rear::Input::Use { request, contract, trace }),
        E::Adopt { request, on: Placement::Local(allocation), origin } => {
            rear(rear::Input::AdoptLocal { request, allocation, origin })
        }
        E::Adopt { request, on: Placement::Remote(contract), origin } => {
            rear(rear::Input::AdoptRemote { request, contract, origin })
        }
        E::Purchase { request } => rear(rear::Input::Purchase { request }),
        E::Release { request } => rear(rear::Input::Release { request }),
        E::Deploy { request, on, workload } => {
            vfabric(vfabric::Input::Deploy { request, on, workload: Box::new(workload) })
        }
        E::Undeploy { request, on, workload } => vfabric(vfabric::Input::Undeploy { request, on, workload }),
        E::Respond { ticket, result } => {
            Routed::Output(Output::Respond { ticket, result: result.map(Response::Intent) })
        }
        E::Changed { intent } => Routed::Output(Output::Changed(Watch::Intent(intent))),
        E::Keep(row) => Routed::Row(row),
        E::Did(trace, deed) => Routed::Did(trace, deed),
    };
    out.push(last);
}

pub(crate) fn rear(effect: rear::Effect, out: &mut Vec<Routed>) {
    use rear::Effect as E;
    let discovery = |input| Routed::Mail(Mail::Discovery(input));
    let contract = |input| Routed::Mail(Mail::Contract(input));
    let vfabric = |input| Routed::Mail(Mail::Vfabric(input));
    let orchestrator = |input| Routed::Mail(Mail::Orchestrator(input));
    let last = match effect {
        E::OwnChanged(flavour) => discovery(discovery::Input::OwnChanged(flavour)),
        E::OwnGone(flavour) => discovery(discovery::Input::OwnGone(flavour)),
        E::Find { request, pick, k, max_age } => discovery(discovery::Input::Find { request, pick, k, max_age }),
        E::Discover { request, selector, ceiling, k, exclude, trace } => {
            let asker = discovery::mail::Asker::Rear(request);
            discovery(discovery::Input::Discover { asker, selector, ceiling, k, exclude, trace })
        }
        E::Start { request, purchase, trace } => contract(contract::Input::Start { request, wish: purchase, trace }),
        E::Purchase { request, key, trace } => contract(contract::Input::Purchase { request, key, trace }),
        E::End { key, reason } => contract(contract::Input::End { key, reason }),
        E::Granted { allocation, price, epoch } => contract(contract::Input::Granted { allocation, price, epoch }),
        E::Denied { allocation, refusal } => contract(contract::Input::Denied { allocation, refusal }),
        E::Evict { allocation } => contract(contract::Input::Evict { allocation }),
        E::Freed { allocation } => contract(contract::Input::Freed { allocation }),
        E::Peer { allocation, contract, provider, trace } => {
            vfabric(vfabric::Input::Peer { allocation, contract, provider, trace })
        }
        E::Activated { allocation, trace } => vfabric(vfabric::Input::Activated { allocation, trace }),
        E::Clear { allocation } => vfabric(vfabric::Input::Clear { allocation }),
        E::LookedUp { request, local } => orchestrator(orchestrator::Input::LookedUp { request, local }),
        E::Holding { request } => orchestrator(orchestrator::Input::Held { request }),
        E::Ready { request, contract, provider, price } => {
            orchestrator(orchestrator::Input::Ready { request, contract, provider, price })
        }
        E::Failed { request, refusal } => orchestrator(orchestrator::Input::Failed { request, refusal }),
        E::Ended { request, reason, text } => orchestrator(orchestrator::Input::Ended { request, reason, text }),
        E::Released { request } => orchestrator(orchestrator::Input::Released { request }),
        E::Respond { ticket, result } => Routed::Output(Output::Respond { ticket, result: result.map(Response::Rear) }),
        E::Keep(row) => Routed::Row(row),
        E::Did(trace, deed) => Routed::Did(trace, deed),
    };
    out.push(last);
}

pub(crate) fn discovery(effect: discovery::Effect, out: &mut Vec<Routed>) {
    use discovery::Effect as E;
    let rear = |input| Routed::Mail(Mail::Rear(input));
    let last = match effect {
        E::Ask { ask, to, request, deadline, trace } => {
            Routed::Ask { sender: Sender::Discovery, ask, to, request, deadline, trace }
        }
        E::Reply { ticket, answer } => Routed::Reply { ticket, answer },
        E::Found { request, candidates } => rear(rear::Input::Found { request, candidates }),
        E::Discovered { request, partial, silent } => rear(rear::Input::Discovered { request, partial, silent }),
        E::Respond { ticket, found } => {
            Routed::Output(Output::Respond { ticket, result: Ok(Response::Discovered(Box::new(found))) })
        }
        E::Resolved { allocation, way } => Routed::Mail(Mail::Contract(contract::Input::Resolved { allocation, way })),
        E::Rated { peer, outcome } => rear(rear::Input::Rated { peer, outcome }),
        E::Keep(row) => Routed::Row(row),
        E::Did(trace, deed) => Routed::Did(trace, deed),
    };
    out.push(last);
}

pub(crate) fn contract(effect: contract::Effect, out: &mut Vec<Routed>) {
    use contract::Effect as E;
    let rear = |input| Routed::Mail(Mail::Rear(input));
    let network = |input| Routed::Mail(Mail::Network(input));
    let vfabric = |input| Routed::Mail(Mail::Vfabric(input));
    let last = match effect {
        E::Ask { ask, to, request, deadline, trace } => {
            Routed::Ask { sender: Sender::Contract, ask, to, request, deadline, trace }
        }
        E::Reply { ticket, answer } => Routed::Reply { ticket, answer },
        E::Reserve { allocation, buyer, flavour, partition, ceiling, trace } => {
            rear(rear::Input::Reserve { allocation, buyer, flavour, partition, ceiling, trace })
        }
        E::Bind { allocation, contract } => rear(rear::Input::Bind { allocation, contract }),
        E::Close { allocation, reason } => rear(rear::Input::Close { allocation, reason }),
        E::Resolve { allocation, flavour, caller } => {
            Routed::Mail(Mail::Discovery(discovery::Input::Resolve { allocation, flavour, caller }))
        }
        E::Forward { allocation, buyer, seller, resources } => {
            rear(rear::Input::Forward { allocation, buyer, seller, resources })
        }
        E::Forwarding { allocation } => rear(rear::Input::Forwarding { allocation }),
        E::Join { junction, trace } => {
            let contract::mail::Junction { front, buyer, back, seller } = *junction;
            network(network::Input::Join { front, buyer, back, seller, trace })
        }
        E::Held { request, key, price, purchase_within } => {
            rear(rear::Input::Held { request, key, price, purchase_within })
        }
        E::Signed { request, key, contract, trace } => rear(rear::Input::Signed { request, key, contract, trace }),
        E::Refused { request, key, refusal } => rear(rear::Input::Refused { request, key, refusal }),
        E::Ended { key, allocation, reason } => rear(rear::Input::Ended { key, allocation, reason }),
        E::NotRenewed { key, refusal } => rear(rear::Input::NotRenewed { key, refusal }),
        E::Restored { key, contract } => rear(rear::Input::Restored { key, contract }),
        E::Rated { peer, outcome } => rear(rear::Input::Rated { peer, outcome }),
        E::DeployRouter { router, trace } => {
            let contract::mail::Router { contract, side, peer, key, remote_key } = *router;
            network(network::Input::Deploy { contract, side, peer, key, remote_key, trace })
        }
        E::Closed { contract } => {
            out.push(network(network::Input::Closed { contract }));
            vfabric(vfabric::Input::Closed { contract })
        }
        E::Revived { contract, customer } => vfabric(vfabric::Input::Revived { contract, customer }),
        E::LookedUp { inquiry, found, trace } => vfabric(vfabric::Input::LookedUp { inquiry, found, trace }),
        E::Respond { ticket, result } => {
            Routed::Output(Output::Respond { ticket, result: result.map(|()| Response::Renewed) })
        }
        E::Changed { contract } => Routed::Output(Output::Changed(Watch::Contract(contract))),
        E::Keep(row) => Routed::Row(row),
        E::Did(trace, deed) => Routed::Did(trace, deed),
    };
    out.push(last);
}

pub(crate) fn network(effect: network::Effect, out: &mut Vec<Routed>) {
    use network::Effect as E;
    let vfabric = |input| Routed::Mail(Mail::Vfabric(input));
    let last = match effect {
        E::Install(route) => Routed::Output(Output::Install(route)),
        E::Join(junction) => Routed::Output(Output::Join(junction)),
        E::Opened { contract: id } => Routed::Mail(Mail::Contract(contract::Input::Activated { contract: id })),
        E::Remove { contract } => Routed::Output(Output::Remove { contract }),
        E::Transmit { id, contract, ask, deadline } => Routed::Output(Output::Transmit { id, contract, ask, deadline }),
        E::Ship { id, contract, digest } => Routed::Output(Output::Ship { id, contract, digest }),
        E::Heard { ticket, contract, peer, ask, trace } => {
            vfabric(vfabric::Input::Heard { ticket, contract, peer, ask, trace })
        }
        E::Answered { id, reply } => {
            out.push(Routed::Sent { id });
            vfabric(vfabric::Input::Answered { id, reply })
        }
        E::Turn { ticket, refusal } => {
            let answer = rear_proto::fabric::FabricAnswer::Refused(refusal);
            let reply = FabricReply { answer, steps: Vec::new(), extensions: Default::default() };
            Routed::FabricReply { ticket, reply: Box::new(reply) }
        }
        E::Did(trace, deed) => Routed::Did(trace, deed),
    };
    out.push(last);
}

pub(crate) fn vfabric(effect: vfabric::Effect, out: &mut Vec<Routed>) {
    use vfabric::Effect as E;
    let network = |input| Routed::Mail(Mail::Network(input));
    let contract = |input| Routed::Mail(Mail::Contract(input));
    let rear = |input| Routed::Mail(Mail::Rear(input));
    let orchestrator = |input| Routed::Mail(Mail::Orchestrator(input));
    let last = match effect {
        E::Send { id, contract, ask, deadline, trace } => {
            out.push(Routed::Send { id, trace });
            network(network::Input::Send { id, contract, ask, deadline })
        }
        E::Ship { id, contract, digest } => network(network::Input::Ship { id, contract, digest }),
        E::Reply { ticket, reply } => Routed::FabricReply { ticket, reply },
        E::LookUp { inquiry, contract: id, customer, trace } => {
            contract(contract::Input::LookUp { inquiry, contract: id, customer, trace })
        }
        E::Peered { allocation, contract: id, trace } => {
            out.push(contract(contract::Input::Activated { contract: id }));
            rear(rear::Input::Peered { allocation, trace })
        }
        E::Unpeered { allocation, refusal } => rear(rear::Input::Unpeered { allocation, refusal }),
        E::Gone { allocation } => rear(rear::Input::Gone { allocation }),
        E::Status { request, status } => orchestrator(orchestrator::Input::Status { request, status }),
        E::Undeployed { request } => orchestrator(orchestrator::Input::Undeployed { request }),
        E::Exposed { request, port, url } => orchestrator(orchestrator::Input::Exposed { request, port, url }),
        E::Start { instance, workload, within, abroad } => {
            Routed::Output(Output::Start { instance, workload, within, abroad })
        }
        E::Stop { instance, grace } => Routed::Output(Output::Stop { instance, grace }),
        E::ReadLogs { inquiry, instance, from, wait } => {
            Routed::Output(Output::ReadLogs { inquiry, instance, from, wait })
        }
        E::Sweep { keep } => Routed::Output(Output::Sweep { keep }),
        E::Expose { request, target, name, port } => Routed::Output(Output::Expose { request, target, name, port }),
        E::Unexpose { request } => Routed::Output(Output::Unexpose { request }),
        E::Respond { ticket, result } => {
            Routed::Output(Output::Respond { ticket, result: result.map(|(lines, next)| Response::Logs(lines, next)) })
        }
        E::Keep(row) => Routed::Row(row),
        E::Did(trace, deed) => Routed::Did(trace, deed),
    };
    out.push(last);
}

pub(crate) fn federation(effect: federation::Effect, out: &mut Vec<Routed>) {
    use federation::Effect as E;
    let discovery = |input| Routed::Mail(Mail::Discovery(input));
    let contract = |input| Routed::Mail(Mail::Contract(input));
    let vfabric = |input| Routed::Mail(Mail::Vfabric(input));
    let last = match effect {
        E::Ask { ask, to, request, deadline } => {
            Routed::Ask { sender: Sender::Federation, ask, to, request, deadline, trace: Trace::None }
        }
        E::Reply { ticket, answer } => Routed::Reply { ticket, answer },
        E::MemberUp { party, role, realm } => {
            let node = party.node;
            out.push(Routed::Output(Output::Trust(node, true)));
            out.push(discovery(discovery::Input::EndpointUp { party, role, realm }));
            out.push(contract(contract::Input::PeerUp { node }));
            vfabric(vfabric::Input::PeerUp { node })
        }
        E::MemberDown { node } => discovery(discovery::Input::EndpointDown { node }),
        E::MemberGone { node, removed } => {
            out.push(Routed::Output(Output::Trust(node, false)));
            out.push(discovery(discovery::Input::EndpointGone { node }));
            out.push(Routed::Mail(Mail::Rear(rear::Input::MemberGone { node, removed })));
            if removed {
                out.push(Routed::Output(Output::Block(node)));
            }
            contract(contract::Input::MemberGone { node })
        }
        E::Partners(partners) => {
            out.push(discovery(discovery::Input::Partners(std::sync::Arc::clone(&partners))));
            contract(contract::Input::Partners(partners))
        }
        E::Secret(secret) => discovery(discovery::Input::Secret(secret)),
        E::Credentials(credentials) => contract(contract::Input::Credentials(credentials)),
        E::KeepConnected(party) => Routed::Output(Output::KeepConnected(party)),
        E::Respond { ticket, result } => Routed::Output(Output::Respond {
            ticket,
            result: result.map(|response| match response {
                federation::mail::Response::Invited(token) => Response::Invited(Box::new(token)),
                federation::mail::Response::Removed => Response::Removed,
                federation::mail::Response::PartnerInvited(token) => Response::PartnerInvited(Box::new(token)),
                federation::mail::Response::PartnerChanged(view) => Response::Partner(Box::new(view)),
            }),
        }),
        E::Keep(row) => Routed::Row(row),
    };
    out.push(last);
}
