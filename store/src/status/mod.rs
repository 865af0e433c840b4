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
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode};
    use bytes::Bytes;
    use tower::ServiceExt;

    use super::*;
    use crate::engine::{Batch, SledEngine};
    use crate::{StoreId, Tuning, keys};

    async fn get_page(core: &Arc<StoreCore>, path: &str) -> (StatusCode, String) {
        let pages = Pages { core: core.clone(), address: "127.0.0.1:1".into(), data_dir: "d".into() };
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = router(pages).oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn the_pages_tell_what_lies_here() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Arc::new(SledEngine::open(dir.path()).unwrap());
        let core = StoreCore::new(7, StoreId(4), engine, Tuning::default());
        let mut batch = Batch::default();
        batch.put(keys::data_key(b"a"), Bytes::from_static(b"1"));
        batch.put(keys::data_key(b"b"), Bytes::from_static(b"2"));
        core.engine.write(batch).unwrap();
        let of = |path: &'static str| get_page(&core, path);
        assert!(of("/kv?key=61").await.1.contains(r#""value":"31""#));
        assert!(of("/kv?key=63").await.1.contains(r#""found":false"#));
        let (_, list) = of("/kv?start=61&end=&limit=1").await;
        assert!(list.contains(r#""more":true"#) && list.contains(r#""key":"61""#), "{list}");
        assert_eq!(of("/kv?key=xyz").await.0, StatusCode::BAD_REQUEST);
        assert_eq!(of("/kv?kay=61").await.0, StatusCode::BAD_REQUEST);
        assert!(of("/config").await.1.contains(r#""region-split-size":"256MiB""#));
        assert!(of("/status").await.1.contains(r#""store_id":4"#));
        assert!(of("/metrics").await.1.contains("store_regions 0"));
        assert_eq!(of("/regions").await.1, "[]");
    }

    #[test]
    fn sizes_are_read_back_as_they_were() {
        for (bytes, text) in [(256 << 20, "256MiB"), (96 << 10, "96KiB"), (100_000, "100000B"), (0, "0B")] {
            assert_eq!(size(bytes), text);
        }
    }
}
