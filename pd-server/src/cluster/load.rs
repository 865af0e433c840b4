//! How busy the cluster owner is: for metrics, and to see a queue fill before it is full.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::Cluster;

/// Counted by the owner, read by anybody.
#[derive(Debug, Default)]
pub struct OwnerLoad {
    planner_ns: AtomicU64,
    rounds: AtomicU64,
}

impl OwnerLoad {
    /// One round of the loop had events for the planner, and took so long.
    pub fn count(&self, took: Duration) {
        self.planner_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        self.rounds.fetch_add(1, Relaxed);
    }
}

/// A queue and its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// What waits now.
    pub waiting: usize,
    /// What may wait.
    pub limit: usize,
}

/// How busy the owner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadView {
    /// Requests.
    pub requests: Depth,
    /// Batches of Region heartbeats.
    pub heartbeat_batches: Depth,
    /// What the planner has worked since this tenure began.
    pub planner_time: Duration,
    /// In so many rounds of the owner's loop.
    pub rounds: u64,
}

impl Cluster {
    /// How busy the owner is, without asking it.
    pub fn load(&self) -> LoadView {
        let depth = |limit: usize, free: usize| Depth { waiting: limit.saturating_sub(free), limit };
        LoadView {
            requests: depth(self.requests.max_capacity(), self.requests.capacity()),
            heartbeat_batches: depth(self.heartbeats.max_capacity(), self.heartbeats.capacity()),
            planner_time: Duration::from_nanos(self.owner_load.planner_ns.load(Relaxed)),
            rounds: self.owner_load.rounds.load(Relaxed),
        }
    }
}
