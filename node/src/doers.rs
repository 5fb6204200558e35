//! The doers together: each output of the mind, handed to whoever does it.

use agent::Output;

use crate::{expose::Expose, host::Doers, net::Net, tunnel::Tunnels, works::Works};

/// Who does what the mind asks for.
pub struct Outside {
    /// Messages.
    pub net: Net,
    /// Contracts' channels.
    pub tunnels: Tunnels,
    /// Workloads.
    pub works: Works,
    /// Local ports.
    pub expose: Expose,
}

impl Doers for Outside {
    fn perform(&mut self, output: Output) {
        match output {
            Output::Ask { ask, to, body, deadline } => self.net.ask(ask, to, *body, deadline),
            Output::KeepConnected(party) => self.net.keep_connected(party),
            Output::Block(node) => self.net.block(node),
            Output::Trust(node, trust) => self.net.trust(node, trust),
            Output::Install(route) => self.tunnels.install(route),
            Output::Join(junction) => self.tunnels.join(junction),
            Output::Remove { contract } => self.tunnels.remove(contract),
            Output::Transmit { id, contract, ask, deadline } => {
                self.tunnels.transmit(id, contract, *ask, deadline);
            }
            Output::Ship { id, contract, digest } => self.tunnels.ship(id, contract, digest),
            Output::Start { instance, workload, within, abroad } => {
                self.works.start(instance, *workload, within, abroad);
            }
            Output::Stop { instance, grace } => self.works.stop(instance, grace),
            Output::ReadLogs { inquiry, instance, from, wait } => {
                self.works.read_logs(inquiry, instance, from, wait);
            }
            Output::Sweep { keep } => self.works.sweep(&keep),
            Output::Expose { request, target, name, port } => self.expose.expose(request, target, name, port),
            Output::Unexpose { request } => self.expose.unexpose(request),
            // The host answers these itself.
            Output::Reply { .. } | Output::FabricReply { .. } | Output::Respond { .. } | Output::Changed(_) => {}
        }
    }
}
