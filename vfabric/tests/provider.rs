//! The provider's end of a peering, at its boundary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use kernel::{Manager as _, NodeId, Rng, Span, Ticket, Time};
use rear_proto::{
    Code, Extensions, Refusal, Trace,
    fabric::{FabricAnswer, FabricAsk, FabricReply, FabricRequest},
    local::SignedContract,
    workload::{Image, Port, Status, Workload},
};
use vfabric::{Config, Effect, Input, Manager, PeeringState};

fn request() -> FabricRequest {
    FabricRequest::ResourceRequest { contract: CONTRACT }
}

fn leave(name: &str) -> FabricRequest {
    FabricRequest::Undeploy { workload: name.to_owned() }
}

fn activated() -> Input {
    Input::Activated { allocation: ALLOCATION, trace: Trace::None }
}

#[test]
fn a_stranger_without_a_contract_is_refused() {
    for found in [None, Some(SignedContract { customer: NodeId([9; 32]), ..signed() })] {
        let mut story = Story::new();
        story.hears(request(), &["look up in Served(1)"]);
        let looked_up = story.looked_up(found);
        let said = story.given(looked_up);
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("reply 1 NotFound"), "{said:?}");
        assert_eq!(story.manager.peerings().count(), 0);
    }
}

#[test]
fn repeats_of_a_request_open_one_peering_and_all_get_the_offer() {
    let mut story = Story::new();
    story.hears(request(), &["look up in Served(1)"]);
    let first = story.looked_up(Some(signed()));
    story.hears(request(), &["look up in Served(2)"]);
    let second = story.looked_up(Some(signed()));
    story
        .on(second, &["did ProviderTold in Served(2)", "peered in Served(2)"])
        .on(first, &[])
        .on(
            activated(),
            &[
                "did ResourceOfferSent in Served(2)",
                "reply 2 offer of cpu 2, memory 128Mi",
                "did ResourceOfferSent in Served(1)",
                "reply 1 offer of cpu 2, memory 128Mi",
            ],
        )
        .on(activated(), &[])
        .hears(request(), &["look up in Served(3)"]);
    let again = story.looked_up(Some(signed()));
    story.on(again, &["did ResourceOfferSent in Served(3)", "reply 3 offer of cpu 2, memory 128Mi"]);
}

#[test]
fn whoever_asks_without_end_takes_no_room() {
    let mut story = Story::new();
    for n in 1..=9 {
        let heard = story.heard(request(), Extensions::new());
        story.given(heard);
        let found = story.looked_up(Some(signed()));
        let said = story.given(found);
        let turned = said.iter().any(|word| word.contains("Overloaded"));
        assert_eq!(turned, n > 4, "{said:?}");
    }
}

#[test]
fn nothing_is_done_before_the_peering_is_open() {
    let mut story = Story::new();
    let closed = |ticket| {
        format!("reply {ticket} Closed: the peering of contract {CONTRACT} is not open here: say ResourceRequest first")
    };
    story.hears(FabricRequest::Deploy(workload("web")), &[&closed(1)]).hears(request(), &["look up in Served(2)"]);
    let found = story.looked_up(Some(signed()));
    story.given(found);
    story.hears(FabricRequest::Deploy(workload("web")), &[&closed(3)]);
}

#[test]
fn the_first_word_of_the_runtime_answers_a_deploy_and_changes_are_told() {
    let mut story = Story::hosting();
    story
        .hears(FabricRequest::Deploy(workload("web")), &["reply 3 deployed Running"])
        .on(status("web", Status::Running), &[])
        .on(status("web", failed("a trap")), &["send Status web Failed: a trap"])
        .answered("Status", FabricAnswer::Done, &[])
        .quiet_for(Span::secs(3600));
}

#[test]
fn an_answer_that_may_be_lost_is_told_again_later() {
    let mut story = Story::hosting();
    assert_eq!(story.waits(), ["send Status web Running"]);
    story.answered("Status", FabricAnswer::Done, &[]).quiet_for(Span::secs(3600));
}

