//! What makes a contract, a hold, a renewal and a membership good: one row for each way to tamper with one.
#![allow(clippy::unwrap_used, clippy::panic)]

mod samples;

use kernel::{Digest, DomainKey, Key, NodeId, Span, Time};
use proptest::prelude::*;
use rear_proto::{
    contract::{Contract, Held, InvalidContract, Mode, Order, Purchase, Renewal, RenewalAsk, Reserved},
    membership::{Certificate, Credentials, CredentialsError, IssuerList, Token},
    signed::{Signed, Signer},
    wire::codec,
};
use samples::*;

/// The outcome of a verification, by its kind alone.
fn kind(result: Result<(), InvalidContract>) -> &'static str {
    match result {
        Ok(()) => "good",
        Err(InvalidContract::Signature(_)) => "signature",
        Err(InvalidContract::Parties) => "parties",
        Err(InvalidContract::Price { .. }) => "price",
        Err(InvalidContract::Terms(what)) => what,
        Err(InvalidContract::Hold) => "hold",
        Err(InvalidContract::Start) => "start",
    }
}

/// Verifies as the far end does: from the bytes, not from what the signer still knows.
fn verify(contract: Contract, by: &Signer) -> &'static str {
    let signed: Signed<Contract> = codec::decode(&codec::encode(&Signed::new(contract, by))).unwrap();
    kind(Contract::verify(&signed, &buyer().id(), &seller().id()).map(|_| ()))
}

#[track_caller]
fn check(mode: Mode, outcome: &str, tamper: impl FnOnce(&mut Contract)) {
    let mut contract = contract(mode);
    tamper(&mut contract);
    assert_eq!(verify(contract, &seller()), outcome);
}

#[track_caller]
fn check_order(outcome: &str, tamper: impl FnOnce(&mut Order)) {
    let mut order = order(Mode::Direct);
    tamper(&mut order);
    check(Mode::Direct, outcome, |contract| contract.order = Signed::new(order, &buyer()));
}

#[track_caller]
fn check_reserved(outcome: &str, tamper: impl FnOnce(&mut Reserved)) {
    let mut reserved = reserved(order(Mode::Hold));
    tamper(&mut reserved);
    check(Mode::Hold, outcome, |contract| {
        let reserved = Signed::new(reserved, &seller());
        let purchase = Signed::new(purchase(&reserved), &buyer());
        contract.held = Some(Held { reserved, purchase });
    });
}

#[track_caller]
fn check_purchase(outcome: &str, by: &Signer, tamper: impl FnOnce(&mut Purchase)) {
    let reserved = held().reserved;
    let mut purchase = purchase(&reserved);
    tamper(&mut purchase);
    let purchase = Signed::new(purchase, by);
    check(Mode::Hold, outcome, |contract| contract.held = Some(Held { reserved, purchase }));
}

const MINUTE: u64 = 60_000;

#[test]
fn a_contract_is_good_as_ordered_and_within_its_limits() {
    check(Mode::Direct, "good", |_| {});
    check(Mode::Hold, "good", |_| {});
    check(Mode::Direct, "good", |contract| contract.price = rate("0.25EUR/h"));
    check(Mode::Direct, "good", |contract| contract.price = rate("6EUR/d"));
    check(Mode::Direct, "good", |contract| contract.price = rate("0EUR/h"));
    check(Mode::Direct, "good", |contract| contract.term = Span::millis(1));
    check(Mode::Direct, "good", |contract| contract.activate_within = Span::millis(1));
    check(Mode::Direct, "good", |contract| contract.start = Time(NOW.0 + MINUTE));
    check(Mode::Direct, "good", |contract| contract.start = Time(NOW.0 - MINUTE));
    check(Mode::Hold, "good", |contract| contract.start = Time(NOW.0 + 2));
    check(Mode::Hold, "good", |contract| contract.start = Time(NOW.0 + 2 + 30_000 + MINUTE));
}

