//! The consumer's end of a peering, at its boundary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use kernel::{Digest, NodeId, Span, Ticket};
use rear_proto::{
    Code,
    fabric::{FabricAnswer, FabricRequest},
    workload::Status,
};
use vfabric::{Config, Input, PeeringState};

fn up() -> Input {
    Input::PeerUp { node: PEER }
}

/// A consumer whose web server runs at the far end, as of the provider's stamp 1.5.
fn running() -> Story {
    let mut story = Story::consumer();
    story.on(deploy(THERE), &["send Deploy web"]).answered_stamped(
        "Deploy",
        FabricAnswer::Deployed(Status::Running),
        stamped(1, 5),
        &["status 7 Running", "expose 7 http 80 of web there"],
    );
    story
}

fn pushed(status: Status) -> FabricRequest {
    FabricRequest::Status { workload: "web".to_owned(), status }
}

#[test]
fn a_peering_is_opened_by_one_request_and_told_once() {
    let mut story = Story::consumer();
    story.on(peer(), &["peered in Own(1)"]).quiet_for(Span::secs(3600));
    let peering = story.manager.peerings().next().unwrap();
    assert_eq!((peering.peer, peering.state), (PEER, PeeringState::Open));
}

#[test]
fn a_lost_request_is_repeated_without_another_deed() {
    let mut story = Story::new();
    story.given(peer());
    story.unanswered("ResourceRequest", &[]);
    assert_eq!(story.waits(), ["send ResourceRequest told in Own(1)"]);
    story.answered("ResourceRequest", offer(), &["did ConsumerTold in Own(1)", "peered in Own(1)"]);
}

#[test]
fn a_peering_that_does_not_open_in_time_is_given_up_and_can_be_asked_for_anew() {
    let mut story = Story::new();
    story.given(peer());
    let mut requests = 1;
    let end = loop {
        let id = story.number("ResourceRequest");
        let said = story.given(Input::Answered { id, reply: Err(Code::Unavailable.into()) });
        if !said.is_empty() {
            break said;
        }
        let said = story.waits();
        assert_eq!(said, ["send ResourceRequest told in Own(1)"]);
        requests += 1;
    };
    assert_eq!(end, ["unpeered Unavailable"]);
    assert!(requests > 1, "it was to be tried a few times");
    story.on(peer(), &["did ResourceRequestSent in Own(1)", "send ResourceRequest told in Own(1)"]);
}

#[test]
fn silence_of_whoever_should_report_an_answer_counts_as_no_answer() {
    let mut story = Story::new();
    story.given(peer());
    let said = story.pass(Span::secs(60));
    assert_eq!(said.last().map(String::as_str), Some("unpeered Timeout"), "{said:?}");
}

#[test]
fn a_replica_runs_and_its_port_is_exposed_once() {
    let mut story = running();
    story
        .on(deploy(THERE), &["status 7 Running"])
        .hears(pushed(Status::Starting), &["status 7 Starting", "reply 1 done"])
        .hears(pushed(Status::Running), &["status 7 Running", "reply 2 done"])
        .on(
            Input::Exposed { request: WEB, port: "http".into(), url: "http://127.0.0.1:1/".into() },
            &["exposed 7 http http://127.0.0.1:1/"],
        )
        .quiet_for(Span::secs(3600));
}

#[test]
fn a_missing_component_is_shipped_and_the_deploy_said_again() {
    Story::consumer()
        .on(deploy(THERE), &["send Deploy web"])
        .answered("Deploy", FabricAnswer::Missing(DIGEST), &["ship 0505"])
        .answered("Ship", FabricAnswer::Done, &["send Deploy web"])
        .answered("Deploy", FabricAnswer::Deployed(Status::Starting), &["status 7 Starting"]);
}

#[test]
fn a_provider_gets_no_other_component_and_none_for_ever() {
    Story::consumer().on(deploy(THERE), &["send Deploy web"]).answered(
        "Deploy",
        FabricAnswer::Missing(Digest([9; 32])),
        &["status 7 Failed: the provider asks for another component"],
    );
    let mut story = Story::consumer();
    story.given(deploy(THERE));
    for _ in 0..3 {
        story.answered("Deploy", FabricAnswer::Missing(DIGEST), &["ship 0505"]);
        story.answered("Ship", FabricAnswer::Done, &["send Deploy web"]);
    }
    story.answered(
        "Deploy",
        FabricAnswer::Missing(DIGEST),
        &["status 7 Failed: the provider asks for the component again and again"],
    );
}

