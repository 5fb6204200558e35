//! The scenarios that are shipped, read once more from the files that they are.

use crate::scenario::Scenario;

/// Each by its name, in the order in which they are listed: small worlds first, large ones last.
const TEXTS: &[(&str, &str)] = &[
    ("quiet-city", include_str!("../scenarios/quiet-city.toml")),
    ("flash-crowd", include_str!("../scenarios/flash-crowd.toml")),
    ("hotspot", include_str!("../scenarios/hotspot.toml")),
    ("full-house", include_str!("../scenarios/full-house.toml")),
    ("supernode-lost", include_str!("../scenarios/supernode-lost.toml")),
    ("border-partition", include_str!("../scenarios/border-partition.toml")),
    ("flapping-node", include_str!("../scenarios/flapping-node.toml")),
    ("bad-lines", include_str!("../scenarios/bad-lines.toml")),
    ("churn", include_str!("../scenarios/churn.toml")),
    ("expelled", include_str!("../scenarios/expelled.toml")),
    ("disk-loss", include_str!("../scenarios/disk-loss.toml")),
    ("clock-skew", include_str!("../scenarios/clock-skew.toml")),
    ("rolling-upgrade", include_str!("../scenarios/rolling-upgrade.toml")),
    ("liar", include_str!("../scenarios/liar.toml")),
    ("price-war", include_str!("../scenarios/price-war.toml")),
    ("catalogue-market", include_str!("../scenarios/catalogue-market.toml")),
    ("bad-day", include_str!("../scenarios/bad-day.toml")),
    ("resellers", include_str!("../scenarios/resellers.toml")),
    ("hundred-domains", include_str!("../scenarios/hundred-domains.toml")),
    ("ten-thousand-nodes", include_str!("../scenarios/ten-thousand-nodes.toml")),
];

/// Returns all of them. Each can be read, as a test holds.
pub fn all() -> Vec<Scenario> {
    TEXTS.iter().filter_map(|(name, text)| Scenario::read(name, text).ok()).collect()
}

/// Returns their names.
pub fn names() -> impl Iterator<Item = &'static str> {
    TEXTS.iter().map(|(name, _)| *name)
}

/// Returns the text of one, as it may be copied for another.
pub fn text(name: &str) -> Option<&'static str> {
    TEXTS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Returns the one of this name, where there is one.
pub fn by_name(name: &str) -> Option<Scenario> {
    text(name).and_then(|text| Scenario::read(name, text).ok())
}

/// Returns which of the names may have been meant by a word that is none of them, or all names.
pub fn hint(word: &str) -> String {
    crate::scenario::hint(word, &names().collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::plan::{Plan, Trim};

    #[test]
    fn every_shipped_scenario_is_read_and_tells_its_story() {
        for (name, text) in TEXTS {
            let scenario = Scenario::read(name, text).unwrap();
            assert_eq!(scenario.name, *name);
            assert!(scenario.about.ends_with('.'), "{name}: {}", scenario.about);
            assert!(!scenario.load.is_empty(), "{name} wants nothing");
        }
        assert_eq!(all().len(), TEXTS.len());
    }

    #[test]
    fn every_file_is_shipped() {
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios")).unwrap();
        let mut files: Vec<String> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap().replace(".toml", "")).collect();
        files.sort();
        let mut shipped: Vec<&str> = names().collect();
        shipped.sort_unstable();
        assert_eq!(files, shipped);
    }

    #[test]
    fn every_shipped_scenario_has_a_plan_in_which_all_that_it_tells_of_happens() {
        for scenario in all() {
            let plan = Plan::new(&scenario, 1, &Trim::default()).unwrap();
            for fault in 0..scenario.faults.len() {
                assert!(plan.acts.iter().any(|acted| acted.fault == fault), "{}: fault {fault}", scenario.name);
            }
            assert!(plan.arrivals.len() > 20, "{}", scenario.name);
        }
    }
}
