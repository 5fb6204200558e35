//! Quantities hold their claims; the rows of canonical forms follow `quantity_test.go` of apimachinery.
#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

#[track_caller]
fn check(text: &str, printed: &str) {
    assert_eq!(text.parse::<Quantity>().unwrap().to_string(), printed);
}

#[test]
fn quantities_print_in_canonical_form() {
    check("500m", "500m");
    check("1.5", "1500m");
    check("1e3", "1e3");
    check("1E3", "1e3");
    check("1e-3", "1e-3");
    check("1947481697n", "1947481697n");
    check("3735836Ki", "3735836Ki");
    check("1024Ki", "1Mi");
    check("0.5Gi", "512Mi");
    check("0.5Ki", "512");
    check("1.5Ki", "1536");
    check("7Ei", "7Ei");
    check("1000m", "1");
    check("1000000n", "1m");
    check("12k", "12k");
    check("1000", "1k");
    check("+5", "5");
    check(".5", "500m");
    check("5.", "5");
    check("0", "0");
    check("0Ki", "0");
    check("9223372036854775807", "9223372036854775807");
    check("100u", "100u");
    check("0.0009765625Ki", "1");
    check("1E", "1E");
    // As apimachinery has them: as large a suffix as loses nothing, no fraction, small binary amounts as decimal.
    check("1.5Gi", "1536Mi");
    check("1.1Ki", "1126400m");
    check("1000Ki", "1000Ki");
    check("1023Ki", "1023Ki");
    check("1025Ki", "1025Ki");
    check("1001Gi", "1001Gi");
    check("1048576Ki", "1Gi");
    check("0.9765625Ki", "1k");
    check("1000000", "1M");
    check("1234567", "1234567");
    check("0.001", "1m");
    check("0.0001", "100u");
    check("1001m", "1001m");
    check("2000m", "2");
    check("12e5", "1200e3");
    check("1e-1", "100e-3");
    check("1e0", "1");
    check("1e+3", "1e3");
    check("1.5e3", "1500");
    check("007", "7");
    check("1.50", "1500m");
    check("+0.0", "0");
    check("0.000000001", "1n");
    check("8388607Ti", "8388607Ti");
    // Many digits that are exact all the same: 2⁻³⁰ of 2⁶⁰.
    check("0.000000000931322574615478515625Ei", "1Gi");
}

#[test]
fn what_is_no_quantity_is_refused_with_a_reason() {
    for (text, why) in [
        ("", FORM),
        (".", FORM),
        ("m", FORM),
        ("1.2.3", FORM),
        ("1 Gi", FORM),
        ("1gi", FORM),
        ("1e", FORM),
        ("-1", "it is negative"),
        ("0.5n", TOO_FINE),
        ("1e-10", TOO_FINE),
        ("8Ei", TOO_LARGE),
        ("9223372036854775808", TOO_LARGE),
        ("1e99", TOO_LARGE),
        ("1e-99", TOO_FINE),
        ("1e99999999999999999999", FORM),
        ("0.1n", TOO_FINE),
        ("1.0000000001", TOO_FINE),
        ("0.0000000001Ki", TOO_FINE),
        ("8388608Ti", TOO_LARGE),
        ("9223372036854775.808k", TOO_LARGE),
        ("10E", TOO_LARGE),
        ("1e3.5", FORM),
        ("1K", FORM),
        ("1mi", FORM),
        ("1Gi ", FORM),
        (" 1", FORM),
        ("1_000", FORM),
        ("0x10", FORM),
        ("١", FORM),
        ("--1", "it is negative"),
        ("+-1", FORM),
        ("∞", FORM),
        ("99999999999999999999999999999999999999999", TOO_LARGE),
    ] {
        assert_eq!(text.parse::<Quantity>().unwrap_err().why, why, "{text}");
    }
}

#[test]
fn arithmetic_never_wraps() {
    let largest: Quantity = "9223372036854775807".parse().unwrap();
    assert_eq!(largest.checked_add(Quantity::units(1)), None);
    assert_eq!(Quantity::ZERO.checked_sub(Quantity::millis(1)), None);
    assert_eq!(largest.checked_mul(2), None);
    assert_eq!(Quantity::units(u64::MAX), largest);
}

#[test]
fn a_quantity_is_the_same_amount_in_whatever_family() {
    let parse = |text: &str| text.parse::<Quantity>().unwrap();
    assert_eq!(parse("1Ki"), parse("1024"));
    assert_eq!(parse("1e3"), parse("1k"));
    assert!(parse("1Gi") > parse("1G"));
    assert!(parse("999m") < parse("1"));
    let hash = |quantity: Quantity| {
        use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
        BuildHasherDefault::<DefaultHasher>::default().hash_one(quantity)
    };
    assert_eq!(hash(parse("1Ki")), hash(parse("1024")));
}

