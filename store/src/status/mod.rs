//! What a Store answers over HTTP on its status address. For people, for Prometheus and for tests; PD reads `/config`.
//!
//! | path | answer |
//! |---|---|
//! | `/status` | version, ids, addresses, counts |
//! | `/metrics` | Prometheus text |
//! | `/regions` | the peers here, with what their groups say |
//! | `/config` | the configuration, as PD asks a TiKV for it |
//! | `/kv?key=HEX` | debug: a key as it lies here; a local read, may be stale |
//! | `/kv?start=HEX&end=HEX&limit=N` | debug: the keys that lie here, of whatever peer |

mod kv;
mod metrics;
mod regions;

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::{STORE_VERSION, StoreCore};

/// What the pages tell of.
#[derive(Clone)]
pub struct Pages {
    /// The Store.
    pub core: Arc<StoreCore>,
    /// Its address.
    pub address: String,
    /// Its folder.
    pub data_dir: String,
}

/// The router of the status address.
pub fn router(pages: Pages) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/metrics", get(metrics::page))
        .route("/regions", get(regions::page))
        .route("/config", get(config))
        .route("/kv", get(kv::page))
        .with_state(pages)
}

async fn status(State(pages): State<Pages>) -> Json<Value> {
    let core = &pages.core;
    Json(json!({
        "version": STORE_VERSION,
        "cluster_id": core.cluster_id,
        "store_id": core.id.0,
        "address": pages.address,
        "data_dir": pages.data_dir,
        "regions": core.regions.len(),
    }))
}

async fn config(State(pages): State<Pages>) -> Json<Value> {
    let tuning = &pages.core.tuning;
    let t = &tuning.thresholds;
    let time = |time: std::time::Duration| humantime::format_duration(time).to_string().replace(' ', "");
    Json(json!({
        "coprocessor": {
            "region-max-size": size(t.max_bytes),
            "region-split-size": size(t.split_bytes),
            "region-max-keys": t.max_keys,
            "region-split-keys": t.split_keys,
            "enable-region-bucket": false,
        },
        "storage": { "engine": "raft-kv", "data-dir": pages.data_dir },
        "server": { "advertise-addr": pages.address },
        "raftstore": {
            "pd-heartbeat-tick-interval": time(tuning.region_heartbeat),
            "pd-store-heartbeat-tick-interval": time(tuning.store_heartbeat),
            "max-peer-down-duration": time(tuning.max_peer_down),
            "peer-stale-state-check-interval": time(tuning.stale_peer),
            "raft-base-tick-interval": time(tuning.tick),
            "raft-heartbeat-ticks": tuning.heartbeat_ticks,
            "raft-election-timeout-ticks": tuning.election_ticks,
            "raft-log-gc-count-limit": tuning.log_keep,
        },
    }))
}

/// A size in the largest unit that divides it.
fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.iter().find(|(shift, _)| bytes != 0 && bytes.trailing_zeros() >= *shift) {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_back_as_they_were() {
        for (bytes, text) in [(256 << 20, "256MiB"), (96 << 10, "96KiB"), (100_000, "100000B"), (0, "0B")] {
            assert_eq!(size(bytes), text);
        }
    }
}