#[test]
fn what_a_customer_has_not_noted_is_said_until_it_has_or_the_contract_ends() {
    let mut story = Story::hosting();
    story.given(status("web", failed("a trap")));
    for _ in 0..20 {
        story.unanswered("Status", &[]);
        assert_eq!(story.waits(), ["send Status web Failed: a trap"]);
    }
    story.on(status("web", Status::Running), &["send Status web Running"]);
    let stale = story.number("Status");
    story.on(status("web", Status::Succeeded), &["send Status web Succeeded"]);
    story.on(Input::Answered { id: stale, reply: Err(Code::Timeout.into()) }, &[]);
    story.unanswered("Status", &[]).on(Input::PeerUp { node: PEER }, &["send Status web Succeeded"]);
    story.unanswered("Status", &[]).on(closed(), &["stop web in 10s"]).on(gone("web"), &["gone"]);
    story.quiet_for(Span::secs(3600));
}

#[test]
fn a_word_that_is_lost_on_the_way_is_said_again_whatever_is_heard_of_it() {
    let mut story = Story::hosting();
    story.given(status("web", failed("a trap")));
    for n in 0..8 {
        let id = story.number("Status");
        match n % 4 {
            0 => drop(story.on(Input::Answered { id, reply: Err(Code::Unavailable.into()) }, &[])),
            1 => drop(story.refused("Status", Code::Overloaded, &[])),
            // The way is no party of the contract, and its word not the customer's.
            2 => drop(story.on(Input::Answered { id, reply: Err(Code::Closed.into()) }, &[])),
            // Nobody has said what became of it.
            _ => {}
        }
        assert_eq!(story.waits(), ["send Status web Failed: a trap"], "{n}");
    }
    story.answered("Status", FabricAnswer::Done, &[]).quiet_for(Span::secs(3600));
}

#[test]
fn what_runs_for_another_domain_is_started_so_and_so_again_after_a_restart() {
    for abroad in [true, false] {
        let started = format!("start web within cpu 2, memory 128Mi{}", if abroad { " abroad" } else { "" });
        // The second is another life, which is told by Contract alone.
        for _ in 0..2 {
            let mut story = Story::new();
            story.hears(request(), &["look up in Served(1)"]);
            let found = story.looked_up(Some(SignedContract { abroad, ..signed() }));
            story.given(found);
            story.given(activated());
            story
                .hears(FabricRequest::Deploy(workload("web")), &[&started])
                .hears(leave("web"), &["stop web in 10s"])
                .on(gone("web"), &["reply 2 Closed: workload 'web' was stopped before it started", "reply 3 done"])
                .hears(FabricRequest::Deploy(workload("web")), &[&started]);
        }
    }
}

#[test]
fn an_offer_tells_one_life_from_another() {
    let offered = |starts: u32| {
        let mut manager = Manager::new(config(), ME, Rng::from_number(1));
        let mut out = Vec::new();
        manager.start(Time(0), starts, &mut out);
        let ask = FabricAsk { request: request(), tell: false, extensions: Extensions::new() };
        let (ticket, trace) = (Ticket(1), Trace::None);
        let mut hand = |input| {
            out.clear();
            manager.handle(Time(1), input, &mut out);
            out.clone()
        };
        hand(Input::Heard { ticket, contract: CONTRACT, peer: PEER, ask: Box::new(ask), trace });
        hand(Input::LookedUp { inquiry: 1, found: Some(signed()), trace });
        match &hand(activated())[..] {
            [.., Effect::Reply { reply, .. }] => reply.extensions.clone(),
            other => panic!("{other:?}"),
        }
    };
    let starts = |extensions: Extensions| extensions[&1][..4].to_vec();
    assert_eq!(starts(offered(3)), 3u32.to_le_bytes());
    assert_ne!(starts(offered(3)), starts(offered(4)));
}

