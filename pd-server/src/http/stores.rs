//! Stores: listed, looked at, taken out.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::routing::get;
use http::{Response, StatusCode};
use proto::metapb::{self, NodeState, StoreState};
use scheduler::StoreSummary;
use serde::Serialize;

use super::{bootstrapped, json, not_leader, units};
use crate::cluster::{CallError, Cluster, Liveness, StoreRecord, StoreRefusal, wall_clock_ns};
use crate::grpc::Gate;

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new()
        .route("/pd/api/v1/stores", get(stores))
        .route("/pd/api/v1/store/{id}", get(store).delete(remove))
}

#[derive(Serialize)]
struct StoresView {
    count: usize,
    stores: Vec<StoreView>,
}

#[derive(Serialize)]
struct StoreView {
    store: Meta,
    status: Status,
}

/// The record of a store; zero values are left out.
#[derive(Serialize)]
struct Meta {
    id: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    address: String,
    #[serde(skip_serializing_if = "is_zero")]
    state: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<Label>,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    peer_address: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    status_address: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    git_hash: String,
    #[serde(skip_serializing_if = "is_zero")]
    start_timestamp: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    deploy_path: String,
    #[serde(skip_serializing_if = "is_zero")]
    last_heartbeat: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    physically_destroyed: bool,
    #[serde(skip_serializing_if = "is_zero")]
    node_state: i64,
    state_name: &'static str,
}

#[derive(Serialize)]
struct Label {
    key: String,
    value: String,
}

/// What a store said last and what is known of its replicas.
#[derive(Serialize)]
struct Status {
    capacity: String,
    available: String,
    used_size: String,
    leader_count: u64,
    leader_weight: u64,
    leader_score: u64,
    leader_size: u64,
    region_count: u64,
    region_weight: u64,
    region_score: f64,
    region_size: u64,
    #[serde(skip_serializing_if = "is_none")]
    learner_count: u64,
    #[serde(skip_serializing_if = "is_none")]
    pending_peer_count: u64,
    slow_score: u64,
    #[serde(skip_serializing_if = "is_none")]
    sending_snap_count: u64,
    #[serde(skip_serializing_if = "is_none")]
    receiving_snap_count: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_busy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_ts: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_heartbeat_ts: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime: Option<String>,
}

/// Stores in the states asked for (`state=0`, `1`, `2`; may repeat); without any, all but those that are gone.
async fn stores(State(gate): State<Gate>, RawQuery(query): RawQuery) -> Response<Body> {
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let mut states = Vec::new();
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if name == "state" {
            match value.parse::<i32>() {
                Ok(state) => states.push(state),
                Err(_) => {
                    let text = format!("strconv.Atoi: parsing {value:?}: invalid syntax");
                    return json::error(StatusCode::INTERNAL_SERVER_ERROR, &text);
                }
            }
        }
    }
    if states.is_empty() {
        states = vec![StoreState::Up.into(), StoreState::Offline.into()];
    }
    let Ok(summaries) = summaries(&cluster).await else { return not_leader(&gate) };
    let table = cluster.stores();
    let shown = table.table.values().filter(|record| states.contains(&record.meta.state));
    let stores: Vec<StoreView> =
        shown.map(|record| view(record, summaries.get(&record.meta.id), &cluster)).collect();
    json::ok(&StoresView { count: stores.len(), stores })
}

/// One store.
async fn store(State(gate): State<Gate>, Path(id): Path<String>) -> Response<Body> {
    let Ok(id) = id.parse() else { return not_an_id(&id) };
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let stores = cluster.stores();
    let Some(record) = stores.table.get(&id) else {
        return refused(&CallError::Store(StoreRefusal::NotFound(id)), &gate);
    };
    let Ok(summaries) = summaries(&cluster).await else { return not_leader(&gate) };
    json::ok(&view(record, summaries.get(&id), &cluster))
}

/// Takes a store out of the cluster; with `force` its data counts as gone for good.
async fn remove(
    State(gate): State<Gate>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let Ok(id) = id.parse() else { return not_an_id(&id) };
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let query = query.unwrap_or_default();
    let destroyed = url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "force");
    match cluster.remove_store(id, destroyed).await {
        Ok(()) => json::ok(&"The store is set as Offline."),
        Err(error) => refused(&error, &gate),
    }
}

fn not_an_id(text: &str) -> Response<Body> {
    json::error(StatusCode::BAD_REQUEST, &format!("strconv.ParseUint: parsing {text:?}: invalid syntax"))
}

fn refused(error: &CallError, gate: &Gate) -> Response<Body> {
    let status = match error {
        CallError::Store(StoreRefusal::NotFound(_)) => StatusCode::NOT_FOUND,
        CallError::Store(StoreRefusal::Tombstone(id)) => {
            let text = format!("[PD:core:ErrStoreRemoved]store {id} has been removed");
            return json::error(StatusCode::GONE, &text);
        }
        CallError::Store(StoreRefusal::NotEnough { .. } | StoreRefusal::Destroyed(_)) => {
            StatusCode::BAD_REQUEST
        }
        CallError::Store(_) | CallError::Planner(_) | CallError::Ids(_) => StatusCode::INTERNAL_SERVER_ERROR,
        CallError::Busy(_) | CallError::Write(_) => StatusCode::SERVICE_UNAVAILABLE,
        CallError::Over => return not_leader(gate),
    };
    json::error(status, &error.to_string())
}

