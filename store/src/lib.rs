//! A TiKV-style store: a Node runs Stores, a Store holds Regions, each Region is a Raft group.
//!
//! A [`Node`] is one process. Each of its Stores has a data folder, an address and an id of its own; it boots as a
//! TiKV does, serves the raw key-value API, tells the placement driver (PD) what it holds by heartbeats, and carries
//! out what PD answers: splits, changes of peers, moves of leaders.
//!
//! This crate does not know how PD decides.

mod address;
mod boot;
mod config;
mod early_votes;
mod engine;
mod heartbeat;
mod ident;
mod ids;
mod inbound;
mod keys;
mod lifecycle;
mod node;
mod operator;
mod range;
mod raw;
mod region;
mod region_error;
mod regions;
mod server;
mod signals;
mod splitter;
mod status;
mod store;
mod store_core;

pub use config::{ConfigError, FileConfig, Flags, NodeConfig, StoreConfig, Tuning};
pub use ident::Ident;
pub use ids::{PeerId, RegionId, StoreId};
pub use node::{Node, NodeError};
pub use range::KeyRange;
pub use regions::{RangeHeld, Regions};
pub use signals::{Marked, Signals};
pub use store::Store;
pub use store_core::StoreCore;

/// The version of TiKV that a Store reports: what its behaviour is modelled on.
pub const STORE_VERSION: &str = "8.5.0";