#[test]
fn a_contract_with_anything_else_in_it_is_none() {
    // Whose signatures.
    assert_eq!(verify(contract(Mode::Direct), &buyer()), "signature");
    assert_eq!(verify(contract(Mode::Direct), &issuer()), "signature");
    check(Mode::Direct, "signature", |contract| contract.order = Signed::new(order(Mode::Direct), &seller()));
    check_order("parties", |order| order.buyer = issuer().id());
    check_order("parties", |order| order.seller = issuer().id());
    check_order("parties", |order| std::mem::swap(&mut order.buyer, &mut order.seller));
    // What was ordered.
    check(Mode::Direct, "price", |contract| contract.price = rate("0.250001EUR/h"));
    check(Mode::Direct, "price", |contract| contract.price = rate("0.2USD/h"));
    check(Mode::Direct, "price", |contract| contract.price = rate("0.25EUR/min"));
    check(Mode::Direct, "term", |contract| contract.term = Span::millis(3_600_001));
    check(Mode::Direct, "term", |contract| contract.term = Span::ZERO);
    check(Mode::Direct, "time to activate", |contract| contract.activate_within = Span::millis(10_001));
    check_order("price", |order| order.ceiling = rate("0.1EUR/h"));
    check_order("term", |order| order.term = Span::secs(1));
    check_order("time to activate", |order| order.activate_within = Span::secs(1));
    // When.
    check(Mode::Direct, "start", |contract| contract.start = Time(NOW.0 + MINUTE + 1));
    check(Mode::Direct, "start", |contract| contract.start = Time(NOW.0 - MINUTE - 1));
    check(Mode::Direct, "start", |contract| contract.start = Time::MAX);
    check_order("start", |order| order.placed = Time(0));
    // How it was agreed.
    check(Mode::Direct, "hold", |contract| contract.held = Some(held()));
    check(Mode::Hold, "hold", |contract| contract.held = None);
    check_order("hold", |order| order.mode = Mode::Hold);
}

#[test]
fn a_contract_over_another_hold_is_none() {
    check_reserved("good", |_| {});
    check_reserved("hold", |reserved| reserved.order = Signed::new(order(Mode::Direct), &buyer()));
    check_reserved("hold", |reserved| {
        reserved.order = Signed::new(Order { key: Key([99; 16]), ..order(Mode::Hold) }, &buyer());
    });
    check_reserved("price or term of the hold", |reserved| reserved.price = rate("0.1EUR/h"));
    check_reserved("price", |reserved| reserved.price = rate("0.3EUR/h"));
    check_reserved("price or term of the hold", |reserved| reserved.term = Span::secs(3599));
    check_reserved("term", |reserved| reserved.term = Span::secs(3601));
    check_reserved("start", |reserved| reserved.at = Time(NOW.0 + MINUTE + 1));
    check_reserved("start", |reserved| reserved.at = Time(NOW.0 - MINUTE - 1));
    check(Mode::Hold, "start", |contract| contract.start = Time(NOW.0 + 1));
    check(Mode::Hold, "start", |contract| contract.start = Time(NOW.0 + 2 + 30_000 + MINUTE + 1));
    check(Mode::Hold, "signature", |contract| {
        let reserved = Signed::new(reserved(order(Mode::Hold)), &buyer());
        let purchase = Signed::new(purchase(&reserved), &buyer());
        contract.held = Some(Held { reserved, purchase });
    });
    check_purchase("good", &buyer(), |_| {});
    check_purchase("signature", &seller(), |_| {});
    check_purchase("hold", &buyer(), |purchase| purchase.key = Key([99; 16]));
    check_purchase("hold", &buyer(), |purchase| purchase.reserved = Digest([0; 32]));
}

#[test]
fn a_hold_is_good_over_its_own_order_alone() {
    let verify = |reserved: Reserved, by: &Signer| {
        let order = Signed::new(order(Mode::Hold), &buyer());
        kind(Reserved::verify(&Signed::new(reserved, by), &order, &buyer().id(), &seller().id()).map(|_| ()))
    };
    let own = || reserved(order(Mode::Hold));
    assert_eq!(verify(own(), &seller()), "good");
    assert_eq!(verify(own(), &buyer()), "signature");
    assert_eq!(verify(reserved(Order { key: Key([99; 16]), ..order(Mode::Hold) }), &seller()), "hold");
    assert_eq!(verify(Reserved { price: rate("0.3EUR/h"), ..own() }, &seller()), "price");
    assert_eq!(verify(Reserved { term: Span::ZERO, ..own() }, &seller()), "term");
    assert_eq!(verify(Reserved { at: Time(NOW.0 + MINUTE + 1), ..own() }, &seller()), "start");
    let direct = Signed::new(order(Mode::Direct), &buyer());
    let reserved = Signed::new(reserved(order(Mode::Direct)), &seller());
    let verified = Reserved::verify(&reserved, &direct, &buyer().id(), &seller().id());
    assert_eq!(kind(verified.map(|_| ())), "hold");
}

#[test]
fn a_renewal_is_good_as_asked_for_alone() {
    let verify = |renewal: Renewal, by: &Signer| {
        let signed: Signed<Renewal> = codec::decode(&codec::encode(&Signed::new(renewal, by))).unwrap();
        kind(Renewal::verify(&signed, &Digest([14; 32]), &buyer().id(), &seller().id()).map(|_| ()))
    };
    let asked = |ask: RenewalAsk| Renewal { ask: Signed::new(ask, &buyer()), ..renewal() };
    assert_eq!(verify(renewal(), &seller()), "good");
    assert_eq!(verify(renewal(), &buyer()), "signature");
    assert_eq!(verify(Renewal { ask: Signed::new(renewal_ask(), &seller()), ..renewal() }, &seller()), "signature");
    assert_eq!(verify(Renewal { price: rate("0.26EUR/h"), ..renewal() }, &seller()), "price");
    assert_eq!(verify(Renewal { term: Span::secs(601), ..renewal() }, &seller()), "term");
    assert_eq!(verify(Renewal { term: Span::ZERO, ..renewal() }, &seller()), "term");
    assert_eq!(verify(asked(RenewalAsk { contract: Digest([0; 32]), ..renewal_ask() }), &seller()), "contract");
    assert_eq!(verify(asked(RenewalAsk { n: 0, ..renewal_ask() }), &seller()), "number of the renewal");
}

