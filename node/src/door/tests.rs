//! What is opened at the door, and what is turned away there.
#![allow(clippy::unwrap_used, clippy::panic)]

use kernel::{DomainKey, FlavourId, Key, Quantity, Resources, Span, Time};
use rear_proto::{
    Extensions, Signable, Signer,
    contract::{TunnelKey, Vouched},
    flavour::{Domain, Epoch, Flavour, K8Slice, Kind, Party, Policies, Properties},
    membership::{Certificate, Role},
    message::{Accept, Accepted, Advertise, Hello, Partners, PublishedFlavours, Refresh, Reserve},
    partner::PartnerState,
    price::{Money, Period, Price},
};

use super::*;

const FROM: NodeId = NodeId([3; 32]);

fn domain() -> Signer {
    Signer::from_secret(&[1; 32])
}

fn issuer() -> Signer {
    Signer::from_secret(&[2; 32])
}

/// What came over the wire: nothing is known of it.
fn travelled<T: Signable>(bytes: &[u8], signature: &[u8; 64]) -> Signed<T> {
    codec::decode(&codec::encode(&(bytes, &signature[..]))).unwrap()
}

/// Bytes that are no value of any kind.
fn garbage<T: Signable>() -> Signed<T> {
    travelled(&[7; 100], &[0; 64])
}

/// A value under a signature that is none.
fn forged<T: Signable>(signed: &Signed<T>) -> Signed<T> {
    travelled(signed.bytes(), &[0; 64])
}

fn credentials() -> Credentials {
    let key = DomainKey(domain().id().0);
    let (issued, expires, extensions) = (Time(0), Time(9), Extensions::new);
    let list = IssuerList {
        domain: Domain { key, name: "alpha".to_owned() },
        number: 1,
        issuers: vec![issuer().id()],
        expires,
        extensions: extensions(),
    };
    let certificate = Certificate {
        domain: key,
        node: FROM,
        role: Role::Supernode,
        issuer: issuer().id(),
        issued,
        expires,
        extensions: extensions(),
    };
    Credentials { list: Signed::new(list, &domain()), certificate: Signed::new(certificate, &issuer()) }
}

fn descriptor() -> Signed<Descriptor> {
    let descriptor = Descriptor {
        domain: DomainKey(domain().id().0),
        list: 1,
        sequence: 1,
        issuer: issuer().id(),
        supernodes: Vec::new(),
        revoked: Vec::new(),
        expires: Time(9),
        extensions: Extensions::new(),
    };
    Signed::new(descriptor, &issuer())
}

fn published() -> Signed<Published> {
    let base = Resources { cpu: Quantity::units(1), pods: Quantity::units(1), ..Resources::default() };
    let by = issuer().id();
    let flavour = Flavour {
        id: FlavourId([6; 16]),
        epoch: Epoch { starts: 1, changes: 1 },
        owner: by,
        domain: Domain { key: DomainKey(domain().id().0), name: "alpha".to_owned() },
        provider: Party { node: by, addresses: Vec::new() },
        kind: Kind::K8Slice(K8Slice { architecture: "amd64".to_owned(), gpu_model: None, runtimes: Vec::new() }),
        base,
        available: base,
        properties: Properties::default(),
        policies: Policies::default(),
        price: Price { amount: Money(1), currency: "EUR".parse().unwrap(), period: Period::Hour, priced: Vec::new() },
        location: None,
        origin: FlavourId([8; 16]),
        expires_in: Span::secs(60),
    };
    let (viewer, at, extensions) = (DomainKey([5; 32]), Time(1), Extensions::new());
    Signed::new(Published { by, viewer, at, flavour, extensions }, &issuer())
}

fn record(list: Signed<IssuerList>, descriptor: Option<Signed<Descriptor>>) -> PartnerRecord {
    PartnerRecord { name: "beta".to_owned(), list, descriptor, state: PartnerState::On, said: (Time(1), issuer().id()) }
}

fn hello(credentials: Option<Credentials>, descriptor: Option<Signed<Descriptor>>) -> Hello {
    Hello { credentials, descriptor, addresses: Vec::new(), now: Time(1), extensions: Extensions::new() }
}

fn accept(credentials: Credentials, descriptor: Option<Signed<Descriptor>>) -> Request {
    let (secret, addresses, extensions) = ([1; 16], Vec::new(), Extensions::new());
    Request::Accept(Accept { secret, credentials, descriptor, addresses, extensions })
}

fn partners(partners: Vec<PartnerRecord>) -> Request {
    Request::Partners(Partners { partners, extensions: Extensions::new() })
}

fn advertise(offers: Vec<Signed<Published>>) -> Advertise {
    let offers = offers.into_iter().map(|offer| Offered::Signed(Box::new(offer))).collect();
    Advertise { feed: 1, number: 0, offers, more: false, extensions: Extensions::new() }
}

fn reserve(endorsement: Endorsement) -> Request {
    let order = Order {
        key: Key([1; 16]),
        buyer: issuer().id(),
        seller: FROM,
        placed: Time(1),
        flavour: FlavourId([6; 16]),
        epoch: Epoch { starts: 1, changes: 1 },
        partition: Resources { cpu: Quantity::units(1), ..Resources::default() },
        mode: Mode::Direct,
        term: Span::secs(1),
        activate_within: Span::secs(1),
        ceiling: "1EUR/h".parse().unwrap(),
        tunnel_key: [1; 32],
        extensions: Extensions::new(),
    };
    let (now, deadline, extensions) = (Time(1), Span::secs(1), Extensions::new());
    Request::Reserve(Reserve { now, deadline, endorsement, order: Signed::new(order, &issuer()), extensions })
}