#[test]
fn a_customer_that_has_forgotten_is_not_told_for_ever() {
    for code in [Code::NotFound, Code::Closed] {
        let mut story = Story::hosting();
        story.given(status("web", failed("a trap")));
        story.refused("Status", code, &[]).quiet_for(Span::secs(3600));
    }
}

#[test]
fn a_missing_component_is_asked_for_by_the_answer() {
    let mut story = Story::provider();
    let missing = || Input::InstanceMissing { instance: instance("web"), digest: DIGEST };
    story
        .hears(FabricRequest::Deploy(workload("web")), &["start web within cpu 2, memory 128Mi"])
        .hears(FabricRequest::Deploy(workload("web")), &[])
        .on(missing(), &["reply 2 missing", "reply 3 missing"])
        .on(missing(), &[])
        .hears(FabricRequest::Deploy(workload("web")), &["start web within cpu 2, memory 128Mi"])
        .on(status("web", Status::Starting), &["reply 4 deployed Starting"])
        .on(status("web", Status::Running), &["send Status web Running"]);
}

#[test]
fn a_partition_is_never_exceeded() {
    let mut story = Story::hosting();
    let mut big = workload("big");
    big.resources = resources(2);
    let mut hungry = workload("hungry");
    hungry.resources.memory = resources(2).memory;
    story
        .hears(
            FabricRequest::Deploy(big.clone()),
            &["reply 3 TooLarge: workload 'big' does not fit: cpu: 2 wanted, 1 available"],
        )
        .hears(
            FabricRequest::Deploy(hungry),
            &["reply 4 TooLarge: workload 'hungry' does not fit: memory: 128Mi wanted, 64Mi available"],
        )
        .hears(FabricRequest::Deploy(workload("api")), &["start api within cpu 2, memory 128Mi"])
        .hears(
            FabricRequest::Deploy(workload("third")),
            &["reply 6 TooLarge: workload 'third' does not fit: cpu: 1 wanted, 0 available"],
        )
        .hears(leave("web"), &["stop web in 10s"])
        // What is being stopped still takes its part.
        .hears(
            FabricRequest::Deploy(workload("third")),
            &["reply 8 TooLarge: workload 'third' does not fit: cpu: 1 wanted, 0 available"],
        )
        .on(gone("web"), &["reply 7 done"])
        .hears(FabricRequest::Deploy(workload("third")), &["start third within cpu 2, memory 128Mi"]);
}

#[test]
fn a_workload_that_names_no_memory_takes_all_of_it() {
    let unlimited = |name: &str| {
        let mut workload = workload(name);
        workload.resources.memory = kernel::Quantity::ZERO;
        FabricRequest::Deploy(workload)
    };
    Story::provider()
        .hears(unlimited("web"), &["start web within cpu 2, memory 128Mi"])
        .hears(unlimited("api"), &["reply 3 TooLarge: workload 'api' does not fit: memory: 128Mi wanted, 0 available"]);
    Story::hosting().hears(
        unlimited("api"),
        &["reply 3 TooLarge: workload 'api' does not fit: memory: 128Mi wanted, 64Mi available"],
    );
}

#[test]
fn there_are_no_more_workloads_than_pods_or_than_the_limit() {
    let tiny = |name: &str| {
        let mut workload = workload(name);
        workload.resources.cpu = kernel::Quantity::millis(1);
        workload.resources.memory = kernel::Quantity::bytes(1);
        FabricRequest::Deploy(workload)
    };
    let refused = |ticket, most| {
        format!("reply {ticket} TooLarge: workload 'c' does not fit: pods: {most} are there, and no more may be")
    };
    let mut story = Story::provider_with(Config { workloads_per_contract: 2, ..Config::default() });
    let started = |name| format!("start {name} within cpu 2, memory 128Mi");
    story.hears(tiny("a"), &[&started("a")]).hears(tiny("b"), &[&started("b")]).hears(tiny("c"), &[&refused(4, 2)]);
}

