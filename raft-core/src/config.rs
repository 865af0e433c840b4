//! What a runtime and a group are started with. Names are raft-rs's own where it has one.

use std::path::PathBuf;
use std::time::Duration;

/// One runtime: one Raft thread, one log engine.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Folder of the Raft log (`log/`) and of snapshots in the making or received (`snap/`).
    pub dir: PathBuf,
    /// Shown in thread names and log lines.
    pub name: String,
    /// Length of one tick.
    pub tick: Duration,
    /// Bound of the inbox of messages and proposals; when full, messages are dropped and proposals refused as busy.
    pub inbox: usize,
}

impl RuntimeConfig {
    /// The PD group: ticks of 10 ms (rule 9).
    pub fn pd(dir: PathBuf) -> Self {
        Self { dir, name: "pd".into(), tick: Duration::from_millis(10), inbox: 8_192 }
    }

    /// The Regions of one Store: ticks of 100 ms.
    pub fn store(dir: PathBuf, name: String) -> Self {
        Self { dir, name, tick: Duration::from_millis(100), inbox: 65_536 }
    }
}

/// One group's member here.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// This member's Raft id; never 0, never used again once removed.
    pub id: u64,
    /// Ticks without a leader until an election; the real timeout is drawn from `[election_tick, 2 * election_tick)`.
    pub election_tick: usize,
    /// Ticks between two heartbeats of a leader.
    pub heartbeat_tick: usize,
    /// Largest sum of entry sizes in one append message, in bytes.
    pub max_size_per_msg: u64,
    /// Append messages in flight to one follower.
    pub max_inflight_msgs: usize,
    /// Applied entries kept in the log for lagging followers before it is compacted.
    pub log_keep: u64,
    /// Keep a clock-bounded lease (rule 1), with a probe entry every 250 ms when idle.
    pub lease: bool,
}

impl GroupConfig {
    /// The PD group.
    pub fn pd(id: u64) -> Self {
        Self {
            id,
            election_tick: 30,
            heartbeat_tick: 5,
            max_size_per_msg: 1 << 20,
            max_inflight_msgs: 256,
            log_keep: 10_000,
            lease: true,
        }
    }

    /// A Region.
    pub fn region(id: u64) -> Self {
        Self {
            id,
            election_tick: 50,
            heartbeat_tick: 10,
            max_size_per_msg: 1 << 20,
            max_inflight_msgs: 256,
            log_keep: 1_000,
            lease: false,
        }
    }
}
