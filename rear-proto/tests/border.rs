//! What crosses a border: who may vouch for a key, names that tell nothing, margins that add up, partner tokens.
#![allow(clippy::unwrap_used, clippy::panic)]

mod samples;

use kernel::{DomainKey, FlavourId, NodeId, Time};
use proptest::prelude::*;
use rear_proto::{
    contract::{BadEndorsement, Endorsement, TunnelKey, Vouched},
    local::DomainSecret,
    membership::{Certificate, Credentials, CredentialsError, Role},
    partner::PartnerToken,
    price::{Margin, Money},
    published::Published,
    signed::{Signed, Signer},
    wire::codec,
};
use samples::*;

const KEY: [u8; 32] = [11; 32];

/// A domain that is neither the sample one nor a partner's.
const ELSEWHERE: DomainKey = DomainKey([99; 32]);

/// Verifies an endorsement of [`KEY`] as it comes over the wire, at a node of `home` that has `partners`.
#[track_caller]
fn check(endorsement: &Endorsement, bearer: &Signer, home: DomainKey, partners: &[DomainKey], outcome: &str) {
    let endorsement: Endorsement = codec::decode(&codec::encode(endorsement)).unwrap();
    let verified = endorsement.verify(&KEY, &bearer.id(), &home, |domain| partners.contains(domain), NOW);
    let kind = match verified {
        Ok(domain) if domain == domain_key() => "good",
        Ok(_) => "good, for another domain",
        Err(BadEndorsement::Credentials(CredentialsError::Signature(_))) => "signature of the credentials",
        Err(BadEndorsement::Credentials(CredentialsError::OtherNode(_))) => "another node's credentials",
        Err(BadEndorsement::Credentials(CredentialsError::OtherDomain(_))) => "another domain's credentials",
        Err(BadEndorsement::Credentials(CredentialsError::NotAnIssuer(_))) => "no issuer",
        Err(BadEndorsement::Credentials(CredentialsError::Expired(_))) => "expired",
        Err(BadEndorsement::Signature(_)) => "signature of the key",
        Err(BadEndorsement::NotASupernode(_)) => "no supernode",
        Err(BadEndorsement::OtherKey) => "another key",
        Err(BadEndorsement::Domain(_)) => "domain",
    };
    assert_eq!(kind, outcome);
}

/// The sample supernode's endorsement with another signed key or other credentials.
fn with(change: impl FnOnce(&mut Vouched)) -> Endorsement {
    let Endorsement::Supernode(mut vouched) = vouched(KEY) else { panic!("a supernode's") };
    change(&mut vouched);
    Endorsement::Supernode(vouched)
}

fn certified(certificate: Certificate) -> Credentials {
    Credentials { certificate: Signed::new(certificate, &issuer()), ..credentials(buyer().id()) }
}

#[test]
fn a_member_vouches_for_its_own_key_at_home_alone() {
    let own = Endorsement::Member(credentials(buyer().id()));
    check(&own, &buyer(), domain_key(), &[], "good");
    check(&own, &seller(), domain_key(), &[], "another node's credentials");
    // A member's own word does not cross a border, not even from a partner.
    check(&own, &buyer(), ELSEWHERE, &[domain_key()], "signature of the credentials");
    let old = Endorsement::Member(certified(Certificate { expires: NOW, ..certificate(buyer().id()) }));
    check(&old, &buyer(), domain_key(), &[], "expired");
    assert_eq!(own.domain(), Some(domain_key()));
}

#[test]
fn a_supernode_vouches_for_a_key_at_home_and_at_partners_alone() {
    let good = vouched(KEY);
    check(&good, &buyer(), domain_key(), &[], "good");
    check(&good, &seller(), domain_key(), &[], "good");
    check(&good, &buyer(), ELSEWHERE, &[domain_key()], "good");
    check(&good, &buyer(), ELSEWHERE, &[], "domain");
    check(&good, &buyer(), ELSEWHERE, &[DomainKey([98; 32])], "domain");
    check(&vouched([12; 32]), &buyer(), domain_key(), &[], "another key");
    assert_eq!(good.domain(), Some(domain_key()));
    let made = Endorsement::vouch(KEY, supernode_credentials(), &supernode());
    check(&made, &buyer(), ELSEWHERE, &[domain_key()], "good");
}

