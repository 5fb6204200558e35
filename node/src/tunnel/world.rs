//! What the tunnel needs around it: who carries its streams, and who answers what comes out of them.

use kernel::{ContractId, Digest, NodeId};
use rear_proto::{
    Refusal,
    fabric::{FabricAsk, FabricReply},
    flavour::Party,
};

use super::{failure::Failure, meter::Reading};
use crate::expose::Stream;

/// The surroundings of the tunnel.
#[async_trait::async_trait]
pub(super) trait World: Send + Sync + 'static {
    /// Remembers where a peer may be found.
    fn know(&self, party: &Party);

    /// Opens a stream to a peer.
    async fn dial(&self, peer: &NodeId) -> Result<Box<dyn Stream>, Failure>;

    /// Puts a far end's question to the mind.
    async fn hear(&self, contract: ContractId, ask: FabricAsk) -> Result<FabricReply, Refusal>;

    /// Returns the id, here, of a replica that runs under a contract.
    async fn instance(&self, contract: ContractId, workload: String) -> Result<String, Refusal>;

    /// Opens a stream to a port of what runs here.
    async fn connect(&self, instance: &str, port: u16) -> Result<Box<dyn Stream>, Refusal>;

    /// Returns the most bytes that a component may have here.
    fn largest_module(&self) -> u64;

    /// Whether a component is here.
    fn has(&self, digest: &Digest) -> bool;

    /// Returns a component's bytes.
    async fn load(&self, digest: Digest) -> Result<Vec<u8>, Refusal>;

    /// Keeps a component, if it is the one.
    async fn keep(&self, digest: Digest, bytes: Vec<u8>) -> Result<(), Refusal>;

    /// Tells the mind what became of a question or a component.
    async fn answered(&self, id: u64, reply: Result<FabricReply, Refusal>);

    /// Tells the mind what has passed under a contract.
    async fn metered(&self, contract: ContractId, reading: Reading);
}
