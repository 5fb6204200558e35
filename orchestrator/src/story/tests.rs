//! Stories held against their tables: what is told as it should be, and every way of telling it wrong.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use rear_proto::StepManager;

use super::{
    table::{Actor, table},
    *,
};

const ME: NodeId = NodeId([1; 32]);
const PROVIDER: NodeId = NodeId([2; 32]);
const SUPERNODE: NodeId = NodeId([5; 32]);
const OTHER: NodeId = NodeId([9; 32]);

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

/// Returns which step a deed is where two nodes of one domain agree.
pub(crate) fn in_story_one(deed: Deed) -> u8 {
    table(1).find(|(_, _, deeds)| deeds.contains(&deed)).unwrap().0
}

/// Who provides, and how the order gets there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Here,
    Direct,
    OfSupernode,
    BySupernode,
    ThroughSupernode,
    Abroad,
    Catalogue,
}

const WAYS: [Way; 7] =
    [Way::Here, Way::Direct, Way::OfSupernode, Way::BySupernode, Way::ThroughSupernode, Way::Abroad, Way::Catalogue];

impl Way {
    fn story(self) -> u8 {
        match self {
            Self::Here => 0,
            Self::Direct => 1,
            Self::OfSupernode | Self::BySupernode | Self::ThroughSupernode => 2,
            Self::Abroad => 3,
            Self::Catalogue => 4,
        }
    }

    fn place(self, actor: Actor) -> Place {
        match (actor, self) {
            (Actor::C, _) => Place::Node(ME),
            (Actor::S, _) | (Actor::P, Self::OfSupernode) => Place::Node(SUPERNODE),
            (Actor::P, Self::Abroad | Self::Catalogue) => Place::Behind("P".to_owned()),
            (Actor::P, _) => Place::Node(PROVIDER),
            (Actor::SP, _) => Place::Behind("SP".to_owned()),
            (Actor::K, _) => Place::Behind("K".to_owned()),
        }
    }

    /// What is told where all goes as the table has it, with the table's numbers.
    pub(crate) fn told(self) -> Vec<(u8, Deed, Place)> {
        let relays = |(number, actor, _): &&table::Line| {
            self.story() != 2 || self == Self::ThroughSupernode || *actor != Actor::S || *number < 14
        };
        let lines = table(self.story()).filter(relays);
        lines.flat_map(|(n, actor, deeds)| deeds.iter().map(move |&deed| (*n, deed, self.place(*actor)))).collect()
    }
}

/// The steps of one attempt, as an intent shows them.
fn views<'a>(told: impl IntoIterator<Item = &'a (u8, Deed, Place)>, beyond: bool) -> (u8, Vec<StepView>) {
    let mut steps = Steps::default();
    for (_, deed, node) in told {
        let node = node.clone();
        steps.tell(&ME, Told { replica: 0, round: 0, beyond, deed: *deed, node, at: Span::ZERO });
    }
    (steps.story(&ME), steps.views(&ME, |_| None))
}

fn is_right(way: Way, told: &[(u8, Deed, Place)]) -> bool {
    let (story, steps) = views(told, way != Way::Here);
    story == way.story() && check_story(story, &steps).is_ok()
}

/// Whether a step may come again, or not at all be the next: others that were asked have the same letters.
fn may_repeat((number, _, node): &(u8, Deed, Place)) -> bool {
    (11..=13).contains(number) && matches!(node, Place::Behind(_))
}

#[test]
fn each_story_is_numbered_and_told_as_its_table_has_it() {
    for way in WAYS {
        let (story, steps) = views(&way.told(), way != Way::Here);
        assert_eq!((story, check_story(way.story(), &steps)), (way.story(), Ok(())), "{way:?}");
        let numbers: Vec<_> = steps.iter().map(|step| (step.story, step.step)).collect();
        let expected: Vec<_> = way.told().iter().map(|(number, ..)| (way.story(), *number)).collect();
        assert_eq!(numbers, expected, "{way:?}");
        // And it is no other.
        for other in (0..=5).filter(|other| *other != way.story()) {
            assert!(check_story(other, &steps).is_err(), "{way:?} as story {other}");
        }
    }
}