#[test]
fn a_component_that_is_not_here_or_not_wanted_fails_the_replica() {
    for (code, text) in [(Code::NotFound, "NotFound"), (Code::TooLarge, "TooLarge")] {
        let mut story = Story::consumer();
        story.given(deploy(THERE));
        story.answered("Deploy", FabricAnswer::Missing(DIGEST), &["ship 0505"]);
        let expected = format!("status 7 Failed: the component could not be sent to the provider: {text}: no");
        story.refused("Ship", code, &[&expected]);
    }
}

#[test]
fn a_lost_deploy_is_said_again_for_as_long_as_the_contract_lives() {
    let mut story = Story::consumer();
    story.given(deploy(THERE));
    for _ in 0..20 {
        story.unanswered("Deploy", &[]);
        assert_eq!(story.waits(), ["send Deploy web"]);
    }
    story.on(closed(), &[]).quiet_for(Span::secs(3600));
}

#[test]
fn a_refusal_that_passes_is_waited_out_and_one_that_stays_fails_the_replica() {
    let mut story = Story::consumer();
    story.given(deploy(THERE));
    story.refused("Deploy", Code::Overloaded, &[]);
    assert_eq!(story.waits(), ["send Deploy web"]);
    story
        .refused("Deploy", Code::TooLarge, &["status 7 Failed: TooLarge: no"])
        .quiet_for(Span::secs(3600))
        .on(deploy(THERE), &["send Deploy web"]);
}

#[test]
fn of_two_words_that_cross_the_later_said_counts() {
    running()
        .hears_stamped(pushed(failed("old")), stamped(1, 4), &["reply 1 done"])
        .hears_stamped(pushed(failed("same")), stamped(1, 5), &["reply 2 done"])
        .hears_stamped(pushed(Status::Succeeded), stamped(1, 6), &["status 7 Succeeded", "reply 3 done"])
        .hears_stamped(pushed(Status::Starting), stamped(2, 1), &["status 7 Starting", "reply 4 done"])
        .hears_stamped(pushed(failed("of its life before")), stamped(1, 999), &["reply 5 done"]);
}

#[test]
fn a_provider_that_is_seen_again_gets_everything_again() {
    let mut story = running();
    story
        .on(Input::PeerUp { node: NodeId([9; 32]) }, &[])
        .on(up(), &["send ResourceRequest"])
        .on(up(), &[])
        .answered("ResourceRequest", offer(), &["send Deploy web"])
        .answered_stamped("Deploy", FabricAnswer::Deployed(Status::Starting), stamped(2, 1), &["status 7 Starting"])
        .hears_stamped(pushed(Status::Running), stamped(2, 2), &["status 7 Running", "reply 1 done"]);
}

#[test]
fn a_provider_that_says_it_knows_nothing_is_asked_again_and_given_up_at_last() {
    let mut story = Story::consumer();
    story.given(deploy(THERE));
    story.refused("Deploy", Code::Closed, &[]);
    assert_eq!(story.waits(), ["send ResourceRequest"]);
    story.answered("ResourceRequest", offer(), &["send Deploy web"]).refused("Deploy", Code::Closed, &[]);
    for _ in 0..2 {
        assert_eq!(story.waits(), ["send ResourceRequest"]);
        story.refused("ResourceRequest", Code::NotFound, &[]);
    }
    assert_eq!(story.waits(), ["send ResourceRequest"]);
    story
        .refused("ResourceRequest", Code::NotFound, &["unpeered NotFound"])
        .quiet_for(Span::secs(3600))
        .on(closed(), &[]);
}

#[test]
fn silence_of_a_provider_that_was_there_never_ends_a_peering() {
    let mut story = running();
    story.given(up());
    for _ in 0..50 {
        story.unanswered("ResourceRequest", &[]);
        assert_eq!(story.waits(), ["send ResourceRequest"]);
    }
}

#[test]
fn undeploying_closes_the_port_at_once_and_ends_when_the_provider_says_so() {
    let mut story = running();
    story
        .on(undeploy(THERE), &["unexpose 7", "send Undeploy web"])
        .on(undeploy(THERE), &[])
        .hears(pushed(Status::Stopped), &["reply 1 NotFound: no such workload is deployed under this contract"])
        .answered("Undeploy", FabricAnswer::Done, &["undeployed 7"])
        .on(undeploy(THERE), &["send Undeploy web"]);
}

