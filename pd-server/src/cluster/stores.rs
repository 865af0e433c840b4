//! The book of stores: what each said about itself, and what may become of it. No I/O: a decision gives the record to
//! be written, [`StoreBook::install`] takes it once it is durable.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proto::metapb::{self, NodeState, StoreState};
use proto::pdpb;
use semver::Version;

use super::text;
use super::version::{self, BadVersion};

/// A store's time of the last heartbeat is written at most that often: each write is a disk sync on every member.
pub const HEARTBEAT_PERSIST_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// A store that is silent for so long is shown as disconnected.
pub const DISCONNECTED_AFTER: Duration = Duration::from_secs(20);
/// The label by which a store says what kind it is.
const ENGINE: &str = "engine";

/// A store: its record and its last heartbeat.
#[derive(Clone, Debug)]
pub struct StoreRecord {
    /// As in the replicated state, except `last_heartbeat`, which is the newest known here.
    pub meta: metapb::Store,
    /// The last heartbeat since this member leads.
    pub stats: Option<pdpb::StoreStats>,
    /// `last_heartbeat` as in the replicated state.
    persisted_heartbeat_ns: i64,
}

/// All stores by id, immutable: readers hold one version of it.
pub type StoreTable = BTreeMap<u64, Arc<StoreRecord>>;

/// How alive a store is: derived, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// Heard within [`DISCONNECTED_AFTER`].
    Connected,
    /// Silent for longer.
    Disconnected,
    /// Silent for longer than `max-store-down-time`, or never heard.
    Down,
}

/// Why a store was refused. The texts are what stores and tools look for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreRefusal {
    /// No such store; the text contains "not found", which stores look for.
    #[error("[PD:core:ErrStoreNotFound]store {0} not found")]
    NotFound(u64),
    /// The store is removed for good.
    #[error("store is tombstone")]
    Tombstone(u64),
    /// It was declared destroyed before.
    #[error("[PD:core:ErrStoreDestroyed]store {0} has been physically destroyed")]
    Destroyed(u64),
    /// A record without an id.
    #[error("invalid put store {0}")]
    NoId(String),
    /// A version that cannot be read.
    #[error("invalid put store {store}, error: {source}")]
    Version {
        /// The record as given.
        store: String,
        /// What is wrong with it.
        source: BadVersion,
    },
    /// A version too old for the cluster.
    #[error("version should compatible with version  {cluster}, got {store}")]
    Incompatible {
        /// The cluster version.
        cluster: Version,
        /// The store's.
        store: Version,
    },
    /// Another store has that address.
    #[error(
        "duplicated store {kind}: {asked}, already registered by {holder}; if store {id} is gone for good (its data \
         was lost or it was replaced), remove it first: DELETE /pd/api/v1/store/{id}"
    )]
    Duplicate {
        /// `address` or `peer address`.
        kind: &'static str,
        /// The record as given.
        asked: String,
        /// The record of the store that has it.
        holder: String,
        /// That store's id.
        id: u64,
    },
    /// It is no longer on its way out but gone.
    #[error("[PD:core:ErrStoreRemoved]store {0} has been removed")]
    Removed(u64),
    /// No such store, of which something was to be changed.
    #[error("[PD:cluster:ErrInvalidStoreID]invalid store id {0}, not found")]
    InvalidId(u64),
    /// A store that is not gone yet cannot be forgotten.
    #[error("store {0} is not tombstone; take it out first: DELETE /pd/api/v1/store/{0}")]
    NotRemoved(u64),
    /// A label that is not there cannot be taken away.
    #[error("the label key {key} does not exist on store {id}")]
    NoLabel {
        /// The store.
        id: u64,
        /// The label's key.
        key: String,
    },
    /// With `strictly-match-label` a store has the location labels.
    #[error("label configuration is incorrect, need to specify the key: {0} ")]
    LabelMissing(String),
    /// With `strictly-match-label` a store has no other labels.
    #[error("key matching the label was not found in the PD, store label key: {0} ")]
    LabelUnknown(String),
    /// Without it there would be fewer stores than replicas.
    #[error(
        "[PD:cluster:ErrStoresNotEnough]can not remove store {id} since the number of up stores would be {left} while \
         need {need}"
    )]
    NotEnough {
        /// The store to be removed.
        id: u64,
        /// Stores that would be left.
        left: usize,
        /// Replicas a Region.
        need: usize,
    },
}