/// Who does each step, in the words of `docs/workflows.md`: `11-13 SP` for several in a row.
#[track_caller]
fn check_actors(way: Way, expected: &str) {
    let mut runs: Vec<(u8, u8, &str)> = Vec::new();
    for (number, actor, _) in table(way.story()) {
        let name = match actor {
            Actor::C => "C",
            Actor::P => "P",
            Actor::S => "S",
            Actor::SP => "SP",
            Actor::K => "K",
        };
        match runs.last_mut() {
            Some((_, last, who)) if *who == name => *last = *number,
            _ => runs.push((*number, *number, name)),
        }
    }
    let run = |(first, last, name): (u8, u8, &str)| {
        if first == last { format!("{first} {name}") } else { format!("{first}-{last} {name}") }
    };
    assert_eq!(runs.into_iter().map(run).collect::<Vec<_>>().join(", "), expected);
}

#[test]
fn each_step_is_done_by_whom_the_documents_name() {
    check_actors(Way::Direct, "1-7 C, 8-9 P, 10-14 C, 15-18 P, 19-22 C, 23-26 P, 27-31 C");
    check_actors(Way::ThroughSupernode, "1-7 C, 8-10 S, 11-14 C, 15 S, 15-18 P, 18 S, 19-22 C, 23-26 P, 27-31 C");
    let agreed = "16-20 C, 21 S, 22 SP, 23-26 P, 27 SP, 28 S, 29-32 C, 33-36 P, 37-41 C";
    check_actors(Way::Abroad, &format!("1-7 C, 8-10 S, 11-13 SP, 14-15 S, {agreed}"));
    check_actors(Way::Catalogue, &format!("1-7 C, 8-10 S, 11-12 K, 13-15 S, {agreed}"));
}

#[test]
fn no_number_is_left_out() {
    for (way, last) in [(Way::Direct, 31), (Way::OfSupernode, 31), (Way::Abroad, 41), (Way::Catalogue, 41)] {
        let numbers: BTreeSet<_> = way.told().iter().map(|(number, ..)| *number).collect();
        assert!(numbers.into_iter().eq(1..=last), "{way:?}");
    }
    assert_eq!(Way::Direct.told().iter().map(|(_, deed, _)| *deed).collect::<Vec<_>>(), DEEDS);
}

#[test]
fn every_single_step_is_needed_once_and_in_its_place() {
    for way in WAYS {
        let told = way.told();
        for at in 0..told.len() {
            let what = format!("{way:?}: {:?}", told[at]);
            let mut without = told.clone();
            without.remove(at);
            assert!(!is_right(way, &without), "{what} is missing");

            let mut twice = told.clone();
            twice.insert(at, told[at].clone());
            assert_eq!(is_right(way, &twice), may_repeat(&told[at]), "{what} is there twice");

            if at > 0 {
                let joined = told[at].0 == told[at - 1].0 && told[at].2 == told[at - 1].2;
                let mut swapped = told.clone();
                swapped.swap(at, at - 1);
                assert_eq!(is_right(way, &swapped), joined, "{what} is before its time");
            }
            for place in [Place::Node(ME), Place::Node(OTHER), Place::Node(SUPERNODE), Place::Behind("P".to_owned())] {
                if told[at].2 != place {
                    let mut wrong = told.clone();
                    wrong[at].2 = place;
                    assert!(!is_right(way, &wrong), "{what} is done by {}", wrong[at].2);
                }
            }
        }
    }
}

