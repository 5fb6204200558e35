//! The configuration as the file that `init` writes: every setting, in sections, with what it means.
//!
//! What has its default is written as a comment (`# key = value`), so that a later default reaches the node; what
//! differs is active. The words stand in `settings`; the values come from the configuration itself.

mod settings;

use std::fmt::Write as _;

use rear::offer::Offer;
use serde::Serialize;

use self::settings::{ABOUT_OFFERS, EXAMPLES, OFFER_SECTIONS, SECTIONS, Section};
use super::Config;

const HEADER: &str = "\
# The configuration of this node.
#
# A line like `# key = value` shows a setting at its default: remove the `#` to change it. Lengths of time are
# written like 250ms, 30s, 10m, 1h30m or 2d. An unknown key is refused, with its line. The daemon reads this file
# when it starts.
";

/// The widest line of a comment.
const COLUMNS: usize = 110;

impl Config {
    /// Returns the file that says this configuration; [`read`](Self::read) reads it back.
    pub fn to_text(&self) -> String {
        let (values, defaults) = (table(self), table(&Self::default()));
        let mut text = HEADER.to_owned();
        for section in SECTIONS {
            write_section(&mut text, section, &values, &defaults);
            if section.name.is_empty() {
                // The tables of offers stand where a reader looks first; TOML wants the plain keys before them.
                write_offers(&mut text, &self.offer);
            }
        }
        text
    }
}

/// Returns the settings as TOML values; all are plain values and tables, as a test holds.
fn table(config: &Config) -> toml::Table {
    toml::Table::try_from(config).unwrap_or_default()
}

fn write_section(text: &mut String, section: &Section, values: &toml::Table, defaults: &toml::Table) {
    text.push('\n');
    comment(text, section.about);
    if !section.name.is_empty() {
        let _ = writeln!(text, "[{}]", section.name);
    }
    for (key, about) in section.settings {
        let Some(value) = setting(values, section.name, key) else { continue };
        text.push('\n');
        comment(text, about);
        match setting(defaults, section.name, key) {
            Some(usual) if usual == value => {
                let _ = writeln!(text, "# {key} = {value}");
            }
            Some(usual) => {
                let _ = writeln!(text, "# The default is {usual}.\n{key} = {value}");
            }
            None => {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        for (.., example) in EXAMPLES.iter().filter(|(name, of, _)| (*name, of) == (section.name, key)) {
            for line in example.lines() {
                let _ = writeln!(text, "#   {line}");
            }
        }
    }
}

/// Returns the value of a setting in a section; sections within sections are parted by dots.
fn setting<'a>(table: &'a toml::Table, section: &str, key: &str) -> Option<&'a toml::Value> {
    section
        .split('.')
        .filter(|name| !name.is_empty())
        .try_fold(table, |table, name| table.get(name)?.as_table())?
        .get(key)
}

fn write_offers(text: &mut String, offers: &[Offer]) {
    #[derive(Serialize)]
    struct Offers<'a> {
        offer: &'a [Offer],
    }
    text.push('\n');
    comment(text, ABOUT_OFFERS);
    if offers.is_empty() {
        // An empty list would be a key of its own, and in the way of tables that somebody adds.
        return;
    }
    for line in toml::to_string(&Offers { offer: offers }).unwrap_or_default().lines() {
        if let Some((_, about)) = OFFER_SECTIONS.iter().find(|(header, _)| *header == line) {
            comment(text, about);
        }
        text.push_str(line);
        text.push('\n');
    }
}