fn vouched(key: Signed<TunnelKey>, credentials: Credentials) -> Endorsement {
    Endorsement::Supernode(Box::new(Vouched { credentials, key }))
}

fn tunnel_key() -> Signed<TunnelKey> {
    Signed::new(TunnelKey { key: [1; 32], supernode: FROM, extensions: Extensions::new() }, &issuer())
}

/// Puts a question through the door, from its bytes.
fn read(request: Request) -> Result<Ask, Refusal> {
    let protocol = protocol_of(&request);
    let ask = Ask { request, tell: false, extensions: Extensions::new() };
    read_ask(&FROM, protocol, &codec::encode(&ask))
}

fn answered(answer: Answer) -> Result<Reply, Refusal> {
    let reply = Reply { answer, steps: Vec::new(), extensions: Extensions::new() };
    read_reply(&FROM, &issuer().id(), &codec::encode(&reply))
}

#[track_caller]
fn check<T: std::fmt::Debug>(read: Result<T, Refusal>, outcome: &str) {
    assert_eq!(read.as_ref().map_or_else(|refusal| refusal.code().name(), |_| "ok"), outcome, "{read:?}");
}

#[test]
fn whose_signature_it_should_be_must_be_readable() {
    let of = |list, certificate| Credentials { list, certificate };
    let Credentials { list, certificate } = credentials();
    let say = |credentials: Credentials| read(Request::Hello(hello(Some(credentials), Some(descriptor()))));
    check(say(credentials()), "ok");
    check(say(of(garbage(), certificate.clone())), "Malformed");
    check(say(of(list.clone(), garbage())), "Malformed");
    check(read(Request::Hello(hello(Some(credentials()), Some(garbage())))), "Malformed");
    check(read(accept(credentials(), Some(descriptor()))), "ok");
    check(read(accept(credentials(), Some(garbage()))), "Malformed");
    check(read(accept(of(garbage(), certificate), None)), "Malformed");
    check(read(partners(vec![record(list.clone(), Some(descriptor()))])), "ok");
    check(read(partners(vec![record(list.clone(), None), record(garbage(), None)])), "Malformed");
    check(read(partners(vec![record(list, Some(garbage()))])), "Malformed");
    check(read(Request::Advertise(advertise(vec![published()]))), "ok");
    check(read(Request::Advertise(advertise(vec![published(), garbage()]))), "Malformed");
    let refresh = |offers| Refresh { feed: 1, number: 1, offers, extensions: Extensions::new() };
    check(read(Request::Refresh(refresh(advertise(vec![garbage()]).offers))), "Malformed");
    check(read(reserve(vouched(tunnel_key(), credentials()))), "ok");
    check(read(reserve(vouched(garbage(), credentials()))), "Malformed");
    check(read(reserve(vouched(tunnel_key(), of(garbage(), garbage())))), "Malformed");
}

#[test]
fn an_answer_whose_signatures_name_nobody_is_none() {
    let accepted = |credentials, descriptor| {
        let (addresses, extensions) = (Vec::new(), Extensions::new());
        Answer::Accepted(Accepted { credentials, descriptor, addresses, extensions })
    };
    check(answered(accepted(credentials(), Some(descriptor()))), "ok");
    check(answered(accepted(credentials(), Some(garbage()))), "Malformed");
    check(answered(accepted(Credentials { list: garbage(), ..credentials() }, None)), "Malformed");
    check(answered(Answer::Hello(hello(None, Some(garbage())))), "Malformed");
    check(answered(Answer::Snapshot(advertise(vec![published()]))), "ok");
    check(answered(Answer::Snapshot(advertise(vec![garbage()]))), "Malformed");
    let published_flavours =
        |offers| Answer::Published(PublishedFlavours { offers, partial: false, extensions: Extensions::new() });
    check(answered(published_flavours(vec![published()])), "ok");
    check(answered(published_flavours(vec![published(), garbage()])), "Malformed");
}

#[test]
fn what_is_forged_is_the_minds_to_refuse_in_its_own_words() {
    let Credentials { list, certificate } = credentials();
    let forged_list = Credentials { list: forged(&list), certificate };
    check(read(Request::Hello(hello(Some(forged_list), Some(forged(&descriptor()))))), "ok");
    check(read(partners(vec![record(forged(&list), Some(forged(&descriptor())))])), "ok");
    check(read(Request::Advertise(advertise(vec![forged(&published())]))), "ok");
    check(read(reserve(vouched(forged(&tunnel_key()), credentials()))), "ok");
}

#[test]
fn what_passes_the_door_is_opened_once_for_good() {
    let Credentials { list, .. } = credentials();
    let ask = read(partners(vec![record(list, Some(descriptor()))])).unwrap();
    let Request::Partners(said) = ask.request else { panic!("what was asked") };
    // What was opened shows what it says; what was not shows its digest.
    assert!(!format!("{said:?}").contains("unopened"), "{said:?}");
    let ask = read(Request::Advertise(advertise(vec![published(); 3]))).unwrap();
    assert!(!format!("{:?}", ask.request).contains("unopened"));
    let reply = answered(Answer::Hello(hello(Some(credentials()), Some(descriptor())))).unwrap();
    assert!(!format!("{:?}", reply.answer).contains("unopened"));
}

#[test]
fn each_message_comes_over_its_own_protocol() {
    for (request, other) in [
        (accept(credentials(), None), Protocol::Rear),
        (partners(Vec::new()), Protocol::Rear),
        (Request::Advertise(advertise(Vec::new())), Protocol::Federation),
    ] {
        let bytes = codec::encode(&Ask { request, tell: false, extensions: Extensions::new() });
        check(read_ask(&FROM, other, &bytes), "Malformed");
    }
}
