//! What a node's doers do: they speak, run workloads, open ports and answer the operator.

use agent::{Event, Output};
use kernel::Span;
use rear_proto::{
    Reply,
    workload::{Image, Status},
};

use super::{Due, World, letters::Said};
use crate::{observe::Seen, plan::NodeNo};

/// In which time a component must be at the far end.
const SHIP_WITHIN: Span = Span::secs(30);
/// How many of what was answered last a liar remembers.
const REMEMBERED: usize = 64;

impl World {
    /// Does one thing that a mind asked for.
    pub(super) fn output(&mut self, node: NodeNo, output: Output) {
        if self.trace.is_read() {
            let text: String = format!("{output:?}").chars().take(super::WIDTH).collect();
            self.note(|world| format!("  {} ► {text}", world.name(node)));
        }
        self.show(&Seen::Left { node, output: &output });
        match output {
            Output::Ask { ask, to, body, deadline } => self.ask(node, ask.0, &to, *body, deadline),
            Output::Reply { ticket, reply } => {
                let Some((waiter, conn)) = self.node_mut(node).asker(ticket) else {
                    return self.violate("answers", node, format!("a question is answered twice: {:?}", reply.answer));
                };
                let reply = self.as_said(node, *reply);
                self.reply(node, waiter, conn, reply);
            }
            Output::Transmit { id, contract, ask, deadline } => {
                let (body, _) = self.body(*ask);
                self.say_inside(node, id, contract, Said::Ask(body), deadline);
            }
            Output::FabricReply { ticket, reply } => {
                let Some((waiter, way, from)) = self.node_mut(node).now.heard.remove(&ticket) else {
                    return self.violate("answers", node, format!("a far end is answered twice: {:?}", reply.answer));
                };
                self.reply_inside(node, from, waiter, way, *reply);
            }
            Output::Ship { id, contract, digest } => {
                self.say_inside(node, id, contract, Said::Component(digest), SHIP_WITHIN);
            }
            Output::Install(route) => {
                self.node_mut(node).now.routes.insert(route.contract, route);
            }
            Output::Join(junction) => {
                let junctions = &mut self.node_mut(node).now.junctions;
                junctions.insert(junction.front, junction.clone());
                junctions.insert(junction.back, junction);
            }
            Output::Remove { contract } => {
                let now = &mut self.node_mut(node).now;
                now.routes.remove(&contract);
                if let Some(junction) = now.junctions.remove(&contract) {
                    now.junctions.remove(&junction.front);
                    now.junctions.remove(&junction.back);
                }
            }
            Output::Start { instance, workload, .. } => {
                let Image::Wasm { digest, .. } = workload.image else { return };
                if !self.node(node).modules.contains(&digest) {
                    return self.local(node, 1, 5, Event::InstanceMissing { instance, digest });
                }
                if !self.node_mut(node).now.instances.insert(instance.clone()) {
                    return self.violate("doers", node, format!("{instance} is started, and runs"));
                }
                self.local(node, 1, 30, Event::InstanceStatus { instance, status: Status::Running });
            }
            Output::Stop { instance, .. } => self.local(node, 1, 8, Event::InstanceGone { instance }),
            Output::Expose { request, name, port, .. } => {
                let url = format!("http://127.0.0.1:{port}/");
                self.local(node, 1, 5, Event::Exposed { request, port: name, url });
            }
            Output::Respond { ticket, result } => match self.node_mut(node).now.commands.remove(&ticket) {
                Some(setup) => self.answered(setup, result),
                None => self.violate("answers", node, format!("an operator is answered twice: {result:?}")),
            },
            Output::ReadLogs { inquiry, from, .. } => {
                self.local(node, 1, 5, Event::LogsRead { inquiry, lines: Vec::new(), next: from });
            }
            Output::Block(other) => self.block(node, &other),
            Output::Sweep { keep } => self.node_mut(node).now.instances.retain(|instance| keep.contains(instance)),
            Output::KeepConnected(party) => self.keep_connected(node, &party),
            Output::Trust(..) | Output::Unexpose { .. } | Output::Changed(_) => {}
        }
    }

    /// Returns what a node really says; of a liar that is often something that anybody has said.
    fn as_said(&mut self, node: NodeNo, mut reply: Reply) -> Reply {
        if !self.has_liars {
            return reply;
        }
        if self.said.len() >= REMEMBERED {
            self.said.pop_front();
        }
        self.said.push_back(reply.answer.clone());
        if self.node(node).lies > self.rng.below(100) {
            let at = self.rng.below(self.said.len() as u64) as usize;
            reply.answer = self.said[at].clone();
        }
        reply
    }

    /// What a node's own doers tell it has happened.
    pub(super) fn happened_here(&mut self, node: NodeNo, event: &Event) {
        if let Event::InstanceGone { instance } = event {
            self.node_mut(node).now.instances.remove(instance);
        }
    }

    /// Tells a node's mind something after a while.
    pub(super) fn local(&mut self, node: NodeNo, least: u64, most: u64, event: Event) {
        let life = self.node(node).life;
        let delay = least + self.rng.below(most.saturating_sub(least) + 1);
        self.after(Span::millis(delay), Due::Local { node, life, event: Box::new(event) });
    }
}