#[test]
fn what_is_shown_otherwise_than_it_was_is_noticed() {
    for way in WAYS {
        let (story, right) = views(&way.told(), way != Way::Here);
        for at in 0..right.len() {
            let wrong = |change: &dyn Fn(&mut StepView)| {
                let mut steps = right.clone();
                change(&mut steps[at]);
                assert!(check_story(story, &steps).is_err(), "{way:?}: {:?}", steps[at]);
            };
            wrong(&|step| step.step += 1);
            wrong(&|step| step.story = 5 - step.story);
            wrong(&|step| step.node = OTHER.to_string());
            wrong(&|step| {
                step.manager = if step.manager == StepManager::NM { StepManager::SH } else { StepManager::NM }
            });
        }
    }
}

/// Checks what is said of a story after one change.
#[track_caller]
fn check(way: Way, change: impl FnOnce(&mut Vec<StepView>), expected: &str) {
    let (story, mut steps) = views(&way.told(), way != Way::Here);
    change(&mut steps);
    let said = check_story(story, &steps).map_or_else(|why| why, |()| "ok".to_owned());
    assert_eq!(said.replace(&ME.to_string(), "C").replace(&PROVIDER.to_string(), "P"), expected);
}

#[test]
fn what_is_wrong_is_said_in_a_sentence() {
    check(Way::Direct, |steps| steps.swap(17, 18), "ok");
    check(
        Way::Direct,
        |steps| steps.swap(18, 19),
        "step 18 by NM of the provider P is expected, and there is step 19 (ContractStored) by CM of C",
    );
    check(
        Way::Direct,
        |steps| steps.truncate(32),
        "step 31 by NO of the consumer C is expected, and the story ends there",
    );
    check(
        Way::Direct,
        |steps| steps[3].story = 0,
        "step 4 (PassedToRear) by NO of C is told as part of story 0, not 1",
    );
    check(Way::Direct, Vec::clear, "step 1 is missing: no intent arrived");
    check(
        Way::Direct,
        |steps| steps.iter_mut().for_each(|step| step.node = ME.to_string()),
        "C is consumer and provider at once",
    );
    check(
        Way::Abroad,
        |steps| steps.iter_mut().filter(|step| step.node == "P").for_each(|step| step.node = PROVIDER.to_string()),
        "the provider is told as P, and is to be known by its letter alone",
    );
}

/// Puts steps of others behind a step of a story, and tells whether it is still right.
fn with(way: Way, number: u8, more: &[(Deed, Place)]) -> bool {
    let mut told = way.told();
    let at = told.iter().rposition(|(n, ..)| *n == number).unwrap() + 1;
    told.splice(at..at, more.iter().map(|(deed, place)| (0, *deed, place.clone())));
    is_right(way, &told)
}

#[test]
fn others_that_were_asked_are_passed_over() {
    let other = || Place::Node(OTHER);
    let behind = |letter: &str| Place::Behind(letter.to_owned());
    let node = [(Deed::OffersLookedUp, other()), (Deed::ListAnswered, other())];
    assert!(with(Way::Direct, 9, &node) && with(Way::Direct, 13, &node));
    // A second supernode, that comes to the same by itself.
    let supernode = [
        (Deed::OffersLookedUp, other()),
        (Deed::AdvertisedLookedUp, other()),
        (Deed::PartnersAsked, other()),
        (Deed::OffersLookedUp, behind("SP")),
        (Deed::AdvertisedLookedUp, behind("SP")),
        (Deed::ListAnswered, behind("SP")),
        (Deed::CandidatesPopulated, other()),
        (Deed::ListAnswered, other()),
    ];
    for way in [Way::BySupernode, Way::OfSupernode, Way::ThroughSupernode, Way::Abroad] {
        assert!(with(way, 7, &supernode) && with(way, 10, &supernode), "{way:?}");
    }
    // What else somebody does is not.
    assert!(!with(Way::Direct, 13, &[(Deed::ReserveSent, other())]));
    assert!(!with(Way::Abroad, 22, &[(Deed::ContractDrawn, behind("P"))]));
    assert!(!with(Way::Abroad, 22, &[(Deed::OffersLookedUp, Place::Node(ME))]));
}