#[test]
fn a_lost_undeploy_is_said_again_at_once_and_not_only_when_it_has_taken_too_long() {
    let mut story = running();
    story.given(undeploy(THERE));
    let began = story.now;
    for n in 0..3 {
        // Nothing came back, the far end is busy, or nobody has said what became of the question.
        match n {
            0 => drop(story.unanswered("Undeploy", &[])),
            1 => drop(story.refused("Undeploy", Code::Overloaded, &[])),
            _ => {}
        }
        assert_eq!(story.waits(), ["send Undeploy web"]);
    }
    assert!(story.now.since(began) < Span::secs(15), "{:?}", story.now.since(began));
    story.answered("Undeploy", FabricAnswer::Done, &["undeployed 7"]).quiet_for(Span::secs(3600));
}

#[test]
fn a_chain_that_is_broken_for_a_moment_loses_nothing() {
    let mut story = running();
    let next = Input::Deploy { request: kernel::RequestId(8), on: THERE, workload: Box::new(workload("api")) };
    story.on(next, &["send Deploy api"]);
    // A relay is away: whatever it says for itself is no word of the provider.
    for code in [Code::Unavailable, Code::Timeout, Code::Closed, Code::NotFound, Code::Overloaded] {
        let id = story.number("Deploy");
        story.on(Input::Answered { id, reply: Err(code.into()) }, &[]);
        assert_eq!(story.waits(), ["send Deploy api"], "{code}");
    }
    story.answered(
        "Deploy",
        FabricAnswer::Deployed(Status::Running),
        &["status 8 Running", "expose 8 http 80 of api there"],
    );
    assert_eq!(story.manager.peerings().next().unwrap().state, PeeringState::Open);
}

#[test]
fn a_component_that_does_not_arrive_is_sent_until_it_does() {
    let mut story = Story::consumer();
    story.given(deploy(THERE));
    for n in 0..10 {
        story.answered("Deploy", FabricAnswer::Missing(DIGEST), &["ship 0505"]);
        if n % 2 == 0 {
            story.unanswered("Ship", &[]);
        } else {
            // Nobody has said what became of it.
            story.quiet_for(Span::secs(301));
        }
        assert_eq!(story.waits(), ["send Deploy web"]);
    }
    story
        .answered("Deploy", FabricAnswer::Missing(DIGEST), &["ship 0505"])
        .answered("Ship", FabricAnswer::Done, &["send Deploy web"])
        .answered("Deploy", FabricAnswer::Deployed(Status::Starting), &["status 7 Starting"]);
}

#[test]
fn the_neighbour_coming_back_retries_a_peering_that_is_not_open() {
    let mut story = Story::new();
    story.given(peer());
    story.unanswered("ResourceRequest", &[]);
    story.on(up(), &["send ResourceRequest told in Own(1)"]).on(up(), &[]);
    story.answered("ResourceRequest", offer(), &["did ConsumerTold in Own(1)", "peered in Own(1)"]);

    let mut story = running();
    story.given(up());
    story.unanswered("ResourceRequest", &[]).on(up(), &["send ResourceRequest"]);
    story.answered("ResourceRequest", offer(), &["send Deploy web"]);
}

/// A running consumer whose provider is asked now and then, as of the provider's first life.
fn checking() -> Story {
    let mut story = Story::with(Config::default());
    story.given(peer());
    story.answered_stamped(
        "ResourceRequest",
        offer(),
        stamped(1, 4),
        &["did ConsumerTold in Own(1)", "peered in Own(1)"],
    );
    story.on(deploy(THERE), &["send Deploy web"]).answered_stamped(
        "Deploy",
        FabricAnswer::Deployed(Status::Running),
        stamped(1, 5),
        &["status 7 Running", "expose 7 http 80 of web there"],
    );
    assert_eq!(story.waits(), ["send ResourceRequest"]);
    story
}

#[test]
fn a_far_end_that_has_restarted_unseen_gets_everything_again() {
    let mut story = checking();
    // The same life: nothing is to be said.
    story.answered_stamped("ResourceRequest", offer(), stamped(1, 6), &[]);
    assert_eq!(story.pass(Span::secs(20)), ["send ResourceRequest"]);
    story.answered_stamped("ResourceRequest", offer(), stamped(2, 1), &["send Deploy web"]).answered_stamped(
        "Deploy",
        FabricAnswer::Deployed(Status::Starting),
        stamped(2, 2),
        &["status 7 Starting"],
    );
    // It may say of itself that it knows nothing.
    assert_eq!(story.waits(), ["send ResourceRequest"]);
    story.refused("ResourceRequest", Code::NotFound, &[]);
    assert_eq!(story.manager.peerings().next().unwrap().state, PeeringState::Reopening);
    assert_eq!(story.waits(), ["send ResourceRequest"]);
    story.answered_stamped("ResourceRequest", offer(), stamped(3, 1), &["send Deploy web"]);
}

