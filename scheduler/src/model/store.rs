//! A Store: what the cluster decided about it, what it says of itself, and how it is when nobody hears it.

use super::StoreId;

/// What the cluster decided about a Store, as clients see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoreState {
    /// Serves.
    #[default]
    Up,
    /// On its way out: its replicas are moved away.
    Offline,
    /// Gone for good.
    Tombstone,
}

/// The same in finer steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeState {
    /// New; fills up.
    #[default]
    Preparing,
    /// Has its share.
    Serving,
    /// Its replicas are moved away.
    Removing,
    /// Gone for good.
    Removed,
}

impl NodeState {
    /// The coarse state that belongs to it.
    #[must_use]
    pub const fn store_state(self) -> StoreState {
        match self {
            NodeState::Preparing | NodeState::Serving => StoreState::Up,
            NodeState::Removing => StoreState::Offline,
            NodeState::Removed => StoreState::Tombstone,
        }
    }
}

/// How a Store is judged by the time since its last heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Liveness {
    /// Heard of within 20 s.
    Connected,
    /// Silent for more than 20 s, or never heard of.
    Disconnected,
    /// Silent for more than 10 min.
    Unhealthy,
    /// Silent for longer than `max_store_down_time_ms`: its replicas are made up elsewhere.
    Down,
}

/// One label of a Store, `zone = z1`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreLabel {
    /// Such as `zone`.
    pub key: String,
    /// Such as `z1`.
    pub value: String,
}

/// What the cluster knows about a Store for good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreMeta {
    /// Its id.
    pub id: StoreId,
    /// What was decided about it.
    pub node_state: NodeState,
    /// Its labels.
    pub labels: Vec<StoreLabel>,
}

/// One store heartbeat as a compact value. Sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Who says so.
    pub store: StoreId,
    /// Size of its disk, 0 when unknown.
    pub capacity_bytes: u64,
    /// Free on its disk.
    pub available_bytes: u64,
    /// Used by it.
    pub used_bytes: u64,
    /// Replicas that it holds.
    pub region_count: u64,
    /// Snapshots going out now.
    pub sending_snapshots: u64,
    /// Snapshots coming in now.
    pub receiving_snapshots: u64,
    /// Snapshots being applied now.
    pub applying_snapshots: u64,
    /// It asks to be spared.
    pub is_busy: bool,
}
