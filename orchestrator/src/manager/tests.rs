//! What the orchestrator asks for, input by input: from an intent to its end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod all_or_nothing;
mod restart;
mod stories;

use kernel::{AllocationId, Manager as _, RequestId, Span};
use rear_proto::{
    Mode, Refusal, Row, Step,
    local::Placement,
    message::EndReason,
    price::Rate,
    story::{Deed, Place},
    workload::{Port, Status},
};

use super::*;
use crate::{check_story, parse, view::Phase};

pub(super) const ME: NodeId = NodeId([1; 32]);
pub(super) const PROVIDER: NodeId = NodeId([2; 32]);
pub(super) const ID: IntentId = IntentId([9; 16]);

/// An intent with so many replicas of each workload.
pub(super) fn intent(replicas: &[(&str, u16)]) -> Intent {
    let mut text =
        "{apiVersion: tombolo/v1, kind: Intent, metadata: {name: test}, spec: {price: {max: 1}, workloads: ["
            .to_owned();
    for (name, replicas) in replicas {
        text += &format!("{{name: {name}, image: a, replicas: {replicas}, resources: {{cpu: 1, memory: 1Mi}}}}, ");
    }
    parse(&(text + "]}}")).unwrap().resolve(|_| Err(())).unwrap()
}

pub(super) fn contract(number: u8) -> ContractId {
    ContractId([number; 16])
}

pub(super) fn rate() -> Rate {
    "0.1EUR/h".parse().unwrap()
}

pub(super) fn no_room() -> Refusal {
    Refusal::new(Code::Unavailable, "nobody has room")
}

/// A manager with a clock and the rows that it has kept; deeds come back to it, as the agent sees to.
pub(super) struct Bench {
    pub(super) manager: Manager,
    pub(super) now: Time,
    pub(super) rows: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let manager = Manager::new(Config::default(), ME);
        Self { manager, now: Time(1_000_000), rows: BTreeMap::new() }
    }

    pub(super) fn handle(&mut self, input: Input) -> Vec<Effect> {
        let mut out = Vec::new();
        self.manager.handle(self.now, input, &mut out);
        self.settle(out)
    }

    pub(super) fn wake(&mut self) -> Vec<Effect> {
        self.now = self.now.max(self.manager.next_wake().expect("something is to be done later").0);
        let mut out = Vec::new();
        self.manager.wake(self.now, &mut out);
        self.settle(out)
    }

    fn settle(&mut self, out: Vec<Effect>) -> Vec<Effect> {
        for effect in &out {
            match effect {
                Effect::Keep(Row { key, value: Some(value), .. }) => {
                    self.rows.insert(key.clone(), value.clone());
                }
                Effect::Keep(Row { key, value: None, .. }) => {
                    self.rows.remove(key);
                }
                _ => {}
            }
        }
        // What comes of the deeds comes after what is kept with them.
        for effect in &out {
            if let Effect::Did(trace, deed) = effect {
                let step = step(*deed, ME, Span::ZERO);
                assert!(self.handle(Input::Recorded { trace: *trace, step }).iter().all(is_news));
            }
        }
        out
    }

    /// Ends the process and starts it again from what was kept.
    pub(super) fn restart(&mut self) -> Vec<Effect> {
        self.manager = Manager::new(Config::default(), ME);
        for (key, value) in &self.rows {
            self.manager.restore(Table::Intents, key, value).unwrap();
        }
        let mut out = Vec::new();
        self.manager.start(self.now, 2, &mut out);
        self.settle(out)
    }

    pub(super) fn submit(&mut self, replicas: &[(&str, u16)]) -> Vec<RequestId> {
        let intent = intent(replicas);
        let out = self.handle(Input::Submit { ticket: Ticket(1), id: ID, intent, contract: None });
        out.iter()
            .filter_map(|effect| if let Effect::LookUp { request, .. } = effect { Some(*request) } else { None })
            .collect()
    }

    pub(super) fn view(&self) -> IntentView {
        self.manager.intent(&ID).unwrap()
    }

    /// Brings an intent of one replica onto the virtual node of a contract, and lets it run there.
    pub(super) fn run(&mut self, number: u8) -> RequestId {
        let request = self.submit(&[("web", 1)])[0];
        self.handle(Input::LookedUp { request, local: None });
        self.handle(ready(request, number));
        self.handle(Input::Status { request, status: Status::Running });
        assert_eq!(self.view().phase, Phase::Running);
        request
    }
}