async fn summaries(cluster: &Cluster) -> Result<BTreeMap<u64, StoreSummary>, CallError> {
    let all = cluster.summaries().await?;
    Ok(all.into_iter().map(|summary| (summary.store.0, summary)).collect())
}

fn view(record: &StoreRecord, summary: Option<&StoreSummary>, cluster: &Cluster) -> StoreView {
    let meta = &record.meta;
    let stats = record.stats.clone().unwrap_or_default();
    let since = |ns: i64| Duration::from_nanos(u64::try_from(ns).unwrap_or(0));
    let started_ns = meta.start_timestamp.saturating_mul(1_000_000_000);
    let size_mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let region_size = summary.map_or(0, |s| size_mib(s.region_size_bytes));
    let leader_count = summary.map_or(0, |s| s.leader_count);
    StoreView {
        store: Meta {
            id: meta.id,
            address: meta.address.clone(),
            state: meta.state.into(),
            labels: meta
                .labels
                .iter()
                .map(|l| Label { key: l.key.clone(), value: l.value.clone() })
                .collect(),
            version: meta.version.clone(),
            peer_address: meta.peer_address.clone(),
            status_address: meta.status_address.clone(),
            git_hash: meta.git_hash.clone(),
            start_timestamp: meta.start_timestamp,
            deploy_path: meta.deploy_path.clone(),
            last_heartbeat: meta.last_heartbeat,
            physically_destroyed: meta.physically_destroyed,
            node_state: meta.node_state.into(),
            state_name: state_name(meta, record.liveness(wall_clock_ns(), cluster.max_store_down_time)),
        },
        status: Status {
            capacity: units::size(stats.capacity),
            available: units::size(stats.available),
            used_size: units::size(stats.used_size),
            leader_count,
            leader_weight: 1,
            leader_score: leader_count,
            leader_size: summary.map_or(0, |s| size_mib(s.leader_size_bytes)),
            region_count: summary.map_or(0, |s| s.region_count),
            region_weight: 1,
            region_score: region_score(stats.capacity, stats.available, region_size),
            region_size,
            learner_count: summary.map_or(0, |s| s.learner_count),
            pending_peer_count: summary.map_or(0, |s| s.pending_count),
            slow_score: stats.slow_score,
            sending_snap_count: stats.sending_snap_count.into(),
            receiving_snap_count: stats.receiving_snap_count.into(),
            is_busy: stats.is_busy,
            start_ts: (started_ns > 0).then(|| units::time(since(started_ns))),
            last_heartbeat_ts: (meta.last_heartbeat > 0).then(|| units::time(since(meta.last_heartbeat))),
            uptime: (started_ns > 0 && meta.last_heartbeat > started_ns)
                .then(|| units::duration(since(meta.last_heartbeat - started_ns))),
        },
    }
}

/// The state in one word: what was decided about a store, and if it is to serve, how it is heard.
fn state_name(meta: &metapb::Store, liveness: Liveness) -> &'static str {
    match meta.node_state() {
        NodeState::Removed => "Tombstone",
        NodeState::Removing => "Offline",
        NodeState::Preparing | NodeState::Serving => match liveness {
            Liveness::Connected => "Up",
            Liveness::Disconnected => "Disconnected",
            Liveness::Down => "Down",
        },
    }
}

/// How full a store counts, as tools show it: the size of its Regions (in MiB), weighed more the less is free.
fn region_score(capacity: u64, available: u64, size_mib: u64) -> f64 {
    const GIB: f64 = (1_u64 << 30) as f64;
    // K, M, B and the least free space of the formula that users know as version 2.
    const BASE: f64 = 1.0;
    const STEEPNESS: f64 = 256.0;
    const FULL: f64 = 1e10;
    const FREE_MIN_GIB: f64 = 50.0;
    const LOW_SPACE: f64 = 0.2;
    let (capacity, available) = (capacity as f64 / GIB, available as f64 / GIB);
    let size = size_mib as f64;
    let free_min = FREE_MIN_GIB.max(capacity * LOW_SPACE);
    if available >= capacity || capacity < 1.0 {
        size
    } else if available > free_min {
        let left = available - free_min + 1.0;
        (BASE + STEEPNESS * (capacity.ln() - left.ln()) / (capacity - left)) * size
    } else {
        (BASE + STEEPNESS * capacity.ln() / capacity) * size + FULL * (free_min - available) / free_min
    }
}

// Serde hands over references.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_none(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::region_score;

    #[test]
    fn the_score_is_the_one_that_users_know() {
        const GIB: u64 = 1 << 30;
        // As recorded of tikv/pd.
        for (capacity, available, size, score) in [
            (110, 65, 1343, 8_394.325_214_750_474),
            (120, 70, 1350, 7_434.547_392_204_647),
            (140, 80, 1349, 6_125.694_345_393_294_5),
            (160, 90, 1335, 5_245.428_685_524_776),
        ] {
            let ours = region_score(capacity * GIB, available * GIB, size);
            assert!((ours - score).abs() < 1e-6 * score, "{ours} {score}");
        }
        assert!((region_score(0, 0, 7) - 7.0).abs() < f64::EPSILON);
    }
}
