//! The tables: which part of the API each shows, and in which columns.

use std::time::Duration;

use serde_json::Value;

use super::{Global, client::Client, terminal};

/// How often a watched table is shown again.
const REFRESH: Duration = Duration::from_secs(1);

/// A table.
pub(crate) struct Table {
    path: &'static str,
    /// What to say when there is nothing in it.
    empty: &'static str,
    /// Headings, each with the JSON pointer of its field and how to show it.
    columns: &'static [(&'static str, &'static str, Show)],
}

/// How a field is shown.
#[derive(Clone, Copy)]
pub(crate) enum Show {
    /// As it is.
    Plain,
    /// An id: its start is enough for people.
    Id,
    /// A node: the end of its id tells nodes apart.
    Node,
    /// Amounts of resources.
    Resources,
    /// An amount of money per period.
    Price,
    /// A list of words.
    List,
    /// A list of supernodes: how many of them are connected.
    Up,
}

use Show::{Id, List, Node, Plain, Price, Resources, Up};

pub(crate) const STATUS: Table = Table {
    path: "/v1/status",
    empty: "",
    columns: &[
        ("NODE", "/id", Plain),
        ("ROLE", "/role", Plain),
        ("DOMAIN", "/domain/name", Plain),
        ("MEMBERS", "/members", Plain),
        ("SUPERNODES UP", "/supernodes", Up),
        ("PARTNERS", "/partners", Plain),
        ("CONTRACTS", "/contracts", Plain),
        ("INTENTS", "/intents", Plain),
        ("STARTS", "/starts", Plain),
        ("VERSION", "/version", Plain),
    ],
};
pub(crate) const PEERS: Table = Table {
    path: "/v1/peers",
    empty: "no other node is known",
    columns: &[
        ("NODE", "/node", Plain),
        ("ROLE", "/role", Plain),
        ("DOMAIN", "/domain", Plain),
        ("REALM", "/realm", Plain),
        ("CONNECTED", "/connected", Plain),
        ("HEARD s AGO", "/lastHeardS", Plain),
        ("ADDRESSES", "/addresses", List),
    ],
};
pub(crate) const PARTNERS: Table = Table {
    path: "/v1/partners",
    empty: "this domain has no partners: try `tombolo partner invite --name NAME`",
    columns: &[
        ("PARTNER", "/name", Plain),
        ("DOMAIN", "/domain", Plain),
        ("STATE", "/state", Plain),
        ("HEARD s AGO", "/lastHeardS", Plain),
        ("MAY USE OURS", "/usedBy", Plain),
        ("WE MAY USE THEIRS", "/uses", Plain),
        ("SUPERNODES UP", "/supernodes", Up),
    ],
};
pub(crate) const MEMBERS: Table = Table {
    path: "/v1/domain/members",
    empty: "no other member is known",
    columns: &[
        ("NODE", "/node", Plain),
        ("ROLE", "/role", Plain),
        ("CONNECTED", "/connected", Plain),
        ("CERTIFICATE ENDS IN s", "/expiresInS", Plain),
        ("REMOVED", "/revoked", Plain),
    ],
};
pub(crate) const FLAVOURS: Table = Table {
    path: "/v1/flavours",
    empty: "this node offers nothing",
    columns: &[
        ("FLAVOUR", "/id", Plain),
        ("DOMAIN", "/domain", Plain),
        ("EPOCH", "/epoch", Plain),
        ("KIND", "/kind", Plain),
        ("ARCH", "/characteristics/architecture", Plain),
        ("BASE", "/characteristics", Resources),
        ("AVAILABLE", "/available", Resources),
        ("PRICE", "/price", Price),
    ],
};
pub(crate) const CANDIDATES: Table = Table {
    path: "/v1/candidates",
    empty: "no other node's offers are known: try `tombolo discover`",
    columns: &[
        ("FLAVOUR", "/id", Plain),
        ("PROVIDER", "/provider", Node),
        ("DOMAIN", "/domain", Plain),
        ("KIND", "/kind", Plain),
        ("ARCH", "/characteristics/architecture", Plain),
        ("AVAILABLE", "/available", Resources),
        ("PRICE", "/price", Price),
        ("AGE s", "/ageS", Plain),
    ],
};
pub(crate) const RESERVATIONS: Table = Table {
    path: "/v1/reservations",
    empty: "nothing is reserved",
    columns: &[
        ("RESERVATION", "/id", Plain),
        ("FLAVOUR", "/flavour", Id),
        ("PARTITION", "/partition", Resources),
        ("BUYER", "/buyer", Node),
        ("PURCHASE WITHIN s", "/purchaseWithinS", Plain),
        ("STATE", "/state", Plain),
    ],
};
pub(crate) const CONTRACTS: Table = Table {
    path: "/v1/contracts",
    empty: "there are no contracts",
    columns: &[
        ("CONTRACT", "/id", Plain),
        ("ROLE", "/role", Plain),
        ("BUYER", "/buyer", Node),
        ("SELLER", "/seller", Node),
        ("PARTITION", "/partition", Resources),
        ("PRICE", "/price", Price),
        ("STATE", "/state", Plain),
        ("REASON", "/reason", Plain),
        ("BACKED BY", "/backedBy", Id),
    ],
};
pub(crate) const ALLOCATIONS: Table = Table {
    path: "/v1/allocations",
    empty: "nothing is allocated",
    columns: &[
        ("ALLOCATION", "/id", Plain),
        ("TYPE", "/type", Plain),
        ("STATUS", "/status", Plain),
        ("CONTRACT", "/contract", Id),
        ("RESOURCES", "/resources", Resources),
    ],
};
pub(crate) const ROUTERS: Table = Table {
    path: "/v1/routers",
    empty: "there are no virtual routers",
    columns: &[
        ("CONTRACT", "/contract", Plain),
        ("TOWARDS CONSUMER", "/towardsConsumer", Node),
        ("TOWARDS PROVIDER", "/towardsProvider", Node),
        ("STREAMS", "/streams", Plain),
        ("BYTES UP", "/bytesUp", Plain),
        ("BYTES DOWN", "/bytesDown", Plain),
    ],
};
pub(crate) const RATINGS: Table = Table {
    path: "/v1/ratings",
    empty: "nobody has been rated yet",
    columns: &[
        ("PEER", "/peer", Plain),
        ("SCORE", "/score", Plain),
        ("CONTRACTS", "/contracts", Plain),
        ("FAILURES", "/failures", Plain),
        ("ROUND TRIP ms", "/roundTripMs", Plain),
        ("HEARD s AGO", "/lastHeardS", Plain),
    ],
};
pub(crate) const INTENTS: Table = Table {
    path: "/v1/intents",
    empty: "there are no intents",
    columns: &[
        ("INTENT", "/id", Plain),
        ("NAME", "/name", Plain),
        ("PHASE", "/phase", Plain),
        ("STORY", "/story", Plain),
        ("REASON", "/reason", Plain),
    ],
};