/// Says whether an effect only tells those who watch, now or after a restart.
fn is_news(effect: &Effect) -> bool {
    matches!(effect, Effect::Changed { .. } | Effect::Keep(_))
}

pub(super) fn ready(request: RequestId, number: u8) -> Input {
    Input::Ready { request, contract: contract(number), provider: PROVIDER, price: rate() }
}

pub(super) fn ended(request: RequestId) -> Input {
    Input::Ended { request, reason: EndReason::Lost, text: "the other side was not heard of".to_owned() }
}

fn step(deed: Deed, node: NodeId, at: Span) -> Step {
    Step { deed, node: Place::Node(node), manager: deed.manager(), at }
}

/// What is asked of the other managers, in short.
pub(super) fn asked(out: &[Effect]) -> Vec<String> {
    out.iter().filter_map(short).collect()
}

fn short(effect: &Effect) -> Option<String> {
    let place = |on: &Placement| match on {
        Placement::Local(_) => "here".to_owned(),
        Placement::Remote(contract) => format!("contract {}", contract.0[0]),
    };
    Some(match effect {
        Effect::LookUp { request, .. } => format!("look up {}", request.0),
        Effect::Acquire { request, mode, .. } => format!("acquire {} {mode:?}", request.0),
        Effect::Use { request, contract, .. } => format!("use {} contract {}", request.0, contract.0[0]),
        Effect::Adopt { request, on, .. } => format!("adopt {} {}", request.0, place(on)),
        Effect::Purchase { request } => format!("purchase {}", request.0),
        Effect::Release { request } => format!("release {}", request.0),
        Effect::Deploy { request, on, workload } => format!("deploy {} {} {}", request.0, workload.name, place(on)),
        Effect::Undeploy { request, on, workload } => format!("undeploy {} {workload} {}", request.0, place(on)),
        Effect::Respond { ticket, result } => match result {
            Ok(_) => format!("respond {}", ticket.0),
            Err(refusal) => format!("respond {} {refusal}", ticket.0),
        },
        Effect::Changed { .. } | Effect::Keep(_) | Effect::Did(..) => return None,
    })
}

/// The deeds that are told, in their order.
fn deeds(out: &[Effect]) -> Vec<Deed> {
    out.iter().filter_map(|effect| if let Effect::Did(_, deed) = effect { Some(*deed) } else { None }).collect()
}

// -- where there is room here ---------------------------------------------------------------------------

#[test]
fn a_workload_that_fits_here_is_story_0() {
    let mut bench = Bench::new();
    let out = bench.handle(Input::Submit { ticket: Ticket(1), id: ID, intent: intent(&[("web", 1)]), contract: None });
    assert_eq!(asked(&out), ["look up 1", "respond 1"]);
    assert_eq!(bench.view().phase, Phase::Pending);
    let request = RequestId(1);
    let out = bench.handle(Input::LookedUp { request, local: Some(AllocationId([3; 16])) });
    assert_eq!(asked(&out), ["deploy 1 web here"]);
    assert_eq!(deeds(&out), [Deed::ResourcesLookedUp, Deed::WorkloadDeployed]);
    assert_eq!(bench.view().phase, Phase::Deploying);
    bench.now = bench.now + Span::millis(30);
    bench.handle(Input::Exposed { request, port: "http".to_owned(), url: "http://127.0.0.1:1/".to_owned() });
    bench.handle(Input::Status { request, status: Status::Running });
    let view = bench.view();
    assert_eq!((view.phase, view.story, view.reason), (Phase::Running, 0, None));
    assert_eq!(check_story(0, &view.steps), Ok(()));
    assert_eq!(view.workloads[0].node, Some(ME));
    assert_eq!(view.workloads[0].endpoints[0].url, "http://127.0.0.1:1/");
    assert_eq!(view.times.running, Some(Span::millis(30)));
    assert_eq!(bench.manager.request_of(&ID, Some("web")), Some(request));
}