#[test]
fn what_can_not_be_run_is_refused_with_a_reason() {
    let with = |change: &dyn Fn(&mut Workload)| {
        let mut workload = workload("web");
        change(&mut workload);
        workload
    };
    for (workload, expected) in [
        (with(&|it| it.image = Image::Oci("nginx".into())), "Unavailable: node"),
        (with(&|it| it.name = "../etc".into()), "Malformed: '../etc' is no name"),
        (with(&|it| it.name = String::new()), "Malformed: '' is no name"),
        (with(&|it| it.name = "x".repeat(999)), "Malformed: 'xxx"),
        (with(&|it| it.ports = vec![Port { name: "http".into(), port: 0 }]), "Malformed: port 1"),
        (with(&|it| it.ports = vec![it.ports[0].clone(); 2]), "Malformed: port 2"),
        (with(&|it| it.ports = vec![it.ports[0].clone(); 99]), "TooLarge: workload 'web' has 99 ports"),
        (with(&|it| it.args = vec!["x".repeat(70_000)]), "TooLarge: arguments"),
        (with(&|it| it.args = vec!["a\0b".into()]), "Malformed: workload 'web' has an argument"),
        (with(&|it| drop(it.env.insert("A=B".into(), String::new()))), "Malformed: workload 'web' has an argument"),
    ] {
        let mut story = Story::provider();
        let heard = story.heard(FabricRequest::Deploy(workload), Extensions::new());
        let said = story.given(heard);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with(&format!("reply 2 {expected}")), "{said:?}");
    }
}

#[test]
fn a_name_stands_for_one_content() {
    let mut story = Story::hosting();
    let mut other = workload("web");
    other.env.insert("GREETING".into(), "hello".into());
    story
        .hears(
            FabricRequest::Deploy(other.clone()),
            &["reply 3 KeyReused: a workload 'web' with other content runs under this contract"],
        )
        .hears(leave("web"), &["stop web in 10s"])
        .hears(FabricRequest::Deploy(other.clone()), &["reply 5 Unavailable: workload 'web' is being stopped"])
        .on(gone("web"), &["reply 4 done"])
        .hears(FabricRequest::Deploy(other), &["start web within cpu 2, memory 128Mi"]);
}

#[test]
fn undeploying_is_answered_when_all_is_gone_whoever_asks_and_however_often() {
    let mut story = Story::hosting();
    story
        .hears(leave("web"), &["stop web in 10s"])
        .hears(leave("web"), &[])
        .on(status("web", Status::Stopped), &[])
        .on(gone("web"), &["reply 3 done", "reply 4 done"])
        .on(gone("web"), &[])
        .hears(leave("web"), &["reply 5 done"])
        .hears(leave("never"), &["reply 6 done"])
        .quiet_for(Span::secs(3600));
}

#[test]
fn what_is_being_stopped_is_not_reported_as_starting() {
    Story::provider()
        .hears(FabricRequest::Deploy(workload("web")), &["start web within cpu 2, memory 128Mi"])
        .hears(leave("web"), &["stop web in 10s"])
        .on(status("web", Status::Starting), &[])
        .on(gone("web"), &["reply 2 Closed: workload 'web' was stopped before it started", "reply 3 done"]);
}

#[test]
fn a_deploy_that_comes_after_its_undeploy_starts_nothing() {
    let deploy = || FabricRequest::Deploy(workload("web"));
    let mut story = Story::provider();
    story
        .hears_stamped(leave("web"), stamped(1, 2), &["reply 2 done"])
        .hears_stamped(deploy(), stamped(1, 1), &["reply 3 Closed: workload 'web' was undeployed since that was said"])
        .hears_stamped(deploy(), stamped(1, 3), &["start web within cpu 2, memory 128Mi"])
        // And an Undeploy that comes after a later Deploy stops nothing.
        .hears_stamped(leave("web"), stamped(1, 2), &["reply 5 done"])
        .hears_stamped(leave("web"), stamped(2, 1), &["stop web in 10s"]);
}

