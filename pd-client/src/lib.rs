//! Async client of the placement driver (PD).
//!
//! A [`Client`] finds the leader of a group of members, follows it when it changes, and calls it: timestamps (many
//! callers share one stream), ids, bootstrap, stores, Region lookups, splits, and Region heartbeats on a stream that
//! reopens at every change of leader. Calls are repeated with backoff until the caller's deadline; every attempt has a
//! timeout of its own, so a leader that hangs without dying holds nobody up for long.
//!
//! Ids are the wire's plain `u64` here, because the messages that callers hand in and get back carry them so.
//!
//! This crate does not know the server's insides.

mod channel;
mod client;
mod discovery;
mod endpoint;
mod error;
mod header;
mod heartbeat;
mod lookup;
mod options;
mod retry;
mod stores;
mod tso;

pub use client::Client;
pub use discovery::Leader;
pub use error::{Error, Result};
pub use heartbeat::{HeartbeatEvent, HeartbeatEvents, HeartbeatSender, NotSent};
pub use lookup::Route;
pub use options::Options;
pub use tso::{Timestamp, TimestampRange};
