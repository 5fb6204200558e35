//! What a daemon says of itself through its API, read into values.

use kernel::{Quantity, Resources};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::sandbox::Door;

/// How often allocations are read between two equal readings of the flavours, before their sum is left unjudged: the two
/// tables come by two questions, and in between something may be granted.
const TRIES: usize = 16;

/// The tables of a daemon, as they were within a moment.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// What it offers.
    pub flavours: Vec<Flavour>,
    /// What is allocated, holds among it.
    pub allocations: Vec<Allocation>,
    /// Whether no flavour changed while the allocations were read, so that the two can be held against each other.
    pub of_one_moment: bool,
    /// Its contracts, live and ended.
    pub contracts: Vec<Contract>,
    /// Its holds, live and ended.
    pub reservations: Vec<Reservation>,
    /// How many virtual routers it has.
    pub routers: usize,
}

/// A flavour of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Flavour {
    /// Its id.
    pub id: String,
    /// Its epoch.
    pub epoch: String,
    /// The whole of it.
    #[serde(rename = "characteristics", deserialize_with = "amounts")]
    pub base: Resources,
    /// What is left of it.
    #[serde(deserialize_with = "amounts")]
    pub available: Resources,
}

/// An allocation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Allocation {
    /// Its id.
    pub id: String,
    /// `Node`, `VirtualNode`, `Forwarding` or `Local`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `Inactive`, `Active` or `Released`.
    pub status: String,
    /// Under which contract.
    pub contract: Option<String>,
    /// Of which own flavour.
    pub flavour: Option<String>,
    /// How much.
    #[serde(deserialize_with = "amounts")]
    pub resources: Resources,
}

/// A contract.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contract {
    /// Its id.
    pub id: String,
    /// The digest of its bytes.
    pub digest: String,
    /// Who buys.
    pub buyer: String,
    /// Who sells.
    pub seller: String,
    /// How much, as it is shown.
    pub partition: Value,
    /// For how much, as it is shown.
    pub price: Value,
    /// `Signed`, `Active`, `Released`, `Expired` or `Lost`.
    pub state: String,
    /// The digest of the contract behind it.
    pub backed_by: Option<String>,
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Reservation {
    /// Its id.
    pub id: String,
    /// `Held`, `Purchased`, `Released` or `Expired`.
    pub state: String,
}

impl Allocation {
    /// Says whether it is not over.
    pub fn is_live(&self) -> bool {
        self.status != "Released"
    }
}

impl Contract {
    /// Says whether it is in force.
    pub fn is_live(&self) -> bool {
        matches!(self.state.as_str(), "Signed" | "Active")
    }

    /// Returns the party that is not this one.
    pub fn other(&self, me: &str) -> &str {
        if self.buyer == me { &self.seller } else { &self.buyer }
    }
}

impl Tables {
    /// Reads all of them.
    ///
    /// # Errors
    /// When the daemon does not answer, or with something else than its tables.
    pub async fn read(door: &Door) -> anyhow::Result<Self> {
        let mut tables = Self { flavours: rows(door, "/v1/flavours").await?, ..Self::default() };
        for _ in 0..TRIES {
            tables.allocations = rows(door, "/v1/allocations").await?;
            let after: Vec<Flavour> = rows(door, "/v1/flavours").await?;
            let epochs = |flavours: &[Flavour]| -> Vec<_> {
                flavours.iter().map(|flavour| (flavour.id.clone(), flavour.epoch.clone())).collect()
            };
            tables.of_one_moment = epochs(&tables.flavours) == epochs(&after);
            tables.flavours = after;
            if tables.of_one_moment {
                break;
            }
        }
        tables.contracts = rows(door, "/v1/contracts").await?;
        tables.reservations = rows(door, "/v1/reservations").await?;
        tables.routers = rows::<Value>(door, "/v1/routers").await?.len();
        Ok(tables)
    }

    /// Says what is still held, agreed or allocated, if anything is.
    pub fn held(&self) -> Option<String> {
        let contract = self.contracts.iter().find(|contract| contract.is_live());
        let contract = contract.map(|it| format!("contract {} is still {}", it.id, it.state));
        let hold = || self.reservations.iter().find(|it| it.state == "Held");
        let hold = || hold().map(|it| format!("reservation {} is still held", it.id));
        let allocation = || self.allocations.iter().find(|it| it.is_live());
        let allocation = || allocation().map(|it| format!("allocation {} ({}) is still {}", it.id, it.kind, it.status));
        let short = || self.flavours.iter().find(|it| it.available != it.base);
        let short = || short().map(|it| format!("flavour {}: {} available of {}", it.id, it.available, it.base));
        let router = || (self.routers > 0).then(|| format!("{} routers are still there", self.routers));
        contract.or_else(hold).or_else(allocation).or_else(short).or_else(router)
    }
}

async fn rows<T: serde::de::DeserializeOwned>(door: &Door, path: &str) -> anyhow::Result<Vec<T>> {
    Ok(serde_json::from_value(door.get(path).await?)?)
}

/// Reads the five resources that are counted, whatever else stands beside them.
fn amounts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Resources, D::Error> {
    #[derive(Deserialize)]
    struct Amounts {
        #[serde(default)]
        cpu: Quantity,
        #[serde(default)]
        memory: Quantity,
        #[serde(default)]
        pods: Quantity,
        #[serde(default)]
        storage: Quantity,
        #[serde(default)]
        gpu: Quantity,
    }
    let Amounts { cpu, memory, pods, storage, gpu } = Amounts::deserialize(deserializer)?;
    Ok(Resources { cpu, memory, pods, storage, gpu })
}