#[test]
fn a_closed_contract_is_gone_when_its_last_workload_is() {
    let mut story = Story::hosting();
    story
        .hears(FabricRequest::Deploy(workload("api")), &["start api within cpu 2, memory 128Mi"])
        .on(closed(), &["stop api in 10s", "stop web in 10s"])
        .on(clear(), &[])
        .on(closed(), &[])
        .on(gone("api"), &["reply 3 Closed: workload 'api' was stopped before it started"])
        .on(gone("web"), &["gone"])
        .on(clear(), &["gone"])
        .quiet_for(Span::secs(3600));
    assert_eq!(story.manager.peerings().count() + story.manager.workloads().count(), 0);
}

#[test]
fn nothing_begins_where_things_end() {
    let mut story = Story::hosting();
    story.on(clear(), &["stop web in 10s"]);
    assert_eq!(story.manager.peerings().next().unwrap().state, PeeringState::Closing);
    story.hears(
        FabricRequest::Deploy(workload("api")),
        &[&format!("reply 3 Closed: the peering of contract {CONTRACT} is not open here: say ResourceRequest first")],
    );
    story.hears(request(), &["look up in Served(4)"]);
    let found = story.looked_up(Some(signed()));
    story.on(found, &[&format!("reply 4 Closed: contract {CONTRACT} is over")]);
}

#[test]
fn an_allocation_on_which_nothing_ran_is_clear_at_once() {
    Story::new().on(clear(), &["gone"]);
    Story::provider().on(clear(), &["gone"]).on(clear(), &["gone"]);
    Story::provider().on(closed(), &["gone"]);
}

#[test]
fn whoever_waits_for_a_peering_that_ends_is_told() {
    let mut story = Story::new();
    story.hears(request(), &["look up in Served(1)"]);
    let found = story.looked_up(Some(signed()));
    story.given(found);
    story.on(clear(), &[&format!("reply 1 Closed: contract {CONTRACT} is over"), "gone"]).on(activated(), &[]);
}

#[test]
fn a_runtime_that_does_not_stop_is_seen_and_told_again() {
    let mut story = Story::hosting();
    story.given(closed());
    assert_eq!(story.manager.stuck().count(), 0);
    assert_eq!(story.pass(Span::secs(60)), ["stop web in 0s"]);
    let stuck = story.manager.stuck().next().unwrap();
    assert_eq!((stuck.allocation, stuck.workloads), (ALLOCATION, vec!["web".to_owned()]));
    story.on(gone("web"), &["gone"]).quiet_for(Span::secs(3600));
    assert_eq!(story.manager.stuck().count(), 0);
}

#[test]
fn an_instance_that_the_runtime_has_lost_is_a_failed_one() {
    let mut story = Story::hosting();
    story
        .on(gone("web"), &["send Status web Failed: the runtime has lost it"])
        .hears(leave("web"), &["stop web in 10s"])
        .on(gone("web"), &["reply 3 done"]);
}

#[test]
fn a_restarted_provider_says_that_it_knows_nothing() {
    let mut story = Story::new();
    assert!(story.manager.restore(rear_proto::Table::Peerings, b"key", b"value").is_err());
    story.hears(
        leave("web"),
        &[&format!("reply 1 Closed: the peering of contract {CONTRACT} is not open here: say ResourceRequest first")],
    );
}

