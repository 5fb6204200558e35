//! The story at the boundary: inputs in, effects out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod by_hand;
mod consume;
mod interleavings;
mod provide;
mod ranking;
mod relay;
mod restart;
mod wanderings;
mod ways;

use std::collections::BTreeMap;

use kernel::{
    AllocationId, ContractId, DomainKey, FlavourId, Key, Manager as _, NodeId, RequestId, Resources, Span, Ticket, Time,
};
use rear_proto::{
    Epoch, Flavour, Mode, Refusal, Table, Trace,
    flavour::{K8Slice, Kind, Party, Policies, Properties},
    local::{Bought, Candidate, Wish},
    message::EndReason,
    price::Rate,
};

use crate::{Config, Effect, Input, Manager, mail::Response, offer::Offer};

pub(super) const ME: NodeId = NodeId([1; 32]);
pub(super) const NOW: Time = Time(1_700_000_000_000);
pub(super) const ORIGIN: Key = Key([9; 16]);
pub(super) const OWN: Trace = Trace::Own(1);

/// A manager with what it keeps, so that it can be born again.
pub(super) struct Node {
    pub(super) manager: Manager,
    pub(super) now: Time,
    pub(super) config: Config,
    rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    starts: u32,
}

impl Node {
    pub(super) fn new(config: Config) -> Self {
        let manager = Manager::new(config.clone(), ME, DomainKey([3; 32]));
        let mut node = Self { manager, now: NOW, config, rows: BTreeMap::new(), starts: 0 };
        node.restart();
        node
    }

    /// A node that offers 4 cores and 8 GiB in steps of 500m and 512Mi, at 0.8 EUR/h.
    pub(super) fn offering() -> Self {
        Self::new(Config { offers: vec![offer("edge")], ..Config::default() })
    }

    pub(super) fn handle(&mut self, input: Input) -> Vec<Effect> {
        let mut out = Vec::new();
        self.manager.handle(self.now, input, &mut out);
        self.keep(&out);
        out
    }

    /// Lets time pass, and does what is due.
    pub(super) fn after(&mut self, span: Span) -> Vec<Effect> {
        self.now = self.now + span;
        let mut out = Vec::new();
        self.manager.wake(self.now, &mut out);
        self.keep(&out);
        out
    }

    /// Dies, and is born again from its rows.
    pub(super) fn restart(&mut self) -> Vec<Effect> {
        self.starts += 1;
        self.manager = Manager::new(self.config.clone(), ME, DomainKey([3; 32]));
        for ((table, key), value) in &self.rows {
            self.manager.restore(*table, key, value).unwrap();
        }
        let mut out = Vec::new();
        self.manager.start(self.now, self.starts, &mut out);
        self.keep(&out);
        out
    }

    fn keep(&mut self, out: &[Effect]) {
        for effect in out {
            if let Effect::Keep(row) = effect {
                match &row.value {
                    Some(value) => self.rows.insert((row.table, row.key.clone()), value.clone()),
                    None => self.rows.remove(&(row.table, row.key.clone())),
                };
            }
        }
    }

    pub(super) fn kept(&self, table: Table) -> usize {
        self.rows.keys().filter(|(kept, _)| *kept == table).count()
    }

    pub(super) fn edge(&self) -> FlavourId {
        offer("edge").flavour(&ME)
    }

    /// What is left of the only flavour.
    pub(super) fn left(&self) -> String {
        self.manager.flavours().next().unwrap().available.to_string()
    }

    /// The statuses of all allocations, the freed ones last.
    pub(super) fn statuses(&self) -> Vec<String> {
        self.manager.allocations().map(|a| format!("{} {}", a.role.name(), a.status.name())).collect()
    }
}

pub(super) fn resources(cpu: &str, memory: &str) -> Resources {
    Resources { cpu: cpu.parse().unwrap(), memory: memory.parse().unwrap(), ..Resources::default() }
}

pub(super) fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

pub(super) fn offer(name: &str) -> Offer {
    let partitionable =
        rear_proto::flavour::Partitionable { min: resources("500m", "512Mi"), step: resources("500m", "512Mi") };
    Offer {
        name: name.to_owned(),
        kind: Kind::K8Slice(K8Slice {
            architecture: "amd64".to_owned(),
            gpu_model: None,
            runtimes: vec!["wasm".to_owned()],
        }),
        base: resources("4", "8Gi"),
        policies: Policies { partitionable: Some(partitionable), aggregatable: None },
        price: rear_proto::Price {
            amount: "0.8".parse().unwrap(),
            currency: "EUR".parse().unwrap(),
            period: rear_proto::price::Period::Hour,
            priced: vec![kernel::Resource::Cpu, kernel::Resource::Memory],
        },
        properties: Properties::default(),
        location: None,
        expires_in: Span::secs(60),
    }
}

pub(super) fn node(number: u8) -> NodeId {
    NodeId([number; 32])
}

pub(super) fn request(number: u64) -> RequestId {
    RequestId(number)
}

pub(super) fn allocation(number: u8) -> AllocationId {
    AllocationId([number; 16])
}

pub(super) fn contract(number: u8) -> ContractId {
    ContractId([number; 16])
}

