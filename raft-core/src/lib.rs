//! The embedded Raft core: raft-rs behind a small face, one group or ten thousand in a process.
//!
//! A [`Runtime`] owns one Raft thread, one apply thread and the snapshot threads. Groups live in it; each has a
//! [`StateMachine`] of its owner. Callers talk to it through a cheap [`Handle`]. Messages leave through a
//! [`Transport`] and come in through [`Handle::step`].
//!
//! This crate does not know what is in an entry, what a Region or a placement driver is, or any gRPC service but its
//! own (`raftcore.Raft`, in `net`).

mod apply;
mod clock;
mod config;
mod convert;
mod doubling;
mod driver;
mod env;
mod error;
#[doc(hidden)]
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz {
    //! Parsers as functions of bytes, for `fuzz/`.
    pub use crate::log::fuzz::log_tail;
}
mod group;
mod handle;
mod inbox;
mod lease;
mod log;
mod logger;
mod machine;
mod membership;
pub mod net;
mod snapshots;
mod start;
mod status;
mod tenure;
mod transport;

pub use clock::BootTime;
pub use config::{GroupConfig, RuntimeConfig};
pub use doubling::{Doubling, Durations, Sizes, Tally};
pub use error::{Busy, Error, ProposeError, Result};
pub use handle::{Applied, Handle, Runtime, Start};
pub use lease::Lease;
pub use machine::{Committed, Mark, Outcome, SnapshotWriter, StateMachine};
pub use status::{Counters, GroupStatus, Progress, Role};
pub use transport::{Destination, Router, Transport};

/// Index and term at which the log of a bootstrapped group begins, as if a snapshot stood there. Not 0, so that a
/// member added later cannot get the log from its very start and miss the first membership: it gets a snapshot.
pub const BOOTSTRAP_INDEX: u64 = 1;