impl StoreRecord {
    fn new(meta: metapb::Store) -> Self {
        Self { persisted_heartbeat_ns: meta.last_heartbeat, meta, stats: None }
    }

    /// How alive it is at `now_ns` (nanoseconds since the epoch).
    pub fn liveness(&self, now_ns: i64, down_after: Duration) -> Liveness {
        let silent = Duration::from_nanos(u64::try_from(now_ns - self.meta.last_heartbeat).unwrap_or(0));
        if self.meta.last_heartbeat == 0 || silent > down_after {
            Liveness::Down
        } else if silent > DISCONNECTED_AFTER {
            Liveness::Disconnected
        } else {
            Liveness::Connected
        }
    }
}

/// What is to become of a store's labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelChange {
    /// These are added, or take the place of those with the same key; an empty value deletes.
    Merge(Vec<metapb::StoreLabel>),
    /// These and no others.
    Replace(Vec<metapb::StoreLabel>),
    /// The one with this key goes.
    Delete(String),
}

/// The stores of the cluster and its version.
#[derive(Debug)]
pub struct StoreBook {
    table: Arc<StoreTable>,
    cluster_version: Version,
}

impl StoreBook {
    /// As read from the replicated state.
    pub fn new(stores: Vec<metapb::Store>, cluster_version: Version) -> Self {
        let table = stores.into_iter().map(|meta| (meta.id, Arc::new(StoreRecord::new(meta)))).collect();
        Self { table: Arc::new(table), cluster_version }
    }

    /// The present version of the table.
    pub fn table(&self) -> &Arc<StoreTable> {
        &self.table
    }

    /// The cluster version.
    pub fn cluster_version(&self) -> &Version {
        &self.cluster_version
    }

    /// Another cluster version: raised by a store that has registered, or set by hand.
    pub fn set_cluster_version(&mut self, version: Version) {
        self.cluster_version = version;
    }

    /// One store.
    pub fn get(&self, id: u64) -> Result<&Arc<StoreRecord>, StoreRefusal> {
        self.table.get(&id).ok_or(StoreRefusal::NotFound(id))
    }

    /// What a store's wish to register leads to: the record to be written. `strict` are the location labels, if a store
    /// must have these and no others.
    pub fn put(
        &self,
        asked: &metapb::Store,
        strict: Option<&[String]>,
    ) -> Result<metapb::Store, StoreRefusal> {
        let record = self.registered(asked)?;
        if let Some(wanted) = strict {
            check_labels(&record.labels, wanted)?;
        }
        Ok(record)
    }

    fn registered(&self, asked: &metapb::Store) -> Result<metapb::Store, StoreRefusal> {
        let known = self.table.get(&asked.id);
        if known.is_some_and(|known| known.meta.node_state() == NodeState::Removed) {
            return Err(StoreRefusal::Tombstone(asked.id));
        }
        let printed = || text::Store(asked).to_string();
        if asked.id == 0 {
            return Err(StoreRefusal::NoId(printed()));
        }
        let version = version::parse(&asked.version)
            .map_err(|source| StoreRefusal::Version { store: printed(), source })?;
        if !version::compatible(&self.cluster_version, &version) {
            return Err(StoreRefusal::Incompatible { cluster: self.cluster_version.clone(), store: version });
        }
        self.refuse_duplicate(asked)?;
        let Some(known) = known else {
            let mut fresh = asked.clone();
            fresh.set_state(StoreState::Up);
            fresh.set_node_state(NodeState::Preparing);
            fresh.last_heartbeat = 0;
            fresh.physically_destroyed = false;
            return Ok(fresh);
        };
        let mut merged = known.meta.clone();
        merged.address.clone_from(&asked.address);
        merged.peer_address.clone_from(&asked.peer_address);
        merged.status_address.clone_from(&asked.status_address);
        merged.version.clone_from(&asked.version);
        merged.git_hash.clone_from(&asked.git_hash);
        merged.deploy_path.clone_from(&asked.deploy_path);
        merged.start_timestamp = asked.start_timestamp;
        merge_labels(&mut merged.labels, &asked.labels);
        Ok(merged)
    }

