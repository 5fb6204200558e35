//! The manager: one router for each live contract.

use std::collections::BTreeMap;

use kernel::{ContractId, Key, NodeId, Time, Wake};
use rear_proto::{Code, Deed, Refusal, Signer, Trace, flavour::Party, local::Side, tunnel};

use crate::{
    config::Config,
    mail::{Effect, Input, Route},
};

/// Keeps the virtual routers of a node.
#[derive(Debug)]
pub struct Manager {
    config: Config,
    signer: Signer,
    routers: BTreeMap<ContractId, Router>,
}

/// A virtual router: what is admitted, and what has gone through.
#[derive(Debug)]
struct Router {
    route: Route,
    streams: u32,
    up: u64,
    down: u64,
}

/// A virtual router, as the table shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterView {
    /// Its contract.
    pub contract: ContractId,
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
        Self { config, signer, routers: BTreeMap::new() }
    }

    /// Returns the virtual routers, by contract.
    pub fn routers(&self) -> impl Iterator<Item = RouterView> {
        self.routers.iter().map(|(contract, Router { route, streams, up, down })| {
            let peer = Some(route.peer.node);
            let (towards_consumer, towards_provider) = match route.side {
                Side::Consumer => (None, peer),
                Side::Provider => (peer, None),
            };
            RouterView {
                contract: *contract,
                towards_consumer,
                towards_provider,
                streams: *streams,
                bytes_up: *up,
                bytes_down: *down,
            }
        })
    }

    /// Deploys a router; one that stands already is only told of a change, such as the peer's new addresses.
    fn deploy(&mut self, contract: ContractId, ends: Ends, trace: Trace, out: &mut Vec<Effect>) {
        let Ends { side, peer, key, remote_key } = ends;
        let secret = tunnel::secret(&self.signer, &key);
        let route = Route { contract, side, peer, secret, remote_key, streams: self.config.streams_per_contract };
        match self.routers.get_mut(&contract) {
            Some(router) if router.route == route => {}
            Some(router) => {
                router.route = route.clone();
                out.push(Effect::Install(route));
            }
            None => {
                let deed = match side {
                    Side::Consumer => Deed::BuyerRouterDeployed,
                    Side::Provider => Deed::SellerRouterDeployed,
                };
                self.routers.insert(contract, Router { route: route.clone(), streams: 0, up: 0, down: 0 });
                out.push(Effect::Did(trace, deed));
                out.push(Effect::Install(route));
            }
        }
    }
}

/// The two ends of a contract's channel, as seen from here.
struct Ends {
    side: Side,
    peer: Party,
    key: Key,
    remote_key: [u8; 32],
}

/// The refusal of what names a contract without a router.
fn no_router(contract: ContractId) -> Refusal {
    Refusal::new(Code::Closed, format!("contract {contract} has no virtual router here: it is over, or never was"))
}

impl kernel::Manager for Manager {
    type Input = Input;
    type Effect = Effect;

    fn handle(&mut self, _now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Deploy { contract, side, peer, key, remote_key, trace } => {
                self.deploy(contract, Ends { side, peer, key, remote_key }, trace, out);
            }
            Input::Join { .. } => {}
            Input::Closed { contract } => {
                if self.routers.remove(&contract).is_some() {
                    out.push(Effect::Remove { contract });
                }
            }
            Input::Send { id, contract, ask, deadline } => out.push(if self.routers.contains_key(&contract) {
                Effect::Transmit { id, contract, ask, deadline }
            } else {
                Effect::Answered { id, reply: Err(no_router(contract)) }
            }),
            Input::Ship { id, contract, digest } => out.push(if self.routers.contains_key(&contract) {
                Effect::Ship { id, contract, digest }
            } else {
                Effect::Answered { id, reply: Err(no_router(contract)) }
            }),
            Input::Heard { ticket, contract, ask, trace } => out.push(match self.routers.get(&contract) {
                Some(Router { route, .. }) => Effect::Heard { ticket, contract, peer: route.peer.node, ask, trace },
                None => Effect::Turn { ticket, refusal: no_router(contract) },
            }),
            Input::Answered { id, reply } => out.push(Effect::Answered { id, reply }),
            Input::Metered { contract, up, down, streams } => {
                // The last report of a router may come after it is gone.
                if let Some(router) = self.routers.get_mut(&contract) {
                    router.up = router.up.saturating_add(up);
                    router.down = router.down.saturating_add(down);
                    router.streams = streams;
                }
            }
        }
    }

    fn next_wake(&self) -> Option<Wake> {
        None
    }

    fn wake(&mut self, _now: Time, _out: &mut Vec<Effect>) {}
}
