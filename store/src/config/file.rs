//! The TOML file. Sections and keys are TiKV's; a key that is not known is refused by name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::readable::{Size, Span};
use super::{ConfigError, StoreConfig, Tuning};
use proto::metapb::StoreLabel;

/// A file as read; what it lacks stays as it was.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FileConfig {
    /// Where PD is.
    pub pd: Pd,
    /// The Store of a Node with one.
    pub server: Server,
    /// Its folder.
    pub storage: Storage,
    /// When Regions are cut.
    pub coprocessor: Coprocessor,
    /// Raft and heartbeats.
    pub raftstore: Raftstore,
    /// The Stores of a Node with several, in place of `server` and `storage`.
    pub store: Vec<Store>,
}

/// Section `pd`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pd {
    /// Client URLs of PD.
    pub endpoints: Vec<String>,
}

/// Section `server`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Server {
    /// Where it listens.
    pub addr: Option<String>,
    /// How others reach it.
    pub advertise_addr: Option<String>,
    /// Where it answers HTTP.
    pub status_addr: Option<String>,
    /// What PD places by.
    pub labels: BTreeMap<String, String>,
}

/// Section `storage`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Storage {
    /// The folder.
    pub data_dir: Option<PathBuf>,
}

/// One `[[store]]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Store {
    /// Where it listens.
    pub addr: String,
    /// How others reach it.
    pub advertise_addr: Option<String>,
    /// Where it answers HTTP.
    pub status_addr: Option<String>,
    /// Its folder.
    pub data_dir: PathBuf,
    /// What PD places by.
    pub labels: BTreeMap<String, String>,
    /// Most bytes that it may take.
    pub capacity: Option<Size>,
}

/// Section `coprocessor`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Coprocessor {
    /// Size of a part after a split.
    pub region_split_size: Option<Size>,
    /// Size from which on a Region is cut; one and a half `region-split-size` if not given.
    pub region_max_size: Option<Size>,
    /// Keys of a part after a split.
    pub region_split_keys: Option<u64>,
    /// Keys from which on a Region is cut; one and a half `region-split-keys` if not given.
    pub region_max_keys: Option<u64>,
}

/// Section `raftstore`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Raftstore {
    /// Most bytes that the Store may take.
    pub capacity: Option<Size>,
    /// Between two heartbeats of a Region that does not change.
    pub pd_heartbeat_tick_interval: Option<Span>,
    /// Between two heartbeats of a Store.
    pub pd_store_heartbeat_tick_interval: Option<Span>,
    /// Between two looks at which Regions are too large.
    pub split_region_check_tick_interval: Option<Span>,
    /// A peer silent for so long is down.
    pub max_peer_down_duration: Option<Span>,
    /// A peer without a leader for so long asks PD about itself.
    pub peer_stale_state_check_interval: Option<Span>,
    /// Length of a Raft tick.
    pub raft_base_tick_interval: Option<Span>,
    /// Ticks between two heartbeats of a Raft leader.
    pub raft_heartbeat_ticks: Option<usize>,
    /// Ticks without a leader before an election.
    pub raft_election_timeout_ticks: Option<usize>,
    /// Applied entries kept for followers that lag.
    pub raft_log_gc_count_limit: Option<u64>,
}

impl FileConfig {
    /// Reads a file.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError(error.to_string().trim_end().to_owned()))
    }

    /// Its Stores: the `[[store]]` sections, or the one of `server` and `storage`.
    pub fn stores(&self) -> Result<Vec<StoreConfig>, ConfigError> {
        let capacity = self.raftstore.capacity.map_or(0, |size| size.0);
        if !self.store.is_empty() {
            if self.server.addr.is_some() || self.storage.data_dir.is_some() {
                let text = "store: a file has either [[store]] sections or server.addr and storage.data-dir";
                return Err(ConfigError(text.into()));
            }
            return Ok(self.store.iter().map(|store| store.config(capacity)).collect());
        }
        let Some(addr) = self.server.addr.clone() else { return Ok(Vec::new()) };
        let one = Store {
            addr,
            advertise_addr: self.server.advertise_addr.clone(),
            status_addr: self.server.status_addr.clone(),
            data_dir: self.storage.data_dir.clone().unwrap_or_default(),
            labels: self.server.labels.clone(),
            capacity: None,
        };
        Ok(vec![one.config(capacity)])
    }

    /// Puts what the file gives over `tuning`.
    pub fn tune(&self, tuning: &mut Tuning) {
        let t = &mut tuning.thresholds;
        if let Some(size) = self.coprocessor.region_split_size {
            (t.split_bytes, t.max_bytes) = (size.0, size.0.saturating_add(size.0 / 2));
        }
        if let Some(keys) = self.coprocessor.region_split_keys {
            (t.split_keys, t.max_keys) = (keys, keys.saturating_add(keys / 2));
        }
        set(&mut t.max_bytes, self.coprocessor.region_max_size.map(|size| size.0));
        set(&mut t.max_keys, self.coprocessor.region_max_keys);
        let from = &self.raftstore;
        set(&mut tuning.region_heartbeat, from.pd_heartbeat_tick_interval.map(|span| span.0));
        set(&mut tuning.store_heartbeat, from.pd_store_heartbeat_tick_interval.map(|span| span.0));
        set(&mut tuning.split_check, from.split_region_check_tick_interval.map(|span| span.0));
        set(&mut tuning.max_peer_down, from.max_peer_down_duration.map(|span| span.0));
        set(&mut tuning.stale_peer, from.peer_stale_state_check_interval.map(|span| span.0));
        set(&mut tuning.tick, from.raft_base_tick_interval.map(|span| span.0));
        set(&mut tuning.heartbeat_ticks, from.raft_heartbeat_ticks);
        set(&mut tuning.election_ticks, from.raft_election_timeout_ticks);
        set(&mut tuning.log_keep, from.raft_log_gc_count_limit);
    }
}

impl Store {
    fn config(&self, capacity_bytes: u64) -> StoreConfig {
        let label = |(key, value): (&String, &String)| StoreLabel { key: key.clone(), value: value.clone() };
        StoreConfig {
            addr: self.addr.clone(),
            advertise_addr: self.advertise_addr.clone().unwrap_or_else(|| self.addr.clone()),
            status_addr: self.status_addr.clone().unwrap_or_default(),
            data_dir: self.data_dir.clone(),
            labels: self.labels.iter().map(label).collect(),
            capacity_bytes: self.capacity.map_or(capacity_bytes, |size| size.0),
        }
    }
}

fn set<T>(to: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *to = value;
    }
}