/// Writes words as comment lines that an editor shows whole.
fn comment(text: &mut String, about: &str) {
    text.push('#');
    let mut width = 1;
    for word in about.split_whitespace() {
        let length = word.chars().count() + 1;
        if width + length > COLUMNS {
            text.push_str("\n#");
            width = 1;
        }
        let _ = write!(text, " {word}");
        width += length;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use kernel::{Quantity, Resources, Span};

    use super::*;
    use crate::measure;

    /// Returns the paths of all settings, offers apart.
    fn paths(prefix: &str, table: &toml::Table, found: &mut Vec<String>) {
        for (key, value) in table {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                toml::Value::Table(inner) => paths(&path, inner, found),
                _ => found.push(path),
            }
        }
    }

    /// Makes every setting that is commented out active.
    fn uncommented(text: &str) -> String {
        let is_setting = |rest: &str| {
            let key = rest.split(" = ").next().unwrap_or_default();
            rest.contains(" = ") && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        let line = |line: &str| match line.strip_prefix("# ") {
            Some(rest) if is_setting(rest) => format!("{rest}\n"),
            _ => format!("{line}\n"),
        };
        text.lines().map(line).collect()
    }

    fn changed() -> Config {
        let bootstrap = vec!["/ip4/192.0.2.1/udp/7401/quic-v1".to_owned()];
        let mut config = Config { bootstrap, ..Config::default() };
        config.api.set_port(7400);
        config.transport.ping_failures = 5;
        config.contract.lease = Span::secs(1);
        config.rear.ranking.fit = 9;
        let free = Resources {
            cpu: Quantity::units(2),
            memory: Quantity::bytes(4 << 30),
            pods: Quantity::units(32),
            storage: Quantity::bytes(9 << 30),
            gpu: Quantity::ZERO,
        };
        config.offer.push(measure::Machine { architecture: "amd64", free }.offer());
        config
    }

    #[test]
    fn every_setting_has_its_words_and_no_words_are_left_over() {
        let mut there = Vec::new();
        paths("", &table(&Config::default()), &mut there);
        there.retain(|path| path != "offer" && path != "rear.offers");
        let mut told = Vec::new();
        for section in SECTIONS {
            let dot = if section.name.is_empty() { "" } else { "." };
            told.extend(section.settings.iter().map(|(key, _)| format!("{}{dot}{key}", section.name)));
        }
        there.sort();
        told.sort();
        assert_eq!(told, there);
    }

    #[test]
    fn the_defaults_as_written_are_the_defaults() {
        let text = Config::default().to_text();
        let untouched = Config::parse(&text).unwrap();
        assert_eq!(table(&untouched), table(&Config::default()), "as it is");
        let all = uncommented(&text);
        assert_eq!(table(&Config::parse(&all).unwrap()), table(&Config::default()), "with every line active");
        assert_eq!(all.lines().filter(|line| !line.starts_with('#') && line.contains(" = ")).count(), {
            SECTIONS.iter().map(|section| section.settings.len()).sum::<usize>()
        });
    }

    #[test]
    fn what_differs_from_the_default_is_active_and_reads_back() {
        let (config, text) = (changed(), changed().to_text());
        for line in ["api = \"127.0.0.1:7400\"", "ping-failures = 5", "lease = \"1s\"", "fit = 9", "[[offer]]"] {
            assert!(text.lines().any(|other| other == line), "{line} is not in:\n{text}");
        }
        assert_eq!(table(&Config::parse(&text).unwrap()), table(&config), "as it is");
        assert_eq!(table(&Config::parse(&uncommented(&text)).unwrap()), table(&config), "with every line active");
    }

    #[test]
    fn the_examples_are_what_they_are_examples_of() {
        for (section, key, example) in EXAMPLES {
            let shown: String = example.lines().map(|line| format!("#   {line}\n")).collect();
            let text = Config::default().to_text();
            assert!(text.contains(&shown), "{section}.{key} is not shown in:\n{text}");
            let active = text.replace(&shown, &format!("{example}\n"));
            let config = table(&Config::parse(&active).unwrap());
            let value = setting(&config, section, key).and_then(toml::Value::as_array).unwrap();
            assert_eq!(value.len(), 1, "{section}.{key}");
        }
    }

    #[test]
    fn the_parts_of_an_offer_are_explained() {
        let text = changed().to_text();
        for (header, about) in OFFER_SECTIONS {
            let (before, _) = text.split_once(&format!("\n{header}\n")).expect(header);
            let words = before.rsplit("\n\n").next().unwrap().replace("\n# ", " ");
            assert!(words.contains(about), "{header} is explained as:\n{words}");
        }
    }
}
