//! Stores as rows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A page of stores, by id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StoreList {
    /// When `from` looked.
    pub as_of_ms: u64,
    /// The member whose view it is.
    pub from: String,
    /// Rows that match, on all pages.
    pub total: usize,
    /// The page.
    pub rows: Vec<StoreRow>,
    /// Where the next page begins; none on the last.
    pub next: Option<String>,
}

/// What was decided about a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum StoreState {
    /// Serves.
    Up,
    /// On its way out.
    Offline,
    /// Gone for good.
    Tombstone,
}

/// The same in finer steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum NodeState {
    /// New; fills up.
    Preparing,
    /// Has its share.
    Serving,
    /// Its replicas are moved away.
    Removing,
    /// Gone for good.
    Removed,
}

/// How a store is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum Liveness {
    /// Within 20 s.
    Connected,
    /// Silent for longer.
    Disconnected,
    /// Silent for longer than `max-store-down-time`.
    Down,
    /// Not heard since this leader leads.
    Unknown,
}

/// One store. Only what changes with a heartbeat or a decision, so that a quiet store is a row that does not change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StoreRow {
    /// Its id.
    pub id: u64,
    /// Where clients reach it.
    pub address: String,
    /// Where its status page is; empty when it has none.
    pub status_address: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What was decided about it.
    pub state: StoreState,
    /// The same in finer steps.
    pub node_state: NodeState,
    /// How it is heard.
    pub liveness: Liveness,
    /// Bytes of data, by its own word.
    pub used_bytes: Option<u64>,
    /// Free on its disk.
    pub available_bytes: Option<u64>,
    /// Size of its disk.
    pub capacity_bytes: Option<u64>,
    /// Seconds until its disk is full at the rate of the last hour (at least 5 min are needed); none when it does not
    /// fill, or when that is not known.
    pub full_in_s: Option<u64>,
    /// Replicas that it holds, leaders included.
    pub regions: Option<u64>,
    /// Regions that it leads.
    pub leaders: Option<u64>,
    /// Learners among its replicas.
    pub learners: Option<u64>,
    /// Replicas on it that lag.
    pub pending: Option<u64>,
    /// How full it counts: bytes of its Regions.
    pub region_score: Option<u64>,
    /// How much it leads: Regions.
    pub leader_score: Option<u64>,
    /// 1 is fast, 100 is very slow.
    pub slow_score: Option<u64>,
    /// Snapshots going out now.
    pub sending_snaps: Option<u64>,
    /// Snapshots coming in now.
    pub receiving_snaps: Option<u64>,
    /// What it may get at most.
    pub limits: Vec<LimitRow>,
    /// The version of its program.
    pub version: String,
    /// When its process started.
    pub started_ms: Option<u64>,
    /// When it was heard last.
    pub last_heartbeat_ms: Option<u64>,
}

/// A limit of a store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LimitRow {
    /// Of what: `add-peer`, `remove-peer`.
    pub kind: String,
    /// So many a minute; none is no limit.
    pub rate: Option<f64>,
    /// How often it was the reason to wait, since this leader leads.
    pub refused: Option<u64>,
}
