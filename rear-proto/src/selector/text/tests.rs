//! The text form holds its claims.
#![allow(clippy::unwrap_used)]

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::price::{Money, Period, Rate};
use kernel::Quantity;

fn parse(text: &str) -> Selector {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[track_caller]
fn check(text: &str, printed: &str) {
    let selector = parse(text);
    assert_eq!(selector.to_string(), printed);
    assert_eq!(parse(printed), selector);
}

#[test]
fn selectors_print_in_one_form() {
    check("", "");
    check("  \t", "");
    check(
        "cpu>=2, memory>=4Gi, arch=amd64, price<=0.10EUR/h, location=IT",
        "cpu>=2, memory>=4Gi, arch=amd64, price<=0.1EUR/h, location=IT",
    );
    check("CPU >= 2 ,Memory<=1.5Gi", "cpu>=2, memory<=1536Mi");
    check("cpu=2", "cpu=2");
    check("cpu==2", "cpu=2");
    check("cpu in 1..4", "cpu in 1..4");
    check("cpu in 500m..1.5", "cpu in 500m..1500m");
    check("cpu IN .5..4", "cpu in 500m..4");
    check("gpu=0, pods>=10, storage>=10G", "gpu=0, pods>=10, storage>=10G");
    check("price in 0.1EUR/h..2.4EUR/d", "price in 0.1EUR/h..2.4EUR/d");
    check("latency<=50", "latency<=50ms");
    check("latency<=50ms", "latency<=50ms");
    check("latency in 5..1s", "latency in 5ms..1000ms");
    check("architecture=arm64", "arch=arm64");
    check("kind=K8Slice", "kind=K8Slice");
    check("domain in (beta, gamma)", "domain in (beta, gamma)");
    check("domain not in (x)", "domain not in (x)");
    check("domain NOT  IN(x,y)", "domain not in (x, y)");
    check("domain!=x", "domain not in (x)");
    check("tag=gpu", "tags=gpu");
    check("security=GDPR", "property.security=GDPR");
    check(r#"property.foo="bar baz""#, r#"property.foo="bar baz""#);
    check(r#"property."a b"=c"#, r#"property."a b"=c"#);
    check(r#"PROPERTY.Foo=c"#, r#"property.Foo=c"#);
    check(r#"tags="a\"b\\c\n\u{1b}""#, r#"tags="a\"b\\c\u{a}\u{1b}""#);
    check(r#"tags="a, b (c)""#, r#"tags="a, b (c)""#);
    check(r#"tags="""#, r#"tags="""#);
    check("location=Málaga", "location=Málaga");
    check("tags=in", "tags=in");
    check("property.in in (in, not)", "property.in in (in, not)");
}

#[test]
fn what_is_no_selector_is_refused_with_what_and_where() {
    for (text, message) in [
        ("cpu>2", "at character 1, 'cpu>2': use >=, <= or =, or a range such as 'in 1..4'"),
        ("cpu>=1, memory<4Gi", "at character 9, 'memory<4Gi': use >=, <= or =, or a range such as 'in 1..4'"),
        ("cpu not in 1..2", "at character 1, 'cpu not in 1..2': use >=, <= or =, or a range such as 'in 1..4'"),
        ("cpu", "at character 1, 'cpu': use >=, <= or =, or a range such as 'in 1..4'"),
        ("cpu in 1", "at character 1, 'cpu in 1': write a range with two dots, such as 'in 1..4'"),
        (
            "cpu in 4..1",
            "at character 1, 'cpu in 4..1': the range must begin with its smaller end, and both ends be alike",
        ),
        (
            "price in 1EUR/h..2USD/h",
            "at character 1, 'price in 1EUR/h..2USD/h': the range must begin with its smaller end, and both ends be alike",
        ),
        (
            "cpu>=two",
            "at character 1, 'cpu>=two': 'two' is not a quantity: write a number with an optional suffix, like 500m, 2, \
             1.5, 64Mi, 10G or 1e3",
        ),
        ("price<=0.10", "at character 1, 'price<=0.10': '0.10' is not a price, such as 0.10EUR/h"),
        ("latency<=fast", "at character 1, 'latency<=fast': write a latency in milliseconds, such as 50 or 50ms"),
        ("arch>=amd64", "at character 1, 'arch>=amd64': use =, !=, 'in (a, b)' or 'not in (a, b)'"),
        ("domain in beta", "at character 1, 'domain in beta': put the words of a list in parentheses: 'in (a, b)'"),
        (
            "domain in (a b)",
            "at character 1, 'domain in (a b)': put commas between the words of a list, and ')' at its end",
        ),
        (
            "domain in ()",
            "at character 1, 'domain in ()': a word is expected here; put quotes around one with spaces or signs",
        ),
        (
            "location=New York",
            "at character 1, 'location=New York': put a comma between filters, and quotes around words with spaces or \
             signs",
        ),
        ("tags=\"gpu", "at character 1, 'tags=\"gpu': the quotes are not closed"),
        ("tags=\"a\\x\"", "at character 1, 'tags=\"a\\x\"': in quotes, a backslash stands before \", \\, n, t or u{…}"),
        ("property.=x", "at character 1, 'property.=x': a property needs its name: property.NAME"),
        ("cpu>=1,", "at character 8, '': a filter is expected here, such as cpu>=2"),
        (
            "ram>=1",
            "at character 1, 'ram>=1': there is no field 'ram': use cpu, memory, pods, storage, gpu, price, latency, \
             kind, arch, location, domain, tags or property.NAME",
        ),
    ] {
        assert_eq!(text.parse::<Selector>().unwrap_err().to_string(), message);
    }
}

#[test]
fn length_and_number_of_filters_are_bounded() {
    let filters = |n: usize| vec!["cpu>=1"; n].join(",");
    assert!(filters(MAX_FILTERS).parse::<Selector>().is_ok());
    assert!(filters(MAX_FILTERS + 1).parse::<Selector>().unwrap_err().why.contains("at most 64 filters"));
    let long = |n: usize| format!("tags={}", "x".repeat(n - 5));
    assert!(long(MAX_TEXT).parse::<Selector>().is_ok());
    let error = long(MAX_TEXT + 1).parse::<Selector>().unwrap_err();
    assert!(error.why.contains("at most 4096 bytes") && error.to_string().len() < 200, "{error}");
}

fn bounds<T: Clone + std::fmt::Debug + PartialOrd + 'static>(
    value: impl Strategy<Value = T> + Clone + 'static,
) -> impl Strategy<Value = Bounds<T>> {
    let pair = (value.clone(), value.clone());
    prop_oneof![
        value.clone().prop_map(Bounds::Match),
        value.clone().prop_map(Bounds::AtLeast),
        value.prop_map(Bounds::AtMost),
        pair.prop_map(|(a, b)| if a <= b { Bounds::Between(a, b) } else { Bounds::Between(b, a) }),
    ]
}

fn quantity() -> impl Strategy<Value = Quantity> + Clone {
    prop_oneof![
        any::<u64>().prop_map(Quantity::units),
        any::<u64>().prop_map(Quantity::millis),
        any::<u64>().prop_map(Quantity::bytes),
        any::<u64>().prop_map(|nanos| Quantity::from_nanos(nanos.into()).unwrap()),
    ]
}

fn price() -> impl Strategy<Value = Bounds<Rate>> {
    (bounds(any::<u64>()), "[A-Z]{3}", 0..4usize).prop_map(|(amounts, currency, period)| {
        let period = [Period::Minute, Period::Hour, Period::Day, Period::Month][period];
        let rate = |amount| Rate { amount: Money(amount), currency: currency.parse().unwrap(), period };
        match amounts {
            Bounds::Match(amount) => Bounds::Match(rate(amount)),
            Bounds::AtLeast(amount) => Bounds::AtLeast(rate(amount)),
            Bounds::AtMost(amount) => Bounds::AtMost(rate(amount)),
            Bounds::Between(low, high) => Bounds::Between(rate(low), rate(high)),
        }
    })
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9._-]{1,8}", vec(any::<char>(), 0..6).prop_map(|chars| chars.into_iter().collect())]
}

fn field() -> impl Strategy<Value = Field> {
    prop_oneof![
        Just(Field::Kind),
        Just(Field::Architecture),
        Just(Field::Location),
        Just(Field::Domain),
        Just(Field::Tags),
        Just(Field::Runtime),
        word().prop_filter("a property has a name", |name| !name.is_empty()).prop_map(Field::Property),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let test = prop_oneof![
        word().prop_map(Test::Is),
        vec(word(), 1..4).prop_map(Test::In),
        vec(word(), 1..4).prop_map(Test::NotIn),
    ];
    prop_oneof![
        (0..5usize, bounds(quantity())).prop_map(|(at, bounds)| Filter::Amount(Resource::ALL[at], bounds)),
        price().prop_map(Filter::Price),
        bounds(any::<u32>()).prop_map(Filter::Latency),
        (field(), test).prop_map(|(field, test)| Filter::Word(field, test)),
    ]
}

proptest! {
    #[test]
    fn printed_selectors_parse_to_the_same(filters in vec(filter(), 0..8)) {
        let selector = Selector { filters };
        let text = selector.to_string();
        prop_assert!(!text.chars().any(char::is_control), "{}", text);
        prop_assert_eq!(text.parse::<Selector>(), Ok(selector), "{}", text);
    }

    #[test]
    fn any_text_is_a_selector_or_an_error(text in "\\PC{0,60}") {
        let _ = text.parse::<Selector>();
    }

    #[test]
    fn near_misses_are_a_selector_or_an_error(
        text in r#"(cpu|price|latency|tags|property\.|domain|é|in|not|>=|<=|=|>|!|\(|\)|,|"|\\|u\{|\}|\.\.|1|Gi| ){0,12}"#
    ) {
        if let Ok(selector) = text.parse::<Selector>() {
            prop_assert_eq!(selector.to_string().parse::<Selector>(), Ok(selector));
        }
    }
}
