//! Services: they answer HTTP on every stream, and one request's trouble is its own.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use hyper::StatusCode;
use runtime::{ConnectError, Driver, LogStream, Status};
use support::{BATCH, Bench, HELLO, fetch, service, soon, spinner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SPIN: &str = "(loop $again (br $again))";

fn greeting(spec: &mut runtime::Spec) {
    spec.env.insert("GREETING".into(), "ciao".into());
}

#[tokio::test]
async fn a_page_says_who_runs_it() {
    let mut bench = Bench::new();
    bench.start("web", HELLO, greeting).await;
    bench.until_running("web").await;
    assert_eq!(bench.page("web", "/").await, (StatusCode::OK, "ciao from 12D3KooW\n".into()));
    assert_eq!(bench.page("web", "/again?x=1").await.0, StatusCode::OK);
    assert_eq!(bench.texts("web").await, ["served /", "served /again?x=1"]);
}

#[tokio::test]
async fn many_requests_at_once_stay_within_the_partition() {
    let mut bench = Bench::new();
    // Room for a few instances only: the others wait.
    bench.start("web", HELLO, |spec| spec.limits.memory_bytes = 1 << 20).await;
    bench.until_running("web").await;
    let mut pages = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let stream = bench.driver.connect("web", 80).await.unwrap();
        pages.spawn(fetch(stream, "/"));
    }
    while let Some(page) = pages.join_next().await {
        assert_eq!(page.unwrap(), (StatusCode::OK, "hello from 12D3KooW\n".into()));
    }
    assert!(bench.driver.usage("web").unwrap().memory_peak_bytes <= 1 << 20);
}

#[tokio::test]
async fn only_a_running_services_own_ports_are_served() {
    let mut bench = Bench::new();
    let refusal = async |bench: &Bench, id: &str, port| bench.driver.connect(id, port).await.err();
    assert_eq!(refusal(&bench, "web", 80).await, Some(ConnectError::UnknownWorkload("web".into())));
    bench.start("web", HELLO, |spec| spec.ports = vec![80, 8080]).await;
    bench.until_running("web").await;
    assert_eq!(refusal(&bench, "web", 81).await, Some(ConnectError::UnknownPort { id: "web".into(), port: 81 }));
    assert_eq!(refusal(&bench, "web", 8080).await, None);
    bench.start("batch", BATCH, |_| {}).await;
    bench.until("batch", Status::has_ended).await;
    assert_eq!(refusal(&bench, "batch", 80).await, Some(ConnectError::NotServing("batch".into())));
}

#[tokio::test]
async fn a_crashing_request_gets_a_500_and_the_service_lives_on() {
    let mut bench = Bench::new();
    bench.start("web", &service("", "unreachable"), |_| {}).await;
    bench.start("mute", &service("", ""), |_| {}).await;
    for (id, why) in [
        ("web", "a request failed: wasm trap: wasm `unreachable` instruction executed"),
        ("mute", "a request failed: the workload ended without an answer"),
    ] {
        for _ in 0..2 {
            let mut news = bench.driver.follow(id).unwrap();
            let page = loop {
                // Two are starting; the first request may come before the service does.
                match bench.driver.connect(id, 80).await {
                    Ok(stream) => break fetch(stream, "/").await,
                    Err(ConnectError::NotServing(_)) => drop(bench.event().await),
                    Err(error) => panic!("{error}"),
                }
            };
            assert_eq!(page, (StatusCode::INTERNAL_SERVER_ERROR, "the workload failed to answer\n".into()));
            soon(news.changed()).await.unwrap();
        }
        let lines = bench.driver.logs(id, 0).await.lines;
        assert_eq!(
            lines.iter().map(|line| (line.stream, line.text.as_str())).collect::<Vec<_>>(),
            [(LogStream::Driver, why), (LogStream::Driver, why)]
        );
    }
    assert_eq!(bench.driver.running(), ["mute", "web"]);
}