#[test]
fn a_replica_with_a_port_runs_once_the_port_can_be_reached() {
    let mut bench = Bench::new();
    let mut with_port = intent(&[("web", 1)]);
    with_port.workloads[0].workload.ports = vec![Port { name: "http".to_owned(), port: 80 }];
    bench.handle(Input::Submit { ticket: Ticket(1), id: ID, intent: with_port, contract: None });
    let request = RequestId(1);
    bench.handle(Input::LookedUp { request, local: Some(AllocationId([3; 16])) });
    bench.handle(Input::Status { request, status: Status::Running });
    assert_eq!(bench.view().phase, Phase::Deploying);
    bench.now = bench.now + Span::millis(30);
    bench.handle(Input::Exposed { request, port: "http".to_owned(), url: "http://127.0.0.1:1/".to_owned() });
    assert_eq!(bench.view().phase, Phase::Running);
    assert_eq!(bench.view().times.running, Some(Span::millis(30)));
}

#[test]
fn the_selector_names_what_is_needed_and_not_what_would_be_paid() {
    let mut bench = Bench::new();
    let out = bench.handle(Input::Submit { ticket: Ticket(1), id: ID, intent: intent(&[("web", 1)]), contract: None });
    let Some(Effect::LookUp { selector, origin, .. }) = out.iter().find(|e| matches!(e, Effect::LookUp { .. })) else {
        panic!("nothing is looked up")
    };
    assert_eq!(selector.to_string(), "kind=K8Slice, runtime=oci, cpu>=1, memory>=1Mi, pods>=1");
    let elsewhere = bench.handle(Input::LookedUp { request: RequestId(1), local: None });
    let Some(Effect::Acquire { selector: again, origin: same, ceiling, term, .. }) =
        elsewhere.iter().find(|effect| matches!(effect, Effect::Acquire { .. }))
    else {
        panic!("nothing is acquired")
    };
    assert_eq!((again, same, ceiling.unwrap().to_string()), (selector, origin, "1EUR/h".to_owned()));
    assert_eq!(*term, Span::secs(3600));
}

// -- where there is room elsewhere ----------------------------------------------------------------------

#[test]
fn a_workload_that_runs_elsewhere_tells_story_1() {
    let mut bench = Bench::new();
    let request = bench.submit(&[("web", 1)])[0];
    let out = bench.handle(Input::LookedUp { request, local: None });
    assert_eq!(asked(&out), ["acquire 1 Direct"]);
    let provider = [8, 9, 15, 16, 17, 18, 23, 24, 25, 26];
    // What the other managers do, one millisecond each, up to what this one does itself.
    for (at, deed) in crate::story::tests::DEEDS[4..31].iter().enumerate() {
        let number = crate::story::tests::in_story_one(*deed);
        let node = if provider.contains(&number) { PROVIDER } else { ME };
        let step = step(*deed, node, Span::millis(at as u64 + 1));
        bench.handle(Input::Recorded { trace: Trace::Own(request.0), step });
        let expected = match number {
            ..12 => Phase::Discovering,
            12..18 => Phase::Reserving,
            18 | 19 if bench.view().times.reserved.is_none() => Phase::Reserving,
            _ => Phase::Peering,
        };
        assert_eq!(bench.view().phase, expected, "after {deed:?}");
    }
    bench.now = bench.now + Span::millis(40);
    let out = bench.handle(ready(request, 7));
    assert_eq!(asked(&out), ["deploy 1 web contract 7"]);
    assert_eq!(deeds(&out), [Deed::ManagementResumed, Deed::WorkloadDeployed]);
    // Deeds of this manager are told with the time that the agent gives them.
    let view = bench.view();
    assert_eq!((view.phase, view.story), (Phase::Deploying, 1));
    assert_eq!((view.workloads[0].node, view.workloads[0].contract), (Some(PROVIDER), Some(contract(7))));
    let times = view.times;
    assert_eq!((times.discovered, times.reserved), (Some(Span::millis(8)), Some(Span::millis(16))));
    assert_eq!((times.peered, times.running), (Some(Span::millis(40)), None));
    assert_eq!(view.steps.len(), 33);
}

