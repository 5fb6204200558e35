//! Replicas that run on the node that wants them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use kernel::{Span, Ticket};
use rear_proto::workload::{Image, Status};
use vfabric::Input;

const STARTED: &str = "start web within cpu 1, memory 64Mi";

fn running() -> Story {
    let mut story = Story::new();
    story
        .on(deploy(HERE), &[STARTED])
        .on(status("web", Status::Starting), &["status 7 Starting"])
        .on(status("web", Status::Running), &["status 7 Running", "expose 7 http 80 of web here"]);
    story
}

#[test]
fn a_local_replica_runs_is_reached_and_stops() {
    let mut story = running();
    story
        .on(deploy(HERE), &["status 7 Running"])
        .on(status("web", failed("a trap")), &["status 7 Failed: a trap"])
        .on(undeploy(HERE), &["unexpose 7", "stop web in 10s"])
        .on(undeploy(HERE), &[])
        .on(gone("web"), &["undeployed 7"])
        .on(clear(), &["gone"])
        .quiet_for(Span::secs(3600));
    assert_eq!(story.manager.workloads().count(), 0);
}

#[test]
fn undeploying_what_never_ran_is_done_at_once() {
    Story::new().on(undeploy(HERE), &["undeployed 7"]);
}

#[test]
fn clearing_waits_for_the_workload_and_closes_its_port() {
    running()
        .on(clear(), &["unexpose 7", "stop web in 10s"])
        .on(undeploy(HERE), &[])
        .on(gone("web"), &["gone", "undeployed 7"])
        .quiet_for(Span::secs(3600));
}

#[test]
fn undeploying_ends_without_a_word_of_the_runtime_but_the_capacity_stays_taken() {
    let mut story = running();
    story.given(undeploy(HERE));
    assert_eq!(story.pass(Span::secs(15)), ["undeployed 7"]);
    story.on(clear(), &[]);
    assert_eq!(story.manager.workloads().count(), 1);
    story.on(gone("web"), &["gone"]);
}

#[test]
fn a_replica_waits_for_the_end_of_the_one_before_it() {
    let mut story = running();
    story.given(undeploy(HERE));
    let next = kernel::RequestId(8);
    let input = Input::Deploy { request: next, on: HERE, workload: Box::new(workload("web")) };
    story.on(input, &[]).on(gone("web"), &["undeployed 7", STARTED]);
    story.on(status("web", Status::Running), &["status 8 Running", "expose 8 http 80 of web here"]);
}

#[test]
fn what_can_not_run_here_fails_with_a_sentence() {
    let mut story = Story::new();
    story.given(deploy(HERE));
    let missing = Input::InstanceMissing { instance: instance("web"), digest: DIGEST };
    let sentence = format!("status 7 Failed: the component {DIGEST} is not in this node's cache: submit it again");
    story.on(missing, &[&sentence]).on(deploy(HERE), &[STARTED]);

    let mut container = workload("web");
    container.image = Image::Oci("nginx".into());
    let said = Story::new().given(Input::Deploy { request: WEB, on: HERE, workload: Box::new(container) });
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("runs no oci (it runs wasm)"), "{said:?}");
}

#[test]
fn two_replicas_of_one_name_in_one_place_are_one_too_many() {
    let input = Input::Deploy { request: kernel::RequestId(8), on: HERE, workload: Box::new(workload("web")) };
    running().on(input, &["status 8 Failed: another replica 'web' is deployed in the same place"]);
}

#[test]
fn a_replica_that_moves_leaves_nothing_behind() {
    let mut story = running();
    story.given(peer());
    story.answered("ResourceRequest", offer(), &["did ConsumerTold in Own(1)", "peered in Own(1)"]);
    story.on(deploy(THERE), &["unexpose 7", "stop web in 10s", "send Deploy web"]).on(gone("web"), &[]);
    assert_eq!(story.manager.workloads().count(), 0);
}

#[test]
fn local_logs_are_read_here() {
    let mut story = running();
    story.on(
        Input::Logs { ticket: Ticket(1), request: WEB, from: 0, wait: Span::secs(999) },
        &["read web from 0 wait 30s"],
    );
    let inquiry = story.number("read");
    story.on(Input::LogsRead { inquiry, lines: vec![line(0), line(1)], next: 2 }, &["respond 1 2 lines, next 2"]);
}
