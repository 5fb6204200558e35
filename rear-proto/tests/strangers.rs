//! What strangers send: any bytes are a value or an error, and a value that passes the door is within its limits.
#![allow(clippy::unwrap_used, clippy::panic)]

mod samples;

use std::sync::LazyLock;

use kernel::{ContractId, Digest, FlavourId, NodeId, Quantity, Resource, Resources, Span, Time};
use proptest::{collection::vec, prelude::*, sample::Index};
use rear_proto::{
    contract::Mode,
    door::*,
    fabric::{FabricAnswer, FabricAsk, FabricReply, FabricRequest},
    flavour::{Aggregatable, Flavour, Party},
    membership::{Descriptor, IssuerList, Revocation, Token},
    message::{
        Accept, Advertise, Answer, Ask, Extensions, Join, List, Offered, Partners, PublishedFlavours, Refresh, Reply,
        Request, Subscribe, Withdraw, Withdrawn,
    },
    partner::PartnerState,
    price::Money,
    refusal::{Code, Refusal},
    selector::{Bounds, Field, Filter, Selector, Test},
    signed::{Signable, Signed},
    wire::{codec, frame},
    workload::{Image, LogLine, Port, Status, Workload},
};
use samples::{messages::*, *};

/// The outcome at the door, by its name alone.
#[track_caller]
fn check(result: Result<(), Refusal>, outcome: &str) {
    assert_eq!(result.as_ref().map_or_else(|refusal| refusal.code().name(), |()| "ok"), outcome, "{result:?}");
}

fn long(bytes: usize) -> String {
    "x".repeat(bytes)
}

#[test]
fn a_partnerships_secret_is_in_no_log() {
    let accept = named(asks(), "accept");
    let shown = format!("{accept:?}");
    assert!(shown.contains("Accept") && !shown.contains("secret") && !shown.contains("23, 23"), "{shown}");
}

#[test]
fn a_tokens_secret_is_in_no_log() {
    let Token { secret, role, issuer, .. } = token();
    let join = Join { secret, node: issuer.node, role, extensions: Extensions::new() };
    for shown in [format!("{:?}", token()), format!("{join:?}"), format!("{:?}", Request::Join(join.clone()))] {
        assert!(shown.contains("Supernode") && !shown.contains("secret") && !shown.contains("5, 5"), "{shown}");
    }
}

fn many(count: usize) -> Vec<String> {
    vec!["x".to_owned(); count]
}

#[test]
fn honest_messages_pass_the_door() {
    asks().iter().for_each(|(_, ask)| check(ask.validate(), "ok"));
    replies().iter().for_each(|(_, reply)| check(reply.validate(), "ok"));
    fabric_asks().iter().for_each(|(_, ask)| check(ask.validate(), "ok"));
    fabric_replies().iter().for_each(|(_, reply)| check(reply.validate(), "ok"));
}

