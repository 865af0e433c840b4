//! What a Node is started with: flags over a TOML file over defaults. Names are TiKV's where it has one.

mod file;
mod flags;
mod readable;

use std::path::PathBuf;
use std::time::Duration;

use proto::metapb::StoreLabel;

use crate::region::Thresholds;

pub use file::FileConfig;
pub use flags::Flags;
pub use readable::{parse_duration, parse_size};

/// One process.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeConfig {
    /// Client URLs of PD.
    pub pd_endpoints: Vec<String>,
    /// Its Stores, at least one.
    pub stores: Vec<StoreConfig>,
    /// How they are tuned.
    pub tuning: Tuning,
}

/// One Store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreConfig {
    /// Where it listens, `host:port`.
    pub addr: String,
    /// How others reach it; where it listens if empty.
    pub advertise_addr: String,
    /// Where it answers HTTP, `host:port`; nowhere if empty.
    pub status_addr: String,
    /// Its folder, made when missing.
    pub data_dir: PathBuf,
    /// What PD places by.
    pub labels: Vec<StoreLabel>,
    /// Most bytes that it may take; 0 for all of its disk.
    pub capacity_bytes: u64,
}

/// What all Stores of a Node share.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// When Regions are cut.
    pub thresholds: Thresholds,
    /// Between two looks at which Regions are too large.
    pub split_check: Duration,
    /// Between two heartbeats of a Store.
    pub store_heartbeat: Duration,
    /// Between two heartbeats of a Region that does not change.
    pub region_heartbeat: Duration,
    /// A peer silent for so long is told to PD as down.
    pub max_peer_down: Duration,
    /// A peer without a leader for so long asks PD whether it still belongs to its Region.
    pub stale_peer: Duration,
    /// Length of a Raft tick.
    pub tick: Duration,
    /// Ticks between two heartbeats of a Raft leader.
    pub heartbeat_ticks: usize,
    /// Ticks without a leader before an election.
    pub election_ticks: usize,
    /// Applied entries kept for followers that lag.
    pub log_keep: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        let split_bytes = 256 << 20;
        let split_keys = 2_560_000;
        Self {
            thresholds: Thresholds {
                split_bytes,
                max_bytes: split_bytes / 2 * 3,
                split_keys,
                max_keys: split_keys / 2 * 3,
            },
            split_check: Duration::from_secs(1),
            store_heartbeat: Duration::from_secs(10),
            region_heartbeat: Duration::from_secs(60),
            max_peer_down: Duration::from_secs(600),
            stale_peer: Duration::from_secs(10),
            tick: Duration::from_millis(100),
            heartbeat_ticks: 10,
            election_ticks: 50,
            log_keep: 1_000,
        }
    }
}

/// What is wrong with flags or file; the text names the key and says what would be right.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

impl NodeConfig {
    /// Checks what no single key can.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.pd_endpoints.is_empty() {
            return Err(ConfigError("pd: no address of PD; expected for example --pd 127.0.0.1:2379".into()));
        }
        if self.stores.is_empty() {
            return Err(ConfigError("no store; give --addr and --data-dir, or [[store]] sections".into()));
        }
        for (n, store) in self.stores.iter().enumerate() {
            for (name, address) in [("addr", &store.addr), ("advertise-addr", &store.advertise_addr)] {
                check_address(name, address)?;
            }
            if !store.status_addr.is_empty() {
                check_address("status-addr", &store.status_addr)?;
            }
            if store.data_dir.as_os_str().is_empty() {
                return Err(ConfigError(format!("data-dir: store {} has no folder", store.addr)));
            }
            for other in &self.stores[..n] {
                if other.data_dir == store.data_dir {
                    let dir = store.data_dir.display();
                    return Err(ConfigError(format!("data-dir: {dir} is given to two stores")));
                }
                if other.addr == store.addr && !store.addr.ends_with(":0") {
                    return Err(ConfigError(format!("addr: {} is given to two stores", store.addr)));
                }
            }
        }
        self.tuning.validate()
    }
}

impl Tuning {
    fn validate(&self) -> Result<(), ConfigError> {
        let t = &self.thresholds;
        let positive = [
            ("coprocessor.region-split-size", t.split_bytes > 0),
            ("coprocessor.region-split-keys", t.split_keys > 0),
            ("raftstore.pd-store-heartbeat-tick-interval", !self.store_heartbeat.is_zero()),
            ("raftstore.pd-heartbeat-tick-interval", !self.region_heartbeat.is_zero()),
            ("raftstore.split-region-check-tick-interval", !self.split_check.is_zero()),
            ("raftstore.raft-base-tick-interval", !self.tick.is_zero()),
            ("raftstore.raft-heartbeat-ticks", self.heartbeat_ticks > 0),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, ok)| !ok) {
            return Err(ConfigError(format!("{name}: must be above 0")));
        }
        if t.max_bytes < t.split_bytes || t.max_keys < t.split_keys {
            let text = "coprocessor.region-max-size, region-max-keys: must not be below region-split-size, region-split-keys";
            return Err(ConfigError(text.into()));
        }
        if self.election_ticks <= self.heartbeat_ticks {
            let text = "raftstore.raft-election-timeout-ticks: must be above raft-heartbeat-ticks";
            return Err(ConfigError(text.into()));
        }
        Ok(())
    }
}

fn check_address(name: &str, address: &str) -> Result<(), ConfigError> {
    let port =
        address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(_)) => Ok(()),
        Some(Err(_)) | None => Err(ConfigError(format!(
            "{name}: `{address}` is no address; expected for example 127.0.0.1:20160"
        ))),
    }
}