#[test]
fn sums_print_in_the_family_of_their_first_amount_that_is_something() {
    let parse = |text: &str| text.parse::<Quantity>().unwrap();
    let sum = |a: &str, b: &str| parse(a).checked_add(parse(b)).unwrap().to_string();
    assert_eq!(sum("1Gi", "1024"), "1048577Ki");
    assert_eq!(sum("0", "64Mi"), "64Mi");
    assert_eq!(sum("1", "500m"), "1500m");
    assert_eq!(parse("1Gi").checked_sub(parse("512Mi")).unwrap().to_string(), "512Mi");
    assert_eq!(parse("256Mi").checked_mul(4).unwrap().to_string(), "1Gi");
}

#[test]
fn amounts_are_made_and_read_in_units_of_their_own() {
    assert_eq!(Quantity::millis(1500).to_string(), "1500m");
    assert_eq!(Quantity::bytes(1 << 30).to_string(), "1Gi");
    assert_eq!(Quantity::units(3).to_millis(), 3000);
    assert_eq!(Quantity::millis(1999).to_units(), 1);
    assert_eq!(Quantity::from_nanos(1_999_999).unwrap().to_millis(), 1);
    assert_eq!(Quantity::units(u64::MAX).to_millis(), u64::MAX);
    assert_eq!(Quantity::units(u64::MAX).to_units(), i64::MAX as u64);
    assert_eq!(Quantity::from_nanos(MAX + 1), None);
    assert_eq!(Quantity::bytes(u64::MAX), Quantity::from_nanos(MAX).unwrap());
    assert!(Quantity::default().is_zero() && !Quantity::from_nanos(1).unwrap().is_zero());
}

#[test]
fn people_write_texts_or_numbers_and_read_texts() {
    let read = |json: &str| serde_json::from_str::<Quantity>(json).map(|quantity| quantity.to_string());
    assert_eq!(read("\"1.5Gi\"").unwrap(), "1536Mi");
    assert_eq!(read("2").unwrap(), "2");
    assert_eq!(read("0.1").unwrap(), "100m");
    assert_eq!(read("1e3").unwrap(), "1k");
    for wrong in ["-1", "true", "null", "\"\"", "[1]", "1e300", "{\"cpu\":1}"] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
    assert_eq!(serde_json::to_string(&Quantity::millis(250)).unwrap(), "\"250m\"");
}

#[test]
fn an_error_quotes_no_more_than_the_beginning() {
    let error = "x".repeat(10_000).parse::<Quantity>().unwrap_err().to_string();
    assert!(error.len() < 200, "{error}");
}

proptest! {
    #[test]
    fn printed_quantities_parse_to_the_same(nanos in 0..=MAX, family in 0u8..3) {
        let family = [Family::Decimal, Family::Binary, Family::Exponent][family as usize];
        let quantity = Quantity { nanos, family };
        let text = quantity.to_string();
        let back: Quantity = text.parse().unwrap();
        prop_assert_eq!(back, quantity);
        prop_assert_eq!(back.to_string(), text);
    }

    #[test]
    fn any_text_is_a_quantity_or_an_error(text in "[-+0-9.eEkKMGiumn]{0,50}") {
        let _ = text.parse::<Quantity>();
    }

    #[test]
    fn a_parsed_amount_is_exact(whole in 0u64..1_000_000, fraction in 0u64..1_000_000, suffix in 0usize..11) {
        let (name, factor) = [
            ("", NANO),
            ("m", NANO / 1000),
            ("u", NANO / 1_000_000),
            ("k", NANO * 1000),
            ("M", NANO * 1_000_000),
            ("G", NANO * 1_000_000_000),
            ("Ki", NANO << 10),
            ("Mi", NANO << 20),
            ("Gi", NANO << 30),
            ("e6", NANO * 1_000_000),
            ("E-2", NANO / 100),
        ][suffix];
        let millionths = (u128::from(whole) * 1_000_000 + u128::from(fraction)) * factor;
        let parsed = format!("{whole}.{fraction:06}{name}").parse::<Quantity>();
        if millionths.is_multiple_of(1_000_000) {
            prop_assert_eq!(parsed.unwrap().nanos(), millionths / 1_000_000);
        } else {
            prop_assert_eq!(parsed.unwrap_err().why, TOO_FINE);
        }
    }

    #[test]
    fn what_is_added_can_be_taken_away(a in 0..=MAX, b in 0..=MAX) {
        let (a, b) = (Quantity::from_nanos(a).unwrap(), Quantity::from_nanos(b).unwrap());
        if let Some(sum) = a.checked_add(b) {
            prop_assert_eq!(sum.checked_sub(b), Some(a));
            prop_assert!(sum >= a && sum >= b);
        } else {
            prop_assert!(a.nanos() + b.nanos() > MAX);
        }
    }

    #[test]
    fn any_letters_at_all_are_a_quantity_or_an_error(text in "\\PC{0,60}") {
        let _ = text.parse::<Quantity>();
    }
}
