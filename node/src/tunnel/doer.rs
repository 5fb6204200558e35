//! The tunnel in a daemon: over the node's transport, mind, driver and components.

use std::{io, sync::Arc};

use agent::Event;
use kernel::{ContractId, Digest, NodeId};
use rear_proto::{
    Code, Refusal,
    fabric::{FabricAsk, FabricReply},
    flavour::Party,
};
use runtime::{ConnectError, Driver};
use tokio_util::task::TaskTracker;
use transport::{Handle, OpenError, Tunnel};
use vfabric::mail::Target;

use super::{Pace, Tunnels, failure::Failure, meter::Reading, world::World};
use crate::{
    expose::{Opener, Stream},
    host::Mind,
    modules::Modules,
    net::TunnelDoor,
};

/// What is around the tunnel in a daemon.
struct Daemon {
    handle: Handle,
    mind: Mind,
    driver: Arc<dyn Driver>,
    modules: Arc<dyn Modules>,
    largest_module: u64,
}

impl Tunnels {
    /// Makes the doer over a running transport; components of up to `largest_module` bytes are taken in.
    pub fn new(
        handle: Handle,
        mind: Mind,
        driver: Arc<dyn Driver>,
        modules: Arc<dyn Modules>,
        tasks: TaskTracker,
        largest_module: u64,
    ) -> Self {
        Self::over(Arc::new(Daemon { handle, mind, driver, modules, largest_module }), tasks, Pace::default())
    }
}

impl TunnelDoor for Tunnels {
    fn admit(&self, peer: NodeId, stream: Tunnel) {
        self.take_in(peer, Box::new(stream));
    }
}

#[async_trait::async_trait]
impl Opener for Tunnels {
    async fn open(&self, target: &Target, port: u16) -> io::Result<Box<dyn Stream>> {
        match target {
            Target::Here(instance) => {
                let stream = self.0.world.connect(&instance.to_string(), port).await;
                Ok(stream.map_err(Failure::Refused)?)
            }
            Target::There { contract, workload } => self.open_port(*contract, workload, port).await,
        }
    }
}

#[async_trait::async_trait]
impl World for Daemon {
    fn know(&self, party: &Party) {
        if !party.addresses.is_empty() {
            self.handle.know(party.node, party.addresses.clone());
        }
    }

    async fn dial(&self, peer: &NodeId) -> Result<Box<dyn Stream>, Failure> {
        match self.handle.open(*peer).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(OpenError::Timeout(_)) => Err(Failure::Timeout),
            Err(OpenError::Busy(_)) => Err(Failure::Busy),
            Err(error) => Err(Failure::Unreachable(error.to_string())),
        }
    }

    async fn hear(&self, contract: ContractId, ask: FabricAsk) -> Result<FabricReply, Refusal> {
        self.mind.hear(contract, ask).await
    }

    async fn instance(&self, contract: ContractId, workload: String) -> Result<String, Refusal> {
        let name = workload.clone();
        let look = self.mind.look(move |managers, _| managers.vfabric.instance_of(&contract, &name));
        let instance = look.await.map_err(|_| Refusal::from(Code::Unavailable))?;
        let none = || Refusal::new(Code::NotFound, format!("no workload '{workload}' runs under contract {contract}"));
        Ok(instance.ok_or_else(none)?.to_string())
    }

    async fn connect(&self, instance: &str, port: u16) -> Result<Box<dyn Stream>, Refusal> {
        match self.driver.connect(instance, port).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => {
                let code = match &error {
                    ConnectError::UnknownWorkload(_) | ConnectError::UnknownPort { .. } => Code::NotFound,
                    ConnectError::NotServing(_) => Code::Unavailable,
                    ConnectError::Busy(_) => Code::Overloaded,
                };
                Err(Refusal::new(code, error.to_string()))
            }
        }
    }

    fn largest_module(&self) -> u64 {
        self.largest_module
    }

    fn has(&self, digest: &Digest) -> bool {
        self.modules.has(digest)
    }

    async fn load(&self, digest: Digest) -> Result<Vec<u8>, Refusal> {
        self.modules.load(digest).await
    }

    async fn keep(&self, digest: Digest, bytes: Vec<u8>) -> Result<(), Refusal> {
        self.modules.keep(digest, bytes).await
    }

    async fn answered(&self, id: u64, reply: Result<FabricReply, Refusal>) {
        // When the node ends, nobody waits for this.
        let _ = self.mind.tell(Event::FabricAnswered { id, reply: reply.map(Box::new) }).await;
    }

    async fn metered(&self, contract: ContractId, reading: Reading) {
        let Reading { up, down, streams } = reading;
        // When the node ends, nobody counts any more.
        let _ = self.mind.tell(Event::Metered { contract, up, down, streams }).await;
    }
}
