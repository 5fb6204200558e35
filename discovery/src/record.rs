//! What is kept of a candidate over a restart.

use kernel::{FlavourId, NodeId, Time};
use rear_proto::{DamagedRecord, Flavour, Record, Row, Table, record};
use serde::{Deserialize, Serialize};

use crate::index::{Heard, Offer, OfferKey};

/// A candidate, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Candidate {
    flavour: Flavour,
    seen: Time,
    via: NodeId,
    expires: Time,
}

impl Record for Candidate {
    const VERSION: u16 = 1;
}

fn bytes(key: &OfferKey) -> Vec<u8> {
    [key.0.as_bytes(), key.1.as_bytes() as &[u8]].concat()
}

/// Makes the row that keeps a candidate; own offers are REAR's to keep.
pub(crate) fn put(key: &OfferKey, offer: &Offer) -> Option<Row> {
    let Heard { seen, via, expires } = offer.heard?;
    let record = Candidate { flavour: (*offer.flavour).clone(), seen, via, expires };
    Some(Row::put(Table::Candidates, bytes(key), &record))
}

/// Makes the row that drops a candidate.
pub(crate) fn drop(key: &OfferKey) -> Row {
    Row::drop(Table::Candidates, bytes(key))
}

/// Reads a candidate back.
pub(crate) fn read(key: &[u8], value: &[u8]) -> Result<(Flavour, Heard), DamagedRecord> {
    let Candidate { flavour, seen, via, expires } = record::decode(Table::Candidates, value)?;
    let named: OfferKey = (flavour.provider.node, flavour.id);
    if bytes(&named) != key {
        let why = format!("offer {} of {} is kept under another's key", FlavourId::to_string(&named.1), named.0);
        return Err(DamagedRecord { table: Table::Candidates.name(), why });
    }
    Ok((flavour, Heard { seen, via, expires }))
}