fn membership(list: IssuerList, certificate: Certificate, by: (&Signer, &Signer), now: Time) -> String {
    let credentials = Credentials { list: Signed::new(list, by.0), certificate: Signed::new(certificate, by.1) };
    let credentials: Credentials = codec::decode(&codec::encode(&credentials)).unwrap();
    match credentials.verify(&domain_key(), &buyer().id(), now) {
        Ok(member) => format!("member until {}", member.expires.0 - NOW.0),
        Err(CredentialsError::Signature(error)) => format!("signature on the {}", error.what),
        Err(error) => error.to_string(),
    }
}

#[test]
fn credentials_hold_as_one_chain_for_their_bearer_and_in_time() {
    let (list, own) = (issuer_list, || certificate(buyer().id()));
    let (domain, issued) = (domain_signer(), issuer());
    let by = (&domain, &issued);
    let check = |list, certificate, by, now, outcome: &str| {
        assert_eq!(membership(list, certificate, by, now), outcome);
    };
    let other = NodeId([9; 32]);
    check(list(), own(), by, NOW, "member until 500");
    check(list(), own(), by, Time(NOW.0 + 499), "member until 500");
    check(list(), own(), by, Time(NOW.0 + 500), "the certificate has expired");
    check(list(), own(), by, Time(NOW.0 + 1000), "the list of issuers has expired");
    let long = Certificate { expires: Time(NOW.0 + 5000), ..own() };
    check(list(), long, by, NOW, "member until 1000");
    check(
        list(),
        Certificate { node: other, ..own() },
        by,
        NOW,
        &format!("the certificate is node {other}'s, not the bearer's"),
    );
    let elsewhere = DomainKey([9; 32]);
    check(
        list(),
        Certificate { domain: elsewhere, ..own() },
        by,
        NOW,
        &format!("the certificate is of domain {elsewhere}"),
    );
    let mut foreign = list();
    foreign.domain.key = elsewhere;
    check(foreign, own(), by, NOW, &format!("the certificate is of domain {elsewhere}"));
    let nobody = IssuerList { issuers: Vec::new(), ..list() };
    check(nobody, own(), by, NOW, &format!("{} is not on the domain's list of issuers", issuer().id()));
    let by_other = Certificate { issuer: other, ..own() };
    check(list(), by_other, by, NOW, &format!("{other} is not on the domain's list of issuers"));
    // The list of another key; a certificate that the bearer made itself in an issuer's name.
    check(list(), own(), (&issued, &issued), NOW, "signature on the tombolo issuer list 1");
    check(list(), own(), (&domain, &buyer()), NOW, "signature on the tombolo certificate 1");
}

#[test]
fn a_certificate_that_is_no_value_names_nobody_as_its_issuer() {
    let list = Signed::new(issuer_list(), &domain_signer());
    let garbage: Signed<Certificate> = codec::decode(&codec::encode(&(vec![1u8, 2, 3], vec![0u8; 64]))).unwrap();
    let error = Credentials { list, certificate: garbage }.verify(&domain_key(), &buyer().id(), NOW).unwrap_err();
    assert_eq!(error, CredentialsError::NotAnIssuer(buyer().id()));
}

#[test]
fn a_token_survives_its_text() {
    let text = token().to_string();
    assert!(text.starts_with("tombolo-join-") && text.is_ascii() && !text.contains(char::is_whitespace), "{text}");
    assert_eq!(format!("  {text}\n").parse::<Token>().unwrap(), token());
}

#[test]
fn what_is_no_token_is_refused() {
    let whole = token().to_string();
    let longer = format!("{whole}AAAA");
    for text in
        ["", "tombolo-join-", "tombolo-join-!!!", "tombolo-join-AAAA", &whole[1..], &whole[..whole.len() - 4], &longer]
    {
        assert!(text.parse::<Token>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_token_or_an_error(text in "(tombolo-join-)?[A-Za-z0-9_-]{0,200}") {
        let _ = text.parse::<Token>();
    }

    #[test]
    fn a_contract_with_one_changed_byte_is_none(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut bytes = codec::encode(&Signed::new(contract(Mode::Hold), &seller()));
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(signed) = codec::decode::<Signed<Contract>>(&bytes) {
            prop_assert!(Contract::verify(&signed, &buyer().id(), &seller().id()).is_err());
        }
    }
}
