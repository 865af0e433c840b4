//! The placement driver: a shell round three owners, each with a loop of its own and bounded channels between them.
//!
//! 1. The Raft runtime: [`state`], a multi-version key-value machine, replicated by `raft-core`. Everything that must
//!    not be lost is a key in it ([`keys`]).
//! 2. The timestamp owner: [`tso`], a thread that never waits for the disk.
//! 3. The cluster owner: [`cluster`], which owns the planner by value.
//!
//! [`pd`] builds them in order. [`grpc`] and [`http`] decode, call an owner and encode; they know no rule.
//!
//! This crate does not know how the data of a Region is stored.

pub mod cluster;
pub mod config;
#[doc(hidden)]
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod grpc;
pub mod http;
pub mod ids;
pub mod keys;
pub mod leadership;
pub mod logging;
pub mod member;
pub mod metrics;
mod page;
pub mod pd;
pub mod server;
pub mod state;
pub mod tso;
pub mod verdict;

/// The version told to clients that ask PD for its version, so that they use what this server has.
pub const COMPATIBLE_VERSION: &str = "v9.0.0-beta.2";

/// Our own version, shown by `--version` and in the log.
pub const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The Raft group of the members: the only one of this process.
pub const PD_GROUP: u64 = 1;