/// Finds a sample by its name.
fn named<T>(samples: Vec<(&'static str, T)>, name: &str) -> T {
    samples.into_iter().find(|(own, _)| *own == name).unwrap().1
}

#[track_caller]
fn check_list(outcome: &str, change: impl FnOnce(&mut List)) {
    let mut ask = named(asks(), "list");
    let Request::List(list) = &mut ask.request else { panic!("a sample by this name") };
    change(list);
    check(ask.validate(), outcome);
}

#[test]
fn a_list_is_bounded() {
    check_list("ok", |list| list.limit = 256);
    check_list("TooLarge", |list| list.limit = 257);
    check_list("Malformed", |list| list.limit = 0);
    check_list("ok", |list| list.exclude = vec![FlavourId([0; 16]); 256]);
    check_list("TooLarge", |list| list.exclude = vec![FlavourId([0; 16]); 257]);
    check_list("ok", |list| list.trail = vec![[0; 16]; 16]);
    check_list("TooLarge", |list| list.trail = vec![[0; 16]; 17]);
    check_list("TooLarge", |list| list.hops_left = 17);
    check_list("ok", |list| list.deadline = MAX_DEADLINE);
    check_list("TooLarge", |list| list.deadline = Span(u64::MAX));
    check_list("TooLarge", |list| list.extensions = Extensions::from([(1, vec![0; MAX_EXTENSION + 1])]));
    check_list("TooLarge", |list| list.extensions = (0..17).map(|number| (number, Vec::new())).collect());
}

#[track_caller]
fn check_filter(outcome: &str, filter: Filter) {
    check(Selector { filters: vec![filter] }.validate(), outcome);
}

#[test]
fn a_selector_is_bounded_and_could_hold() {
    let (one, two) = (Quantity::units(1), Quantity::units(2));
    let word = |test| Filter::Word(Field::Tags, test);
    check_filter("ok", Filter::Amount(Resource::Cpu, Bounds::Between(one, one)));
    check_filter("Malformed", Filter::Amount(Resource::Cpu, Bounds::Between(two, one)));
    check_filter("Malformed", Filter::Latency(Bounds::Between(2, 1)));
    check_filter("Malformed", Filter::Price(Bounds::Between(rate("2EUR/h"), rate("1EUR/h"))));
    check_filter("Malformed", Filter::Price(Bounds::Between(rate("1EUR/h"), rate("2USD/h"))));
    check_filter("ok", word(Test::Is(long(256))));
    check_filter("TooLarge", word(Test::Is(long(257))));
    check_filter("Malformed", word(Test::Is("\u{1b}[2J".to_owned())));
    check_filter("ok", word(Test::In(many(64))));
    check_filter("TooLarge", word(Test::In(many(65))));
    check_filter("Malformed", word(Test::NotIn(Vec::new())));
    check_filter("Malformed", Filter::Word(Field::Property(String::new()), Test::Is("x".to_owned())));
    let filters = |count| Selector { filters: vec![Filter::Latency(Bounds::AtMost(1)); count] };
    check(filters(64).validate(), "ok");
    check(filters(65).validate(), "TooLarge");
}

#[test]
fn addresses_contracts_and_deadlines_are_bounded() {
    let hello = |addresses| {
        let mut ask = named(asks(), "hello");
        let Request::Hello(hello) = &mut ask.request else { panic!("a sample by this name") };
        hello.addresses = addresses;
        ask.validate()
    };
    check(hello(many(16)), "ok");
    check(hello(many(17)), "TooLarge");
    check(hello(vec![long(256)]), "ok");
    check(hello(vec![long(257)]), "TooLarge");
    check(hello(vec![String::new()]), "Malformed");
    let keepalive = |count| {
        let mut ask = named(asks(), "keepalive");
        let Request::Keepalive(keepalive) = &mut ask.request else { panic!("a sample by this name") };
        keepalive.contracts = vec![ContractId([0; 16]); count];
        ask.validate()
    };
    check(keepalive(4096), "ok");
    check(keepalive(4097), "TooLarge");
    for name in ["reserve", "purchase", "renew"] {
        let mut ask = named(asks(), name);
        match &mut ask.request {
            Request::Reserve(reserve) => reserve.deadline = MAX_DEADLINE.plus(Span(1)),
            Request::Purchase(buy) => buy.deadline = MAX_DEADLINE.plus(Span(1)),
            Request::Renew(renew) => renew.deadline = MAX_DEADLINE.plus(Span(1)),
            other => panic!("{other:?}"),
        }
        check(ask.validate(), "TooLarge");
    }
}

#[track_caller]
fn check_flavour(outcome: &str, change: impl FnOnce(&mut Flavour)) {
    let mut flavour = flavour();
    change(&mut flavour);
    check(flavour.validate(), outcome);
}

#[test]
fn a_flavour_is_bounded_and_does_not_contradict_itself() {
    flavours().iter().for_each(|flavour| check(flavour.validate(), "ok"));
    check_flavour("ok", |f| f.available = f.base);
    check_flavour("Malformed", |f| f.available.cpu = Quantity::units(5));
    check_flavour("Malformed", |f| f.base = Resources::default());
    check_flavour("Malformed", |f| f.policies.partitionable.as_mut().unwrap().min.gpu = Quantity::units(1));
    check_flavour("Malformed", |f| f.policies.aggregatable = Some(Aggregatable { min_count: 0, max_count: 1 }));
    check_flavour("Malformed", |f| f.policies.aggregatable = Some(Aggregatable { min_count: 2, max_count: 1 }));
    check_flavour("ok", |f| f.price.amount = Money(MAX_MONEY));
    check_flavour("Malformed", |f| f.price.amount = Money(MAX_MONEY + 1));
    check_flavour("TooLarge", |f| f.price.priced = vec![Resource::Cpu; 6]);
    check_flavour("Malformed", |f| f.domain.name = String::new());
    check_flavour("Malformed", |f| f.domain.name = "a\nb".to_owned());
    check_flavour("TooLarge", |f| f.domain.name = long(257));
    check_flavour("TooLarge", |f| f.provider.addresses = many(17));
    check_flavour("TooLarge", |f| f.properties.tags = many(65));
    check_flavour("TooLarge", |f| f.properties.tags = vec![long(257)]);
    check_flavour("TooLarge", |f| f.properties.security_standards = many(65));
    check_flavour("TooLarge", |f| f.properties.carbon.as_mut().unwrap().operational = vec![0; 169]);
    check_flavour("TooLarge", |f| f.properties.network.denied = vec![f.properties.network.denied[0].clone(); 65]);
    check_flavour("TooLarge", |f| f.properties.network.denied[0].source = long(257));
    check_flavour("TooLarge", |f| f.properties.additional = (0..65).map(|n| (n.to_string(), String::new())).collect());
    check_flavour("Malformed", |f| f.properties.additional = [(String::new(), String::new())].into());
    check_flavour("TooLarge", |f| f.location.as_mut().unwrap().notes = Some(long(257)));
    check_flavour("TooLarge", |f| f.expires_in = Span(u64::MAX));
}

#[test]
fn one_bad_flavour_spoils_an_answer_and_no_answer_is_too_long() {
    let reply = |flavours| {
        let mut reply = named(replies(), "flavours");
        let Answer::Flavours(answer) = &mut reply.answer else { panic!("a sample by this name") };
        answer.flavours = flavours;
        reply
    };
    check(reply(vec![flavour(); 256]).validate(), "ok");
    check(reply(vec![flavour(); 257]).validate(), "TooLarge");
    let bad = Flavour { base: Resources::default(), ..flavour() };
    check(reply(vec![flavour(), bad]).validate(), "Malformed");
    // The longest answer of ordinary flavours fits its frame, with as much again to spare.
    let bytes = codec::encode(&reply(vec![flavour(); MAX_LIST as usize])).len();
    assert!(bytes < frame::MAX_ANSWER as usize / 2, "{bytes}");
}

/// Takes a question by its sample's name, changes it, and looks at the outcome at the door.
macro_rules! check_ask {
    ($name:literal, $kind:ident, $outcome:literal, $change:expr) => {{
        let mut ask = named(asks(), $name);
        let Request::$kind(asked) = &mut ask.request else { panic!("a sample by this name") };
        let change: fn(&mut $kind) = $change;
        change(asked);
        check(ask.validate(), $outcome);
    }};
}

fn offers(count: usize) -> Vec<Offered> {
    vec![Offered::Direct(Box::new(flavour())); count]
}

#[test]
fn what_partners_say_is_bounded() {
    check_ask!("accept", Accept, "ok", |accept| accept.addresses = many(16));
    check_ask!("accept", Accept, "TooLarge", |accept| accept.addresses = many(17));
    check_ask!("accept", Accept, "Malformed", |accept| accept.addresses = vec![String::new()]);
    check_ask!("accept", Accept, "TooLarge", |a| a.extensions = (0..17).map(|n| (n, Vec::new())).collect());
    check_ask!("partners", Partners, "ok", |said| said.partners = vec![partner(PartnerState::On); 64]);
    check_ask!("partners", Partners, "TooLarge", |said| said.partners = vec![partner(PartnerState::On); 65]);
    for name in ["", "Beta", "be ta", "-beta", "../beta", "\u{1b}[2J"] {
        let mut ask = named(asks(), "partners");
        let Request::Partners(said) = &mut ask.request else { panic!("a sample by this name") };
        said.partners[0].name = name.to_owned();
        check(ask.validate(), "Malformed");
    }
    check_ask!("partners", Partners, "TooLarge", |said| said.partners[0].name = long(64));
    check_ask!("subscribe", Subscribe, "ok", |wish| wish.within = MAX_LIFETIME);
    check_ask!("subscribe", Subscribe, "TooLarge", |wish| wish.within = Span(u64::MAX));
    check_ask!("subscribe", Subscribe, "TooLarge", |wish| {
        wish.selector.filters = vec![Filter::Latency(Bounds::AtMost(1)); 65];
    });
    let accepted = |addresses| {
        let mut reply = named(replies(), "accepted");
        let Answer::Accepted(accepted) = &mut reply.answer else { panic!("a sample by this name") };
        accepted.addresses = addresses;
        reply.validate()
    };
    check(accepted(many(16)), "ok");
    check(accepted(many(17)), "TooLarge");
}

#[test]
fn what_is_advertised_is_bounded() {
    check_ask!("advertise", Advertise, "ok", |said| said.offers = offers(256));
    check_ask!("advertise", Advertise, "TooLarge", |said| said.offers = offers(257));
    check_ask!("advertise", Advertise, "Malformed", |said| {
        said.offers = vec![Offered::Direct(Box::new(Flavour { base: Resources::default(), ..flavour() }))];
    });
    check_ask!("advertise", Advertise, "ok", |said| (said.feed, said.number) = (u64::MAX, u64::MAX));
    check_ask!("refresh", Refresh, "ok", |said| said.offers = Vec::new());
    check_ask!("refresh", Refresh, "TooLarge", |said| said.offers = offers(257));
    let withdrawn = Withdrawn { viewer: Some(viewer()), flavour: FlavourId([0; 16]) };
    let withdraw = |count| {
        let mut ask = named(asks(), "withdraw");
        let Request::Withdraw(Withdraw { offers, .. }) = &mut ask.request else { panic!("a sample by this name") };
        *offers = vec![withdrawn; count];
        ask
    };
    check(withdraw(4096).validate(), "ok");
    check(withdraw(4097).validate(), "TooLarge");
    // As many as are withdrawn at once fit a frame.
    let bytes = codec::encode(&withdraw(4096)).len();
    assert!(bytes < frame::MAX_REQUEST as usize, "{bytes}");
    let snapshot = |count| {
        let answer = Answer::Snapshot(Advertise { offers: offers(count), ..advertise() });
        Reply { answer, steps: Vec::new(), extensions: Extensions::new() }.validate()
    };
    check(snapshot(256), "ok");
    check(snapshot(257), "TooLarge");
    let answer = |count| {
        let offers = vec![Signed::new(published(), &supernode()); count];
        let answer = PublishedFlavours { offers, partial: false, extensions: Extensions::new() };
        Reply { answer: Answer::Published(answer), steps: Vec::new(), extensions: Extensions::new() }
    };
    check(answer(256).validate(), "ok");
    check(answer(257).validate(), "TooLarge");
    let bytes = codec::encode(&answer(256)).len();
    assert!(bytes < frame::MAX_ANSWER as usize / 2, "{bytes}");
}

#[test]
fn as_many_ordinary_offers_as_one_message_may_have_fit_its_frame() {
    // Larger ones are sent in several, each but the last with `more`.
    let signed = Offered::Signed(Box::new(Signed::new(published(), &supernode())));
    for offer in [Offered::Direct(Box::new(flavour())), signed] {
        let offers = vec![offer; MAX_LIST as usize];
        let request = Request::Advertise(Advertise { offers, ..advertise() });
        let bytes = codec::encode(&Ask { request, tell: true, extensions: samples::extensions() }).len();
        assert!(bytes < frame::MAX_REQUEST as usize, "{bytes}");
    }
}

#[test]
fn the_partners_of_a_whole_message_fit_its_frame() {
    let request = Request::Partners(Partners {
        partners: vec![partner(PartnerState::On); MAX_PARTNERS],
        extensions: Extensions::new(),
    });
    let bytes = codec::encode(&Ask { request, tell: false, extensions: Extensions::new() }).len();
    assert!(bytes < frame::MAX_REQUEST as usize, "{bytes}");
}

#[test]
fn answers_are_bounded() {
    let answer = |answer| Reply { answer, steps: Vec::new(), extensions: Extensions::new() }.validate();
    check(answer(Answer::Dead(vec![ContractId([0; 16]); 4096])), "ok");
    check(answer(Answer::Dead(vec![ContractId([0; 16]); 4097])), "TooLarge");
    check(answer(Answer::Refused(Refusal::new(Code::Closed, long(4096)))), "ok");
    check(answer(Answer::Refused(Refusal::new(Code::Closed, long(4097)))), "TooLarge");
    let Answer::Joined(joined) = named(replies(), "joined").answer else { panic!("a sample by this name") };
    let peers = |count| vec![Party { node: NodeId([0; 32]), addresses: Vec::new() }; count];
    check(answer(Answer::Joined(rear_proto::message::Joined { peers: peers(256), ..joined.clone() })), "ok");
    check(answer(Answer::Joined(rear_proto::message::Joined { peers: peers(257), ..joined })), "TooLarge");
    let told = |count| Reply {
        answer: Answer::Released,
        steps: vec![steps().remove(0); count],
        extensions: Extensions::new(),
    };
    check(told(64).validate(), "ok");
    check(told(65).validate(), "TooLarge");
}

#[track_caller]
fn check_workload(outcome: &str, change: impl FnOnce(&mut Workload)) {
    let mut workload = workload();
    change(&mut workload);
    let ask = FabricAsk { request: FabricRequest::Deploy(workload), tell: false, extensions: Extensions::new() };
    check(ask.validate(), outcome);
}

#[test]
fn a_workload_is_bounded_and_can_be_run() {
    let port = |name: &str, port| Port { name: name.to_owned(), port };
    check_workload("ok", |w| w.name = long(63));
    check_workload("TooLarge", |w| w.name = long(64));
    for name in ["", "Web", "-web", "web-", "we b", "../web", "wéb"] {
        check_workload("Malformed", |w| w.name = name.to_owned());
    }
    check_workload("Malformed", |w| w.image = Image::Oci(String::new()));
    check_workload("TooLarge", |w| w.image = Image::Oci(long(257)));
    check_workload("Malformed", |w| w.ports = vec![port("http", 0)]);
    check_workload("Malformed", |w| w.ports = vec![port("http", 80), port("http", 81)]);
    check_workload("Malformed", |w| w.ports = vec![port("http", 80), port("https", 80)]);
    check_workload("TooLarge", |w| w.ports = (1..=17).map(|n| port(&format!("p{n}"), n)).collect());
    check_workload("ok", |w| w.args = many(128));
    check_workload("TooLarge", |w| w.args = many(129));
    check_workload("TooLarge", |w| w.args = vec![long(MAX_ARGUMENT + 1)]);
    check_workload("TooLarge", |w| w.args = vec![long(MAX_ARGUMENT); 5]);
    check_workload("Malformed", |w| w.args = vec!["a\0b".to_owned()]);
    check_workload("TooLarge", |w| w.env = (0..129).map(|n| (n.to_string(), String::new())).collect());
    check_workload("Malformed", |w| w.env = [("A=B".to_owned(), String::new())].into());
    check_workload("Malformed", |w| w.env = [(String::new(), String::new())].into());
    check_workload("TooLarge", |w| w.reach = many(65));
}

#[test]
fn fabric_messages_are_bounded() {
    let ask = |request| FabricAsk { request, tell: false, extensions: Extensions::new() }.validate();
    let name = || "web".to_owned();
    check(ask(FabricRequest::Undeploy { workload: "../x".to_owned() }), "Malformed");
    check(ask(FabricRequest::Logs { workload: name(), from: 0, wait: Span(u64::MAX) }), "TooLarge");
    let failed = |bytes| Status::Failed { reason: long(bytes) };
    check(ask(FabricRequest::Status { workload: name(), status: failed(4096) }), "ok");
    check(ask(FabricRequest::Status { workload: name(), status: failed(4097) }), "TooLarge");
    let reply = |answer| FabricReply { answer, steps: Vec::new(), extensions: Extensions::new() }.validate();
    let lines = |count, bytes| {
        let line = LogLine { seq: 0, stderr: false, text: long(bytes) };
        FabricAnswer::Logs { lines: vec![line; count], next: 0 }
    };
    check(reply(lines(4096, 1)), "ok");
    check(reply(lines(4097, 1)), "TooLarge");
    check(reply(lines(1, MAX_LINE + 1)), "TooLarge");
    check(reply(FabricAnswer::ResourceOffer { resources: Resources::default(), runtimes: many(65) }), "TooLarge");
    check(reply(FabricAnswer::Missing(Digest([0; 32]))), "ok");
}

#[test]
fn what_is_signed_over_its_limits_does_not_open() {
    let signer = buyer();
    #[track_caller]
    fn opens<T: Signable>(value: T, signer: &rear_proto::Signer) -> bool {
        let signed: Signed<T> = codec::decode(&codec::encode(&Signed::new(value, signer))).unwrap();
        signed.open(&signer.id()).is_ok()
    }
    let order = |change: fn(&mut rear_proto::Order)| {
        let mut order = order(Mode::Direct);
        change(&mut order);
        opens(order, &buyer())
    };
    assert!(order(|_| {}));
    assert!(!order(|order| order.term = Span::ZERO));
    assert!(!order(|order| order.term = Span(u64::MAX)));
    assert!(!order(|order| order.activate_within = Span(u64::MAX)));
    assert!(!order(|order| order.partition = Resources::default()));
    assert!(!order(|order| order.seller = order.buyer));
    assert!(!order(|order| order.ceiling.amount = Money(u64::MAX)));
    assert!(!order(|order| order.extensions = Extensions::from([(1, vec![0; MAX_EXTENSION + 1])])));
    let key = |extensions| opens(rear_proto::contract::TunnelKey { extensions, ..tunnel_key([1; 32]) }, &supernode());
    assert!(key(Extensions::new()));
    assert!(!key(Extensions::from([(1, vec![0; MAX_EXTENSION + 1])])));
    let list = |count| IssuerList { issuers: vec![NodeId([0; 32]); count], ..issuer_list() };
    assert!(opens(list(64), &signer));
    assert!(!opens(list(65), &signer));
    let revoked = |count| {
        let revocation = Revocation { node: NodeId([0; 32]), until: Time(0) };
        Descriptor { revoked: vec![revocation; count], ..descriptor().claimed().cloned().unwrap() }
    };
    assert!(opens(revoked(2048), &signer));
    assert!(!opens(revoked(2049), &signer));
    // The largest description fits a HELLO.
    assert!(Signed::new(revoked(2048), &signer).bytes().len() < frame::MAX_REQUEST as usize / 2);
}

#[test]
fn a_code_that_is_not_known_is_unavailable_and_stays_what_it_is() {
    let bytes = codec::encode(&(9999u16, "for reasons to come", None::<Span>));
    let refusal: Refusal = codec::decode(&bytes).unwrap();
    assert_eq!((refusal.code(), refusal.text().as_str()), (Code::Unavailable, "for reasons to come"));
    assert_eq!(codec::encode(&refusal), bytes);
}

#[test]
fn extensions_that_are_not_known_survive() {
    for (name, mut ask) in asks() {
        ask.extensions = Extensions::from([(0, vec![]), (u16::MAX, vec![0xff; 99])]);
        assert_eq!(codec::decode::<Ask>(&codec::encode(&ask)).unwrap(), ask, "{name}");
        check(ask.validate(), "ok");
    }
    let signed = Signed::new(contract(Mode::Direct), &seller());
    let read: Signed<rear_proto::Contract> = codec::decode(&codec::encode(&signed)).unwrap();
    assert_eq!(read.open(&seller().id()).unwrap().extensions, samples::extensions());
}

#[test]
fn variants_that_are_not_known_and_bytes_left_over_are_errors() {
    assert!(codec::decode::<Request>(&[200]).is_err());
    assert!(codec::decode::<Answer>(&[200]).is_err());
    let mut bytes = codec::encode(&asks()[0].1);
    bytes.push(0);
    assert!(codec::decode::<Ask>(&bytes).is_err());
    assert!(codec::decode::<Ask>(&[]).is_err());
}

#[test]
fn whatever_fits_the_largest_frame_can_be_decoded() {
    let most = frame::MAX_ANSWER as usize - 9;
    // A number is what the decoder counts highest for its bytes: 16 for the one of a zero.
    let zeros = vec![0u128; most];
    assert_eq!(codec::decode::<Vec<u128>>(&codec::encode(&zeros)).unwrap().len(), most);
    let text = "x".repeat(most);
    assert_eq!(codec::decode::<String>(&codec::encode(&text)).unwrap(), text);
    let chunk = vec![7u8; most];
    assert_eq!(codec::decode::<Vec<u8>>(&codec::encode(&chunk)).unwrap(), chunk);
}

/// Decodes bytes as each kind of message; what decodes goes through the door and survives another encoding.
fn receive(bytes: &[u8]) {
    macro_rules! receive {
        ($($kind:ty),*) => { $(
            if let Ok(value) = codec::decode::<$kind>(bytes) {
                let _ = value.validate();
                assert_eq!(codec::decode::<$kind>(&codec::encode(&value)).unwrap(), value);
            }
        )* };
    }
    receive!(Ask, Reply, FabricAsk, FabricReply);
}

/// The bytes of every sample, made once: signing takes longer than all that is done with them.
static SAMPLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let asks = asks().into_iter().map(|(_, value)| codec::encode(&value));
    let replies = replies().into_iter().map(|(_, value)| codec::encode(&value));
    let fabric_asks = fabric_asks().into_iter().map(|(_, value)| codec::encode(&value));
    let fabric_replies = fabric_replies().into_iter().map(|(_, value)| codec::encode(&value));
    asks.chain(replies).chain(fabric_asks).chain(fabric_replies).collect()
});

