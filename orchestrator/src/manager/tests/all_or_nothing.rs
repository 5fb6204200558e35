//! Several replicas: all or nothing, whatever the order of the answers.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[test]
fn nothing_is_purchased_before_all_is_held_and_nothing_runs_before_all_is_purchased() {
    let mut bench = Bench::new();
    let requests = bench.submit(&[("web", 2), ("db", 1)]);
    let [web_1, web_2, db] = requests[..] else { panic!("{requests:?}") };
    assert_eq!(asked(&bench.handle(Input::LookedUp { request: web_1, local: None })), ["acquire 1 Hold"]);
    assert!(asked(&bench.handle(Input::LookedUp { request: db, local: Some(AllocationId([3; 16])) })).is_empty());
    assert!(asked(&bench.handle(Input::Held { request: web_1 })).is_empty());
    assert_eq!(asked(&bench.handle(Input::LookedUp { request: web_2, local: None })), ["acquire 2 Hold"]);
    assert_eq!(bench.view().phase, Phase::Discovering);
    assert_eq!(asked(&bench.handle(Input::Held { request: web_2 })), ["purchase 1", "purchase 2"]);
    assert_eq!(bench.view().phase, Phase::Reserving);
    assert!(asked(&bench.handle(ready(web_2, 2))).is_empty());
    let deployed = ["deploy 1 web-1 contract 1", "deploy 2 web-2 contract 2", "deploy 3 db here"];
    assert_eq!(asked(&bench.handle(ready(web_1, 1))), deployed);
    for request in requests {
        assert_ne!(bench.view().phase, Phase::Running);
        bench.handle(Input::Status { request, status: Status::Running });
    }
    let view = bench.view();
    assert_eq!((view.phase, view.story), (Phase::Running, 1));
    let arrived = view.steps.iter().filter(|step| step.deed == Deed::IntentArrived).count();
    assert_eq!(arrived, 1, "the arrival is told once");
    let of_db: Vec<_> = view.steps.iter().filter(|step| step.workload.as_deref() == Some("db")).collect();
    assert!(of_db.iter().all(|step| step.story == 0));
    assert!(view.steps.iter().filter(|step| step.workload.as_deref() == Some("web-2")).all(|step| step.story == 1));
    assert_eq!(bench.manager.request_of(&ID, Some("web")), Some(web_1));
    assert_eq!(bench.manager.request_of(&ID, Some("web-2")), Some(web_2));
    assert_eq!(bench.manager.request_of(&ID, Some("cache")), None);
}

#[test]
fn where_one_finds_no_room_all_is_given_back() {
    let mut bench = Bench::new();
    let requests = bench.submit(&[("web", 3)]);
    bench.handle(Input::LookedUp { request: requests[0], local: Some(AllocationId([3; 16])) });
    bench.handle(Input::LookedUp { request: requests[1], local: None });
    bench.handle(Input::Held { request: requests[1] });
    bench.handle(Input::LookedUp { request: requests[2], local: None });
    let out = bench.handle(Input::Failed { request: requests[2], refusal: no_room() });
    assert_eq!(asked(&out), ["release 1", "release 2"]);
    assert_eq!(bench.view().reason.as_deref(), Some("workload 'web-3': Unavailable: nobody has room"));
}

#[test]
fn a_hold_that_lapses_is_taken_anew_and_the_others_wait_for_it() {
    let mut bench = Bench::new();
    bench.submit(&[("web", 2)]);
    bench.handle(Input::LookedUp { request: RequestId(1), local: None });
    bench.handle(Input::Held { request: RequestId(1) });
    assert_eq!(asked(&bench.handle(ended(RequestId(1)))), ["release 1", "look up 3"]);
    assert_eq!(asked(&bench.handle(Input::LookedUp { request: RequestId(3), local: None })), ["acquire 3 Hold"]);
    bench.handle(Input::LookedUp { request: RequestId(2), local: None });
    assert!(asked(&bench.handle(Input::Held { request: RequestId(2) })).is_empty());
    assert_eq!(asked(&bench.handle(Input::Held { request: RequestId(3) })), ["purchase 3", "purchase 2"]);
}

#[test]
fn once_all_run_each_is_replaced_by_itself() {
    let mut bench = Bench::new();
    for request in bench.submit(&[("web", 2)]) {
        bench.handle(Input::LookedUp { request, local: None });
        bench.handle(Input::Held { request });
    }
    bench.handle(ready(RequestId(1), 1));
    bench.handle(ready(RequestId(2), 2));
    assert_eq!(asked(&bench.handle(ended(RequestId(2)))), ["undeploy 2 web-2 contract 2", "release 2", "look up 3"]);
    assert_eq!(asked(&bench.handle(Input::LookedUp { request: RequestId(3), local: None })), ["acquire 3 Direct"]);
    assert_eq!(asked(&bench.handle(ready(RequestId(3), 3))), ["deploy 3 web-2 contract 3"]);
}

/// REAR and the Virtual Fabric, as far as they answer: what they have been asked, and have not answered yet.
#[derive(Default)]
struct World {
    looking: BTreeSet<RequestId>,
    acquiring: BTreeSet<(RequestId, bool)>,
    held: BTreeSet<RequestId>,
    purchasing: BTreeSet<RequestId>,
    ready: BTreeSet<RequestId>,
    deployed: BTreeSet<RequestId>,
    undeploying: BTreeSet<RequestId>,
    releasing: BTreeSet<RequestId>,
    /// From the first deployment on, each replica is replaced by itself.
    established: bool,
}

