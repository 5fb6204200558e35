//! What makes sense as a scenario: what is named exists, and nothing asks for more than a machine can hold.

use std::{collections::BTreeSet, fmt};

use kernel::{Quantity, Span};
use orchestrator::intent::{MAX_REPLICAS, MAX_TERM, MIN_TERM};
use rear_proto::{
    door::{MAX_LABEL, MAX_MONEY},
    membership::Role,
};

use super::{Between, Domains, Fault, Line, Load, Partners, Pattern, Scenario, Trouble, When, Who, names::ROLES};

/// The most nodes: they take some gigabytes.
pub const MAX_NODES: u64 = 200_000;
/// The most domains: each may be partner of each.
pub const MAX_DOMAINS: u64 = 1000;
/// The longest that anything may take.
pub const MAX_LENGTH: Span = Span::secs(30 * 86_400);
/// The most intents in a second.
pub const MAX_RATE: f64 = 100_000.0;
/// The most intents in all.
pub const MAX_INTENTS: f64 = 5_000_000.0;
/// The most nodes that all faults strike in all, each as often as it is struck.
pub const MAX_STRUCK: u64 = 5_000_000;
/// The most loads, and the most faults.
const MAX_ENTRIES: usize = 1000;
/// The least that is offered: one part of it.
const LEAST_CPU: Quantity = Quantity::millis(100);
const LEAST_MEMORY: Quantity = Quantity::bytes(16 << 20);
/// The most of anything that one node has or one replica needs: sums over all nodes are still quantities.
const MOST: Quantity = Quantity::bytes(1 << 44);

/// What makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Where, such as `faults[2].lasts`.
    pub(crate) path: String,
    /// Why.
    pub(crate) why: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.why) } else { write!(f, "{}: {}", self.path, self.why) }
    }
}

type Checked = Result<(), Wrong>;

impl Wrong {
    pub(crate) fn new(path: impl Into<String>, why: impl Into<String>) -> Self {
        Self { path: path.into(), why: why.into() }
    }

    /// Says that it is within something else.
    pub(crate) fn within(self, path: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self { path: format!("{path}{dot}{}", self.path), why: self.why }
    }
}

/// Complains unless it is so.
fn must(is: bool, path: &str, why: impl FnOnce() -> String) -> Checked {
    if is { Ok(()) } else { Err(Wrong::new(path, why())) }
}

fn at_most<T: PartialOrd + fmt::Display>(path: &str, what: T, most: T) -> Checked {
    must(what <= most, path, || format!("{what} is over {most}, which is the most"))
}

fn at_least<T: PartialOrd + fmt::Display>(path: &str, what: T, least: T) -> Checked {
    must(what >= least, path, || format!("{what} is under {least}, which is the least"))
}

fn within<T: PartialOrd + fmt::Display + Copy>(path: &str, what: &Between<T>, least: T, most: T) -> Checked {
    at_least(path, what.least, least)?;
    must(what.least <= what.most, path, || "the least comes first".to_owned())?;
    at_most(path, what.most, most)
}

fn share(path: &str, what: f64) -> Checked {
    // What is no number is not within, either.
    must((0.0..=1.0).contains(&what), path, || format!("{what} is no share: it must be from 0 to 1"))
}

impl Scenario {
    /// Checks that the scenario makes sense.
    ///
    /// # Errors
    /// The first thing that does not.
    pub(crate) fn check(&self) -> Checked {
        must(self.length > Span::ZERO, "length", || "it must be longer than nothing".to_owned())?;
        at_most("length", self.length, MAX_LENGTH)?;
        at_most("quiet", self.quiet, MAX_LENGTH)?;
        self.check_domains()?;
        self.check_partners()?;
        self.links.inside.check().map_err(|wrong| wrong.within("links.inside"))?;
        self.links.between.check().map_err(|wrong| wrong.within("links.between"))?;
        within("disks.sync", &self.disks.sync, Span::ZERO, MAX_LENGTH)?;
        at_most("load", self.load.len(), MAX_ENTRIES)?;
        for (at, load) in self.load.iter().enumerate() {
            self.check_load(load).map_err(|wrong| wrong.within(&format!("load[{at}]")))?;
        }
        self.check_sum()?;
        at_most("faults", self.faults.len(), MAX_ENTRIES)?;
        let mut struck = 0u64;
        for (at, fault) in self.faults.iter().enumerate() {
            let path = format!("faults[{at}]");
            struck = struck.saturating_add(self.check_fault(fault).map_err(|wrong| wrong.within(&path))?);
            must(struck <= MAX_STRUCK, &path, || {
                format!("with it, faults strike some {struck} times in all, and {MAX_STRUCK} is the most")
            })?;
        }
        share("hold.running", self.hold.running)
    }

