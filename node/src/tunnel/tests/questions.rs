//! Questions between the two ends, and who may put them.

use super::*;

#[tokio::test]
async fn a_question_is_answered_in_either_direction() {
    let (mut consumer, mut provider) = pair();
    let request = FabricRequest::ResourceRequest { contract: CONTRACT };
    consumer.tunnels.transmit(1, CONTRACT, ask(request.clone()), Span::secs(30));
    assert!(matches!(provider.told().await, Told::Heard(heard) if heard == ask(request)));
    assert_eq!(consumer.answer(1).await, Ok(done()));
    provider.asks(2);
    assert!(matches!(consumer.told().await, Told::Heard(_)));
    assert_eq!(provider.answer(2).await, Ok(done()));
}

#[tokio::test]
async fn many_questions_at_once_are_all_answered() {
    let (mut consumer, _provider) = pair();
    for id in 0..50 {
        consumer.asks(id);
    }
    let mut answered = Vec::new();
    while answered.len() < 50 {
        if let Told::Answered(id, reply) = consumer.told().await {
            assert_eq!(reply, Ok(done()));
            answered.push(id);
        }
    }
    answered.sort_unstable();
    assert_eq!(answered, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_the_mind_refuses_comes_back_as_its_answer() {
    let (mut consumer, _provider) = pair();
    let leave = ask(FabricRequest::Undeploy { workload: "web".into() });
    consumer.tunnels.transmit(1, CONTRACT, leave, Span::secs(30));
    let FabricAnswer::Refused(refusal) = consumer.answer(1).await.unwrap().answer else { panic!("not refused") };
    assert_eq!((refusal.code(), refusal.text().as_str()), (Code::NotFound, "web"));
}

#[tokio::test]
async fn a_question_over_its_limits_is_refused_at_the_door() {
    let (mut consumer, mut provider) = pair();
    let leave = ask(FabricRequest::Undeploy { workload: "not a label".into() });
    consumer.tunnels.transmit(1, CONTRACT, leave, Span::secs(30));
    let FabricAnswer::Refused(refusal) = consumer.answer(1).await.unwrap().answer else { panic!("not refused") };
    assert_eq!(refusal.code(), Code::Malformed);
    let long = ask(FabricRequest::Undeploy { workload: "x".repeat(300 << 10) });
    consumer.tunnels.transmit(2, CONTRACT, long, Span::secs(30));
    assert_eq!(consumer.refusal(2).await.code(), Code::TooLarge);
    assert!(provider.has_heard_nothing());
}

#[tokio::test]
async fn an_end_without_the_contract_closes_without_a_word() {
    let (mut consumer, mut provider) = strangers(Pace::default());
    consumer.asks(1);
    assert_eq!(consumer.refusal(1).await.code(), Code::Closed, "no router here");
    consumer.tunnels.install(route(Side::Consumer));
    consumer.asks(2);
    let refusal = consumer.refusal(2).await;
    assert_eq!(refusal.code(), Code::Unavailable);
    assert!(refusal.text().contains("does not know this contract"), "{refusal}");
    assert!(provider.has_heard_nothing());
    // Once it has it, the same question is answered.
    provider.tunnels.install(route(Side::Provider));
    consumer.asks(3);
    assert_eq!(consumer.answer(3).await, Ok(done()));
}

#[tokio::test]
async fn another_peer_hears_nothing_even_with_the_right_key() {
    let (mut consumer, mut provider) = pair();
    let mut stranger = End::new(STRANGER, Pace::default());
    stranger.reaches(&provider);
    stranger.tunnels.install(route(Side::Consumer));
    stranger.asks(1);
    assert_eq!(stranger.refusal(1).await.code(), Code::Unavailable);
    // The right peer under another key neither.
    consumer.tunnels.install(Route { secret: [99; 32], ..route(Side::Consumer) });
    consumer.asks(2);
    assert_eq!(consumer.refusal(2).await.code(), Code::Unavailable);
    assert!(provider.has_heard_nothing());
}

#[tokio::test]
async fn a_question_without_an_answer_ends_at_its_deadline_and_is_forgotten_there() {
    let (mut consumer, mut provider) = pair();
    provider.fake.mute.store(true, Ordering::Relaxed);
    consumer.tunnels.transmit(1, CONTRACT, ask(FabricRequest::Close), Span::millis(300));
    assert!(matches!(provider.told().await, Told::Heard(_)));
    assert_eq!(consumer.refusal(1).await.code(), Code::Timeout);
    assert!(matches!(provider.told().await, Told::Forgotten));
}

#[tokio::test]
async fn a_removed_router_ends_what_is_under_way_at_both_ends() {
    let (mut consumer, mut provider) = pair();
    provider.fake.mute.store(true, Ordering::Relaxed);
    consumer.asks(1);
    assert!(matches!(provider.told().await, Told::Heard(_)));
    provider.tunnels.remove(CONTRACT);
    assert!(matches!(provider.told().await, Told::Forgotten));
    assert_eq!(consumer.refusal(1).await.code(), Code::Timeout, "it may have been acted upon");
    consumer.asks(2);
    assert_eq!(consumer.refusal(2).await.code(), Code::Unavailable);
    consumer.tunnels.remove(CONTRACT);
    consumer.asks(3);
    assert_eq!(consumer.refusal(3).await.code(), Code::Closed);
}

#[tokio::test]
async fn an_unreachable_peer_is_said_so() {
    let mut consumer = End::new(CONSUMER, Pace::default());
    consumer.tunnels.install(route(Side::Consumer));
    consumer.asks(1);
    let refusal = consumer.refusal(1).await;
    assert_eq!((refusal.code(), refusal.text().as_str()), (Code::Unavailable, "nobody there"));
}

#[tokio::test]
async fn a_door_waits_for_nobody_for_ever() {
    use tokio::io::AsyncReadExt as _;
    let provider = End::new(PROVIDER, Pace { opening: Duration::from_millis(20), ..Pace::default() });
    provider.tunnels.install(route(Side::Provider));
    let (mut near, far) = duplex(PIPE);
    provider.tunnels.take_in(CONSUMER, Box::new(far));
    assert_eq!(soon(near.read(&mut [0])).await.unwrap(), 0, "closed without a word");
}

#[tokio::test]
async fn what_is_closed_takes_nothing_more() {
    let (mut consumer, mut provider) = pair();
    provider.fake.mute.store(true, Ordering::Relaxed);
    consumer.asks(1);
    assert!(matches!(provider.told().await, Told::Heard(_)));
    consumer.tunnels.close();
    assert_eq!(consumer.refusal(1).await.code(), Code::Closed);
    consumer.asks(2);
    assert_eq!(consumer.refusal(2).await.code(), Code::Closed);
    soon(async {
        consumer.tunnels.0.tasks.close();
        consumer.tunnels.0.tasks.wait().await;
    })
    .await;
}