/// Shows a table, once or until interrupted.
pub(crate) async fn show(global: &Global, table: &Table, watch: bool) -> anyhow::Result<()> {
    let client = Client::find(global)?;
    loop {
        let value = client.get(table.path).await?;
        if watch && !global.json() {
            // Clear the screen and begin at its top.
            anstream::print!("\x1b[2J\x1b[H");
        }
        if global.json() {
            terminal::line(&if watch { value.to_string() } else { serde_json::to_string_pretty(&value)? })?;
        } else {
            print(table, &value)?;
        }
        if !watch {
            return Ok(());
        }
        tokio::time::sleep(REFRESH).await;
    }
}

/// Prints an array of objects as a table.
pub(crate) fn print(table: &Table, value: &Value) -> anyhow::Result<()> {
    let one = std::slice::from_ref(value);
    let objects = value.as_array().map_or(one, Vec::as_slice);
    if objects.is_empty() {
        return Ok(terminal::line(table.empty)?);
    }
    let headings: Vec<_> = table.columns.iter().map(|(heading, ..)| *heading).collect();
    let rows: Vec<_> = objects
        .iter()
        .map(|object| table.columns.iter().map(|(_, pointer, show)| cell(object.pointer(pointer), *show)).collect())
        .collect();
    Ok(terminal::table(&headings, &rows)?)
}

/// Turns a field into a cell.
pub(crate) fn cell(value: Option<&Value>, show: Show) -> String {
    let Some(value) = value else { return "-".to_owned() };
    let text = |value: &Value| match value {
        Value::String(text) => terminal::clean(text),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    match show {
        Plain => text(value),
        Id => text(value).chars().take(12).collect(),
        Node => {
            let whole = text(value);
            let skip = whole.chars().count().saturating_sub(8);
            if skip == 0 { whole } else { format!("…{}", whole.chars().skip(skip).collect::<String>()) }
        }
        List => {
            value.as_array().map_or_else(|| text(value), |list| list.iter().map(text).collect::<Vec<_>>().join(" "))
        }
        Up => {
            let all = value.as_array().map_or(&[][..], Vec::as_slice);
            let up = all.iter().filter(|one| one.get("connected") == Some(&Value::Bool(true))).count();
            format!("{up} of {}", all.len())
        }
        Price => {
            let part = |name: &str| value.get(name).map(text).unwrap_or_default();
            format!("{} {}/{}", part("amount"), part("currency"), part("period"))
        }
        Resources => {
            let parts: Vec<_> = ["cpu", "memory", "pods", "storage", "gpu"]
                .into_iter()
                .filter_map(|name| {
                    value.get(name).map(text).filter(|amount| amount != "0").map(|amount| (name, amount))
                })
                .map(|(name, amount)| format!("{name} {amount}"))
                .collect();
            if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
        }
    }
}