/// One change of a message on its way.
#[derive(Debug, Clone)]
enum Change {
    Set(Index, u8),
    Insert(Index, u8),
    Cut(Index),
    Remove(Index),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        any::<Index>().prop_map(Change::Cut),
        any::<Index>().prop_map(Change::Remove),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in vec(any::<u8>(), 0..512)) {
        receive(&bytes);
    }

    #[test]
    fn small_bytes_are_a_message_or_an_error(bytes in vec(0u8..12, 0..256)) {
        receive(&bytes);
    }

    #[test]
    fn a_changed_message_is_a_message_or_an_error(which in any::<Index>(), changes in vec(change(), 1..6)) {
        let mut bytes = which.get(&SAMPLES).clone();
        for change in changes {
            match change {
                _ if bytes.is_empty() => {}
                Change::Set(at, byte) => { let at = at.index(bytes.len()); bytes[at] = byte }
                Change::Insert(at, byte) => { let at = at.index(bytes.len()); bytes.insert(at, byte) }
                Change::Cut(at) => bytes.truncate(at.index(bytes.len())),
                Change::Remove(at) => { let at = at.index(bytes.len()); bytes.remove(at); }
            }
        }
        receive(&bytes);
    }

    #[test]
    fn two_messages_in_one_are_a_message_or_an_error(a in any::<Index>(), b in any::<Index>(), cut in any::<Index>()) {
        let (a, b) = (a.get(&SAMPLES), b.get(&SAMPLES));
        let at = cut.index(a.len());
        receive(&[&a[..at], &b[at.min(b.len())..]].concat());
    }
}
