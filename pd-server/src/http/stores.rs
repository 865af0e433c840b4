//! Stores: shown, taken out, taken back, labelled, forgotten. Weights and limits stand in `store_limits`.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{delete, get, post};
use bytes::Bytes;
use http::{Response, StatusCode};
use proto::metapb::{self, NodeState, StoreState};
use scheduler::StoreSummary;
use serde::Serialize;
use serde_json::{Map, Value};

use super::path::Path;
use super::query::{self, Query};
use super::store_view::{StoreView, view};
use super::{bootstrapped, json, json_body, not_leader};
use crate::cluster::{CallError, Cluster, LabelChange, StoreRecord, StoreRefusal};
use crate::config::label;
use crate::grpc::Gate;

/// Labels that one request may bring: a store has a handful.
const LABELS_MAX: usize = 256;

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new()
        .route("/pd/api/v1/stores", get(stores))
        .route("/pd/api/v1/stores/check", get(check))
        .route("/pd/api/v1/stores/remove-tombstone", delete(remove_tombstone))
        .route("/pd/api/v1/store/{id}", get(store).delete(remove))
        .route("/pd/api/v1/store/{id}/state", post(set_state))
        .route("/pd/api/v1/store/{id}/label", post(set_labels).delete(delete_label))
}

#[derive(Serialize)]
struct StoresView {
    count: usize,
    stores: Vec<StoreView>,
}

/// The stores that `wanted` picks, in the order of their ids.
pub async fn show(gate: &Gate, wanted: impl Fn(&StoreRecord) -> bool) -> Response<Body> {
    let (_, cluster) = match bootstrapped(gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let Ok(summaries) = summaries(&cluster).await else { return not_leader(gate) };
    let down_after = cluster.max_store_down_time();
    let table = cluster.stores();
    let shown = table.table.values().filter(|record| wanted(record));
    let stores: Vec<StoreView> =
        shown.map(|record| view(record, summaries.get(&record.meta.id), down_after)).collect();
    json::ok(&StoresView { count: stores.len(), stores })
}

/// Stores in the states asked for (`state=0`, `1`, `2`; may repeat); without any, all but those that are gone.
async fn stores(State(gate): State<Gate>, query: Query) -> Response<Body> {
    let mut states = Vec::new();
    for value in query.all("state") {
        match query::whole(&String::from_utf8_lossy(value)) {
            Ok(state) => states.push(state),
            Err(text) => return json::error(StatusCode::INTERNAL_SERVER_ERROR, &text),
        }
    }
    if states.is_empty() {
        states = vec![i64::from(i32::from(StoreState::Up)), i64::from(i32::from(StoreState::Offline))];
    }
    show(&gate, |record| states.contains(&i64::from(record.meta.state))).await
}

/// Stores in the states asked for by name; without any, all but those that are gone.
async fn check(State(gate): State<Gate>, query: Query) -> Response<Body> {
    let mut states = Vec::new();
    for value in query.all("state") {
        let name = String::from_utf8_lossy(value);
        match named_states(&name) {
            Some(named) => states.extend_from_slice(named),
            None => return json::bad_request(&format!("unknown StoreState: {name}")),
        }
    }
    if states.is_empty() {
        states = vec![NodeState::Preparing, NodeState::Serving, NodeState::Removing];
    }
    show(&gate, |record| states.contains(&record.meta.node_state())).await
}

fn named_states(name: &str) -> Option<&'static [NodeState]> {
    Some(match name {
        "Up" => &[NodeState::Preparing, NodeState::Serving],
        "Preparing" => &[NodeState::Preparing],
        "Serving" => &[NodeState::Serving],
        "Offline" | "Removing" => &[NodeState::Removing],
        "Tombstone" | "Removed" => &[NodeState::Removed],
        _ => return None,
    })
}

