//! Small worlds, made by hand: the four stories.
#![allow(dead_code, reason = "no test uses all of it")]

use kernel::{Quantity, Resources, Span};
use rear::offer::Offer;
use rear_proto::{Money, membership::Role};
use simulations::{
    plan::{Act, Acted, Arrival, DomainPlan, NodePlan, Plan, machine},
    scenario::{Disks, Links, Where},
};
use stack::{Pace, Report, Setting};

/// Clocks that run out within seconds, so that a run passes through all of them.
pub(crate) fn fast() -> agent::Config {
    let mut config = agent::Config::default();
    config.contract.lease = Span::secs(6);
    config.contract.activate_within = Span::secs(4);
    config.contract.purchase_within = Span::secs(3);
    config.contract.release_answer_within = Span::secs(2);
    config.contract.capacity_back_within = Span::millis(1500);
    config.vfabric.grace = Span::secs(1);
    // Partners are shown all that there is.
    config.discovery.expose =
        vec![discovery::config::Expose { partners: vec!["*".to_owned()], what: Default::default(), resale: false }];
    config
}

/// What a provider offers: four cores, in parts of a tenth.
pub(crate) fn offer() -> Offer {
    machine(Quantity::units(4), Quantity::bytes(8 << 30), Money(400_000))
}

/// A world that is being made.
#[derive(Clone)]
pub(crate) struct Town(Setting);

impl Town {
    /// Makes a world of these domains, each with its name and the roles of its nodes; `P` offers something.
    pub(crate) fn new(domains: &[(&str, &str)]) -> Self {
        let mut plan = Plan {
            domains: Vec::new(),
            nodes: Vec::new(),
            partners: Vec::new(),
            arrivals: Vec::new(),
            acts: Vec::new(),
            length: Span::secs(20),
        };
        for (domain, (name, nodes)) in (0..).zip(domains) {
            plan.domains.push(DomainPlan { name: (*name).to_owned(), config: fast() });
            for (number, letter) in nodes.chars().enumerate() {
                let role = match letter {
                    'S' => Role::Supernode,
                    'K' => Role::Catalogue,
                    _ => Role::Node,
                };
                let offers = if letter == 'P' { vec![offer()] } else { Vec::new() };
                let name = format!("{name}/{letter}{number}");
                plan.nodes.push(NodePlan { name, domain, role, dials_only: false, offers });
            }
        }
        Self(Setting {
            name: "town".to_owned(),
            plan,
            links: Links::default(),
            disks: Disks::default(),
            pace: Pace::default(),
            running: 0.0,
            stated_within: Span::secs(25),
        })
    }

    /// Makes two domains partners.
    pub(crate) fn partners(mut self, a: u32, b: u32) -> Self {
        self.0.plan.partners.push((a, b));
        self
    }

    /// Changes the settings of a domain.
    pub(crate) fn set(mut self, domain: usize, change: impl FnOnce(&mut agent::Config)) -> Self {
        change(&mut self.0.plan.domains[domain].config);
        self
    }

    /// All intents so far are wanted for so long.
    pub(crate) fn wanted(mut self, secs: u64) -> Self {
        self.0.plan.arrivals.iter_mut().for_each(|arrival| arrival.lives = Span::secs(secs));
        self
    }

    /// It lasts so long.
    pub(crate) fn lasts(mut self, secs: u64) -> Self {
        self.0.plan.length = Span::secs(secs);
        self
    }

    /// An intent of one replica comes to a node after so many milliseconds, and lives so long.
    pub(crate) fn wish(mut self, node: &str, after: u64, lives: u64) -> Self {
        let node = self.number(node);
        let number = u32::try_from(self.0.plan.arrivals.len()).unwrap();
        self.0.plan.arrivals.push(Arrival {
            number,
            at: Span::millis(after),
            node,
            replicas: 1,
            need: Resources { cpu: Quantity::millis(500), memory: Quantity::bytes(64 << 20), ..Resources::default() },
            term: Span::secs(30),
            lives: Span::millis(lives),
            ceiling: None,
            place: Where::Anywhere,
        });
        self
    }

    /// Something befalls the world after so many milliseconds.
    pub(crate) fn strike(mut self, after: u64, act: impl FnOnce(&dyn Fn(&str) -> u32) -> Act) -> Self {
        let act = act(&|name| self.number(name));
        let number = u32::try_from(self.0.plan.acts.len()).unwrap();
        self.0.plan.acts.push(Acted { number, at: Span::millis(after), fault: 0, act });
        self
    }

    /// Says whether there is such a node.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.plan.nodes.iter().any(|node| node.name == name)
    }

    /// Returns the place of a node: `alpha/S0` is the first of alpha, and a supernode.
    pub(crate) fn number(&self, name: &str) -> u32 {
        let place = self.0.plan.nodes.iter().position(|node| node.name == name);
        u32::try_from(place.unwrap_or_else(|| panic!("there is no {name}"))).unwrap()
    }

    /// Runs it.
    pub(crate) fn run(&self, seed: u64) -> Report {
        // Where a person wants to see how two runs differ.
        let text = std::env::var_os("STACK_TRACE").map(|path| {
            let file = std::fs::File::create(path).unwrap();
            Box::new(std::io::BufWriter::new(file)) as stack::Text
        });
        stack::run(&self.0, seed, text).unwrap()
    }

    /// Runs it and holds that nothing was broken.
    pub(crate) fn holds(&self, seed: u64) -> Report {
        let report = self.run(seed);
        let outcome = serde_json::to_string(&report.outcome).unwrap();
        assert!(report.outcome.violations.is_empty(), "seed {seed}: {outcome}\n{:#?}", report.wishes);
        report
    }
}

/// Story 1: one domain without a supernode.
pub(crate) fn story_one() -> Town {
    Town::new(&[("alpha", "CPP")]).wish("alpha/C0", 500, 12_000)
}

/// Story 2: a supernode of one domain.
pub(crate) fn story_two() -> Town {
    Town::new(&[("alpha", "SCPP")]).wish("alpha/C1", 500, 12_000)
}

/// Story 3: two domains that are partners.
pub(crate) fn story_three() -> Town {
    Town::new(&[("alpha", "SC"), ("beta", "SP")]).partners(0, 1).wish("alpha/C1", 500, 12_000)
}

/// Story 4: two domains and a catalogue.
pub(crate) fn story_four() -> Town {
    Town::new(&[("market", "K"), ("alpha", "SC"), ("beta", "SP")])
        .partners(1, 2)
        .set(1, |config| config.discovery.ask_partners = false)
        .wish("alpha/C1", 3_000, 12_000)
}
