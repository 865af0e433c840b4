//! What the cluster may change online. A whole new value is handed over at each change.

/// The planner's configuration, in the names of tikv/pd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Voters that each Region shall have, 1 to 64.
    pub max_replicas: usize,
    /// Silence in ms after which a Store's replicas are made up elsewhere.
    pub max_store_down_time_ms: u64,
    /// True: no operator is made and no split granted; running operators are cancelled.
    pub halt_scheduling: bool,
    /// Operators at a time that only move leaders.
    pub leader_schedule_limit: usize,
    /// Operators at a time that balance sizes.
    pub region_schedule_limit: usize,
    /// Operators at a time that repair.
    pub replica_schedule_limit: usize,
    /// Snapshots that a Store may send, or receive and apply, before it is spared.
    pub max_snapshot_count: u64,
    /// Pending Peers that a Store may have before it gets no new ones.
    pub max_pending_peer_count: u64,
    /// Part of the disk in per mille that may be used before a Store gets no new Peers.
    pub low_space_per_mille: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_replicas: 3,
            max_store_down_time_ms: 30 * 60 * 1000,
            halt_scheduling: false,
            leader_schedule_limit: 4,
            region_schedule_limit: 2048,
            replica_schedule_limit: 64,
            max_snapshot_count: 64,
            max_pending_peer_count: 64,
            low_space_per_mille: 800,
        }
    }
}