#[test]
fn what_is_a_step_of_another_story_alone_keeps_that() {
    let behind = |letter: &str| Place::Behind(letter.to_owned());
    let supernode = || Place::Node(SUPERNODE);
    let partner = [
        (Deed::PartnersAsked, supernode()),
        (Deed::OffersLookedUp, behind("SP")),
        (Deed::AdvertisedLookedUp, behind("SP")),
        (Deed::ListAnswered, behind("SP")),
        (Deed::CandidatesPopulated, supernode()),
    ];
    let catalogue = [
        (Deed::PublishedLookedUp, behind("K")),
        (Deed::ListAnswered, behind("K")),
        (Deed::SignaturesChecked, supernode()),
    ];
    // Partners and catalogues were asked, and what was agreed is at home.
    assert!(with(Way::BySupernode, 9, &[&partner[..4], &catalogue[..], &partner[4..]].concat()));
    // A catalogue was asked beside a partner.
    assert!(with(Way::Abroad, 13, &catalogue) && with(Way::Abroad, 10, &catalogue));
    let mut told = Way::BySupernode.told();
    told.splice(9..9, partner.iter().chain(&catalogue).map(|(deed, place)| (0, *deed, place.clone())));
    let (story, steps) = views(&told, true);
    let numbers: Vec<_> = steps[9..17].iter().map(|step| (step.story, step.step)).collect();
    assert_eq!(numbers, [(3, 10), (3, 11), (3, 12), (3, 13), (3, 14), (4, 11), (4, 12), (4, 13)]);
    assert_eq!((story, steps[17].story, steps[17].step), (2, 2, 10));
}

#[test]
fn what_is_a_step_of_no_story_has_no_number() {
    let told = [
        (0, Deed::WorkloadDeployed, Place::Behind("P".to_owned())),
        (0, Deed::ListSent, Place::Behind("X".to_owned())),
    ];
    let numbers: Vec<_> = views(&told, true).1.iter().map(|step| step.step).collect();
    assert_eq!(numbers, [0, 0]);
}

#[test]
fn a_story_over_a_border_names_nobody_beyond_it() {
    for way in [Way::Abroad, Way::Catalogue] {
        let (_, steps) = views(&way.told(), true);
        let nodes: BTreeSet<_> = steps.into_iter().map(|step| step.node).collect();
        let known = [ME.to_string(), SUPERNODE.to_string(), "P".to_owned(), "SP".to_owned()];
        let mut expected: BTreeSet<_> = known.into();
        if way == Way::Catalogue {
            expected.insert("K".to_owned());
        }
        assert_eq!(nodes, expected);
    }
}

#[test]
fn each_reply_of_the_longest_story_carries_all_of_its_steps() {
    // Whatever is done elsewhere comes in three replies, each ended by a step of the node that was asked.
    for way in [Way::Abroad, Way::Catalogue, Way::ThroughSupernode] {
        let told = way.told();
        let elsewhere = told.split(|(_, _, node)| *node == Place::Node(ME)).map(<[_]>::len).max().unwrap();
        assert!(elsewhere > 7 && elsewhere < rear_proto::story::MAX_STEPS / 4, "{elsewhere}");
        assert!(told.len() * 5 <= MAX_STEPS, "five attempts of {} steps", told.len());
    }
}

fn told_at(deed: Deed, node: Place, at: u64) -> Told {
    Told { replica: 0, round: 0, beyond: true, deed, node, at: Span(at) }
}

fn shown(told: impl IntoIterator<Item = Told>) -> Vec<(Deed, u64)> {
    let mut steps = Steps::default();
    told.into_iter().for_each(|told| steps.tell(&ME, told));
    steps.views(&ME, |_| None).iter().map(|step| (step.deed, step.at_ms)).collect()
}

