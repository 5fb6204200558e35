//! The manager: one router for each live contract, or one for two contracts that a relay joins.

use std::collections::BTreeMap;

use kernel::{
    ContractId, NodeId, Time, Wake,
    planted::{self, Bug},
};
use rear_proto::{Code, Deed, Refusal, Signer, Trace, local::Side, tunnel};

use crate::{
    config::Config,
    mail::{Effect, Input, Junction, Route},
};

/// Keeps the virtual routers of a node.
#[derive(Debug)]
pub struct Manager {
    config: Config,
    signer: Signer,
    /// By contract; one that joins two contracts stands under its front.
    routers: BTreeMap<ContractId, Router>,
    /// Which front each back belongs to.
    fronts: BTreeMap<ContractId, ContractId>,
}

/// A virtual router: what is admitted, and what has gone through.
#[derive(Debug)]
struct Router {
    way: Way,
    streams: u32,
    up: u64,
    down: u64,
}

/// Where the streams of a router go.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// This node is an end of the contract.
    End(Route),
    /// They go on under another contract.
    Onward(Junction),
}

/// A virtual router, as the table shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterView {
    /// Its contract; at a relay the one that this node sold.
    pub contract: ContractId,
    /// At a relay: the contract under which streams go on.
    pub backed_by: Option<ContractId>,
    /// The neighbour on the way to the consumer; `None` where that is this node itself (shown as `here`).
    pub towards_consumer: Option<NodeId>,
    /// The neighbour on the way to the provider; `None` where that is this node itself (shown as `here`).
    pub towards_provider: Option<NodeId>,
    /// Streams that are open.
    pub streams: u32,
    /// Bytes that went towards the provider since the router was deployed.
    pub bytes_up: u64,
    /// Bytes that went towards the consumer since the router was deployed.
    pub bytes_down: u64,
}

impl Manager {
    /// Makes a manager without routers; `signer` is the node's key, from which each router's secret is derived.
    pub const fn new(config: Config, signer: Signer) -> Self {
        Self { config, signer, routers: BTreeMap::new(), fronts: BTreeMap::new() }
    }

    /// Returns the virtual routers, by contract.
    pub fn routers(&self) -> impl Iterator<Item = RouterView> {
        self.routers.iter().map(|(contract, Router { way, streams, up, down })| {
            let (backed_by, towards_consumer, towards_provider) = match way {
                Way::End(Route { side: Side::Consumer, peer, .. }) => (None, None, Some(peer.node)),
                Way::End(Route { side: Side::Provider, peer, .. }) => (None, Some(peer.node), None),
                Way::Onward(Junction { back, buyer, seller, .. }) => (Some(*back), Some(buyer.node), Some(seller.node)),
            };
            RouterView {
                contract: *contract,
                backed_by,
                towards_consumer,
                towards_provider,
                streams: *streams,
                bytes_up: *up,
                bytes_down: *down,
            }
        })
    }

    /// Deploys a router of which this node is an end.
    fn deploy(&mut self, route: Route, trace: Trace, out: &mut Vec<Effect>) {
        let (contract, side) = (route.contract, route.side);
        if self.end(&contract).is_none() {
            self.remove(contract, out);
        }
        let deed = match side {
            Side::Consumer => Deed::BuyerRouterDeployed,
            Side::Provider => Deed::SellerRouterDeployed,
        };
        if self.put(contract, Way::End(route.clone()), deed, trace, out) {
            out.push(Effect::Install(route));
        }
    }

    /// Deploys a router that joins two contracts.
    fn join(&mut self, junction: Junction, trace: Trace, out: &mut Vec<Effect>) {
        let (front, back) = (junction.front, junction.back);
        // Streams of a contract that backs itself would go round for ever.
        if front == back {
            return;
        }
        // A contract has one router: another one under either name makes room.
        if self.fronts.get(&back) != Some(&front) {
            self.remove(front, out);
            self.remove(back, out);
            self.fronts.insert(back, front);
        }
        if self.put(front, Way::Onward(junction.clone()), Deed::SellerRouterDeployed, trace, out) {
            out.push(Effect::Join(junction));
        }
    }