    fn check_domains(&self) -> Checked {
        must(!self.domains.is_empty(), "domains", || "there must be at least one".to_owned())?;
        // Counted before any of them is made.
        at_most("domains", self.domain_count(), MAX_DOMAINS)?;
        at_most("domains", self.nodes(), MAX_NODES)?;
        for (at, domains) in self.domains.iter().enumerate() {
            domains.check().map_err(|wrong| wrong.within(&format!("domains[{at}]")))?;
        }
        let mut names = BTreeSet::new();
        for made in self.made() {
            let why = || format!("'{}' is the name of another domain already", made.name);
            must(names.insert(made.name.clone()), &format!("domains[{}].name", made.kind), why)?;
        }
        Ok(())
    }

    fn check_partners(&self) -> Checked {
        match &self.partners {
            Partners::None | Partners::All | Partners::Ring => Ok(()),
            Partners::Drawn(count) => {
                let others = self.domain_count().saturating_sub(1);
                must(u64::from(*count) <= others, "partners.drawn", || {
                    format!("{count} is over {others}, the number of other domains")
                })
            }
            Partners::Pairs(pairs) => {
                at_most("partners.pairs", pairs.len() as u64, MAX_DOMAINS * MAX_DOMAINS / 2)?;
                let names = pairs.iter().enumerate().flat_map(|(at, (one, other))| [(at, one), (at, other)]);
                names.into_iter().try_for_each(|(at, name)| self.check_name(&format!("partners.pairs[{at}]"), name))
            }
        }
    }

    /// Checks that there is a domain of this name, or one kind of them.
    fn check_name(&self, path: &str, name: &str) -> Checked {
        if self.made().any(|made| self.is_named(&made, name)) {
            return Ok(());
        }
        let known: Vec<&str> = self.domains.iter().map(|domains| domains.name.as_str()).collect();
        Err(Wrong::new(path, format!("there is no domain '{name}'{}", super::read::hint(name, &known))))
    }

    fn check_load(&self, load: &Load) -> Checked {
        let rate = load.per_second * load.pattern.most();
        must(load.per_second >= 0.0, "per-second", || format!("{} is no rate", load.per_second))?;
        must(rate <= MAX_RATE, "per-second", || format!("{rate} a second is over {MAX_RATE}, which is the most"))?;
        load.pattern.check().map_err(|wrong| wrong.within("pattern"))?;
        if let Some(from) = &load.from {
            self.check_name("from", from)?;
        }
        must(self.comes_from_somebody(load), "from", || {
            "there is no ordinary node that it could come from".to_owned()
        })?;
        let least = Quantity::millis(1);
        within("cpu", &load.cpu, least, MOST)?;
        within("memory", &load.memory, least, MOST)?;
        within("replicas", &load.replicas, 1, u32::from(MAX_REPLICAS))?;
        within("term", &load.term, MIN_TERM, MAX_TERM)?;
        within("lives", &load.lives, Span::millis(1), MAX_LENGTH)?;
        load.ceiling.as_ref().map_or(Ok(()), |ceiling| within("ceiling", ceiling, 0, MAX_MONEY))
    }

    fn comes_from_somebody(&self, load: &Load) -> bool {
        let mut made = self.made().filter(|made| self.domains[made.kind].nodes > 0);
        made.any(|made| load.from.as_ref().is_none_or(|from| self.is_named(&made, from)))
    }

    /// Checks how many intents there are in all, on average.
    fn check_sum(&self) -> Checked {
        let seconds = self.length.0 as f64 / 1000.0;
        let all: f64 = self.load.iter().map(|load| load.per_second * load.pattern.most() * seconds).sum();
        must(all <= MAX_INTENTS, "load", || {
            format!("{all:.0} intents may come in all, and {MAX_INTENTS:.0} is the most")
        })
    }

    /// Checks a fault; returns how many nodes it strikes at the most, each as often as it does.
    fn check_fault(&self, fault: &Fault) -> Result<u64, Wrong> {
        within("lasts", &fault.lasts, Span::ZERO, Span::secs(365 * 86_400))?;
        at_least("count", fault.count, 1)?;
        must(u64::from(fault.count) <= self.nodes(), "count", || {
            format!("{} is over {}, the number of nodes", fault.count, self.nodes())
        })?;
        let (struck, largest) = self.struck(&fault.who)?;
        let (whole, cuts) = match &fault.trouble {
            Trouble::Partition | Trouble::Hold => (fault.who.takes_whole_domains(), true),
            Trouble::Line(line) => {
                line.check()?;
                (false, false)
            }
            Trouble::Skew(by) => {
                within("by", by, Span::ZERO, MAX_LENGTH)?;
                (false, false)
            }
            Trouble::SlowDisk(sync) => {
                within("sync", sync, Span::ZERO, MAX_LENGTH)?;
                (false, false)
            }
            Trouble::Lie(percent) => {
                must((1..=100).contains(percent), "percent", || format!("{percent} is not from 1 to 100"))?;
                (false, false)
            }
            Trouble::Reprice(percent) => {
                must((1..=99).contains(percent), "percent", || format!("{percent} is not from 1 to 99"))?;
                (false, false)
            }
            Trouble::Crash
            | Trouble::Bounce
            | Trouble::Churn
            | Trouble::FullDisk
            | Trouble::LostDisk
            | Trouble::Upgrade
            | Trouble::Withdraw => (false, false),
            Trouble::Remove => {
                must(self.removes(&fault.who), "who", || {
                    "there is nobody but an issuer, which can't remove itself".to_owned()
                })?;
                (false, false)
            }
        };
        must(!cuts || !whole || self.domain_count() > 1, "who", || {
            "there is one domain, so nobody is on the other side: strike 'nodes', 'supernodes' or one node".to_owned()
        })?;
        let times = match &fault.when {
            When::At(at) => {
                must(*at < self.length, "at", || format!("{at} is not before the end, after {}", self.length))?;
                1
            }
            When::Every(pauses) => {
                within("every", pauses, Span::millis(1), MAX_LENGTH)?;
                // On average half way between the two.
                2 * self.length.0 / pauses.least.plus(pauses.most).0 + 1
            }
            When::Rolling(from, pauses) => {
                must(*from < self.length, "at", || format!("{from} is not before the end, after {}", self.length))?;
                within("rolling", pauses, Span::ZERO, MAX_LENGTH)?;
                struck.div_ceil(u64::from(fault.count))
            }
        };
        let each = u64::from(fault.count).min(struck).saturating_mul(if whole { largest } else { 1 });
        Ok(times.saturating_mul(each))
    }

