//! Configuration: shown, and changed while everything runs.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use prost::Message;
use proto::metapb;
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::info;

use super::query::Query;
use super::{json, json_body, not_leader};
use crate::cluster::{parse_version, wall_clock_ns};
use crate::config::{
    ChangeError, Draft, LabelProperty, LogLevel, SettingError, Settings, default_document, process_document,
    schedule_section,
};
use crate::grpc::Gate;
use crate::keys::Keys;
use crate::logging;
use crate::state::{KeyRange, Kv};

/// How callers name themselves.
const CALLER: &str = "x-caller-id";
const UPDATED: &str = "The config is updated.";

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new()
        .route("/pd/api/v1/config", get(whole).post(change))
        .route("/pd/api/v1/config/default", get(defaults))
        .route("/pd/api/v1/config/schedule", get(schedule).post(change_schedule))
        .route("/pd/api/v1/config/replicate", get(replication).post(change_replication))
        .route("/pd/api/v1/config/pd-server", get(pd_server))
        .route("/pd/api/v1/config/cluster-version", get(cluster_version).post(change_cluster_version))
        .route("/pd/api/v1/config/label-property", get(label_properties).post(change_label_property))
        .route("/pd/api/v1/config/replication-mode", get(replication_mode).post(change_replication_mode))
}

/// Everything: what is this member's own, and what the group shares. Each member answers for itself.
async fn whole(State(gate): State<Gate>) -> Response<Body> {
    let stores = stores(&gate).await;
    json::ok(&process_document(&gate.pd.config, log_level(&gate), &gate.pd.online.now(), &stores))
}

/// Everything, if nothing were given.
async fn defaults() -> Response<Body> {
    json::ok(&default_document())
}

async fn schedule(State(gate): State<Gate>) -> Response<Body> {
    let stores = stores(&gate).await;
    show(&gate, |settings| schedule_section(settings, &stores)).await
}

async fn replication(State(gate): State<Gate>) -> Response<Body> {
    show(&gate, |settings| settings.section("replication")).await
}

async fn pd_server(State(gate): State<Gate>) -> Response<Body> {
    show(&gate, |settings| settings.section("pd-server")).await
}

async fn replication_mode(State(gate): State<Gate>) -> Response<Body> {
    show(&gate, |settings| settings.section("replication-mode")).await
}

async fn cluster_version(State(gate): State<Gate>) -> Response<Body> {
    show(&gate, |settings| settings.cluster_version().to_string()).await
}

async fn label_properties(State(gate): State<Gate>) -> Response<Body> {
    show(&gate, Settings::label_properties).await
}

/// Changes items, given by their names: all or none. With `ttlSecond` for so long only; 0 ends that.
async fn change(State(gate): State<Gate>, query: Query, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let items = match object(&body) {
        Ok(items) => items,
        Err(text) => return json::bad_request(&text),
    };
    let seconds = match query.text("ttlSecond") {
        text if text.is_empty() => None,
        _ => match query.whole("ttlSecond", 0).map(u64::try_from) {
            Ok(Ok(seconds)) => Some(seconds),
            Ok(Err(_)) => return json::bad_request("ttlSecond should be at least 0"),
            Err(text) => return json::bad_request(&text),
        },
    };
    if items.is_empty() {
        return json::ok(&"The input is empty.");
    }
    if let Some(seconds) = seconds {
        let edit = |draft: &mut Draft| change_for(draft, &items, seconds);
        return answer(configure(&gate, &headers, edit).await, UPDATED);
    }
    // The level of the log belongs to this process and is not replicated: it changes once all else has.
    let (levels, replicated): (Vec<_>, Vec<_>) = items.iter().partition(|(name, _)| is_log(name));
    let mut level = None;
    for (name, value) in levels {
        match read_level(name, value) {
            Ok(read) => level = Some(read),
            Err(text) => return json::bad_request(&text),
        }
    }
    if !replicated.is_empty() {
        let edit = |draft: &mut Draft| replicated.iter().try_for_each(|(name, value)| draft.set(name, value));
        let changed = configure(&gate, &headers, edit).await;
        if !matches!(changed, Ok(Some(()))) {
            return answer(changed, UPDATED);
        }
    }
    if let Some(level) = level {
        logging::set_level(level);
        info!(level = level.name(), "log level changed");
    }
    json::ok(&UPDATED)
}

