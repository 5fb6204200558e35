//! What a node's doers do: they speak, run workloads, open ports and answer the operator.

use agent::{Event, Output};
use kernel::{ContractId, Span};
use rear_proto::{
    Answer, Ask, Reply,
    wire::codec,
    workload::{Image, Status},
};

use super::{
    Due, Waiter, World,
    net::{Arrival, Said},
    seeds::width,
};

impl World {
    /// Does one thing that a mind asked for.
    pub(super) fn output(&mut self, node: usize, output: Output) {
        if self.verbose {
            let text = format!("{output:?}");
            self.note(|| format!("  {node} ► {}", text.chars().take(width()).collect::<String>()));
        }
        self.watch_output(node, &output);
        let life = self.nodes[node].starts;
        let waiter = |question| Waiter { node, life, question };
        match output {
            Output::Ask { ask, to, body, deadline } => {
                self.note(|| format!("{node} asks {}", body.request.name()));
                let waiter = waiter(ask.0);
                let Some(body) = self.as_asked(node, *body) else { return };
                let question = Arrival::Ask {
                    to: self.index(&to.node).unwrap_or(node),
                    from: node,
                    waiter,
                    bytes: codec::encode(&body),
                };
                self.send_question(deadline, Some(&to), waiter, question);
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
                let Some(reply) = self.as_said(node, &waiter, *reply) else { return };
                self.send(Arrival::Answer { from: Some(node), waiter, bytes: Ok(codec::encode(&reply)) });
            }
            Output::Transmit { id, contract, ask, deadline } => {
                let said = Said::Ask(codec::encode(&*ask));
                self.say_in_channel(node, contract, waiter(id), deadline, said);
            }
            Output::FabricReply { ticket, reply } => {
                if self.again.is_repeat(node, ticket) {
                    return self.answered_again(node, ticket, &reply.answer);
                }
                let Some((waiter, way)) = self.nodes[node].heard.remove(&ticket) else {
                    self.fail(format!("node {node} answers a far end twice, or one that never asked: {reply:?}"));
                };
                let bytes = Ok(codec::encode(&*reply));
                self.send(Arrival::FabricAnswer { from: Some(node), waiter, bytes, way });
            }
            Output::Ship { id, contract, digest } => {
                self.say_in_channel(node, contract, waiter(id), Span::secs(5), Said::Component(digest));
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
            Output::Start { instance, workload, abroad, .. } => {
                self.check_abroad(node, &instance, abroad);
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
            Output::KeepConnected(party) => self.keep_connected(node, &party),
            Output::Trust(..) | Output::Unexpose { .. } | Output::Changed(_) => {}
        }
    }

    /// Returns what a node really says, if anything; of a liar that is often something else.
    fn as_said(&mut self, node: usize, to: &Waiter, mut reply: Reply) -> Option<Reply> {
        if let Some(mut tamper) = self.tamper.take() {
            let said = tamper.reply(self, node, to.node, reply);
            self.tamper = Some(tamper);
            return said;
        }
        let Some(liar) = self.liar else { return Some(reply) };
        self.said.push(reply.answer.clone());
        if node == liar && self.chance(400) {
            let at = self.rng.below(self.said.len() as u64);
            reply.answer = self.said[usize::try_from(at).unwrap()].clone();
        }
        Some(reply)
    }

    /// Returns what a node really asks, if anything.
    fn as_asked(&mut self, node: usize, ask: Ask) -> Option<Ask> {
        let Some(mut tamper) = self.tamper.take() else { return Some(ask) };
        let asked = tamper.ask(self, node, ask);
        self.tamper = Some(tamper);
        asked
    }

    /// Says something inside a contract's channel.
    fn say_in_channel(&mut self, node: usize, contract: ContractId, waiter: Waiter, deadline: Span, said: Said) {
        let party = self.nodes[node].routes.get(&contract).map(|route| route.peer.clone());
        let to = party.as_ref().and_then(|party| self.index(&party.node)).unwrap_or(node);
        let way = self.begin_way(node, &contract);
        let question = Arrival::Hear { to, from: node, contract, waiter, said, way };
        self.send_question(deadline, party.as_ref(), waiter, question);
    }

    /// What a node's own doers tell it has happened.
    pub(super) fn happened_here(&mut self, node: usize, event: &Event) {
        if let Event::InstanceGone { instance } = event {
            self.note(|| format!("{node} has stopped a workload"));
            self.nodes[node].instances.remove(instance);
        }
    }

    /// Tells a node's mind something after a while.
    fn local(&mut self, node: usize, least: u64, most: u64, event: Event) {
        let life = self.nodes[node].starts;
        let delay = least + self.rng.below(most.saturating_sub(least) + 1);
        self.after(Span::millis(delay), Due::Local { node, life, event });
    }
}