#[test]
fn followers_of_logs_wait_side_by_side_and_are_bounded() {
    let mut story = Story::provider_with(Config { followers_per_contract: 2, ..Config::default() });
    story.given(Input::LookedUp { inquiry: 0, found: None, trace: Trace::None });
    let heard = story.heard(FabricRequest::Deploy(workload("web")), Extensions::new());
    story.given(heard);
    story.given(status("web", Status::Running));
    let logs = |from| FabricRequest::Logs { workload: "web".into(), from, wait: Span::secs(3600) };
    story.hears(logs(0), &["read web from 0 wait 30s"]);
    let first = story.number("read");
    story
        .hears(logs(9), &["read web from 9 wait 30s"])
        .hears(logs(9), &["reply 5 Overloaded: too many questions about logs wait under this contract"])
        .hears(leave("none"), &["reply 6 done"])
        .on(Input::LogsRead { inquiry: first, lines: vec![line(0)], next: 1 }, &["reply 3 1 lines, next 1"])
        .on(Input::LogsRead { inquiry: first, lines: vec![line(0)], next: 1 }, &[])
        .hears(logs(1), &["read web from 1 wait 30s"])
        .hears(
            FabricRequest::Logs { workload: "none".into(), from: 0, wait: Span::ZERO },
            &["reply 8 NotFound: no such workload runs under this contract"],
        );
    let over = format!("Closed: contract {CONTRACT} is over");
    story.on(closed(), &[&format!("reply 4 {over}"), &format!("reply 7 {over}"), "stop web in 10s"]);
}

#[test]
fn a_customer_that_closes_the_peering_has_its_workloads_stopped() {
    Story::hosting().hears(FabricRequest::Close, &["stop web in 10s", "reply 3 done"]).on(gone("web"), &[]);
}

#[test]
fn a_status_from_a_customer_is_none() {
    let said = FabricRequest::Status { workload: "web".into(), status: Status::Running };
    Story::hosting().hears(said, &[&format!("reply 3 Closed: contract {CONTRACT} has no peering here")]);
}

#[test]
fn answers_of_strangers_to_what_nobody_asked_change_nothing() {
    let reply = FabricReply { answer: FabricAnswer::Done, steps: Vec::new(), extensions: Extensions::new() };
    let mut story = Story::hosting();
    story
        .on(Input::Answered { id: 999, reply: Ok(reply) }, &[])
        .on(Input::Answered { id: 998, reply: Err(Refusal::from(Code::Timeout)) }, &[])
        .on(status("never", Status::Running), &[])
        .on(gone("never"), &[]);
}

fn revived() -> Input {
    Input::Revived { contract: CONTRACT, customer: PEER }
}

#[test]
fn after_a_restart_customers_are_told_until_they_take_note() {
    let mut story = Story::new();
    story.on(revived(), &[]);
    assert_eq!(story.waits(), ["send Returned"]);
    story.unanswered("Returned", &[]);
    assert_eq!(story.waits(), ["send Returned"]);
    // Nobody says that it was lost.
    assert_eq!(story.waits(), ["send Returned"]);
    story.refused("Returned", Code::Closed, &[]);
    assert_eq!(story.waits(), ["send Returned"]);
    story.answered("Returned", FabricAnswer::Done, &[]).quiet_for(Span::secs(3600));
}

#[test]
fn a_neighbour_that_can_be_reached_again_is_told_a_moment_later() {
    let mut story = Story::new();
    story.on(revived(), &[]);
    for _ in 0..8 {
        assert_eq!(story.waits(), ["send Returned"]);
        story.unanswered("Returned", &[]);
    }
    story.on(Input::PeerUp { node: ME }, &[]).on(Input::PeerUp { node: PEER }, &[]);
    assert_eq!(story.pass(Span::millis(400)), ["send Returned"]);
}

#[test]
fn a_customer_that_asks_for_its_peering_or_whose_contract_is_over_is_not_told() {
    let mut story = Story::new();
    story.on(revived(), &[]).hears(FabricRequest::ResourceRequest { contract: CONTRACT }, &["look up in Served(1)"]);
    story.given(story.looked_up(Some(signed())));
    story.quiet_for(Span::secs(3600));
    let mut story = Story::new();
    story.on(revived(), &[]).on(Input::Closed { contract: CONTRACT }, &[]).quiet_for(Span::secs(3600));
}
