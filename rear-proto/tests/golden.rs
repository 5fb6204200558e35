//! The bytes of every message, fixed: what is on the wire once is read for ever.
//!
//! The files in `tests/golden` hold one message each, in hexadecimal. After a change that was meant (a message
//! that is new, an extension), they are written again by
//!
//! ```text
//! TOMBOLO_WRITE_GOLDEN=1 cargo test -p rear-proto --test golden
//! ```
//! and the difference is read before it is committed: a line that *changed* is a break of the protocol.
#![allow(clippy::unwrap_used, clippy::panic)]

mod samples;

use std::{fmt::Debug, fs, path::Path};

use rear_proto::{
    contract::{Contract, Endorsement, Mode},
    fabric::{FabricAsk, FabricReply},
    membership::Token,
    message::{Answer, Ask, Reply, Request},
    partner::{PartnerState, PartnerToken},
    refusal::Code,
    signed::{Signable, Signed, Signer},
    wire::codec,
};
use samples::{messages::*, *};
use serde::{Serialize, de::DeserializeOwned};

/// Holds a value's bytes against its file, or writes the file; then reads the value back from the file.
#[track_caller]
fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, value: &T) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name).with_extension("hex");
    let bytes = codec::encode(value);
    if std::env::var_os("TOMBOLO_WRITE_GOLDEN").is_some() {
        let lines: Vec<_> = bytes.chunks(48).map(hex::encode).collect();
        fs::write(&path, lines.join("\n") + "\n").unwrap();
    }
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}; see how to write it above"));
    let golden = hex::decode(text.split_whitespace().collect::<String>()).unwrap();
    assert_eq!(hex::encode(&bytes), hex::encode(&golden), "{name}: the bytes have changed");
    assert_eq!(&codec::decode::<T>(&golden).unwrap(), value, "{name}");
}

#[test]
fn questions_have_their_golden_bytes() {
    asks().iter().for_each(|(name, ask)| check::<Ask>(&format!("ask-{name}"), ask));
}

#[test]
fn answers_have_their_golden_bytes() {
    replies().iter().for_each(|(name, reply)| check::<Reply>(&format!("reply-{name}"), reply));
}

#[test]
fn fabric_messages_have_their_golden_bytes() {
    fabric_asks().iter().for_each(|(name, ask)| check::<FabricAsk>(&format!("fabric-ask-{name}"), ask));
    fabric_replies().iter().for_each(|(name, reply)| check::<FabricReply>(&format!("fabric-reply-{name}"), reply));
}

#[test]
fn what_is_signed_has_its_golden_bytes() {
    fn signed<T: Signable + Debug>(name: &str, value: T, by: &Signer) {
        check(&format!("signed-{name}"), &Signed::new(value, by));
    }
    signed("order", order(Mode::Direct), &buyer());
    signed("reserved", reserved(order(Mode::Hold)), &seller());
    signed("purchase", purchase(&held().reserved), &buyer());
    signed("contract-direct", contract(Mode::Direct), &seller());
    signed("contract-hold", contract(Mode::Hold), &seller());
    signed("renewal-ask", renewal_ask(), &buyer());
    signed("renewal", renewal(), &seller());
    signed("issuer-list", issuer_list(), &domain_signer());
    signed("certificate", certificate(buyer().id()), &issuer());
    check("signed-descriptor", &descriptor());
    check("token", &token());
    signed("contract-vouched", contract_abroad(), &seller());
    signed("tunnel-key", tunnel_key([11; 32]), &supernode());
    signed("published", published(), &supernode());
    check("partner-token", &partner_token());
    check("partner-record", &partner(PartnerState::Suspended));
    check("endorsement-member", &Endorsement::Member(credentials(buyer().id())));
    check("endorsement-supernode", &vouched([11; 32]));
}

#[test]
fn a_golden_contract_still_verifies() {
    for mode in ["direct", "hold", "vouched"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/signed-contract-{mode}.hex"));
        let text = fs::read_to_string(path).unwrap();
        let bytes = hex::decode(text.split_whitespace().collect::<String>()).unwrap();
        let signed: Signed<Contract> = codec::decode(&bytes).unwrap();
        Contract::verify(&signed, &buyer().id(), &seller().id()).unwrap();
    }
}

#[test]
fn a_tokens_text_stays_what_it_was() {
    let text = "tombolo-join-iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1wFYWxwaGGBOXcOqH0XX1ajVGbDTH7My42KkbTuN6Jd9g9bj8mzlAEfL2lwNC8xMjcuMC4wLjEvdWRwLzQwMDEvcXVpYy12MQUFBQUFBQUFBQUFBQUFBQUB_WBS5s-LAQAA";
    assert_eq!(token().to_string(), text);
    assert_eq!(text.parse::<Token>().unwrap(), token());
}

#[test]
fn a_partner_tokens_text_stays_what_it_was() {
    let text = "tombolo-partner-iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1wFYWxwaGFuehzdKbC3j9E69MVZj-_07yqXFm48pvLk-_zNgFBb8QEfL2lwNC8xMjcuMC4wLjEvdWRwLzQwMDEvcXVpYy12MQYGBgYGBgYGBgYGBgYGBgb9YFLmz4sBAAA";
    assert_eq!(partner_token().to_string(), text);
    assert_eq!(text.parse::<PartnerToken>().unwrap(), partner_token());
}

#[test]
fn numbers_of_refusals_and_variants_never_move() {
    let codes: Vec<_> = Code::ALL.iter().map(|code| (code.number(), code.name())).collect();
    assert_eq!(codes.first(), Some(&(1, "NotFound")));
    assert_eq!(codes.last(), Some(&(21, "Malformed")));
    assert!(codes.is_sorted_by(|a, b| a.0 + 1 == b.0));
    // Each sample begins with the number of its variant.
    let first = |request: &Request| codec::encode(request)[0];
    assert_eq!(
        requests().iter().map(|(_, request)| first(request)).collect::<Vec<_>>(),
        [0, 0, 1, 2, 2, 2, 3, 4, 5, 6, 7, 3, 8, 9, 10, 11, 12, 13, 14]
    );
    let first = |answer: &Answer| codec::encode(answer)[0];
    assert_eq!(
        answers().iter().map(|(_, answer)| first(answer)).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 4, 9, 10, 11, 12, 13]
    );
}

#[test]
fn numbers_of_deeds_roles_and_states_never_move() {
    fn numbers<T: Serialize>(values: impl IntoIterator<Item = T>) -> Vec<u8> {
        values.into_iter().map(|value| codec::encode(&value)[0]).collect()
    }
    use rear_proto::{Deed, StepManager, membership::Role, story::Place};
    // Deeds are read from both ends: one put in between would move the last.
    let deeds = [Deed::IntentArrived, Deed::ListSent, Deed::ReserveSent, Deed::WorkloadDeployed];
    assert_eq!(numbers(deeds), [0, 6, 13, 32]);
    let border = [Deed::AdvertisedLookedUp, Deed::PartnersAsked, Deed::PublishedLookedUp, Deed::SignaturesChecked];
    assert_eq!(numbers(border), [33, 34, 35, 36]);
    assert_eq!(numbers([StepManager::SH, StepManager::VFM]), [0, 6]);
    assert_eq!(numbers([Place::Node(buyer().id()), Place::Behind("P".to_owned())]), [0, 1]);
    assert_eq!(numbers([Role::Node, Role::Supernode, Role::Catalogue]), [0, 1, 2]);
    assert_eq!(numbers([PartnerState::On, PartnerState::Suspended, PartnerState::Removed]), [0, 1, 2]);
}