async fn change_schedule(State(gate): State<Gate>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    change_section(&gate, &headers, &body, "schedule", UPDATED).await
}

async fn change_replication(State(gate): State<Gate>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    change_section(&gate, &headers, &body, "replication", UPDATED).await
}

async fn change_replication_mode(
    State(gate): State<Gate>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let updated = "The replication mode config is updated.";
    change_section(&gate, &headers, &body, "replication-mode", updated).await
}

/// Changes items of one section.
async fn change_section(
    gate: &Gate,
    headers: &HeaderMap,
    body: &[u8],
    section: &str,
    updated: &str,
) -> Response<Body> {
    let items: Map<String, Value> = match json_body::parse(body) {
        Ok(items) => items,
        Err(malformed) => return json::bad_body(&malformed),
    };
    let changed = configure(gate, headers, |draft| draft.set_section(section, &items)).await;
    match &changed {
        // A value of another kind is a mistake in the input, told in a form of its own.
        Err(ChangeError::Refused(refused @ SettingError::Kind { .. })) => {
            json::bad_input(&refused.to_string())
        }
        // The status is tikv/pd's.
        Err(ChangeError::Refused(refused @ SettingError::Isolation)) => {
            json::error(StatusCode::INTERNAL_SERVER_ERROR, &refused.to_string())
        }
        Ok(_) | Err(_) => answer(changed, updated),
    }
}

async fn change_cluster_version(State(gate): State<Gate>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let fields: Map<String, Value> = match json_body::parse(&body) {
        Ok(fields) => fields,
        Err(malformed) => return json::bad_body(&malformed),
    };
    let text = match fields.get("cluster-version") {
        Some(Value::String(text)) => text,
        Some(other) => return json::bad_input(&format!("cluster-version should be text, not {other}")),
        None => return json::bad_input("not set cluster-version"),
    };
    let version = match parse_version(text) {
        Ok(version) => version,
        // The status is tikv/pd's.
        Err(error) => {
            let failed = Internal { code: "internal", msg: error.to_string(), data: Map::new() };
            return json::answer(StatusCode::INTERNAL_SERVER_ERROR, &failed);
        }
    };
    let edit = |draft: &mut Draft| {
        draft.set_cluster_version(&version);
        Ok(())
    };
    answer(configure(&gate, &headers, edit).await, "The cluster version is updated.")
}

/// Gives a label of stores a meaning, or takes it away.
async fn change_label_property(State(gate): State<Gate>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let fields: Map<String, Value> = match json_body::parse(&body) {
        Ok(fields) => fields,
        Err(malformed) => return json::bad_body(&malformed),
    };
    let mut texts = [("type", ""), ("action", ""), ("label-key", ""), ("label-value", "")];
    for (name, text) in &mut texts {
        match fields.get(*name) {
            Some(Value::String(given)) if !given.is_empty() => *text = given,
            Some(Value::String(_)) | None => return json::bad_request(&format!("{name} is missing")),
            Some(other) => return json::bad_input(&format!("{name} should be text, not {other}")),
        }
    }
    let [(_, kind), (_, action), (_, key), (_, value)] = texts;
    let label = LabelProperty { key: key.to_owned(), value: value.to_owned() };
    let changed = match action {
        "set" => configure(&gate, &headers, |draft| draft.set_label_property(kind, label.clone())).await,
        "delete" => {
            let edit = |draft: &mut Draft| {
                draft.forget_label_property(kind, &label);
                Ok(())
            };
            configure(&gate, &headers, edit).await
        }
        other => return json::bad_request(&format!("unknown action {other}: set and delete are known")),
    };
    answer(changed, UPDATED)
}

/// The answer to what cannot be done, in the form that one route has.
#[derive(Serialize)]
struct Internal {
    code: &'static str,
    msg: String,
    data: Map<String, Value>,
}

