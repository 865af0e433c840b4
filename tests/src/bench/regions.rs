//! The invented cluster that heartbeats and lookups work on: Regions of three peers, spread over stores in a chain.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use proto::metapb::{Peer, Region, RegionEpoch, Store};
use proto::pdpb::{RegionHeartbeatRequest, RequestHeader, TimeInterval};

const FIRST_REGION: u64 = 1_000_000;
const FIRST_PEER: u64 = 100_000_000;
const REPLICAS: u64 = 3;
const VERSION: u64 = 10;
const SIZE_BYTES: u64 = 96 << 20;

/// How many Regions on how many stores.
#[derive(Clone, Copy, Debug)]
pub struct Cluster {
    /// Regions; they tile the whole key space.
    pub regions: u64,
    /// Stores, with ids from 1.
    pub stores: u64,
}

impl Cluster {
    /// The start key of Region number `i`: empty for the first, as the end of the last.
    pub fn key(&self, i: u64) -> Bytes {
        if i == 0 || i == self.regions { Bytes::new() } else { format!("t{i:019}").into() }
    }

    /// The id of Region number `i`.
    pub fn id(&self, i: u64) -> u64 {
        FIRST_REGION + i
    }

    /// A store's meta.
    pub fn store(&self, id: u64) -> Store {
        Store {
            id,
            address: format!("127.0.0.1:{}", 30_000 + id),
            status_address: format!("127.0.0.1:{}", 31_000 + id),
            version: "8.5.0".into(),
            start_timestamp: 1,
            ..Default::default()
        }
    }

    /// Region number `i`; `change` raises its version.
    pub fn region(&self, i: u64, change: u64) -> Region {
        Region {
            id: self.id(i),
            start_key: self.key(i),
            end_key: self.key(i + 1),
            region_epoch: Some(RegionEpoch { conf_ver: REPLICAS, version: VERSION + change }),
            peers: (0..REPLICAS)
                .map(|k| Peer {
                    id: FIRST_PEER + i * REPLICAS + k,
                    store_id: (i + k) % self.stores + 1,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }
    }

    /// A heartbeat of Region number `i` with counters that differ from round to round.
    pub fn heartbeat(
        &self,
        header: Option<RequestHeader>,
        i: u64,
        round: u64,
        change: u64,
    ) -> RegionHeartbeatRequest {
        let region = self.region(i, change);
        let now = now_s();
        RegionHeartbeatRequest {
            header,
            leader: region.peers.first().copied(),
            region: Some(region),
            bytes_written: 100 + (i + round) % 50,
            bytes_read: 1_000 + (i * 7 + round) % 500,
            keys_written: 10,
            keys_read: 100,
            approximate_size: SIZE_BYTES,
            approximate_keys: 900_000,
            interval: Some(TimeInterval { start_timestamp: now - 60, end_timestamp: now }),
            term: 6,
            ..Default::default()
        }
    }
}

/// Seconds of the wall clock.
pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
