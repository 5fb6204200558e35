//! The words of REAR and how they travel: flavours, selectors, contracts, membership, messages, and their bytes.
//!
//! Nothing here decides, and nothing here has a clock, a socket or a disk. Every rule that both sides must
//! compute alike (what a partition costs, which partition covers a need, what a selector matches, whose
//! signature makes a contract) is a plain function of this crate.

pub mod capacity;
pub mod contract;
pub mod door;
pub mod fabric;
pub mod flavour;
pub mod governance;
pub mod local;
pub mod membership;
pub mod message;
pub mod operator;
pub mod partition;
pub mod partner;
pub mod price;
pub mod published;
pub mod record;
pub mod refusal;
pub mod selector;
pub mod signed;
pub mod story;
pub mod tunnel;
pub mod wire;
pub mod workload;

pub use capacity::CapacityDigest;
pub use contract::{Contract, Endorsement, Mode, Order, Purchase, Renewal, RenewalAsk, Reserved};
pub use flavour::{Epoch, Flavour, Kind, Location, Party, Policies, Properties};
pub use message::{Answer, Ask, Extensions, Reply, Request};
pub use price::{Currency, Money, Period, Price, Rate};
pub use record::{DamagedRecord, Record, Row, Table};
pub use refusal::{Code, Refusal};
pub use selector::{Mismatch, Selector};
pub use signed::{BadSignature, Signable, Signed, Signer};
pub use story::{Deed, Step, StepManager, Trace};