/// The level at which this process logs now.
pub(super) fn log_level(gate: &Gate) -> LogLevel {
    logging::level().unwrap_or(gate.pd.config.log.level)
}

/// Shows what the group shares, as its leader has it.
async fn show<T: Serialize>(gate: &Gate, part: impl FnOnce(&Settings) -> T) -> Response<Body> {
    let Ok(tenure) = gate.tenures.serve().await else { return not_leader(gate) };
    let shown = part(&gate.pd.online.now());
    match tenure.check_lead().await {
        Ok(()) => json::ok(&shown),
        Err(_) => not_leader(gate),
    }
}

/// Changes what the group shares, on its leader. `None` if this member does not lead.
pub(super) async fn configure(
    gate: &Gate,
    headers: &HeaderMap,
    edit: impl Fn(&mut Draft) -> Result<(), SettingError>,
) -> Result<Option<()>, ChangeError> {
    let Ok(tenure) = gate.tenures.serve().await else { return Ok(None) };
    let by = headers.get(CALLER).and_then(|name| name.to_str().ok()).unwrap_or("http");
    tenure.configure(by, edit).await.map(|_| Some(()))
}

pub(super) fn answer(changed: Result<Option<()>, ChangeError>, updated: &str) -> Response<Body> {
    match changed {
        Ok(Some(())) => json::ok(&updated),
        Ok(None) => json::error(StatusCode::SERVICE_UNAVAILABLE, "not leader: ask again"),
        Err(ChangeError::Refused(refusal)) => json::bad_request(&refusal.to_string()),
        Err(error @ (ChangeError::Write(_) | ChangeError::Contended)) => {
            json::error(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
        }
    }
}

fn change_for(draft: &mut Draft, items: &Map<String, Value>, seconds: u64) -> Result<(), SettingError> {
    let now = Duration::from_nanos(wall_clock_ns().unsigned_abs());
    let until = now.saturating_add(Duration::from_secs(seconds));
    let until_ms = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
    items.iter().try_for_each(|(name, value)| {
        if seconds == 0 { draft.end_temporary(name) } else { draft.set_until(name, value, until_ms) }
    })
}

/// A body that names items. Null names none, as in tikv/pd.
fn object(body: &[u8]) -> Result<Map<String, Value>, String> {
    match json_body::parse(body).map_err(|malformed| malformed.text)? {
        Value::Object(items) => Ok(items),
        Value::Null => Ok(Map::new()),
        other => {
            let kind = match other {
                Value::Array(_) => "array",
                Value::String(_) => "string",
                Value::Number(_) => "number",
                Value::Bool(_) | Value::Null | Value::Object(_) => "bool",
            };
            Err(format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"))
        }
    }
}

fn is_log(name: &str) -> bool {
    name == "level" || name == "log" || name.starts_with("log.")
}

fn read_level(name: &str, value: &Value) -> Result<LogLevel, String> {
    if !matches!(name, "log.level" | "level") {
        return Err("only support changing log level".to_owned());
    }
    let text = value.as_str().ok_or_else(|| format!("input value {value} is illegal"))?;
    let level = Some(text).filter(|text| !text.is_empty()).and_then(LogLevel::parse);
    level.ok_or_else(|| format!("log level {text} is illegal"))
}

/// The stores that are not removed: each is shown with its limit.
async fn stores(gate: &Gate) -> Vec<u64> {
    if let Some(cluster) = gate.tenures.current().and_then(|tenure| tenure.cluster().ok()) {
        return cluster.stores().present();
    }
    let keys = Keys::new(gate.pd.cluster_id());
    let read = move |kv: &Kv| kv.range(&KeyRange::between(keys.stores(), keys.stores_end()), 0, None);
    let id = |kv: crate::state::KeyValue| {
        let store = metapb::Store::decode(kv.value).ok()?;
        (store.state() != metapb::StoreState::Tombstone).then_some(store.id)
    };
    // Without a state that can be read nothing else works either; the limits are left out then.
    let found = gate.pd.kv.off_thread(read).await;
    found.map(|found| found.kvs.into_iter().filter_map(id).collect()).unwrap_or_default()
}