#[tokio::test]
async fn spinners_do_not_keep_another_workload_from_answering() {
    let mut bench = Bench::new();
    for n in 0..8 {
        let id = format!("spin {n}");
        bench.start(&id, &spinner(), |spec| spec.limits.cpu_millis = 64_000).await;
        bench.until_running(&id).await;
    }
    bench.start("web", HELLO, |_| {}).await;
    bench.until_running("web").await;
    assert_eq!(bench.page("web", "/").await.0, StatusCode::OK);
    assert_eq!(bench.driver.running().len(), 9);
    soon(bench.driver.shutdown()).await;
}

#[tokio::test]
async fn a_request_that_its_client_has_left_is_ended() {
    let mut bench = Bench::new();
    bench.start("web", &service("", SPIN), |_| {}).await;
    bench.until_running("web").await;
    let mut news = bench.driver.follow("web").unwrap();
    let mut stream = bench.driver.connect("web", 80).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").await.unwrap();
    while bench.driver.usage("web").unwrap().cpu < Duration::from_millis(10) {
        tokio::task::yield_now().await;
    }
    drop(stream);
    soon(news.changed()).await.unwrap();
    assert_eq!(bench.texts("web").await, ["a request was ended: its client had gone, and it went on"]);
}

#[tokio::test]
async fn stopping_ends_requests_after_their_grace_and_closes_streams() {
    let mut bench = Bench::new();
    bench.start("web", &service("(memory 4)", SPIN), |_| {}).await;
    bench.until_running("web").await;
    let mut idle = bench.driver.connect("web", 80).await.unwrap();
    let mut busy = bench.driver.connect("web", 80).await.unwrap();
    busy.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").await.unwrap();
    while bench.driver.usage("web").unwrap().memory_bytes == 0 {
        tokio::task::yield_now().await;
    }
    soon(bench.driver.stop("web", Duration::from_millis(10))).await;
    assert_eq!(bench.event().await.1, Status::Stopped);
    let mut rest = vec![];
    for stream in [&mut idle, &mut busy] {
        let _ = soon(stream.read_to_end(&mut rest)).await;
    }
    assert!(rest.is_empty());
    assert_eq!(bench.driver.connect("web", 80).await.err(), Some(ConnectError::UnknownWorkload("web".into())));
}

#[tokio::test]
async fn a_request_under_way_may_end_within_the_grace() {
    let mut bench = Bench::new();
    bench.start("web", HELLO, |_| {}).await;
    bench.until_running("web").await;
    let mut stream = bench.driver.connect("web", 80).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").await.unwrap();
    // The first byte shows that the request is under way.
    let first = soon(stream.read_u8()).await.unwrap();
    let driver = std::sync::Arc::clone(&bench.driver);
    let stopping = tokio::spawn(async move { driver.stop("web", Duration::from_secs(600)).await });
    let mut rest = vec![first];
    soon(stream.read_to_end(&mut rest)).await.unwrap();
    assert!(String::from_utf8(rest).unwrap().contains("hello from 12D3KooW\n"));
    soon(stopping).await.unwrap();
}

#[tokio::test]
async fn a_log_is_followed_live() {
    let mut bench = Bench::new();
    bench.start("web", HELLO, |_| {}).await;
    bench.until_running("web").await;
    let mut news = bench.driver.follow("web").unwrap();
    let mut from = 0;
    for path in ["/a", "/b"] {
        bench.page("web", path).await;
        soon(news.wait_for(|next| *next > from)).await.unwrap();
        let chunk = bench.driver.logs("web", from).await;
        assert_eq!(chunk.lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>(), [format!("served {path}")]);
        from = chunk.next;
    }
    soon(bench.driver.stop("web", Duration::ZERO)).await;
    assert!(soon(news.changed()).await.is_err());
    assert!(bench.driver.follow("web").is_none() && bench.driver.logs("web", 0).await.lines.is_empty());
}

#[tokio::test]
async fn a_service_larger_than_its_partition_fails() {
    let mut bench = Bench::new();
    bench.start("web", &service("(memory 300)", ""), |_| {}).await;
    let reason = bench.until_failed("web").await;
    assert!(reason.starts_with("out of memory"), "{reason}");
}

#[tokio::test]
async fn a_request_without_a_host_is_a_bad_request() {
    let mut bench = Bench::new();
    bench.start("web", HELLO, |_| {}).await;
    bench.until_running("web").await;
    let mut stream = bench.driver.connect("web", 80).await.unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 400 Bad Request"), "{answer}");
}