/// One store.
async fn store(State(gate): State<Gate>, Path(id): Path<String>) -> Response<Body> {
    let id = match query::id(&id) {
        Ok(id) => id,
        Err(text) => return json::bad_input(&text),
    };
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let stores = cluster.stores();
    let Some(record) = stores.table.get(&id) else {
        return refused(&CallError::Store(StoreRefusal::NotFound(id)), &gate);
    };
    let Ok(summaries) = summaries(&cluster).await else { return not_leader(&gate) };
    json::ok(&view(record, summaries.get(&id), cluster.max_store_down_time()))
}

/// Takes a store out of the cluster; with `force` its data counts as gone for good.
async fn remove(State(gate): State<Gate>, Path(id): Path<String>, query: Query) -> Response<Body> {
    let id = match query::id(&id) {
        Ok(id) => id,
        Err(text) => return json::bad_input(&text),
    };
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    match cluster.remove_store(id, query.has("force")).await {
        Ok(()) => json::ok(&"The store is set as Offline."),
        Err(error) => refused(&error, &gate),
    }
}

/// Takes a store out (`state=Offline`) or a leaving one back (`state=Up`).
async fn set_state(State(gate): State<Gate>, Path(id): Path<String>, query: Query) -> Response<Body> {
    let id = match query::id(&id) {
        Ok(id) => id,
        Err(text) => return json::bad_input(&text),
    };
    let state = query.text("state");
    if !matches!(state.as_ref(), "Up" | "Offline") {
        return json::bad_request(&format!("invalid state {state}"));
    }
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let done =
        if state == "Up" { cluster.back_up_store(id).await } else { cluster.remove_store(id, false).await };
    match done {
        Ok(()) => json::ok(&"The store's state is updated."),
        Err(error) => refused(&error, &gate),
    }
}

/// Adds labels to a store; with `force` they take the place of all that it has.
async fn set_labels(
    State(gate): State<Gate>,
    Path(id): Path<String>,
    query: Query,
    body: Bytes,
) -> Response<Body> {
    let id = match query::id(&id) {
        Ok(id) => id,
        Err(text) => return json::bad_input(&text),
    };
    let given: Map<String, Value> = match json_body::parse(&body) {
        Ok(given) => given,
        Err(malformed) => return json::bad_body(&malformed),
    };
    let labels = match read_labels(given) {
        Ok(labels) => labels,
        Err(text) => return json::bad_request(&text),
    };
    let change = if query.has("force") { LabelChange::Replace(labels) } else { LabelChange::Merge(labels) };
    relabel(&gate, id, change, "The store's label is updated.").await
}

/// Takes one label away; the body is its key.
async fn delete_label(State(gate): State<Gate>, Path(id): Path<String>, body: Bytes) -> Response<Body> {
    let id = match query::id(&id) {
        Ok(id) => id,
        Err(text) => return json::bad_input(&text),
    };
    let key: String = match json_body::parse(&body) {
        Ok(key) => key,
        Err(malformed) => return json::bad_body(&malformed),
    };
    if let Err(text) = label::check_key(&key) {
        return json::bad_request(&text);
    }
    let done = format!("The label {key} is deleted for store {id}.");
    relabel(&gate, id, LabelChange::Delete(key), &done).await
}