#[test]
fn an_intent_that_never_ran_fails_with_the_reason_when_nobody_has_room() {
    let mut bench = Bench::new();
    let request = bench.submit(&[("web", 1)])[0];
    bench.handle(Input::LookedUp { request, local: None });
    let out = bench.handle(Input::Failed { request, refusal: no_room() });
    assert!(asked(&out).is_empty());
    let view = bench.view();
    assert_eq!(
        (view.phase, view.reason.as_deref()),
        (Phase::Failed, Some("workload 'web': Unavailable: nobody has room"))
    );
    assert!(bench.manager.next_wake().is_none());
}

#[test]
fn a_contract_made_by_hand_is_used_as_it_is() {
    let mut bench = Bench::new();
    let submit = |replicas: u16| Input::Submit {
        ticket: Ticket(1),
        id: ID,
        intent: intent(&[("web", replicas)]),
        contract: Some(contract(5)),
    };
    let refused = "respond 1 Malformed: intent 'test' has 2 replicas, and a contract made by hand can take one: submit them one by one";
    assert_eq!(asked(&bench.handle(submit(2))), [refused]);
    assert_eq!(asked(&bench.handle(submit(1))), ["use 1 contract 5", "respond 1"]);
    assert_eq!(asked(&bench.handle(ready(RequestId(1), 5))), ["deploy 1 web contract 5"]);
    assert_eq!(bench.view().story, 1);
    // When it has ended, room is found as for any other.
    let out = asked(&bench.handle(ended(RequestId(1))));
    assert_eq!(out, ["undeploy 1 web contract 5", "release 1", "look up 2"]);
}

// -- while it lives -------------------------------------------------------------------------------------

#[test]
fn what_was_lost_is_looked_for_again_at_once_under_another_number() {
    let mut bench = Bench::new();
    let request = bench.run(7);
    let out = bench.handle(ended(request));
    assert_eq!(asked(&out), ["undeploy 1 web contract 7", "release 1", "look up 2"]);
    let view = bench.view();
    assert_eq!((view.phase, view.workloads[0].node, view.workloads[0].endpoints.len()), (Phase::Discovering, None, 0));
    assert_eq!(view.reason.as_deref(), Some("workload 'web': the other side was not heard of"));
    assert!(asked(&bench.handle(Input::Released { request })).is_empty());
    let again = RequestId(2);
    assert_eq!(asked(&bench.handle(Input::LookedUp { request: again, local: None })), ["acquire 2 Direct"]);
    assert_eq!(asked(&bench.handle(ready(again, 8))), ["deploy 2 web contract 8"]);
    bench.handle(Input::Status { request: again, status: Status::Running });
    assert_eq!((bench.view().phase, bench.view().reason), (Phase::Running, None));
    assert_eq!(bench.manager.requests.len(), 1);
}

#[test]
fn an_intent_that_ran_looks_for_room_for_as_long_as_it_lives() {
    let mut bench = Bench::new();
    let request = bench.run(7);
    bench.handle(ended(request));
    let mut last = bench.now;
    let mut waits = Vec::new();
    for number in 2..12 {
        let request = RequestId(number);
        bench.handle(Input::LookedUp { request, local: None });
        assert!(asked(&bench.handle(Input::Failed { request, refusal: no_room() })).is_empty());
        assert_eq!(bench.view().phase, Phase::Discovering);
        assert_eq!(asked(&bench.wake()), [format!("look up {}", number + 1)]);
        waits.push(bench.now.since(last));
        last = bench.now;
    }
    assert!(waits.is_sorted() && waits[9] <= Config::default().longest_retry && waits[9] > Span::secs(20), "{waits:?}");
    assert!(bench.view().steps.len() <= 12, "older attempts are forgotten");
}