impl World {
    fn takes(&mut self, out: &[Effect]) {
        for effect in out {
            match effect {
                Effect::LookUp { request, .. } => assert!(self.looking.insert(*request)),
                Effect::Acquire { request, mode, .. } => {
                    assert!(self.acquiring.insert((*request, *mode == Mode::Hold)));
                }
                Effect::Purchase { request } => {
                    assert!(self.held.remove(request), "{request:?} is purchased and was not held");
                    assert!(self.looking.is_empty() && self.acquiring.is_empty(), "purchased before all was held");
                    self.purchasing.insert(*request);
                }
                Effect::Deploy { request, .. } => {
                    let missing = [&self.looking, &self.held, &self.purchasing];
                    let complete = missing.iter().all(|set| set.is_empty()) && self.acquiring.is_empty();
                    assert!(complete || self.established, "deployed too early");
                    self.established = true;
                    assert!(self.ready.contains(request) && self.deployed.insert(*request));
                }
                Effect::Undeploy { request, .. } => {
                    assert!(self.deployed.remove(request) && self.undeploying.insert(*request));
                }
                Effect::Release { request } => {
                    assert!(!self.deployed.contains(request), "released while it runs");
                    self.forget(*request);
                    assert!(self.releasing.insert(*request), "released twice");
                }
                Effect::Use { .. } | Effect::Adopt { .. } => panic!("nothing of this kind is to be asked"),
                Effect::Respond { .. } | Effect::Changed { .. } | Effect::Keep(_) | Effect::Did(..) => {}
            }
        }
    }

    fn forget(&mut self, request: RequestId) {
        for set in [&mut self.looking, &mut self.held, &mut self.purchasing, &mut self.ready] {
            set.remove(&request);
        }
        self.acquiring.retain(|(acquiring, _)| *acquiring != request);
    }

    /// Everything that could be said next.
    fn answers(&self) -> Vec<Input> {
        let mut answers = Vec::new();
        for &request in &self.looking {
            let allocation = AllocationId([request.0 as u8; 16]);
            answers.push(Input::LookedUp { request, local: None });
            answers.push(Input::LookedUp { request, local: Some(allocation) });
        }
        for &(request, hold) in &self.acquiring {
            answers.push(if hold { Input::Held { request } } else { ready(request, request.0 as u8) });
            answers.push(Input::Failed { request, refusal: no_room() });
        }
        for &request in &self.purchasing {
            answers.push(ready(request, request.0 as u8));
            answers.push(Input::Failed { request, refusal: no_room() });
        }
        answers.extend(self.held.iter().chain(&self.ready).map(|&request| ended(request)));
        for &request in &self.deployed {
            answers.push(Input::Status { request, status: Status::Running });
            answers.push(Input::Status { request, status: Status::Failed { reason: "exit 1".to_owned() } });
        }
        answers.extend(self.undeploying.iter().map(|&request| Input::Undeployed { request }));
        answers.extend(self.releasing.iter().map(|&request| Input::Released { request }));
        answers
    }

    /// What it means here that this is said.
    fn says(&mut self, input: &Input) {
        match input {
            Input::LookedUp { request, local } => {
                self.forget(*request);
                if local.is_some() {
                    self.ready.insert(*request);
                }
            }
            Input::Held { request } => {
                self.forget(*request);
                self.held.insert(*request);
            }
            Input::Ready { request, .. } => {
                self.forget(*request);
                self.ready.insert(*request);
            }
            Input::Failed { request, .. } => self.forget(*request),
            Input::Ended { request, .. } => self.forget(*request),
            Input::Undeployed { request } => drop(self.undeploying.remove(request)),
            Input::Released { request } => drop(self.releasing.remove(request)),
            _ => {}
        }
    }

    fn has_nothing(&self) -> bool {
        let sets = [&self.looking, &self.held, &self.purchasing, &self.ready, &self.deployed];
        sets.iter().all(|set| set.is_empty()) && self.acquiring.is_empty()
    }
}

/// Lets the world give what answers are left that only take back, until there are none.
fn drain(bench: &mut Bench, world: &mut World) {
    while let Some(input) =
        world.answers().into_iter().find(|input| matches!(input, Input::Undeployed { .. } | Input::Released { .. }))
    {
        world.says(&input);
        let out = bench.handle(input);
        world.takes(&out);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_is_answered_in_whatever_order_nothing_stays_held_and_nothing_runs_too_early(
        replicas in 1u16..5,
        choices in proptest::collection::vec(any::<u16>(), 1..60),
        delete in any::<bool>(),
    ) {
        let mut bench = Bench::new();
        let mut world = World::default();
        let intent = intent(&[("web", replicas)]);
        let out = bench.handle(Input::Submit { ticket: Ticket(1), id: ID, intent, contract: None });
        world.takes(&out);
        for choice in choices {
            let answers = world.answers();
            if answers.is_empty() {
                if bench.manager.next_wake().is_none() {
                    break;
                }
                let out = bench.wake();
                world.takes(&out);
                continue;
            }
            let input = answers[usize::from(choice) % answers.len()].clone();
            world.says(&input);
            let out = bench.handle(input);
            world.takes(&out);
            if bench.view().phase == Phase::Failed {
                drain(&mut bench, &mut world);
                prop_assert!(world.has_nothing());
                prop_assert_eq!(bench.manager.requests.len(), 0);
            }
        }
        if delete {
            let out = bench.handle(Input::Delete { ticket: Ticket(2), id: ID });
            world.takes(&out);
            drain(&mut bench, &mut world);
            prop_assert!(world.has_nothing());
            prop_assert_eq!(bench.view().phase, Phase::Deleted);
            prop_assert_eq!((bench.manager.requests.len(), bench.rows.len()), (0, 0));
            prop_assert_eq!(bench.manager.next_wake(), None);
        }
    }
}