#[test]
fn who_forges_an_endorsement_vouches_for_nothing() {
    let partners = [domain_key()];
    #[track_caller]
    fn refused(endorsement: &Endorsement, outcome: &str) {
        check(endorsement, &buyer(), ELSEWHERE, &[domain_key()], outcome);
    }
    // A node that is a member, and no supernode.
    let node = with(|vouched| vouched.credentials = certified(certificate(supernode().id())));
    refused(&node, "no supernode");
    let catalogue = Certificate { role: Role::Catalogue, ..certificate(supernode().id()) };
    refused(&with(|vouched| vouched.credentials = certified(catalogue)), "no supernode");
    // The credentials of a supernode, shown by another.
    let by_buyer = |key: TunnelKey| with(|vouched| vouched.key = Signed::new(key, &buyer()));
    refused(&by_buyer(tunnel_key(KEY)), "signature of the key");
    refused(&by_buyer(TunnelKey { supernode: buyer().id(), ..tunnel_key(KEY) }), "another node's credentials");
    // Credentials that nobody gave.
    let own = Certificate { role: Role::Supernode, ..certificate(supernode().id()) };
    let self_made = Credentials { certificate: Signed::new(own.clone(), &supernode()), ..supernode_credentials() };
    refused(&with(|vouched| vouched.credentials = self_made), "signature of the credentials");
    let named = Certificate { issuer: supernode().id(), ..own.clone() };
    let no_issuer = Credentials { certificate: Signed::new(named, &supernode()), ..supernode_credentials() };
    refused(&with(|vouched| vouched.credentials = no_issuer), "no issuer");
    let list = Signed::new(issuer_list(), &supernode());
    refused(&with(|vouched| vouched.credentials.list = list), "signature of the credentials");
    let foreign = certified(Certificate { domain: ELSEWHERE, ..own.clone() });
    refused(&with(|vouched| vouched.credentials = foreign), "another domain's credentials");
    refused(&with(|vouched| vouched.credentials = certified(Certificate { expires: NOW, ..own })), "expired");
    // What can't be read names nobody, and so no domain that is believed.
    let garbage: Signed<_> = codec::decode(&codec::encode(&(vec![7u8; 9], vec![0u8; 64]))).unwrap();
    let unreadable = with(|vouched| vouched.credentials.list = garbage);
    assert_eq!(unreadable.domain(), None);
    check(&unreadable, &buyer(), ELSEWHERE, &partners, "domain");
    let garbage: Signed<_> = codec::decode(&codec::encode(&(vec![7u8; 9], vec![0u8; 64]))).unwrap();
    refused(&with(|vouched| vouched.key = garbage), "another node's credentials");
}

#[test]
fn names_behind_the_border_differ_by_secret_purpose_and_parts() {
    let (secret, other) = (DomainSecret([1; 32]), DomainSecret([2; 32]));
    let rename = |secret: &DomainSecret, purpose, parts: &[&[u8]]| secret.rename(purpose, parts);
    let names = [
        rename(&secret, "out", &[b"default", &[6; 16]]),
        rename(&other, "out", &[b"default", &[6; 16]]),
        rename(&secret, "in", &[b"default", &[6; 16]]),
        rename(&secret, "out", &[b"other", &[6; 16]]),
        rename(&secret, "out", &[b"default", &[7; 16]]),
        rename(&secret, "out", &[&[6; 16], b"default"]),
        // Where one part ends and the next begins is part of the name.
        rename(&secret, "out", &[b"ab", b"c"]),
        rename(&secret, "out", &[b"a", b"bc"]),
        rename(&secret, "out", &[b"abc"]),
        rename(&secret, "out", &[b"abc", b""]),
        rename(&secret, "outa", &[b"bc"]),
        rename(&secret, "out", &[]),
    ];
    let different: std::collections::BTreeSet<_> = names.into_iter().collect();
    assert_eq!(different.len(), names.len());
    assert_eq!(rename(&secret, "out", &[b"default", &[6; 16]]), names[0], "and is the same each time");
    assert_eq!(names[0].to_string(), "ed1d830dd78d13ef6ce892a940e8d091", "at each version too");
    assert_eq!(format!("{secret:?}"), "DomainSecret(…)");
}

#[test]
fn a_margin_prints_and_parses_round_trip() {
    for (text, millionths) in
        [("0%", 0), ("2.5%", 25_000), ("100%", 1_000_000), ("0.0001%", 1), ("429496.7295%", u32::MAX)]
    {
        assert_eq!(text.parse::<Margin>().unwrap(), Margin(millionths));
        assert_eq!(Margin(millionths).to_string(), text);
    }
    assert_eq!(" 2.5 % ".parse::<Margin>().unwrap(), Margin(25_000));
    for text in ["", "%", "2.5", "2.5 per cent", "-1%", "0.00001%", "429496.7296%", "2,5%", "1%%", "nan%", "1e3%"] {
        let error = text.parse::<Margin>().unwrap_err().to_string();
        assert!(error.contains("2.5%"), "{text}: {error}");
    }
    assert_eq!(Margin::default().on(Money(7)), Some(Money(7)));
    assert_eq!(Margin(25_000).on(Money(100_000)), Some(Money(102_500)));
    assert_eq!(Margin(25_000).on(Money(1)), Some(Money(2)), "rounded up");
    assert_eq!(Margin(25_000).off(Money(102_499)), Money(99_999), "rounded down");
    assert_eq!(Margin(1).on(Money(u64::MAX)), None, "too large is none");
    assert_eq!(Margin(u32::MAX).off(Money(u64::MAX)), Money(4_293_967_529_775_980), "the largest of all");
}

