//! What must hold when all is quiet: nothing is under way, and leases have passed.

use std::collections::BTreeSet;

use agent::{Command, Managers, invariants};
use kernel::{NodeId, Resource, Span};
use orchestrator::Phase;
use rear_proto::local::Side;

use super::{World, make};

/// Long enough for every lease, term, repeat and wait of the fast clocks to be over.
pub(crate) const QUIET: Span = Span::secs(120);

impl World {
    /// Holds a world that is quiet against the invariants, before and after everything is deleted.
    #[track_caller]
    pub(crate) fn check_quiet(&mut self) {
        // Over borders a renewal may be on its way, which takes as long as its syncs.
        let unsettled = |world: &Self| world.managers().iter().any(|it| it.contract.unsettled() > 0);
        for _ in 0..if self.many { 20 } else { 0 } {
            if unsettled(self) {
                self.run(Span::millis(50));
            }
        }
        self.check_settled();
        if let Err(violation) = invariants::check_both_or_neither(&self.managers()) {
            self.fail(violation);
        }
        if let Some(contract) = invariants::without_far_end(&self.managers()).first() {
            self.fail(format!("the virtual node of contract {contract} has nothing at its far end"));
        }
        self.check_relays();
        self.check_terms();
        self.check_places();
        self.check_nobody_starves();
        for node in 0..self.nodes.len() {
            for (id, phase) in self.intents(node) {
                if phase != Phase::Deleted {
                    self.command(node, Command::Delete(id));
                }
            }
        }
        self.run(QUIET);
        self.check_settled();
        self.check_nothing_left();
    }

    /// At each relay, what was sold and what backs it go together.
    pub(crate) fn check_relays(&self) {
        for node in self.up() {
            let managers = self.nodes[node].agent.as_ref().unwrap().managers();
            if let Err(violation) = invariants::check_relay(managers) {
                self.fail(format!("node {node}: {violation}"));
            }
        }
    }

    /// Nothing is left at those that are up: no contract, hold, allocation or router, and every offer is whole.
    #[track_caller]
    pub(crate) fn check_clean(&self) {
        for node in self.up() {
            let managers = self.nodes[node].agent.as_ref().unwrap().managers();
            if let Err(violation) = invariants::check_nothing_held(managers) {
                self.fail(format!("node {node}: {violation}"));
            }
            let held = managers.contract.reservations(self.now).find(|it| it.state == contract::ReservationState::Held);
            if let Some(hold) = held {
                self.fail(format!("node {node} still has the hold {hold:?}"));
            }
            let left = [
                ("peerings", managers.vfabric.peerings().count()),
                ("routes", self.nodes[node].routes.len()),
                ("junctions", self.nodes[node].junctions.len()),
                ("instances", self.nodes[node].instances.len()),
                ("agreements under way", managers.contract.unsettled()),
            ];
            if let Some((what, count)) = left.into_iter().find(|(_, count)| *count > 0) {
                self.fail(format!("node {node} is left with {count} {what}"));
            }
        }
    }

    fn intents(&self, node: usize) -> Vec<(kernel::IntentId, Phase)> {
        self.managers()[node].orchestrator.intents().map(|view| (view.id, view.phase)).collect()
    }