#[test]
fn a_refusal_that_says_when_to_come_back_is_heeded_up_to_the_longest_wait() {
    for (asked_for, expected) in [(Span::secs(7), Span::secs(7)), (Span::secs(7000), Config::default().longest_retry)] {
        let mut bench = Bench::new();
        let request = bench.run(7);
        bench.handle(ended(request));
        bench.handle(Input::LookedUp { request: RequestId(2), local: None });
        bench.handle(Input::Failed { request: RequestId(2), refusal: no_room().retry_after(asked_for) });
        let wait = bench.now.until(bench.manager.next_wake().unwrap().0);
        assert_eq!(wait, expected);
    }
}

#[test]
fn the_story_of_the_latest_attempts_is_told_at_its_own_time() {
    let mut bench = Bench::new();
    let mut request = bench.run(7);
    for _ in 0..5 {
        bench.now = bench.now + Span::secs(100);
        bench.restart();
        bench.handle(ended(RequestId(1)));
        bench.handle(Input::Released { request: RequestId(1) });
        request = RequestId(2);
        bench.handle(Input::LookedUp { request, local: None });
        bench.now = bench.now + Span::secs(1);
        bench.handle(ready(request, 7));
        bench.handle(Input::Status { request, status: Status::Running });
    }
    let late = step(Deed::ConsumerTold, ME, Span::millis(1500));
    bench.handle(Input::Recorded { trace: Trace::Own(request.0), step: late });
    let times: Vec<_> = bench.view().steps.iter().map(|step| (step.step, step.at_ms / 100)).collect();
    // The last attempt but one, and the last; the bench gives each deed the time at which its story began.
    let before = [(3, 4030), (4, 4030), (30, 4030), (31, 4030)];
    let last = [(3, 5040), (4, 5040), (30, 5040), (31, 5040), (27, 5055)];
    assert_eq!(times, [&before[..], &last[..]].concat());
}

#[test]
fn a_replica_that_ran_well_for_a_while_is_replaced_at_once_again() {
    let mut bench = Bench::new();
    let mut request = bench.run(7);
    for _ in 0..3 {
        bench.now = bench.now + Config::default().steady_after;
        assert!(asked(&bench.handle(ended(request))).iter().any(|what| what.starts_with("look up")));
        request = RequestId(request.0 + 1);
        bench.handle(Input::LookedUp { request, local: None });
        bench.handle(ready(request, 8));
        bench.handle(Input::Status { request, status: Status::Running });
    }
    bench.now = bench.now + Config::default().steady_after;
    let crashed = Status::BackingOff { reason: "exit 1".to_owned(), delay: Span::secs(1) };
    bench.handle(Input::Status { request, status: crashed });
    bench.handle(Input::Status { request, status: Status::Running });
    let left = asked(&bench.handle(ended(request)));
    assert_eq!(left, [format!("undeploy {} web contract 8", request.0), format!("release {}", request.0)]);
    assert!(bench.manager.next_wake().is_some());
}

#[test]
fn an_intent_whose_place_is_lost_again_and_again_before_it_ran_fails() {
    let mut bench = Bench::new();
    let mut request = bench.submit(&[("web", 1)])[0];
    for _ in 0..4 {
        assert_ne!(bench.view().phase, Phase::Failed);
        bench.handle(Input::LookedUp { request, local: None });
        bench.handle(ready(request, 7));
        let mut out = bench.handle(ended(request));
        if bench.manager.next_wake().is_some() {
            out = bench.wake();
        }
        if let Some(Effect::LookUp { request: next, .. }) = out.iter().find(|e| matches!(e, Effect::LookUp { .. })) {
            request = *next;
        }
    }
    assert_eq!(bench.view().phase, Phase::Failed);
}