async fn relabel(gate: &Gate, id: u64, change: LabelChange, done: &str) -> Response<Body> {
    let (_, cluster) = match bootstrapped(gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    match cluster.relabel_store(id, change).await {
        Ok(()) => json::ok(&done),
        Err(error) => refused(&error, gate),
    }
}

/// Forgets the stores that are gone for good, except those that Regions still name.
async fn remove_tombstone(State(gate): State<Gate>) -> Response<Body> {
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let Ok(summaries) = summaries(&cluster).await else { return not_leader(&gate) };
    let stores = cluster.stores();
    let gone = stores.table.values().filter(|record| record.meta.node_state() == NodeState::Removed);
    let mut left = Vec::new();
    for id in gone.map(|record| record.meta.id) {
        if summaries.get(&id).is_some_and(|summary| summary.region_count > 0) {
            left.push(id.to_string());
            continue;
        }
        match cluster.purge_store(id).await {
            // Somebody else may have been quicker.
            Ok(()) | Err(CallError::Store(StoreRefusal::NotFound(_))) => {}
            Err(error) => return refused(&error, &gate),
        }
    }
    if left.is_empty() {
        return json::ok(&"Remove tombstone successfully.");
    }
    json::error(StatusCode::INTERNAL_SERVER_ERROR, &format!("failed stores: {}", left.join(", ")))
}

fn read_labels(given: Map<String, Value>) -> Result<Vec<metapb::StoreLabel>, String> {
    if given.len() > LABELS_MAX {
        return Err(format!("{} labels are given; at most {LABELS_MAX} are taken", given.len()));
    }
    let read = |(key, value): (String, Value)| {
        label::check_key(&key)?;
        let Value::String(value) = value else {
            return Err(format!("label {key}: the value must be a string, not {value}"));
        };
        label::check_value(&value)?;
        Ok(metapb::StoreLabel { key, value })
    };
    given.into_iter().map(read).collect()
}

fn refused(error: &CallError, gate: &Gate) -> Response<Body> {
    let status = match error {
        CallError::Store(refusal) => match refusal {
            StoreRefusal::NotFound(_) => StatusCode::NOT_FOUND,
            StoreRefusal::Tombstone(id) => {
                let text = format!("[PD:core:ErrStoreRemoved]store {id} has been removed");
                return json::error(StatusCode::GONE, &text);
            }
            StoreRefusal::Removed(_) => StatusCode::GONE,
            StoreRefusal::NotEnough { .. }
            | StoreRefusal::Destroyed(_)
            | StoreRefusal::NotRemoved(_)
            | StoreRefusal::NoLabel { .. }
            | StoreRefusal::LabelMissing(_)
            | StoreRefusal::LabelUnknown(_)
            | StoreRefusal::NoId(_)
            | StoreRefusal::Version { .. }
            | StoreRefusal::Incompatible { .. }
            | StoreRefusal::Duplicate { .. } => StatusCode::BAD_REQUEST,
            // As recorded of tikv/pd, where a label is set on a store that does not exist.
            StoreRefusal::InvalidId(_) => StatusCode::INTERNAL_SERVER_ERROR,
        },
        CallError::Planner(_) | CallError::Ids(_) => StatusCode::INTERNAL_SERVER_ERROR,
        CallError::Busy(_) | CallError::Write(_) => StatusCode::SERVICE_UNAVAILABLE,
        CallError::Over => return not_leader(gate),
    };
    json::error(status, &error.to_string())
}

async fn summaries(cluster: &Cluster) -> Result<BTreeMap<u64, StoreSummary>, CallError> {
    let all = cluster.summaries().await?;
    Ok(all.into_iter().map(|summary| (summary.store.0, summary)).collect())
}

#[cfg(test)]
mod tests {
    use super::read_labels;
    use crate::config::label::check_key;
    use serde_json::json;

    #[test]
    fn labels_are_short_words() {
        for key in ["zone", "$mode", "a", "topology.kubernetes.io/zone", "a-b_c"] {
            assert_eq!(check_key(key), Ok(()), "{key}");
        }
        for key in ["", "$", "-zone", "zone-", "a b", "zöne", "$$a"] {
            assert!(check_key(key).is_err(), "{key}");
        }
        let read = |value| read_labels(serde_json::from_value(json!({ "zone": value })).unwrap());
        assert_eq!(read(json!("")).unwrap()[0].key, "zone");
        assert_eq!(read(json!("<b>")).unwrap_err(), "<b> does not match format \"^[-A-Za-z0-9_./]*$\"");
        assert!(read(json!("v".repeat(513))).unwrap_err().contains("at most 512 bytes"));
        assert_eq!(read(json!(3)).unwrap_err(), "label zone: the value must be a string, not 3");
    }
}
