//! What is known of each Store, and whether it may get anything.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::model::{Liveness, NodeState, StoreId, StoreMeta, StoreState, StoreStats, StoreWeights, Time};
use crate::refusal::Refusal;

/// Silence after which a Store gets nothing new: two heartbeats lost.
const DISCONNECTED_MS: u64 = 20_000;
/// Silence after which it counts as unhealthy.
const UNHEALTHY_MS: u64 = 600_000;
/// A disk is never too full while fewer replicas than this are on it and `ROOM_BYTES` are free.
const FEW_REGIONS: u64 = 100;
const ROOM_BYTES: u64 = 8 << 30;

/// What is known of a Store's stream of Region heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Nothing: a Store that leads nothing sends nothing.
    Unknown,
    /// It is there.
    Open,
    /// It broke and the Store was not heard since: commands cannot reach it, it may be dead.
    Closed,
}

/// One Store.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub meta: StoreMeta,
    pub stats: StoreStats,
    /// How much it shall have compared with others.
    pub weights: StoreWeights,
    /// When it was heard last; none when never since the planner began.
    pub last_heartbeat: Option<Time>,
    pub stream: Stream,
    /// From when its silence counts while it was never heard.
    first_seen: Time,
    /// True once it was found Down and its Regions were queued.
    pub is_lost: bool,
}

impl Store {
    pub fn state(&self) -> StoreState {
        self.meta.node_state.store_state()
    }

    pub fn silent_ms(&self, now: Time) -> u64 {
        now.ms_since(self.last_heartbeat.unwrap_or(self.first_seen))
    }

    pub fn liveness(&self, now: Time, config: &Config) -> Liveness {
        let silent = self.silent_ms(now);
        if silent >= config.max_store_down_time_ms {
            Liveness::Down
        } else if silent > UNHEALTHY_MS {
            Liveness::Unhealthy
        } else if silent > DISCONNECTED_MS || self.last_heartbeat.is_none() {
            Liveness::Disconnected
        } else {
            Liveness::Connected
        }
    }

    /// Whether it stays and is heard just now.
    ///
    /// # Errors
    /// Why not.
    pub fn check_heard(&self, now: Time, config: &Config) -> Result<(), Refusal> {
        let store = self.meta.id;
        if self.state() != StoreState::Up {
            return Err(Refusal::StoreLeaves(store));
        }
        let liveness = self.liveness(now, config);
        if liveness != Liveness::Connected {
            return Err(Refusal::StoreSilent { store, liveness, silent_ms: self.silent_ms(now) });
        }
        if self.stream == Stream::Closed {
            let liveness = Liveness::Disconnected;
            return Err(Refusal::StoreSilent { store, liveness, silent_ms: self.silent_ms(now) });
        }
        Ok(())
    }

    /// Whether it may lead more.
    ///
    /// # Errors
    /// Why not.
    pub fn may_lead(&self, now: Time, config: &Config) -> Result<(), Refusal> {
        self.check_heard(now, config)?;
        if self.stats.is_busy { Err(Refusal::StoreBusy(self.meta.id)) } else { Ok(()) }
    }

    /// Whether it may get a replica, by what it says of itself.
    ///
    /// # Errors
    /// Why not.
    pub fn may_take(&self, now: Time, config: &Config, pending: u64) -> Result<(), Refusal> {
        self.may_lead(now, config)?;
        let (store, stats) = (self.meta.id, &self.stats);
        if self.is_low_on_space(config) {
            let free = stats.available_bytes.saturating_mul(1000) / stats.capacity_bytes;
            return Err(Refusal::LowSpace {
                store,
                used_per_mille: 1000_u64.saturating_sub(free),
                limit_per_mille: config.low_space_per_mille,
            });
        }
        let in_hand = stats.sending_snapshots.max(stats.receiving_snapshots + stats.applying_snapshots);
        if in_hand > config.max_snapshot_count {
            return Err(Refusal::Snapshots { store, count: in_hand, limit: config.max_snapshot_count });
        }
        if pending > config.max_pending_peer_count {
            return Err(Refusal::PendingPeers {
                store,
                count: pending,
                limit: config.max_pending_peer_count,
            });
        }
        Ok(())
    }

    /// KiB that it may take before its disk is too full; none when its disk is unknown.
    pub fn room_kib(&self, config: &Config) -> Option<u64> {
        let stats = &self.stats;
        if stats.capacity_bytes == 0 {
            return None;
        }
        let reserve = stats.capacity_bytes / 1000 * 1000_u64.saturating_sub(config.low_space_per_mille);
        let reserve = if stats.region_count < FEW_REGIONS { reserve.min(ROOM_BYTES) } else { reserve };
        Some(stats.available_bytes.saturating_sub(reserve) >> 10)
    }

    fn is_low_on_space(&self, config: &Config) -> bool {
        let stats = &self.stats;
        if stats.capacity_bytes == 0 {
            return false;
        }
        if stats.region_count < FEW_REGIONS && stats.available_bytes > ROOM_BYTES {
            return false;
        }
        let free = stats.available_bytes.saturating_mul(1000) / stats.capacity_bytes;
        free < 1000_u64.saturating_sub(config.low_space_per_mille)
    }
}

/// All Stores, in the order of their ids.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stores {
    by_id: BTreeMap<StoreId, Store>,
}

impl Stores {
    pub fn get(&self, id: StoreId) -> Option<&Store> {
        self.by_id.get(&id)
    }

    pub fn get_mut(&mut self, id: StoreId) -> Option<&mut Store> {
        self.by_id.get_mut(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Store> + '_ {
        self.by_id.values()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Store> + '_ {
        self.by_id.values_mut()
    }

    /// Enters or changes a Store; gives what was decided about it before.
    pub fn put(&mut self, meta: StoreMeta, now: Time) -> Option<NodeState> {
        match self.by_id.get_mut(&meta.id) {
            Some(store) => {
                let before = store.meta.node_state;
                store.meta = meta;
                Some(before)
            }
            None => {
                let stats = StoreStats { store: meta.id, ..StoreStats::default() };
                let store = Store {
                    stats,
                    weights: StoreWeights::default(),
                    last_heartbeat: None,
                    stream: Stream::Unknown,
                    first_seen: now,
                    is_lost: false,
                    meta,
                };
                self.by_id.insert(store.meta.id, store);
                None
            }
        }
    }
}