#[test]
fn a_workload_that_gives_up_fails_the_intent_and_everything_is_given_back() {
    let mut bench = Bench::new();
    let requests = bench.submit(&[("web", 1), ("db", 1)]);
    for &request in &requests {
        bench.handle(Input::LookedUp { request, local: Some(AllocationId([request.0 as u8; 16])) });
    }
    let status = |request, status| Input::Status { request, status };
    bench.handle(status(requests[0], Status::Running));
    bench.handle(status(requests[1], Status::BackingOff { reason: "exit 1".to_owned(), delay: Span::secs(1) }));
    assert_eq!(bench.view().phase, Phase::Deploying);
    let out = bench.handle(status(requests[1], Status::Failed { reason: "exit 1".to_owned() }));
    assert_eq!(asked(&out), ["undeploy 1 web here", "undeploy 2 db here"]);
    assert_eq!(bench.view().reason.as_deref(), Some("workload 'db' failed: exit 1"));
    for request in requests {
        assert_eq!(asked(&bench.handle(Input::Undeployed { request })), [format!("release {}", request.0)]);
        bench.handle(Input::Released { request });
    }
    assert_eq!((bench.view().phase, bench.manager.requests.len()), (Phase::Failed, 0));
}

#[test]
fn a_job_that_ended_well_counts_as_running() {
    let mut bench = Bench::new();
    let request = bench.submit(&[("job", 1)])[0];
    bench.handle(Input::LookedUp { request, local: Some(AllocationId([3; 16])) });
    bench.handle(Input::Status { request, status: Status::Succeeded });
    assert_eq!((bench.view().phase, &bench.view().workloads[0].status[..]), (Phase::Running, "Succeeded"));
}

#[test]
fn what_comes_twice_or_too_late_changes_nothing() {
    let mut bench = Bench::new();
    let request = bench.run(7);
    let twice = [
        Input::LookedUp { request, local: None },
        Input::LookedUp { request, local: Some(AllocationId([3; 16])) },
        Input::Held { request },
        ready(request, 7),
        Input::Status { request, status: Status::Running },
        Input::Released { request },
        Input::Undeployed { request },
        Input::Failed { request: RequestId(99), refusal: no_room() },
        ended(RequestId(99)),
        Input::Recorded { trace: Trace::Served(1), step: step(Deed::ListSent, ME, Span::ZERO) },
        Input::Recorded { trace: Trace::Own(99), step: step(Deed::ListSent, ME, Span::ZERO) },
    ];
    for input in twice {
        let out = bench.handle(input.clone());
        assert!(out.is_empty(), "{input:?} gave {out:?}");
    }
    bench.handle(ended(request));
    bench.handle(Input::LookedUp { request: RequestId(2), local: None });
    for input in [ready(request, 7), ended(request), Input::Failed { request, refusal: no_room() }] {
        assert!(asked(&bench.handle(input)).is_empty(), "the replica has another request by now");
    }
    bench.handle(Input::Delete { ticket: Ticket(2), id: ID });
    for input in [ready(request, 7), Input::Status { request, status: Status::Stopped }, Input::Held { request }] {
        assert!(asked(&bench.handle(input)).is_empty());
    }
}

// -- its end --------------------------------------------------------------------------------------------

#[test]
fn a_deleted_intent_is_stopped_given_back_and_then_gone() {
    let mut bench = Bench::new();
    let request = bench.run(7);
    let delete = |ticket| Input::Delete { ticket: Ticket(ticket), id: ID };
    assert_eq!(asked(&bench.handle(delete(2))), ["undeploy 1 web contract 7", "respond 2"]);
    assert_eq!(asked(&bench.handle(delete(3))), ["respond 3"]);
    assert_eq!((bench.view().phase, bench.rows.len()), (Phase::Running, 1));
    assert_eq!(asked(&bench.handle(Input::Undeployed { request })), ["release 1"]);
    bench.handle(Input::Released { request });
    assert_eq!((bench.view().phase, bench.rows.len(), bench.manager.requests.len()), (Phase::Deleted, 0, 0));
    assert_eq!(asked(&bench.handle(delete(4))), ["respond 4"]);
    let other = bench.handle(Input::Delete { ticket: Ticket(5), id: IntentId([8; 16]) });
    assert_eq!(asked(&other), ["respond 5 NotFound: there is no intent 08080808080808080808080808080808"]);
}