    /// What taking a store out leads to: the record to be written, or nothing when it is on its way out already.
    pub fn remove(
        &self,
        id: u64,
        destroyed: bool,
        max_replicas: usize,
    ) -> Result<Option<metapb::Store>, StoreRefusal> {
        let meta = &self.get(id)?.meta;
        match meta.node_state() {
            NodeState::Removed => return Err(StoreRefusal::Tombstone(id)),
            NodeState::Removing if meta.physically_destroyed == destroyed => return Ok(None),
            NodeState::Removing if meta.physically_destroyed => return Err(StoreRefusal::Destroyed(id)),
            NodeState::Removing => {}
            NodeState::Preparing | NodeState::Serving => {
                let left = self.up().filter(|record| record.meta.id != id).count();
                if !destroyed && left < max_replicas {
                    return Err(StoreRefusal::NotEnough { id, left, need: max_replicas });
                }
            }
        }
        let mut leaving = meta.clone();
        leaving.set_state(StoreState::Offline);
        leaving.set_node_state(NodeState::Removing);
        leaving.physically_destroyed = destroyed;
        Ok(Some(leaving))
    }

    /// What taking a leaving store back into service leads to; nothing when it is in service.
    pub fn back_up(&self, id: u64) -> Result<Option<metapb::Store>, StoreRefusal> {
        let meta = &self.get(id)?.meta;
        match meta.node_state() {
            NodeState::Removed => Err(StoreRefusal::Removed(id)),
            NodeState::Removing if meta.physically_destroyed => Err(StoreRefusal::Destroyed(id)),
            NodeState::Removing => {
                let mut back = meta.clone();
                back.set_state(StoreState::Up);
                back.set_node_state(NodeState::Serving);
                Ok(Some(back))
            }
            NodeState::Preparing | NodeState::Serving => Ok(None),
        }
    }

    /// What a change of labels leads to. `strict` are the location labels, if a store must have these and no others.
    pub fn relabel(
        &self,
        id: u64,
        change: &LabelChange,
        strict: Option<&[String]>,
    ) -> Result<metapb::Store, StoreRefusal> {
        let known = self.table.get(&id).ok_or(StoreRefusal::InvalidId(id))?;
        if known.meta.node_state() == NodeState::Removed {
            return Err(StoreRefusal::Removed(id));
        }
        let mut meta = known.meta.clone();
        match change {
            LabelChange::Merge(given) => merge_labels(&mut meta.labels, given),
            LabelChange::Replace(given) => {
                meta.labels.clear();
                merge_labels(&mut meta.labels, given);
            }
            LabelChange::Delete(key) => {
                let before = meta.labels.len();
                meta.labels.retain(|label| !label.key.eq_ignore_ascii_case(key));
                if meta.labels.len() == before {
                    return Err(StoreRefusal::NoLabel { id, key: key.clone() });
                }
            }
        }
        if let Some(wanted) = strict {
            check_labels(&meta.labels, wanted)?;
        }
        Ok(meta)
    }

    /// The record of a store that is gone for good and may be forgotten.
    pub fn purge(&self, id: u64) -> Result<metapb::Store, StoreRefusal> {
        let meta = &self.get(id)?.meta;
        match meta.node_state() {
            NodeState::Removed => Ok(meta.clone()),
            NodeState::Preparing | NodeState::Serving | NodeState::Removing => {
                Err(StoreRefusal::NotRemoved(id))
            }
        }
    }

    /// Its record is deleted now.
    pub fn forget(&mut self, id: u64) {
        Arc::make_mut(&mut self.table).remove(&id);
    }

    /// The record of a leaving store once nothing is left on it.
    pub fn bury(&self, id: u64) -> Option<metapb::Store> {
        let mut meta =
            self.table.get(&id).filter(|r| r.meta.node_state() == NodeState::Removing)?.meta.clone();
        meta.set_state(StoreState::Tombstone);
        meta.set_node_state(NodeState::Removed);
        Some(meta)
    }

    /// The record of a prepared store that goes into service.
    pub fn serve(&self, id: u64) -> Option<metapb::Store> {
        let mut meta =
            self.table.get(&id).filter(|r| r.meta.node_state() == NodeState::Preparing)?.meta.clone();
        meta.set_node_state(NodeState::Serving);
        Some(meta)
    }

