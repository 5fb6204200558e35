//! Whatever is said, however often and in whatever order: nothing panics, and some things never happen.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;

use common::*;
use kernel::{AllocationId, ContractId, Manager as _, RequestId, Rng, Span, Ticket, Time};
use proptest::prelude::*;
use rear_proto::{
    Code, Extensions, Refusal, Trace,
    fabric::{FabricAnswer, FabricAsk, FabricReply, FabricRequest},
    local::{Placement, SignedContract},
    workload::Status,
};
use vfabric::{Config, Effect, Input, Manager, mail::Instance};

/// An input out of a small world: two contracts, two allocations, two names, two requests; the last numbers are those
/// of questions that were asked.
fn input((what, a, b, n): (u8, u8, u8, u64), ticket: u64, last: u64) -> Input {
    let contract = ContractId([a % 2; 16]);
    let allocation = AllocationId([b % 2; 16]);
    let name = if a < 2 { "web" } else { "api" }.to_owned();
    let instance = Instance { allocation, workload: name.clone() };
    let request = RequestId(u64::from(a % 2));
    let on = if b < 2 { Placement::Local(allocation) } else { Placement::Remote(contract) };
    let id = last.saturating_sub(n % 4);
    let statuses = [Status::Starting, Status::Running, Status::Stopped, Status::Failed { reason: "x".into() }];
    let status = statuses[usize::from(b) % 4].clone();
    let heard = |request| {
        let extensions = if n < 2 { Extensions::new() } else { stamped(1, n) };
        let ask = Box::new(FabricAsk { request, tell: false, extensions });
        Input::Heard { ticket: Ticket(ticket), contract, peer: PEER, ask, trace: Trace::Served(ticket) }
    };
    let answered = |answer| {
        let reply = FabricReply { answer, steps: Vec::new(), extensions: stamped(1, n) };
        Input::Answered { id, reply: Ok(reply) }
    };
    match what {
        0 => Input::Peer { allocation, contract, provider: PEER, trace: Trace::None },
        1 => Input::Activated { allocation, trace: Trace::None },
        2 => Input::Clear { allocation },
        3 | 4 => {
            let found =
                SignedContract { id: contract, allocation, customer: PEER, partition: resources(2), abroad: n == 1 };
            Input::LookedUp { inquiry: id, found: (b < 3).then_some(found), trace: Trace::None }
        }
        5 => Input::Closed { contract },
        6 => Input::Deploy { request, on, workload: Box::new(workload(&name)) },
        7 => Input::Undeploy { request, on, workload: name },
        8 => Input::Logs { ticket: Ticket(ticket), request, from: 0, wait: Span::secs(n) },
        9 | 10 => heard(FabricRequest::ResourceRequest { contract }),
        11 | 12 => heard(FabricRequest::Deploy(workload(&name))),
        13 => heard(FabricRequest::Undeploy { workload: name }),
        14 => heard(FabricRequest::Status { workload: name, status }),
        15 => heard(FabricRequest::Logs { workload: name, from: 0, wait: Span::secs(n) }),
        16 => heard(FabricRequest::Close),
        17 => answered(FabricAnswer::Done),
        18 => answered(offer()),
        19 => answered(FabricAnswer::Deployed(status)),
        20 => answered(FabricAnswer::Missing(DIGEST)),
        21 => Input::Answered { id, reply: Err(Refusal::from(Code::Timeout)) },
        22 => answered(FabricAnswer::Refused(Refusal::from(Code::ALL[usize::from(b) * 5]))),
        23 => Input::PeerUp { node: PEER },
        24 | 25 => Input::InstanceStatus { instance, status },
        26 => Input::InstanceMissing { instance, digest: DIGEST },
        27 => Input::InstanceGone { instance },
        28 => Input::LogsRead { inquiry: id, lines: vec![line(n)], next: n + 1 },
        29 => heard(FabricRequest::Returned),
        30 => Input::Revived { contract, customer: PEER },
        _ => Input::Exposed { request, port: "http".into(), url: "http://127.0.0.1:1/".into() },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_order_of_events_breaks_a_promise(steps in prop::collection::vec((0u8..33, 0u8..4, 0u8..4, 0u64..9), 0..80)) {
        let mut manager = Manager::new(Config::default(), ME, Rng::from_number(7));
        let mut now = Time(1000);
        let (mut last, mut asked, mut answered) = (0, BTreeSet::new(), BTreeSet::new());
        for (ticket, step) in (1..).zip(steps) {
            let mut out = Vec::new();
            if step.0 == 32 {
                now = now + Span::secs(step.3);
                manager.wake(now, &mut out);
            } else {
                let input = input(step, ticket, last);
                if matches!(input, Input::Heard { .. } | Input::Logs { .. }) {
                    asked.insert(Ticket(ticket));
                }
                manager.handle(now, input, &mut out);
            }
            for effect in out {
                match effect {
                    Effect::Send { id, .. } | Effect::Ship { id, .. } => last = id,
                    Effect::LookUp { inquiry, .. } | Effect::ReadLogs { inquiry, .. } => last = inquiry,
                    Effect::Reply { ticket, .. } | Effect::Respond { ticket, .. } => {
                        prop_assert!(asked.contains(&ticket) && answered.insert(ticket), "answered twice");
                    }
                    Effect::Gone { allocation } => {
                        prop_assert!(!manager.workloads().any(|it| it.instance.allocation == allocation));
                    }
                    _ => {}
                }
            }
            prop_assert!(manager.workloads().filter(|it| it.contract.is_some()).count() <= 4, "two partitions of two");
            prop_assert!(manager.next_wake().is_none_or(|(at, _)| at <= now + Span::secs(302)));
        }
        // In the end both contracts are over, all is gone, and whoever asked has an answer.
        for contract in [ContractId([0; 16]), ContractId([1; 16])] {
            let mut out = Vec::new();
            manager.handle(now, Input::Closed { contract }, &mut out);
            answered.extend(out.iter().filter_map(|effect| match effect {
                Effect::Reply { ticket, .. } | Effect::Respond { ticket, .. } => Some(*ticket),
                _ => None,
            }));
        }
        let instances: Vec<_> = manager.workloads().filter(|it| it.contract.is_some()).map(|it| it.instance).collect();
        for instance in instances {
            manager.handle(now, Input::InstanceGone { instance }, &mut Vec::new());
        }
        prop_assert_eq!(manager.peerings().count(), 0);
        prop_assert_eq!(manager.workloads().filter(|it| it.contract.is_some()).count(), 0);
    }
}