    /// Nobody waits for anything.
    fn check_settled(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            self.check_memory(index);
            let waits = [
                ("questions of others", node.asked.len()),
                ("questions of far ends", node.heard.len()),
                ("agreements under way", self.managers()[index].contract.unsettled()),
            ];
            for (what, count) in waits {
                // A keepalive may be on its way at any moment.
                let may = if what == "questions of others" { 4 } else { 0 };
                if count > may {
                    self.fail(format!("node {index} still has {count} {what}"));
                }
            }
            if let Some((_, command)) = node.commands.first_key_value() {
                self.fail(format!("node {index} never answered {command}"));
            }
        }
    }

    /// Both parties of a contract know of the same renewals.
    fn check_terms(&self) {
        let managers = self.managers();
        for (index, at) in managers.iter().enumerate() {
            for contract in at.contract.contracts().filter(|it| it.state.is_live() && it.role == Side::Consumer) {
                let Some(seller) = self.index(&contract.seller) else { continue };
                let sold = managers[seller].contract.contract(&contract.id).expect("both live");
                // One may be on its way.
                if sold.renewals < contract.renewals || sold.renewals > contract.renewals + 1 {
                    let counts = (contract.renewals, sold.renewals);
                    self.fail(format!("node {index}: contract {} is renewed {counts:?} times", contract.id));
                }
            }
        }
    }

    /// A workload runs where its intent says, and nothing else runs.
    fn check_places(&self) {
        let managers = self.managers();
        let mut wanted: BTreeSet<(usize, String)> = BTreeSet::new();
        for (index, at) in managers.iter().enumerate() {
            for intent in at.orchestrator.intents() {
                for workload in intent.workloads.iter().filter(|workload| workload.status == "Running") {
                    let (node, instance) = match workload.contract {
                        None => {
                            let node = workload.node.and_then(|node| self.index(&node)).expect("it runs somewhere");
                            (node, self.nodes[node].instances.iter().find(|it| it.workload == workload.name).cloned())
                        }
                        Some(contract) => {
                            let (node, contract) = self.far_end(index, contract).expect("its contracts are there");
                            (node, managers[node].vfabric.instance_of(&contract, &workload.name))
                        }
                    };
                    let runs = instance.as_ref().is_some_and(|it| self.nodes[node].instances.contains(it));
                    if !runs {
                        let contract = workload.contract;
                        self.fail(format!("node {index} thinks that {} runs at {node} by {contract:?}", workload.name));
                    }
                    wanted.extend(instance.map(|it| (node, format!("{it:?}"))));
                }
            }
        }
        for (index, node) in self.nodes.iter().enumerate() {
            if let Some(stray) = node.instances.iter().find(|it| !wanted.contains(&(index, format!("{it:?}")))) {
                self.fail(format!("{stray:?} runs at node {index}, and no intent knows of it"));
            }
        }
    }

    /// Who could have room has it.
    fn check_nobody_starves(&self) {
        let managers = self.managers();
        let one = make::one();
        for (index, at) in managers.iter().enumerate() {
            let me = self.nodes[index].id;
            let waiting = at.orchestrator.intents().find(|intent| {
                !matches!(intent.phase, Phase::Running | Phase::Failed | Phase::Deleted) && intent.workloads.len() == 1
            });
            let Some(waiting) = waiting else { continue };
            for (other, seller) in managers.iter().enumerate() {
                let knows = |a: &Managers, b: &NodeId| a.federation.is_live(self.now, b);
                let deals = other == index || (knows(seller, &me) && knows(at, &self.nodes[other].id));
                let fits = |book: &rear::Book| Resource::ALL.into_iter().all(|it| book.available.of(it) >= one.of(it));
                if deals && seller.rear.books().any(|book| fits(&book)) {
                    self.fail(format!("node {index} waits, and node {other} has room: {waiting:?}"));
                }
            }
        }
    }

    /// Nothing is held, and every flavour is what it was.
    fn check_nothing_left(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            let managers = node.agent.as_ref().unwrap().managers();
            if let Err(violation) = invariants::check_nothing_held(managers) {
                self.fail(format!("node {index}: {violation}"));
            }
            let left = [
                ("peerings", managers.vfabric.peerings().count()),
                ("workloads", managers.vfabric.workloads().count()),
                ("requests", managers.rear.pending()),
                ("routes", node.routes.len()),
                ("junctions", node.junctions.len()),
                ("instances", node.instances.len()),
                ("questions", node.agent.as_ref().unwrap().waiting()),
                ("intents", managers.orchestrator.intents().filter(|it| it.phase != Phase::Deleted).count()),
            ];
            if let Some((what, count)) = left.into_iter().find(|(_, count)| *count > 0) {
                self.fail(format!("node {index} is left with {count} {what}"));
            }
        }
    }
}
