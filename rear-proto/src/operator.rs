//! A domain as an operator of zones: how it describes itself to other operators, and the zones that it shares.
//!
//! A zone is a named set of a domain's nodes. What another operator is told of it is its name, where it is, and how many
//! nodes it has; never which.

mod geo;

use std::collections::BTreeMap;

use kernel::{NodeId, Resources};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{flavour::Epoch, message::Extensions};

pub use geo::{Geo, ParseGeoError};

/// The shortest and the longest name of a zone.
const ZONE_ID: std::ops::RangeInclusive<usize> = 8..=32;
/// The shortest and the longest id of a federator.
const FEDERATOR_ID: std::ops::RangeInclusive<usize> = 8..=128;

/// A name that can't be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' can't be the id of a {what}: it has {} to {} letters, digits, '-' and '_', the last two within alone",
    .length.0, .length.1
)]
pub struct ParseNameError {
    text: String,
    what: &'static str,
    length: (usize, usize),
}

fn checked(text: &str, what: &'static str, length: &std::ops::RangeInclusive<usize>) -> Result<(), ParseNameError> {
    let is_inner = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    let is_end = |c: Option<&u8>| c.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    if length.contains(&bytes.len())
        && bytes.iter().copied().all(is_inner)
        && is_end(bytes.first())
        && is_end(bytes.last())
    {
        return Ok(());
    }
    let (text, length) = (text.chars().take(80).collect(), (*length.start(), *length.end()));
    Err(ParseNameError { text, what, length })
}

/// Declares a name that is checked when it is read, from whatever it is read.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $length:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub struct $name(String);

        impl $name {
            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = ParseNameError;

            fn from_str(text: &str) -> Result<Self, ParseNameError> {
                checked(text, $what, &$length).map(|()| Self(text.to_owned()))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

name! {
    /// The name of a zone, unique in its domain.
    ZoneId, "zone", ZONE_ID
}
name! {
    /// What an operator is called by others: its federation id.
    FederatorId, "federator", FEDERATOR_ID
}

/// A country, as its two letters (ISO 3166-1 alpha-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Country([u8; 2]);

/// A text that is no country.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid country code '{0}': it must be a valid ISO 3166-1 alpha-2 code, such as IT")]
pub struct ParseCountryError(String);

/// The codes that are assigned.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS \
    BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ \
    FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT \
    JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP \
    MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE \
    RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV \
    TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

impl std::str::FromStr for Country {
    type Err = ParseCountryError;

    fn from_str(text: &str) -> Result<Self, ParseCountryError> {
        let is_one = COUNTRIES.split_ascii_whitespace().any(|code| code == text);
        let letters: Option<[u8; 2]> = text.as_bytes().try_into().ok().filter(|_| is_one);
        letters.map(Self).ok_or_else(|| ParseCountryError(text.chars().take(80).collect()))
    }
}

impl std::fmt::Display for Country {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [first, second] = self.0.map(char::from);
        write!(f, "{first}{second}")
    }
}

impl Serialize for Country {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// How a domain describes itself to other operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Federator {
    /// What others call it by.
    pub id: FederatorId,
    /// The operator's name.
    pub operator: String,
    /// Where it operates.
    pub country: Country,
    /// Its mobile country code: three digits, or none where it has no mobile network.
    pub mcc: Option<String>,
    /// Its mobile network codes: two or three digits each.
    pub mnc: Vec<String>,
    /// Where its locator answers, as a URL.
    pub locator: Option<String>,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// What another operator is told of a zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneInfo {
    /// Its name.
    pub id: ZoneId,
    /// Where it is.
    pub geo: Option<Geo>,
    /// In which city.
    pub city: Option<String>,
    /// In which state or region of its country.
    pub state: Option<String>,
    /// In which part of the city.
    pub locality: Option<String>,
    /// In which country.
    pub country: Option<Country>,
    /// How many nodes it has.
    pub nodes: u32,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// What a registration grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// What is there for the partner whatever others take.
    pub guaranteed: Resources,
    /// What all that it has there may come to.
    pub limit: Resources,
}

/// That a partner may use a zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The zone.
    pub zone: ZoneId,
    /// How much of it.
    pub quota: Quota,
    /// The supernode to reserve at, which alone counts what is used.
    pub home: NodeId,
    /// Grows with every change of the home.
    pub epoch: u64,
}

/// What one domain says to a partner of all that is between them, each time whole: a later statement replaces an earlier
/// one, so none is missed for good, and none has to be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The later counts.
    pub number: Epoch,
    /// How the domain describes itself.
    pub federator: Option<Federator>,
    /// As a consumer: that it wants to use what the partner shares.
    pub registers: Option<RequestNo>,
    /// As a consumer: the partner's zones that it wants to use.
    pub wants: BTreeMap<ZoneId, RequestNo>,
    /// As a provider: whether the partner's wish to use what is shared was taken up, by the number of that wish.
    pub admits: Option<RequestNo>,
    /// As a provider: the zones that it shares with the partner.
    pub shares: BTreeMap<ZoneId, ZoneInfo>,
    /// As a provider: what became of the partner's wishes for zones.
    pub grants: BTreeMap<ZoneId, Given>,
    /// That it is the partner's partner no longer.
    pub is_gone: bool,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// What became of a wish for a zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Given {
    /// The partner may use it.
    Granted {
        /// Which wish it answers.
        request: RequestNo,
        /// How much of it, and where.
        grant: Box<Grant>,
    },
    /// It may not.
    Refused {
        /// Which wish it answers.
        request: RequestNo,
        /// Why.
        why: String,
    },
}

/// The number of a request: the same on both sides' rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestNo(pub [u8; 16]);

impl std::fmt::Display for RequestNo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_zones_and_federators() {
        for good in ["zone-one", "Zone_0001", "a2345678", "a1234567890123456789012345678901"] {
            assert_eq!(good.parse::<ZoneId>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "zone",
            "-zone-one",
            "zone-one_",
            "_zone-one",
            "zone one",
            "zöne-one",
            "a12345678901234567890123456789012",
        ] {
            let error = bad.parse::<ZoneId>().unwrap_err().to_string();
            assert!(error.contains(bad) && error.contains("8 to 32"), "{error}");
        }
        assert!("a".repeat(128).parse::<FederatorId>().is_ok() && "a".repeat(129).parse::<FederatorId>().is_err());
        // What comes from elsewhere is checked as well.
        let bytes = crate::wire::codec::encode(&"zone one".to_owned());
        assert!(crate::wire::codec::decode::<ZoneId>(&bytes).is_err());
    }

    #[test]
    fn countries_are_those_that_there_are() {
        assert_eq!("IT".parse::<Country>().unwrap().to_string(), "IT");
        for bad in ["", "USA", "it", "XX", "I", "ZZ", "AD AE"] {
            assert!(bad.parse::<Country>().is_err(), "{bad}");
        }
        assert_eq!(COUNTRIES.split_ascii_whitespace().count(), 249);
    }
}
