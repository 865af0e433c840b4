//! The cluster as a whole, and what this process is.

use std::sync::LazyLock;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{any, get};
use http::{Response, StatusCode};
use serde::Serialize;

use super::path::Path;
use super::query::{self, Query};
use super::{bootstrapped, json, not_leader, units};
use crate::cluster::wall_clock_ns;
use crate::grpc::Gate;
use crate::keys;

/// When the routes were made, in seconds since the epoch: the start of the process, for all that people care.
static STARTED_S: LazyLock<i64> = LazyLock::new(|| wall_clock_ns() / 1_000_000_000);
/// How often the minimum of resolved timestamps is written.
const PERSIST_INTERVAL: &str = "pd-server.min-resolved-ts-persistence-interval";
/// What tikv/pd prints for a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Its routes.
pub fn routes() -> Router<Gate> {
    LazyLock::force(&STARTED_S);
    Router::new()
        .route("/pd/api/v1/cluster", get(cluster))
        .route("/pd/api/v1/cluster/status", any(status))
        .route("/pd/api/v1/status", get(process))
        .route("/pd/api/v1/min-resolved-ts", get(min_resolved))
        .route("/pd/api/v1/min-resolved-ts/{store_id}", get(min_resolved_of))
}

#[derive(Serialize)]
struct ClusterView {
    id: u64,
    max_peer_count: u64,
}

/// Who it is, and how many replicas a Region shall have now. Answers before the cluster is bootstrapped, too.
async fn cluster(State(gate): State<Gate>) -> Response<Body> {
    let Ok(tenure) = gate.tenures.serve().await else { return not_leader(&gate) };
    json::ok(&ClusterView { id: tenure.cluster_id, max_peer_count: gate.pd.online.now().max_replicas() })
}

#[derive(Serialize)]
struct StatusView {
    raft_bootstrap_time: String,
    is_initialized: bool,
    replication_status: &'static str,
}

/// Whether the cluster is bootstrapped, and whether its data is replicated for the first time.
async fn status(State(gate): State<Gate>) -> Response<Body> {
    let Ok(tenure) = gate.tenures.serve().await else { return not_leader(&gate) };
    let key = tenure.keys.bootstrap_time();
    let stored = match gate.pd.kv.off_thread(move |kv| kv.get(&key)).await {
        Ok(stored) => stored,
        Err(error) => return json::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    };
    let bootstrapped_at = stored.and_then(|found| keys::decode_be(&found.value).ok());
    let is_initialized = tenure.cluster().is_ok_and(|cluster| {
        let routes = cluster.regions();
        let wanted = usize::try_from(gate.pd.online.now().max_replicas()).unwrap_or(usize::MAX);
        routes.len() > 1
            || routes
                .get(&[])
                .is_some_and(|first| first.meta.peers.len() >= wanted && first.pending.is_empty())
    });
    json::ok(&StatusView {
        raft_bootstrap_time: bootstrapped_at
            .map_or_else(|| NEVER.to_owned(), |ns| units::time(Duration::from_nanos(ns))),
        is_initialized,
        replication_status: "",
    })
}

#[derive(Serialize)]
struct ProcessView {
    build_ts: &'static str,
    version: &'static str,
    git_hash: &'static str,
    start_timestamp: i64,
    kernel_type: &'static str,
}

/// What this process is: known to each member.
async fn process() -> Response<Body> {
    json::ok(&ProcessView {
        build_ts: "",
        version: crate::COMPATIBLE_VERSION,
        git_hash: "",
        start_timestamp: *STARTED_S,
        kernel_type: "Classic",
    })
}

#[derive(Serialize)]
struct MinResolved {
    is_real_time: bool,
    min_resolved_ts: u64,
    persist_interval: String,
    stores_min_resolved_ts: Option<serde_json::Map<String, serde_json::Value>>,
}

/// The smallest resolved timestamp of the cluster, or with `scope` of all (`cluster`) or some stores (`1,2`).
async fn min_resolved(State(gate): State<Gate>, query: Query) -> Response<Body> {
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let Ok(seen) = cluster.min_resolved().await else { return not_leader(&gate) };
    let scope = query.text("scope");
    let ids: Vec<u64> = match scope.as_ref() {
        "" => return json::ok(&min_resolved_view(&gate, seen.cluster, None)),
        "cluster" => cluster.stores().table.keys().copied().collect(),
        some => match some.split(',').map(|id| query::id(id.trim())).collect() {
            Ok(ids) => ids,
            Err(text) => return json::bad_request(&format!("scope: {text}")),
        },
    };
    let of = |id: &u64| seen.by_store.get(id).copied().unwrap_or(0);
    let least = ids.iter().map(of).min().unwrap_or(0);
    let stores = ids.iter().map(|id| (id.to_string(), of(id).into())).collect();
    json::ok(&min_resolved_view(&gate, least, Some(stores)))
}

/// The smallest resolved timestamp of one store.
async fn min_resolved_of(State(gate): State<Gate>, Path(id): Path<String>) -> Response<Body> {
    let id = match query::id(&id) {
        Ok(id) => id,
        Err(text) => return json::bad_request(&text),
    };
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    if !cluster.stores().table.contains_key(&id) {
        let text = format!("[PD:core:ErrStoreNotFound]store {id} not found");
        return json::error(StatusCode::NOT_FOUND, &text);
    }
    let Ok(seen) = cluster.min_resolved().await else { return not_leader(&gate) };
    json::ok(&min_resolved_view(&gate, seen.by_store.get(&id).copied().unwrap_or(0), None))
}

fn min_resolved_view(
    gate: &Gate,
    least: u64,
    stores: Option<serde_json::Map<String, serde_json::Value>>,
) -> MinResolved {
    let interval = gate.pd.online.now().duration(PERSIST_INTERVAL);
    MinResolved {
        is_real_time: !interval.is_zero(),
        min_resolved_ts: least,
        persist_interval: units::duration(interval),
        stores_min_resolved_ts: stores,
    }
}