#[test]
fn a_far_end_that_says_that_it_has_restarted_gets_everything_again_at_once() {
    let mut story = checking();
    story.answered_stamped("ResourceRequest", offer(), stamped(1, 6), &[]);
    let back = |story: &mut Story, life, expected: &[&str]| {
        story.hears_stamped(FabricRequest::Returned, stamped(life, 1), expected);
    };
    // It was in this life that it made its offer.
    back(&mut story, 1, &["reply 1 done"]);
    back(&mut story, 2, &["reply 2 done", "send ResourceRequest"]);
    // Whatever was asked of its last life is asked again, at once.
    story.quiet_for(Span::millis(250));
    back(&mut story, 2, &["reply 3 done", "send ResourceRequest"]);
    story.answered_stamped("ResourceRequest", offer(), stamped(2, 2), &["send Deploy web"]);
    back(&mut story, 2, &["reply 4 done"]);
    // What is to be stopped is said again too.
    story.on(undeploy(THERE), &["unexpose 7", "send Undeploy web"]).quiet_for(Span::millis(250));
    back(&mut story, 3, &["reply 5 done", "send ResourceRequest", "send Undeploy web"]);
    story.on(closed(), &["undeployed 7"]);
    let text = format!("reply 6 Closed: contract {CONTRACT} has no peering here");
    back(&mut story, 3, &[&text]);
}

#[test]
fn a_far_end_that_returns_while_the_peering_opens_is_asked_again_at_once() {
    let mut story = Story::new();
    story.given(peer());
    story.hears_stamped(
        FabricRequest::Returned,
        stamped(2, 1),
        &["reply 1 done", "send ResourceRequest told in Own(1)"],
    );
}

#[test]
fn a_far_end_that_says_ever_again_that_it_has_restarted_is_not_asked_as_often() {
    let mut story = checking();
    story.answered_stamped("ResourceRequest", offer(), stamped(1, 6), &[]);
    let mut asked = 0;
    for life in 2..1_002 {
        let input = story.heard(FabricRequest::Returned, stamped(life, 1));
        if story.given(input).iter().any(|word| word == "send ResourceRequest") {
            asked += 1;
            story.answered_stamped("ResourceRequest", offer(), stamped(life, 2), &["send Deploy web"]);
        }
        story.pass(Span::millis(1));
    }
    assert_eq!(asked, 4, "within a second");
}

#[test]
fn a_far_end_that_says_ever_again_that_it_has_restarted_does_not_keep_a_peering_from_failing() {
    let mut story = Story::new();
    story.given(peer());
    let fails = (0..60).position(|_| {
        let input = story.heard(FabricRequest::Returned, stamped(2, 1));
        let mut said = story.given(input);
        said.extend(story.pass(Span::millis(500)));
        said.iter().any(|word| word.starts_with("unpeered"))
    });
    assert_eq!(fails, Some(20), "after the 10 s that it may take to open");
}

#[test]
fn a_check_that_comes_to_nothing_changes_nothing_and_is_repeated() {
    let mut story = checking();
    for n in 0..20 {
        if n % 2 == 0 {
            story.unanswered("ResourceRequest", &[]);
        }
        assert_eq!(story.waits(), ["send ResourceRequest"]);
        assert_eq!(story.manager.peerings().next().unwrap().state, PeeringState::Open);
    }
    // Meanwhile, things go on.
    story.on(undeploy(THERE), &["unexpose 7", "send Undeploy web"]);
    story.answered("Undeploy", FabricAnswer::Done, &["undeployed 7"]).on(closed(), &[]).quiet_for(Span::secs(3600));
}

#[test]
fn undeploying_ends_without_an_answer_too_and_is_said_until_the_contract_ends() {
    let mut story = running();
    story.given(undeploy(THERE));
    let began = story.now;
    while story.waits() != ["undeployed 7", "send Undeploy web"] {}
    assert_eq!(story.now.since(began), Span::secs(15));
    for _ in 0..5 {
        story.unanswered("Undeploy", &[]);
        assert_eq!(story.waits(), ["send Undeploy web"]);
    }
    story.on(closed(), &[]).quiet_for(Span::secs(3600));
}