/// What node `number` offers: like the own offer, with everything left.
pub(super) fn candidate(number: u8) -> Candidate {
    let other = node(number);
    let offer = offer("edge");
    let flavour = Flavour {
        id: offer.flavour(&other),
        epoch: Epoch { starts: 1, changes: 1 },
        owner: other,
        domain: rear_proto::flavour::Domain { key: DomainKey([3; 32]), name: "alpha".to_owned() },
        provider: Party { node: other, addresses: Vec::new() },
        kind: offer.kind.clone(),
        base: offer.base,
        available: offer.base,
        properties: offer.properties.clone(),
        policies: offer.policies.clone(),
        price: offer.price.clone(),
        location: None,
        origin: FlavourId([number; 16]),
        expires_in: Span::secs(60),
    };
    Candidate { flavour, seen: NOW, via: other }
}

pub(super) fn reserve(number: u8, part: Resources, ceiling: &str) -> Input {
    Input::Reserve {
        allocation: allocation(number),
        buyer: node(7),
        flavour: offer("edge").flavour(&ME),
        partition: part,
        ceiling: rate(ceiling),
        trace: Trace::Served(5),
    }
}

pub(super) fn acquire(selector: &str, mode: Mode) -> Input {
    Input::Acquire {
        request: request(1),
        selector: selector.parse().unwrap(),
        mode,
        term: Span::secs(3600),
        ceiling: None,
        origin: ORIGIN,
        trace: OWN,
    }
}

pub(super) fn look_up(number: u64, selector: &str) -> Input {
    let selector = selector.parse().unwrap();
    Input::LookUp { request: request(number), selector, origin: Key([number as u8; 16]), trace: OWN }
}

pub(super) fn bought(number: u8, seller: NodeId) -> Bought {
    Bought {
        id: contract(number),
        allocation: allocation(number),
        seller,
        partition: resources("1", "1Gi"),
        price: rate("0.2EUR/h"),
    }
}

/// Returns the order that was placed.
#[track_caller]
pub(super) fn started(out: &[Effect]) -> Wish {
    let wish = out.iter().find_map(|effect| match effect {
        Effect::Start { purchase, .. } => Some((**purchase).clone()),
        _ => None,
    });
    wish.unwrap_or_else(|| panic!("nothing was started: {out:?}"))
}

/// Returns the effects as words, without rows and announcements.
pub(super) fn words(out: &[Effect]) -> String {
    let words = out.iter().filter_map(|effect| {
        Some(match effect {
            Effect::Keep(_) | Effect::OwnChanged(_) => return None,
            Effect::Did(_, deed) => format!("{deed:?}"),
            Effect::OwnGone(_) => "OwnGone".to_owned(),
            Effect::Find { .. } => "Find".to_owned(),
            Effect::Discover { exclude, .. } => format!("Discover-{}", exclude.len()),
            Effect::Start { .. } => "Start".to_owned(),
            Effect::Purchase { .. } => "Purchase".to_owned(),
            Effect::End { reason, .. } => format!("End({})", reason.name()),
            Effect::Granted { price, .. } => format!("Granted({price})"),
            Effect::Denied { refusal, .. } => format!("Denied({})", refusal.code()),
            Effect::Evict { .. } => "Evict".to_owned(),
            Effect::Freed { .. } => "Freed".to_owned(),
            Effect::Peer { .. } => "Peer".to_owned(),
            Effect::Activated { .. } => "Activated".to_owned(),
            Effect::Clear { .. } => "Clear".to_owned(),
            Effect::LookedUp { local, .. } => format!("LookedUp({})", if local.is_some() { "here" } else { "no" }),
            Effect::Holding { .. } => "Holding".to_owned(),
            Effect::Ready { .. } => "Ready".to_owned(),
            Effect::Failed { refusal, .. } => format!("Failed({})", refusal.code()),
            Effect::Ended { reason, .. } => format!("Ended({})", reason.name()),
            Effect::Released { .. } => "Released".to_owned(),
            Effect::Respond { result, .. } => match result {
                Ok(Response::Offered(_)) => "Ok(Offered)".to_owned(),
                Ok(Response::Withdrawn) => "Ok(Withdrawn)".to_owned(),
                Ok(Response::Held { .. }) => "Ok(Held)".to_owned(),
                Ok(Response::Signed { .. }) => "Ok(Signed)".to_owned(),
                Ok(Response::Released) => "Ok(Released)".to_owned(),
                Err(refusal) => format!("Err({})", refusal.code()),
            },
        })
    });
    words.collect::<Vec<_>>().join(" ")
}

#[track_caller]
pub(super) fn check(out: &[Effect], expected: &str) {
    assert_eq!(words(out), expected);
}

/// Returns the sentence of the only refusal.
#[track_caller]
pub(super) fn sentence(out: &[Effect]) -> String {
    let refusal = out.iter().find_map(|effect| match effect {
        Effect::Denied { refusal, .. } | Effect::Failed { refusal, .. } => Some(refusal.text()),
        Effect::Respond { result: Err(refusal), .. } => Some(refusal.text()),
        Effect::Ended { text, .. } => Some(text.clone()),
        _ => None,
    });
    refusal.unwrap_or_else(|| panic!("nothing was refused: {out:?}"))
}
