//! A node that starts again: what was kept goes on.

use super::*;

#[test]
fn what_had_a_place_claims_it_and_is_deployed_again() {
    let mut bench = Bench::new();
    let request = bench.run(7);
    let before = bench.view();
    bench.now = bench.now + Span::secs(5);
    assert_eq!(asked(&bench.restart()), ["adopt 1 contract 7"]);
    assert_eq!(bench.view().phase, Phase::Deploying);
    let out = bench.handle(ready(request, 7));
    assert_eq!(asked(&out), ["deploy 1 web contract 7"]);
    assert!(deeds(&out).is_empty(), "a story is told once");
    bench.handle(Input::Status { request, status: Status::Running });
    let after = bench.view();
    assert_eq!((after.phase, after.times, after.workloads), (Phase::Running, before.times, before.workloads));
    assert_eq!((after.steps.len(), after.story), (6, 1));
}

#[test]
fn each_replica_that_ran_goes_on_by_itself() {
    let mut bench = Bench::new();
    for request in bench.submit(&[("web", 2)]) {
        bench.handle(Input::LookedUp { request, local: None });
        bench.handle(Input::Held { request });
    }
    bench.handle(ready(RequestId(1), 1));
    bench.handle(ready(RequestId(2), 2));
    assert_eq!(asked(&bench.restart()), ["adopt 1 contract 1", "adopt 2 contract 2"]);
    bench.handle(ended(RequestId(1)));
    assert_eq!(asked(&bench.handle(ready(RequestId(2), 2))), ["deploy 2 web-2 contract 2"]);
    assert_eq!(asked(&bench.handle(Input::LookedUp { request: RequestId(3), local: None })), ["acquire 3 Direct"]);
}

#[test]
fn a_place_that_is_gone_after_the_restart_is_looked_for_again() {
    let mut bench = Bench::new();
    bench.run(7);
    bench.restart();
    assert_eq!(asked(&bench.handle(ended(RequestId(1)))), ["undeploy 1 web contract 7", "release 1", "look up 2"]);
    let local = bench.handle(Input::LookedUp { request: RequestId(2), local: Some(AllocationId([3; 16])) });
    assert_eq!(asked(&local), ["deploy 2 web here"]);
    assert_eq!(asked(&bench.restart()), ["adopt 1 contract 7", "undeploy 1 web contract 7", "adopt 2 here"]);
}

#[test]
fn what_was_under_way_is_asked_anew_and_all_or_nothing_still() {
    let mut bench = Bench::new();
    bench.submit(&[("web", 2)]);
    bench.handle(Input::LookedUp { request: RequestId(1), local: Some(AllocationId([3; 16])) });
    bench.handle(Input::LookedUp { request: RequestId(2), local: None });
    bench.handle(Input::Held { request: RequestId(2) });
    let purchase_lost = bench.restart();
    assert_eq!(asked(&purchase_lost), ["adopt 1 here", "look up 2"]);
    let here = Some(AllocationId([3; 16]));
    assert!(asked(&bench.handle(Input::LookedUp { request: RequestId(1), local: here })).is_empty());
    assert_eq!(asked(&bench.handle(Input::LookedUp { request: RequestId(2), local: None })), ["acquire 2 Hold"]);
    assert_eq!(asked(&bench.handle(Input::Held { request: RequestId(2) })), ["purchase 2"]);
    assert_eq!(asked(&bench.handle(ready(RequestId(2), 2))), ["deploy 1 web-1 here", "deploy 2 web-2 contract 2"]);
}

#[test]
fn the_origin_of_a_replica_is_the_same_after_a_restart_and_unlike_any_others() {
    let origins = |out: &[Effect]| -> Vec<_> {
        out.iter().filter_map(|e| if let Effect::LookUp { origin, .. } = e { Some(*origin) } else { None }).collect()
    };
    let mut bench = Bench::new();
    let intent = intent(&[("web", 2), ("db", 1)]);
    let before = origins(&bench.handle(Input::Submit { ticket: Ticket(1), id: ID, intent, contract: None }));
    let after = origins(&bench.restart());
    assert_eq!(before, after);
    assert_eq!(BTreeSet::from_iter(after).len(), 3);
}

#[test]
fn what_was_being_deleted_goes_on_being_deleted() {
    let mut bench = Bench::new();
    bench.run(7);
    bench.handle(Input::Delete { ticket: Ticket(2), id: ID });
    for _ in 0..2 {
        assert_eq!(asked(&bench.restart()), ["adopt 1 contract 7", "undeploy 1 web contract 7"]);
    }
    // The contract may have ended meanwhile: then there is nothing to stop.
    assert_eq!(asked(&bench.handle(ended(RequestId(1)))), ["release 1"]);
    bench.handle(Input::Released { request: RequestId(1) });
    assert_eq!((bench.view().phase, bench.rows.len()), (Phase::Deleted, 0));
    // One that had nothing but requests under way is gone at once.
    let mut bench = Bench::new();
    bench.submit(&[("web", 1)]);
    bench.handle(Input::Delete { ticket: Ticket(2), id: ID });
    assert_eq!(bench.rows.len(), 1, "its release is under way");
    bench.restart();
    assert_eq!((bench.view().phase, bench.rows.len()), (Phase::Deleted, 0));
}

#[test]
fn what_has_failed_stays_failed_and_says_why() {
    let mut bench = Bench::new();
    let request = bench.run(7);
    bench.handle(Input::Status { request, status: Status::Failed { reason: "exit 1".to_owned() } });
    let before = bench.view();
    assert_eq!(asked(&bench.restart()), ["adopt 1 contract 7", "undeploy 1 web contract 7"]);
    let after = bench.view();
    assert_eq!((after.phase, after.reason), (Phase::Failed, before.reason));
    bench.handle(Input::Undeployed { request });
    bench.handle(Input::Released { request });
    assert!(asked(&bench.restart()).is_empty());
    assert_eq!(bench.view().phase, Phase::Failed);
}

#[test]
fn a_row_is_written_when_a_placement_changes_and_not_at_each_step() {
    let mut bench = Bench::new();
    let keeps = |out: Vec<Effect>| out.iter().filter(|effect| matches!(effect, Effect::Keep(_))).count();
    let intent = intent(&[("web", 1)]);
    let request = RequestId(1);
    assert_eq!(keeps(bench.handle(Input::Submit { ticket: Ticket(1), id: ID, intent, contract: None })), 1);
    assert_eq!(keeps(bench.handle(Input::LookedUp { request, local: None })), 0);
    let step = step(Deed::ReservationStarted, ME, Span::ZERO);
    assert_eq!(keeps(bench.handle(Input::Recorded { trace: Trace::Own(1), step })), 0);
    assert_eq!(keeps(bench.handle(ready(request, 7))), 1);
    assert_eq!(keeps(bench.handle(Input::Status { request, status: Status::Starting })), 0);
    assert_eq!(keeps(bench.handle(Input::Status { request, status: Status::Running })), 1);
    assert_eq!(keeps(bench.handle(Input::Status { request, status: Status::Succeeded })), 0);
}

#[test]
fn a_damaged_row_is_an_error_and_no_panic() {
    let mut bench = Bench::new();
    bench.run(7);
    let (key, value) = bench.rows.first_key_value().unwrap();
    for cut in 0..value.len() {
        assert!(bench.manager.restore(Table::Intents, key, &value[..cut]).is_err());
    }
    assert!(bench.manager.restore(Table::Intents, &key[1..], value).is_err());
    assert!(bench.manager.restore(Table::Ratings, key, value).is_err());
    assert!(bench.manager.restore(Table::Intents, key, value).is_ok());
}