    /// Says whether there is anybody of these whom his domain's issuer can remove.
    fn removes(&self, who: &Who) -> bool {
        self.made().any(|made| {
            let domains = &self.domains[made.kind];
            let mut all = ROLES.into_iter().flat_map(|role| (1..=domains.of(role)).map(move |number| (role, number)));
            all.any(|(role, number)| who.has(self, &made, role, number) && !domains.is_issuer(role, number))
        })
    }

    /// Returns how many nodes a fault may strike, and how many the largest of their domains has.
    fn struck(&self, who: &Who) -> Result<(u64, u64), Wrong> {
        let (mut struck, mut largest) = (0u64, 0);
        for made in self.made() {
            let domains = &self.domains[made.kind];
            let here: u64 = match who {
                Who::Node(_) => {
                    let has = |role: Role| (1..=domains.of(role)).any(|number| who.has(self, &made, role, number));
                    u64::from(ROLES.into_iter().any(has))
                }
                Who::Anybody | Who::Nodes | Who::Supernodes | Who::Catalogues | Who::Domain(_) => ROLES
                    .into_iter()
                    .filter(|role| who.has(self, &made, *role, 1))
                    .map(|role| u64::from(domains.of(role)))
                    .sum(),
            };
            struck += here;
            largest = if here > 0 { domains.size().max(largest) } else { largest };
        }
        match who {
            Who::Domain(name) => self.check_name("who", name)?,
            Who::Node(name) => must(struck > 0, "who", || {
                format!("there is no node '{name}': they are called like alpha/3, alpha-2/s1 or alpha/k1")
            })?,
            Who::Anybody | Who::Nodes | Who::Supernodes | Who::Catalogues => {}
        }
        must(struck > 0, "who", || "there is nobody to be struck".to_owned())?;
        Ok((struck, largest))
    }
}

impl Domains {
    fn check(&self) -> Checked {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let name = &self.name;
        // Room is left for the number of a copy.
        let is_name = (1..=MAX_LABEL - 5).contains(&name.len())
            && name.chars().all(inner)
            && !name.starts_with('-')
            && !name.ends_with('-')
            && !Who::WORDS.contains(&name.as_str());
        must(is_name, "name", || {
            format!("'{name}' is no name: write small letters, digits and hyphens within, and none of {:?}", Who::WORDS)
        })?;
        at_least("count", self.count, 1)?;
        must(self.size() > 0, "nodes", || "there is no node in it".to_owned())?;
        share("offering", self.offering)?;
        share("dial-out", self.dial_out)?;
        within("cpu", &self.cpu, LEAST_CPU, MOST)?;
        within("memory", &self.memory, LEAST_MEMORY, MOST)?;
        within("price", &self.price, 0, MAX_MONEY)?;
        must(self.exposes || !self.resells, "resells", || {
            "what is sold on is shown: it needs 'exposes', too".to_owned()
        })
    }
}

impl Line {
    fn check(&self) -> Checked {
        within("latency", &self.latency, Span::ZERO, MAX_LENGTH)?;
        at_most("lost", self.lost, 1000)?;
        at_most("twice", self.twice, 1000)?;
        at_most("late", self.late, 1000)
    }
}

impl Pattern {
    fn check(&self) -> Checked {
        match self {
            Self::Steady => Ok(()),
            Self::Burst { at, lasts, times } => {
                at_most("burst.at", *at, MAX_LENGTH)?;
                at_most("burst.lasts", *lasts, MAX_LENGTH)?;
                must(*times >= 0.0 && times.is_finite(), "burst.times", || format!("{times} is no number of times"))
            }
            Self::Hotspot { share: of } => share("hotspot.share", *of),
            Self::Diurnal { day } => {
                at_least("diurnal.day", *day, Span::millis(1))?;
                at_most("diurnal.day", *day, MAX_LENGTH)
            }
        }
    }
}