#[test]
fn an_offer_is_published_by_the_party_to_reserve_with_alone() {
    let opens = |offer: Published, by: &Signer| {
        let signed: Signed<Published> = codec::decode(&codec::encode(&Signed::new(offer, by))).unwrap();
        signed.open(&supernode().id()).is_ok()
    };
    assert!(opens(published(), &supernode()));
    assert!(!opens(published(), &seller()));
    let mut other = published();
    other.flavour.provider = party(seller().id());
    assert!(!opens(other, &supernode()), "it names another to reserve with");
    assert!(!opens(Published { by: seller().id(), ..published() }, &supernode()));
    let mut contradiction = published();
    contradiction.flavour.base = kernel::Resources::default();
    assert!(!opens(contradiction, &supernode()));
}

#[test]
fn a_partner_token_survives_its_text_and_shows_its_secret_to_nobody() {
    let text = partner_token().to_string();
    assert!(text.starts_with("tombolo-partner-") && text.is_ascii() && !text.contains(char::is_whitespace), "{text}");
    assert_eq!(format!("  {text}\n").parse::<PartnerToken>().unwrap(), partner_token());
    let shown = format!("{:?}", partner_token());
    assert!(shown.contains("alpha") && !shown.contains("secret") && !shown.contains("6, 6"), "{shown}");
}

#[test]
fn what_is_no_partner_token_is_refused_in_one_sentence() {
    let (whole, join) = (partner_token().to_string(), token().to_string());
    let longer = format!("{whole}AAAA");
    let texts = ["", "tombolo-partner-", "tombolo-partner-!!!", "tombolo-partner-AAAA", &whole[1..], &join];
    for text in texts.into_iter().chain([&whole[..whole.len() - 4], &longer]) {
        let error = text.parse::<PartnerToken>().unwrap_err().to_string();
        assert!(error.contains("partner token") && error.lines().count() == 1, "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn what_a_relay_asks_for_what_it_may_pay_is_within_what_it_is_paid(outer in any::<u64>(), margin in any::<u32>()) {
        let margin = Margin(margin);
        let inner = margin.off(Money(outer));
        prop_assert!(margin.on(inner).unwrap() <= Money(outer));
        // And no more could be paid: the next millionth is too much.
        prop_assert!(margin.on(Money(inner.0 + 1)).is_none_or(|asked| asked > Money(outer)) || inner.0 == outer);
    }

    #[test]
    fn what_a_relay_asked_leaves_it_what_it_pays(inner in any::<u64>(), margin in any::<u32>()) {
        let margin = Margin(margin);
        if let Some(asked) = margin.on(Money(inner)) {
            prop_assert!(asked >= Money(inner));
            prop_assert!(margin.off(asked) >= Money(inner));
        }
    }

    #[test]
    fn a_margin_never_turns_an_order_of_prices_around(a in any::<u64>(), b in any::<u64>(), margin in any::<u32>()) {
        let (margin, low, high) = (Margin(margin), Money(a.min(b)), Money(a.max(b)));
        prop_assert!(margin.off(low) <= margin.off(high));
        if let (Some(low), Some(high)) = (margin.on(low), margin.on(high)) {
            prop_assert!(low <= high);
        }
    }

    #[test]
    fn any_margin_survives_its_text(margin in any::<u32>()) {
        prop_assert_eq!(Margin(margin).to_string().parse::<Margin>().unwrap(), Margin(margin));
    }

    #[test]
    fn any_text_is_a_margin_or_an_error(text in "[0-9.% -]{0,12}") {
        let _ = text.parse::<Margin>();
    }

    #[test]
    fn any_text_is_a_partner_token_or_an_error(text in "(tombolo-partner-)?[A-Za-z0-9_-]{0,200}") {
        let _ = text.parse::<PartnerToken>();
    }

    #[test]
    fn any_partner_token_survives_its_text(
        node in any::<[u8; 32]>(), key in any::<[u8; 32]>(), secret in any::<[u8; 16]>(), expires in any::<u64>(),
        name in "[a-z]{1,12}", addresses in proptest::collection::vec("/ip4/[0-9.]{1,12}", 0..4),
    ) {
        let mut token = PartnerToken { secret, expires: Time(expires), ..partner_token() };
        token.domain = rear_proto::flavour::Domain { key: DomainKey(key), name };
        token.inviter = rear_proto::Party { node: NodeId(node), addresses };
        prop_assert_eq!(token.to_string().parse::<PartnerToken>().unwrap(), token);
    }

    #[test]
    fn an_endorsement_with_one_changed_byte_vouches_for_nothing(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut bytes = codec::encode(&vouched(KEY));
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(endorsement) = codec::decode::<Endorsement>(&bytes) {
            let believed = |domain: &DomainKey| *domain == domain_key();
            prop_assert!(endorsement.verify(&KEY, &buyer().id(), &ELSEWHERE, believed, NOW).is_err());
        }
    }

    #[test]
    fn no_two_flavours_share_a_name_behind_the_border(a in any::<[u8; 16]>(), b in any::<[u8; 16]>()) {
        let secret = DomainSecret([1; 32]);
        let out = |id: FlavourId| secret.rename("out", &[b"default", id.as_bytes()]);
        prop_assert_eq!(a == b, out(FlavourId(a)) == out(FlavourId(b)));
    }
}