    /// The cluster version once `changed` is in force: the least version of all stores that are not removed, never
    /// less than now. Records whose version cannot be read do not count.
    pub fn version_with(&self, changed: &metapb::Store) -> Version {
        let others = self.table.values().map(|record| &record.meta).filter(|meta| meta.id != changed.id);
        others
            .chain([changed])
            .filter(|meta| meta.node_state() != NodeState::Removed)
            .filter_map(|meta| version::parse(&meta.version).ok())
            .min()
            .map_or_else(|| self.cluster_version.clone(), |least| least.max(self.cluster_version.clone()))
    }

    /// Takes a record that is durable now. The cluster version follows by itself: it is read out of the configuration.
    pub fn install(&mut self, meta: metapb::Store) {
        let mut record = StoreRecord::new(meta);
        if let Some(known) = self.table.get(&record.meta.id) {
            record.stats.clone_from(&known.stats);
            record.meta.last_heartbeat = record.meta.last_heartbeat.max(known.meta.last_heartbeat);
        }
        Arc::make_mut(&mut self.table).insert(record.meta.id, Arc::new(record));
    }

    /// A heartbeat came in at `now_ns`.
    pub fn heartbeat(
        &mut self,
        now_ns: i64,
        stats: pdpb::StoreStats,
    ) -> Result<&Arc<StoreRecord>, StoreRefusal> {
        let id = stats.store_id;
        let record = Arc::make_mut(&mut self.table).get_mut(&id).ok_or(StoreRefusal::NotFound(id))?;
        if record.meta.node_state() == NodeState::Removed {
            return Err(StoreRefusal::Tombstone(id));
        }
        let changed = Arc::make_mut(record);
        changed.meta.last_heartbeat = now_ns;
        changed.stats = Some(stats);
        Ok(record)
    }

    /// Whether the time of the last heartbeat is to be written again.
    pub fn heartbeat_to_persist(&self, id: u64) -> Option<metapb::Store> {
        let record = self.table.get(&id)?;
        let since = record.meta.last_heartbeat.saturating_sub(record.persisted_heartbeat_ns);
        (Duration::from_nanos(u64::try_from(since).unwrap_or(0)) >= HEARTBEAT_PERSIST_INTERVAL)
            .then(|| record.meta.clone())
    }

    /// Stores that are not leaving.
    pub fn up(&self) -> impl Iterator<Item = &Arc<StoreRecord>> {
        self.table
            .values()
            .filter(|r| matches!(r.meta.node_state(), NodeState::Preparing | NodeState::Serving))
    }

    fn refuse_duplicate(&self, asked: &metapb::Store) -> Result<(), StoreRefusal> {
        for record in self.table.values() {
            let holder = &record.meta;
            if holder.id == asked.id
                || holder.node_state() == NodeState::Removed
                || holder.physically_destroyed
            {
                continue;
            }
            let kind = if holder.address == asked.address {
                "address"
            } else if !asked.peer_address.is_empty() && holder.peer_address == asked.peer_address {
                "peer address"
            } else {
                continue;
            };
            return Err(StoreRefusal::Duplicate {
                kind,
                asked: text::Store(asked).to_string(),
                holder: text::Store(holder).to_string(),
                id: holder.id,
            });
        }
        Ok(())
    }
}

/// A store has each wanted label and no other.
fn check_labels(labels: &[metapb::StoreLabel], wanted: &[String]) -> Result<(), StoreRefusal> {
    let same = |label: &metapb::StoreLabel, key: &String| label.key.eq_ignore_ascii_case(key);
    if let Some(key) = wanted.iter().find(|key| !labels.iter().any(|label| same(label, key))) {
        return Err(StoreRefusal::LabelMissing(key.clone()));
    }
    let is_known = |label: &&metapb::StoreLabel| {
        // What kind of store it is says nothing about where it is.
        label.key == ENGINE || wanted.iter().any(|key| same(label, key))
    };
    match labels.iter().find(|label| !is_known(label)) {
        Some(label) => Err(StoreRefusal::LabelUnknown(label.key.clone())),
        None => Ok(()),
    }
}

/// New values replace old ones of the same key (upper and lower case are one); an empty value deletes.
fn merge_labels(labels: &mut Vec<metapb::StoreLabel>, given: &[metapb::StoreLabel]) {
    for label in given {
        match labels.iter_mut().find(|known| known.key.eq_ignore_ascii_case(&label.key)) {
            Some(known) => known.value.clone_from(&label.value),
            None => labels.push(label.clone()),
        }
    }
    labels.retain(|label| !label.value.is_empty());
}

#[cfg(test)]
#[path = "stores_tests.rs"]
mod tests;
