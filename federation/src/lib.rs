//! The Federation Manager: who is of this node's domain, which domains are its partners, and who may ask what.
//!
//! It decides whom to believe to be a member (HELLO), whom to let in (JOIN, by token), who is in no longer
//! (removal, and certificates that end), and keeps this node's own proof fresh. At a supernode it also keeps the
//! domain's partners (ACCEPT, by token) and knows their supernodes; at a catalogue it knows who visits.
//! [`Manager::authorise`] is the one place where it is decided who may ask what.
//!
//! It never looks at offers or contracts: it tells the others who is there, and they draw their conclusions.
//! Everything that it believes of a domain hangs on that domain's key by signatures; names are not proven.
//!
//! ```text
//!  PeerUp ──► Ask{Hello} ──► credentials, descriptor ──► proven? ──► MemberUp, KeepConnected
//!                                    │                     └── no ──► a stranger: it learns who we are, no more
//!                                    └── a newer list, descriptor or removal ──► passed on in HELLOs of our own
//!                                                                          └──► MemberGone
//!  Invite ──► token ·····► Asked{Join} ──► certificate ──► Joined
//!  half of the certificate's life ──► Ask{Join} without a token ──► a fresh one
//!
//!  PartnerInvite ──► token ·····► PartnerAccept ──► Ask{Accept} ──► Asked{Accept} ──► Accepted ──► a record at either
//!  a record, or news of one ──► Partners to the other managers; Ask{Partners} to the own domain's nodes
//!                          └──► KeepConnected to its supernodes ──► HELLO ──► MemberUp{realm: Partner}
//! ```

mod authorise;
mod catalogues;
mod charter;
pub mod config;
pub mod genesis;
pub mod governance;
pub mod interconnect;
mod invitations;
pub mod mail;
mod manager;
mod partners;
mod rate;
mod record;
mod roll;
mod timers;
mod tokens;
mod visitors;

pub use catalogues::{CatalogueAddress, ParseCatalogueError};
pub use config::Config;
pub use mail::{Effect, Input};
pub use manager::{Manager, Status};
pub use record::bearer;