#[test]
fn an_intent_is_deleted_at_whatever_point_it_is() {
    let steps: [fn(&mut Bench); 4] = [
        |_| {},
        |bench| drop(bench.handle(Input::LookedUp { request: RequestId(1), local: None })),
        |bench| drop(bench.handle(Input::LookedUp { request: RequestId(2), local: Some(AllocationId([3; 16])) })),
        |bench| drop(bench.handle(Input::Held { request: RequestId(1) })),
    ];
    for until in 0..=steps.len() {
        let mut bench = Bench::new();
        bench.submit(&[("web", 2)]);
        steps[..until].iter().for_each(|step| step(&mut bench));
        let out = asked(&bench.handle(Input::Delete { ticket: Ticket(2), id: ID }));
        assert_eq!(out, ["release 1", "release 2", "respond 2"], "after {until} steps");
        [1, 2].into_iter().for_each(|n| drop(bench.handle(Input::Released { request: RequestId(n) })));
        assert_eq!((bench.view().phase, bench.rows.len()), (Phase::Deleted, 0));
    }
    let mut bench = Bench::new();
    let request = bench.run(7);
    bench.handle(ended(request));
    bench.handle(Input::LookedUp { request: RequestId(2), local: None });
    bench.handle(Input::Failed { request: RequestId(2), refusal: no_room() });
    bench.handle(Input::Released { request });
    bench.handle(Input::Delete { ticket: Ticket(2), id: ID });
    assert_eq!((bench.view().phase, bench.manager.next_wake()), (Phase::Deleted, None));
}

#[test]
fn only_the_last_deleted_intents_are_remembered() {
    let mut bench = Bench::new();
    for number in 0..70 {
        let id = IntentId([number; 16]);
        let intent = intent(&[("web", 1)]);
        bench.handle(Input::Submit { ticket: Ticket(1), id, intent, contract: None });
        bench.handle(Input::Delete { ticket: Ticket(1), id });
        bench.handle(Input::Released { request: RequestId(u64::from(number) + 1) });
    }
    let ids: Vec<_> = bench.manager.intents().map(|view| view.id.0[0]).collect();
    assert_eq!(ids, (6..70).collect::<Vec<_>>());
}

// -- at the door ----------------------------------------------------------------------------------------

#[test]
fn an_intent_is_taken_in_once_whole_and_within_limits() {
    let mut bench = Bench::new();
    bench.manager = Manager::new(Config { intents: 1, ..Config::default() }, ME);
    let submit =
        |id: u8, intent: Intent| Input::Submit { ticket: Ticket(1), id: IntentId([id; 16]), intent, contract: None };
    let good = intent(&[("web", 1)]);
    let mut bad = good.clone();
    bad.workloads[0].replicas = 0;
    let check = |bench: &mut Bench, input, expected: &str| assert_eq!(asked(&bench.handle(input)), [expected]);
    check(
        &mut bench,
        submit(1, bad),
        "respond 1 Malformed: spec.workloads[0].replicas: 0 is no number of replicas: it must be from 1 to 64",
    );
    assert_eq!(asked(&bench.handle(submit(1, good.clone()))), ["look up 1", "respond 1"]);
    check(&mut bench, submit(1, good.clone()), "respond 1");
    let reused = "respond 1 KeyReused: there is another intent 01010101010101010101010101010101 already";
    check(&mut bench, submit(1, intent(&[("db", 1)])), reused);
    check(
        &mut bench,
        submit(2, good),
        "respond 1 Overloaded: there are 1 intents here, which is the most: delete some",
    );
}