#[test]
fn room_that_is_being_made_is_waited_for() {
    let mut story = running();
    story.given(undeploy(THERE));
    let next = Input::Deploy { request: kernel::RequestId(8), on: THERE, workload: Box::new(workload("api")) };
    story.on(next, &["send Deploy api"]).refused("Deploy", Code::TooLarge, &[]);
    assert_eq!(story.waits(), ["send Deploy api"]);
    story.answered("Undeploy", FabricAnswer::Done, &["undeployed 7"]).refused("Deploy", Code::TooLarge, &[]);
    assert_eq!(story.waits(), ["send Deploy api"]);
    story.refused("Deploy", Code::TooLarge, &["status 8 Failed: TooLarge: no"]);
}

#[test]
fn a_provider_without_the_peering_runs_nothing_of_it() {
    let mut story = running();
    story.on(undeploy(THERE), &["unexpose 7", "send Undeploy web"]).refused(
        "Undeploy",
        Code::Closed,
        &["undeployed 7"],
    );
    // But a Deploy that is still on its way could start it there, once the peering is open again.
    assert_eq!(story.manager.peerings().next().unwrap().state, PeeringState::Reopening);
    let mut said = story.waits();
    said.extend(story.waits());
    said.sort();
    assert_eq!(said, ["send ResourceRequest", "send Undeploy web"]);
    story.answered("ResourceRequest", offer(), &[]).answered("Undeploy", FabricAnswer::Done, &[]);
    story.quiet_for(Span::secs(3600));
}

#[test]
fn the_end_of_a_contract_forgets_all_and_answers_who_waits() {
    let mut story = running();
    story.on(closed(), &["unexpose 7"]).on(undeploy(THERE), &["undeployed 7"]).on(up(), &[]);
    let mut story = running();
    story.given(undeploy(THERE));
    story.on(closed(), &["undeployed 7"]).quiet_for(Span::secs(3600));
    assert_eq!(story.manager.peerings().count(), 0);
}

#[test]
fn a_virtual_node_is_clear_at_once() {
    running().on(clear(), &["gone"]);
}

#[test]
fn a_replica_may_be_wanted_a_moment_before_its_peering_but_not_without_one() {
    let mut story = Story::new();
    story.on(deploy(THERE), &[]);
    story.given(peer());
    story.answered("ResourceRequest", offer(), &["did ConsumerTold in Own(1)", "peered in Own(1)", "send Deploy web"]);
    let mut story = Story::new();
    story.on(deploy(THERE), &[]);
    let said = story.pass(Span::secs(60));
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("has no peering on this node"), "{said:?}");
}

#[test]
fn logs_are_asked_for_where_the_replica_runs() {
    let mut story = running();
    let logs = |ticket| Input::Logs { ticket: Ticket(ticket), request: WEB, from: 3, wait: Span::secs(5) };
    story
        .on(logs(1), &["send Logs web from 3"])
        .answered("Logs", FabricAnswer::Logs { lines: vec![line(3)], next: 4 }, &["respond 1 1 lines, next 4"])
        .on(logs(2), &["send Logs web from 3"])
        .refused("Logs", Code::Overloaded, &["respond 2 Overloaded"])
        .on(logs(3), &["send Logs web from 3"]);
    assert_eq!(story.pass(Span::secs(60)), ["respond 3 Timeout"]);
    Story::new().on(logs(4), &["respond 4 NotFound"]);
}

#[test]
fn what_only_a_provider_does_is_refused() {
    let mut story = running();
    let closed = |ticket| {
        format!("reply {ticket} Closed: the peering of contract {CONTRACT} is not open here: say ResourceRequest first")
    };
    story
        .hears(FabricRequest::Deploy(workload("evil")), &[&closed(1)])
        .hears(FabricRequest::Undeploy { workload: "web".into() }, &[&closed(2)])
        .hears(FabricRequest::Logs { workload: "web".into(), from: 0, wait: Span::ZERO }, &[&closed(3)])
        .hears(FabricRequest::Close, &["unpeered Closed", "reply 4 done"]);
}

#[test]
fn answers_to_what_nobody_asked_change_nothing() {
    let mut story = running();
    let id = story.number("Deploy");
    for id in [id, 999] {
        story.on(Input::Answered { id, reply: Err(Code::Timeout.into()) }, &[]);
    }
    story.quiet_for(Span::secs(3600));
}
