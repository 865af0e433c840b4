//! What the cluster may change online. A whole new value is handed over at each change.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{StoreId, StoreLimit};
use crate::producers::SchedulerName;

/// The planner's configuration, in the names of tikv/pd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Voters that each Region shall have, 1 to 64.
    pub max_replicas: usize,
    /// Silence in ms after which a Store's replicas are made up elsewhere.
    pub max_store_down_time_ms: u64,
    /// True: the planner makes no operator by itself and grants no split. Those that run go on, and people may still
    /// ask for operators.
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
    /// The limits of Stores that have none of their own.
    pub default_store_limit: StoreLimit,
    /// Limits of single Stores. That of a Store on its way out is not asked: its replicas go as fast as they can.
    pub store_limits: BTreeMap<StoreId, StoreLimit>,
    /// The schedulers that are in; the others make nothing.
    pub schedulers: BTreeSet<SchedulerName>,
    /// False: Stores may not split Regions.
    pub enable_tikv_split_region: bool,
    /// False: replicas that are down are left as they are.
    pub enable_remove_down_replica: bool,
    /// False: replicas on Stores that leave are left as they are.
    pub enable_replace_offline_replica: bool,
    /// False: missing replicas are not added.
    pub enable_make_up_replica: bool,
    /// False: replicas too many are left as they are.
    pub enable_remove_extra_replica: bool,
}

impl Config {
    /// What limits this Store.
    #[must_use]
    pub fn store_limit(&self, store: StoreId) -> StoreLimit {
        self.store_limits.get(&store).copied().unwrap_or(self.default_store_limit)
    }
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
            default_store_limit: StoreLimit::default(),
            store_limits: BTreeMap::new(),
            schedulers: SchedulerName::ALL.into(),
            enable_tikv_split_region: true,
            enable_remove_down_replica: true,
            enable_replace_offline_replica: true,
            enable_make_up_replica: true,
            enable_remove_extra_replica: true,
        }
    }
}
