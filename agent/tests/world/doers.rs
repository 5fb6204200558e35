//! What a node's doers do: they speak, run workloads, open ports and answer the operator.

use agent::{Event, Output};
use kernel::Span;
use rear_proto::{
    Answer, Reply,
    wire::codec,
    workload::{Image, Status},
};

use super::{Due, Waiter, World, net::Arrival};

impl World {
    /// Does one thing that a mind asked for.
    pub(super) fn output(&mut self, node: usize, output: Output) {
        if self.verbose {
            let text = format!("{output:?}");
            self.note(|| format!("  {node} ► {}", text.chars().take(300).collect::<String>()));
        }
        self.watch_output(node, &output);
        let life = self.nodes[node].starts;
        let waiter = |question| Waiter { node, life, question };
        match output {
            Output::Ask { ask, to, body, deadline } => {
                self.note(|| format!("{node} asks {}", body.request.name()));
                let (to, waiter) = (self.index(&to.node), waiter(ask.0));
                let bytes = codec::encode(&*body);
                let question = Arrival::Ask { to: to.unwrap_or(node), from: node, waiter, bytes };
                self.send_question(deadline, to, waiter, question);
            }
            Output::Reply { ticket, reply } => {
                if self.again.is_repeat(node, ticket) {
                    return self.answered_again(node, ticket, &reply.answer);
                }
                let Some(waiter) = self.nodes[node].asked.remove(&ticket) else {
                    self.fail(format!("node {node} answers a question twice, or one that nobody asked: {reply:?}"));
                };
                if self.lose_grants && matches!(reply.answer, Answer::Contract(_) | Answer::Reserved(_)) {
                    return;
                }
                let reply = self.as_said(node, *reply);
                self.send(Arrival::Answer { from: Some(node), waiter, bytes: Ok(codec::encode(&reply)) });
            }
            Output::Transmit { id, contract, ask, deadline } => {
                let to = self.peer_of(node, &contract);
                let bytes = codec::encode(&*ask);
                let waiter = waiter(id);
                let question = Arrival::Hear { to: to.unwrap_or(node), from: node, contract, waiter, bytes };
                self.send_question(deadline, to, waiter, question);
            }
            Output::FabricReply { ticket, reply } => {
                if self.again.is_repeat(node, ticket) {
                    return self.answered_again(node, ticket, &reply.answer);
                }
                let Some(waiter) = self.nodes[node].heard.remove(&ticket) else {
                    self.fail(format!("node {node} answers a far end twice, or one that never asked: {reply:?}"));
                };
                let bytes = Ok(codec::encode(&*reply));
                self.send(Arrival::FabricAnswer { from: Some(node), waiter, bytes });
            }
            Output::Ship { id, contract, digest } => {
                let to = self.peer_of(node, &contract);
                let waiter = waiter(id);
                let question = Arrival::Component { to: to.unwrap_or(node), from: node, waiter, digest };
                self.send_question(Span::secs(5), to, waiter, question);
            }
            Output::Install(route) => {
                self.nodes[node].routes.insert(route.contract, route);
            }
            Output::Join(junction) => {
                self.nodes[node].junctions.insert(junction.front, junction.clone());
                self.nodes[node].junctions.insert(junction.back, junction);
            }
            Output::Remove { contract } => {
                self.nodes[node].routes.remove(&contract);
                if let Some(junction) = self.nodes[node].junctions.remove(&contract) {
                    self.nodes[node].junctions.remove(&junction.front);
                    self.nodes[node].junctions.remove(&junction.back);
                }
            }
            Output::Start { instance, workload, .. } => {
                let Image::Wasm { digest, .. } = workload.image else { self.fail("an image that nobody submitted") };
                if !self.nodes[node].modules.contains(&digest) {
                    return self.local(node, 1, 5, Event::InstanceMissing { instance, digest });
                }
                if !self.nodes[node].instances.insert(instance.clone()) {
                    self.fail(format!("node {node} starts {instance:?}, which runs"));
                }
                self.note(|| format!("{node} starts a workload"));
                let status = Status::Running;
                self.local(node, 1, 30, Event::InstanceStatus { instance: instance.clone(), status });
                if self.chance(self.faults.fail) {
                    let status = Status::Failed { reason: "it broke".to_owned() };
                    self.local(node, 50, 5000, Event::InstanceStatus { instance, status });
                }
            }
            Output::Stop { instance, .. } => self.local(node, 1, self.stop, Event::InstanceGone { instance }),
            Output::Expose { request, name, port, .. } => {
                let url = format!("http://127.0.0.1:{port}/");
                self.local(node, 1, 5, Event::Exposed { request, port: name, url });
            }
            Output::Respond { ticket, result } => {
                if self.nodes[node].commands.remove(&ticket).is_none() {
                    self.fail(format!("node {node} answers its operator twice, or unasked: {result:?}"));
                }
                self.nodes[node].responses.insert(ticket, result);
            }
            Output::ReadLogs { inquiry, from, .. } => {
                self.local(node, 1, 5, Event::LogsRead { inquiry, lines: Vec::new(), next: from });
            }
            Output::Block(other) => {
                if let Some(other) = self.index(&other) {
                    self.block(node, other);
                }
            }
            Output::Sweep { keep } => self.nodes[node].instances.retain(|instance| keep.contains(instance)),
            Output::KeepConnected(_) | Output::Trust(..) | Output::Unexpose { .. } | Output::Changed(_) => {}
        }
    }

    /// Returns what a node really says; of a liar that is often something else.
    fn as_said(&mut self, node: usize, mut reply: Reply) -> Reply {
        let Some(liar) = self.liar else { return reply };
        self.said.push(reply.answer.clone());
        if node == liar && self.chance(400) {
            let at = self.rng.below(self.said.len() as u64);
            reply.answer = self.said[usize::try_from(at).unwrap()].clone();
        }
        reply
    }

    /// What a node's own doers tell it has happened.
    pub(super) fn happened_here(&mut self, node: usize, event: &Event) {
        if let Event::InstanceGone { instance } = event {
            self.note(|| format!("{node} has stopped a workload"));
            self.nodes[node].instances.remove(instance);
        }
    }

    fn peer_of(&self, node: usize, contract: &kernel::ContractId) -> Option<usize> {
        self.index(&self.nodes[node].routes.get(contract)?.peer.node)
    }

    /// Tells a node's mind something after a while.
    fn local(&mut self, node: usize, least: u64, most: u64, event: Event) {
        let life = self.nodes[node].starts;
        let delay = least + self.rng.below(most.saturating_sub(least) + 1);
        self.after(Span::millis(delay), Due::Local { node, life, event });
    }
}