    /// Puts a router in place and returns whether the door must hear of it; one that stands already is only told of a
    /// change, such as a peer's new addresses.
    fn put(&mut self, contract: ContractId, way: Way, deed: Deed, trace: Trace, out: &mut Vec<Effect>) -> bool {
        match self.routers.get_mut(&contract) {
            Some(router) if router.way == way => false,
            Some(router) => {
                router.way = way;
                true
            }
            None => {
                self.routers.insert(contract, Router { way, streams: 0, up: 0, down: 0 });
                out.push(Effect::Did(trace, deed));
                true
            }
        }
    }

    /// Removes the router of a contract; at a relay, either of its two contracts names it.
    fn remove(&mut self, contract: ContractId, out: &mut Vec<Effect>) {
        let front = self.fronts.get(&contract).copied().unwrap_or(contract);
        match self.routers.remove(&front) {
            None => {}
            Some(Router { way: Way::End(_), .. }) => out.push(Effect::Remove { contract }),
            Some(Router { way: Way::Onward(Junction { back, .. }), .. }) => {
                self.fronts.remove(&back);
                out.extend([Effect::Remove { contract: front }, Effect::Remove { contract: back }]);
            }
        }
    }

    /// Returns the route of a contract of which this node is an end. A relay says and hears nothing in the channel.
    fn end(&self, contract: &ContractId) -> Option<&Route> {
        match &self.routers.get(contract)?.way {
            Way::End(route) => Some(route),
            Way::Onward(_) => None,
        }
    }
}

impl Router {
    /// Takes in a report, and returns whether with it bytes have for the first time gone both ways.
    fn has_passed(&mut self, up: u64, down: u64, streams: u32) -> bool {
        let before = self.up > 0 && self.down > 0;
        self.up = self.up.saturating_add(up);
        self.down = self.down.saturating_add(down);
        self.streams = streams;
        !before && self.up > 0 && self.down > 0
    }
}

/// The refusal of what names a contract without a router.
fn no_router(contract: ContractId) -> Refusal {
    Refusal::new(Code::Closed, format!("contract {contract} has no virtual router here: it is over, or never was"))
}

impl kernel::Manager for Manager {
    type Input = Input;
    type Effect = Effect;

    fn handle(&mut self, _now: Time, input: Input, out: &mut Vec<Effect>) {
        let streams = self.config.streams_per_contract;
        match input {
            Input::Deploy { contract, side, peer, key, remote_key, trace } => {
                let secret = tunnel::secret(&self.signer, &key);
                self.deploy(Route { contract, side, peer, secret, remote_key, streams }, trace, out);
            }
            Input::Join { front, buyer, back, seller, trace } => {
                self.join(Junction { front, buyer, back, seller, streams }, trace, out);
            }
            Input::Closed { .. } if planted::is(Bug::KeepRouter) => {}
            Input::Closed { contract } => self.remove(contract, out),
            Input::Send { id, contract, ask, deadline } => out.push(match self.end(&contract) {
                Some(_) => Effect::Transmit { id, contract, ask, deadline },
                None => Effect::Answered { id, reply: Err(no_router(contract)) },
            }),
            Input::Ship { id, contract, digest } => out.push(match self.end(&contract) {
                Some(_) => Effect::Ship { id, contract, digest },
                None => Effect::Answered { id, reply: Err(no_router(contract)) },
            }),
            Input::Heard { ticket, contract, ask, trace } => out.push(match self.end(&contract) {
                Some(route) => Effect::Heard { ticket, contract, peer: route.peer.node, ask, trace },
                None => Effect::Turn { ticket, refusal: no_router(contract) },
            }),
            Input::Answered { id, reply } => out.push(Effect::Answered { id, reply }),
            Input::Metered { contract, up, down, streams } => {
                // The last report of a router may come after it is gone.
                if let Some(router) = self.routers.get_mut(&contract)
                    && router.has_passed(up, down, streams)
                    && matches!(router.way, Way::Onward(_))
                {
                    out.push(Effect::Opened { contract });
                }
            }
        }
    }

    fn next_wake(&self) -> Option<Wake> {
        None
    }

    fn wake(&mut self, _now: Time, _out: &mut Vec<Effect>) {}
}