#[test]
fn steps_stand_in_order_of_time_and_then_as_they_were_told() {
    let (me, other) = (|| Place::Node(ME), || Place::Node(OTHER));
    // The reply comes after what was done here meanwhile, and was done before it.
    let order = shown([
        told_at(Deed::ListSent, me(), 3),
        told_at(Deed::DiscoveryOver, me(), 5),
        told_at(Deed::OffersLookedUp, other(), 4),
        told_at(Deed::ListAnswered, other(), 5),
    ]);
    let deeds: Vec<_> = order.iter().map(|(deed, _)| *deed).collect();
    assert_eq!(deeds, [Deed::ListSent, Deed::OffersLookedUp, Deed::DiscoveryOver, Deed::ListAnswered]);
}

#[test]
fn of_one_reply_no_step_comes_before_the_one_that_it_follows() {
    let (supernode, behind) = (|| Place::Node(SUPERNODE), |letter: &str| Place::Behind(letter.to_owned()));
    let order = shown([
        told_at(Deed::ReserveSent, Place::Node(ME), 10),
        told_at(Deed::ReserveSent, supernode(), 12),
        told_at(Deed::ContractDrawn, behind("P"), 11),
        told_at(Deed::ContractAnswered, behind("P"), 14),
        told_at(Deed::ContractAnswered, supernode(), 13),
        told_at(Deed::ContractStored, Place::Node(ME), 15),
    ]);
    let times: Vec<_> = order.iter().map(|(_, at)| *at).collect();
    assert_eq!(times, [10, 12, 12, 14, 14, 15]);
    assert_eq!((order[2].0, order[4].0), (Deed::ContractDrawn, Deed::ContractAnswered));
    // Two that were asked at once each have their own.
    let order = shown([
        told_at(Deed::OffersLookedUp, Place::Node(OTHER), 4),
        told_at(Deed::ListAnswered, Place::Node(OTHER), 9),
        told_at(Deed::OffersLookedUp, supernode(), 3),
        told_at(Deed::ListAnswered, supernode(), 5),
    ]);
    assert_eq!(order.iter().map(|(_, at)| *at).collect::<Vec<_>>(), [3, 4, 5, 9]);
}

#[test]
fn each_attempt_is_its_own_story_and_the_latest_counts() {
    let mut steps = Steps::default();
    for (round, way) in [(0, Way::Abroad), (1, Way::Direct)] {
        for (_, deed, node) in way.told() {
            steps.tell(&ME, Told { round, ..told_at(deed, node, u64::from(round)) });
        }
    }
    assert_eq!(steps.story(&ME), 1);
    let views = steps.views(&ME, |_| None);
    let [abroad, direct] =
        [3, 1].map(|story| views.iter().filter(|step| step.story == story).cloned().collect::<Vec<_>>());
    assert_eq!((check_story(3, &abroad), check_story(1, &direct)), (Ok(()), Ok(())));
    assert_eq!(abroad.len() + direct.len(), views.len());
    // Of several replicas that which goes the furthest.
    steps.tell(&ME, Told { replica: 1, ..told_at(Deed::ReserveSent, Place::Node(SUPERNODE), 9) });
    assert_eq!(steps.story(&ME), 2);
}

#[test]
fn what_is_told_is_bounded() {
    let mut steps = Steps::default();
    for at in 0..1000 {
        steps.tell(&ME, told_at(Deed::ListSent, Place::Behind("\u{1b}[2J".repeat(99)), at));
    }
    assert_eq!(steps.told().len(), MAX_STEPS);
    let views = steps.views(&ME, |_| None);
    assert!(views.iter().all(|step| step.node.len() <= MAX_LETTER && !step.node.contains('\u{1b}')));
    steps.forget_before(0, 1);
    assert!(steps.told().is_empty());
}
