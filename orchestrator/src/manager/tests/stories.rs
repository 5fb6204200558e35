//! Stories as they come in, step by step: what is shown of them, and what is not believed.

use rear_proto::StepManager;

use super::*;
use crate::{story::tests::Way, view::Phase};

const SUPERNODE: NodeId = NodeId([5; 32]);

/// Lets an intent go the way of a story, up to where it is deployed.
fn told(bench: &mut Bench, way: Way) -> RequestId {
    let request = bench.submit(&[("web", 1)])[0];
    bench.handle(Input::LookedUp { request, local: None });
    let others = |deed: &Deed| !matches!(deed.manager(), StepManager::SH | StepManager::NO);
    for (at, (_, deed, node)) in way.told().into_iter().filter(|(_, deed, _)| others(deed)).enumerate() {
        let step = Step { deed, node, manager: deed.manager(), at: Span::millis(at as u64 + 1) };
        bench.handle(Input::Recorded { trace: Trace::Own(request.0), step });
    }
    bench.now = bench.now + Span::millis(60);
    // What the contract with its neighbour is, is all that a consumer knows of it.
    let price = rate();
    bench.handle(Input::Ready { request, contract: contract(7), provider: SUPERNODE, price });
    request
}

/// Holds what is shown against the table; the steps of this manager come without their time on this bench.
#[track_caller]
fn check(bench: &Bench, way: Way, story: u8) {
    let view = bench.view();
    assert_eq!(view.story, story, "{way:?}");
    let mut numbers: Vec<_> = view.steps.iter().map(|step| (step.story, step.step)).collect();
    let mut expected: Vec<_> = way.told().iter().map(|(number, ..)| (story, *number)).collect();
    numbers.sort_unstable();
    expected.sort_unstable();
    assert_eq!(numbers, expected, "{way:?}");
}

#[test]
fn an_intent_tells_the_story_of_the_way_that_it_went() {
    for (way, story) in [
        (Way::Direct, 1),
        (Way::OfSupernode, 2),
        (Way::BySupernode, 2),
        (Way::ThroughSupernode, 2),
        (Way::Abroad, 3),
        (Way::Catalogue, 4),
    ] {
        let mut bench = Bench::new();
        told(&mut bench, way);
        check(&bench, way, story);
    }
}

#[test]
fn a_consumer_shows_nobody_beyond_the_border() {
    for way in [Way::Abroad, Way::Catalogue] {
        let mut bench = Bench::new();
        told(&mut bench, way);
        let shown = serde_json::to_string(&bench.view()).unwrap();
        assert!(!shown.contains(&PROVIDER.to_string()) && shown.contains("\"P\""), "{shown}");
        assert_eq!(bench.view().workloads[0].node, Some(SUPERNODE));
    }
}

#[test]
fn a_story_is_still_told_after_a_restart() {
    let mut bench = Bench::new();
    told(&mut bench, Way::Abroad);
    bench.restart();
    check(&bench, Way::Abroad, 3);
}

#[test]
fn the_phases_of_a_story_over_a_border_end_where_the_consumer_s_own_steps_say() {
    let mut bench = Bench::new();
    told(&mut bench, Way::Abroad);
    let times = bench.view().times;
    let at = |deed: Deed| bench.view().steps.iter().find(|step| step.deed == deed).map(|step| Span::millis(step.at_ms));
    assert_eq!((times.discovered, times.reserved), (at(Deed::CandidateFound), at(Deed::ContractStored)));
    assert_eq!(times.peered, Some(Span::millis(60)));
}

#[test]
fn others_do_not_say_how_far_this_node_is() {
    let mut bench = Bench::new();
    let request = bench.submit(&[("web", 1)])[0];
    bench.handle(Input::LookedUp { request, local: None });
    for deed in [Deed::CandidateFound, Deed::ContractStored, Deed::PeeringStarted] {
        for node in [Place::Node(PROVIDER), Place::Behind("P".to_owned())] {
            let step = Step { deed, node, manager: deed.manager(), at: Span::millis(1) };
            bench.handle(Input::Recorded { trace: Trace::Own(request.0), step });
        }
    }
    let view = bench.view();
    assert_eq!((view.phase, view.times.discovered, view.times.reserved), (Phase::Discovering, None, None));
    assert!(view.steps.iter().filter(|step| step.node != ME.to_string()).all(|step| step.step == 0));
}
