//! Stories held against their tables: what is told as it should be, and every way of telling it wrong.

#![allow(clippy::unwrap_used)]

use super::*;

/// The deeds of story 1 in the order of its table.
pub(crate) const DEEDS: [Deed; 33] = [
    Deed::IntentArrived,
    Deed::IntentTranslated,
    Deed::ResourcesLookedUp,
    Deed::PassedToRear,
    Deed::CandidatesLookedUp,
    Deed::SelectorBuilt,
    Deed::ListSent,
    Deed::OffersLookedUp,
    Deed::ListAnswered,
    Deed::CandidatesPopulated,
    Deed::DiscoveryOver,
    Deed::CandidateFound,
    Deed::ReservationStarted,
    Deed::ReserveSent,
    Deed::ContractDrawn,
    Deed::FlavourReduced,
    Deed::ReservedAtSeller,
    Deed::ContractAnswered,
    Deed::SellerRouterDeployed,
    Deed::ContractStored,
    Deed::BuyerRouterDeployed,
    Deed::VirtualNodeAllocated,
    Deed::PeeringStarted,
    Deed::ResourceRequestSent,
    Deed::ContractFound,
    Deed::ProviderTold,
    Deed::ProviderActivated,
    Deed::ResourceOfferSent,
    Deed::ConsumerTold,
    Deed::ConsumerActivated,
    Deed::PhasesOver,
    Deed::ManagementResumed,
    Deed::WorkloadDeployed,
];

fn step(deed: Deed, node: &str, story: u8) -> StepView {
    StepView {
        step: deed.in_story_one(),
        story,
        node: node.to_owned(),
        manager: deed.manager(),
        at_ms: 0,
        workload: None,
        deed,
    }
}

/// Story 1 as it should be told.
fn told() -> Vec<StepView> {
    let provider = [8, 9, 15, 16, 17, 18, 23, 24, 25, 26];
    let node = |deed: Deed| if provider.contains(&deed.in_story_one()) { "P" } else { "C" };
    DEEDS.iter().map(|&deed| step(deed, node(deed), 1)).collect()
}

/// Checks what is said of story 1 after one change.
fn check(change: impl FnOnce(&mut Vec<StepView>), expected: &str) {
    let mut steps = told();
    change(&mut steps);
    let said = check_story(1, &steps).map_or_else(|why| why, |()| "ok".to_owned());
    assert_eq!(said, expected);
}

#[test]
fn a_story_that_is_told_as_its_table_has_it_is_right() {
    check(|_| {}, "ok");
    let local = [Deed::IntentArrived, Deed::IntentTranslated, Deed::ResourcesLookedUp, Deed::WorkloadDeployed];
    let local: Vec<_> = local.iter().map(|&deed| step(deed, "C", 0)).collect();
    assert_eq!(check_story(0, &local), Ok(()));
    assert!(check_story(1, &local).is_err() && check_story(0, &told()).is_err() && check_story(2, &local).is_err());
}

#[test]
fn joined_steps_may_come_in_either_order() {
    check(|steps| steps.swap(17, 18), "ok");
    check(|steps| steps.swap(19, 20), "ok");
    check(
        |steps| steps.swap(18, 19),
        "step 18 by NM of the provider P is expected, and there is step 19 (ContractStored) by CM of C",
    );
}

#[test]
fn other_nodes_that_were_asked_are_passed_over() {
    let others = [step(Deed::OffersLookedUp, "X", 1), step(Deed::ListAnswered, "X", 1)];
    check(|steps| drop(steps.splice(9..9, others.clone())), "ok");
    check(|steps| drop(steps.splice(12..12, others.clone())), "ok");
}

#[test]
fn every_single_step_is_needed_once_and_in_its_place() {
    let at = |what: &str| told().iter().position(|step| format!("{:?}", step.deed) == what).unwrap();
    for missing in 0..told().len() {
        let mut steps = told();
        steps.remove(missing);
        assert!(check_story(1, &steps).is_err(), "without {:?}", DEEDS[missing]);
        let mut steps = told();
        steps.insert(missing, steps[missing].clone());
        assert!(check_story(1, &steps).is_err(), "with {:?} twice", DEEDS[missing]);
        if missing > 0 {
            let joined = told()[missing].step == told()[missing - 1].step;
            let mut steps = told();
            steps.swap(missing, missing - 1);
            assert_eq!(check_story(1, &steps).is_ok(), joined, "{:?} before its time", DEEDS[missing]);
        }
        let mut steps = told();
        steps[missing].node = "X".to_owned();
        // Whoever does step 15 is the provider; then the rest is not.
        assert!(check_story(1, &steps).is_err(), "{:?} by another node", DEEDS[missing]);
    }
    check(
        |steps| steps.truncate(at("WorkloadDeployed")),
        "step 31 by NO of the consumer C is expected, and the story ends there",
    );
    check(
        |steps| steps[at("PassedToRear")].story = 0,
        "step 4 (PassedToRear) by NO of C is told as part of story 0, not 1",
    );
    check(|steps| steps.clear(), "step 1 is missing: no intent arrived");
    check(|steps| steps.iter_mut().for_each(|step| step.node = "C".to_owned()), "C is consumer and provider at once");
}

fn told_at(deed: Deed, replica: u16, at: u64) -> Told {
    Told { replica, round: 0, beyond: false, deed, node: Place::Behind("P".to_owned()), at: Span(at) }
}

#[test]
fn steps_stand_in_order_of_time_and_then_as_they_were_told() {
    let mut steps = Steps::default();
    for (deed, at) in
        [(Deed::ListSent, 3), (Deed::ListAnswered, 5), (Deed::OffersLookedUp, 4), (Deed::DiscoveryOver, 5)]
    {
        steps.tell(told_at(deed, 0, at));
    }
    let order: Vec<_> = steps.views(|_| None).iter().map(|step| step.step).collect();
    assert_eq!(order, [7, 8, 9, 11]);
}

#[test]
fn what_is_told_is_bounded() {
    let mut steps = Steps::default();
    for at in 0..1000 {
        let node = Place::Behind("\u{1b}[2J".repeat(99));
        steps.tell(Told { node, ..told_at(Deed::ListSent, 0, at) });
    }
    assert_eq!(steps.told().len(), MAX_STEPS);
    assert!(steps.views(|_| None).iter().all(|step| step.node.len() <= MAX_LETTER && !step.node.contains('\u{1b}')));
    steps.forget_before(0, 1);
    assert!(steps.told().is_empty());
}
