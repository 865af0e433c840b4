//! What a store may take and give in a minute, and how much it shall have compared with others.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use proto::metapb::{self, NodeState};
use scheduler::LimitKind;
use serde_json::{Map, Number, Value};

use super::config::{answer, configure};
use super::path::Path;
use super::query::{self, Query};
use super::{bootstrapped, json, json_body, not_leader};
use crate::cluster::{CallError, Cluster, StoreRefusal};
use crate::config::{Draft, StoreLimit};
use crate::grpc::Gate;

/// From here on a rate limits nothing.
const RATE_MAX: f64 = 1e8;

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new()
        .route("/pd/api/v1/stores/limit", get(show).post(limit_all))
        .route("/pd/api/v1/store/{id}/limit", post(limit_one))
        .route("/pd/api/v1/store/{id}/weight", post(weigh))
}

/// The limits of all stores; with `include_tombstone` also of those that are gone.
async fn show(State(gate): State<Gate>, query: Query) -> Response<Body> {
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let with_gone = match query.text("include_tombstone").as_ref() {
        "" | "false" | "0" => false,
        "true" | "1" => true,
        other => return json::bad_request(&format!("strconv.ParseBool: parsing {other:?}: invalid syntax")),
    };
    let settings = gate.pd.online.now();
    let stores = cluster.stores();
    let shown = stores.table.values().filter(|r| with_gone || r.meta.node_state() != NodeState::Removed);
    let limits: BTreeMap<String, Value> = shown
        .map(|record| {
            let StoreLimit { add_peer, remove_peer } = settings.store_limit(record.meta.id);
            let kinds = [("add-peer", add_peer), ("remove-peer", remove_peer)];
            let kinds = kinds.into_iter().map(|(kind, rate)| (kind.to_owned(), number(rate)));
            (record.meta.id.to_string(), Value::Object(kinds.collect()))
        })
        .collect();
    json::ok(&limits)
}

/// Sets the limit of one store.
async fn limit_one(
    State(gate): State<Gate>,
    headers: HeaderMap,
    Path(id): Path<String>,
    body: Bytes,
) -> Response<Body> {
    let id = match query::id(&id) {
        Ok(id) => id,
        Err(text) => return json::bad_request(&text),
    };
    let wanted = match read_limit(&body) {
        Ok(wanted) => wanted,
        Err(text) => return json::bad_request(&text),
    };
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    if let Some(answer) = refuse_unknown(&cluster, id).or_else(|| refuse_version(&gate)) {
        return answer;
    }
    let edit = |draft: &mut Draft| draft.set_store_limit(id, wanted.on(draft.store_limit(id)));
    answer(configure(&gate, &headers, edit).await, "The store's limit is updated.")
}

/// Sets the limit of all stores, or of those with certain labels.
async fn limit_all(
    State(gate): State<Gate>,
    headers: HeaderMap,
    query: Query,
    body: Bytes,
) -> Response<Body> {
    if query.has("ttlSecond") {
        return json::bad_request(
            "ttlSecond is not supported for store limits: they hold until they are set again",
        );
    }
    let wanted = match read_limit(&body) {
        Ok(wanted) => wanted,
        Err(text) => return json::bad_request(&text),
    };
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    if let Some(answer) = refuse_version(&gate) {
        return answer;
    }
    let stores = cluster.stores();
    const DONE: &str = "Set store limit successfully.";
    let Some(labels) = &wanted.labels else {
        let edit = |draft: &mut Draft| {
            draft.set_default_store_limit(wanted.on(draft.default_store_limit()))?;
            draft.store_limits().into_iter().try_for_each(|(id, limit)| {
                if stores.has(id) {
                    return draft.set_store_limit(id, wanted.on(limit));
                }
                // A store that is gone has no limit.
                draft.forget_store_limit(id);
                Ok(())
            })
        };
        return answer(configure(&gate, &headers, edit).await, DONE);
    };
    let meant = stores.table.values().filter(|r| r.meta.node_state() != NodeState::Removed);
    let meant: Vec<u64> = meant.filter(|r| has_labels(&r.meta, labels)).map(|r| r.meta.id).collect();
    let edit = |draft: &mut Draft| {
        meant.iter().try_for_each(|id| draft.set_store_limit(*id, wanted.on(draft.store_limit(*id))))
    };
    answer(configure(&gate, &headers, edit).await, DONE)
}

/// Sets both weights of a store.
async fn weigh(State(gate): State<Gate>, Path(id): Path<String>, body: Bytes) -> Response<Body> {
    let id = match query::id(&id) {
        Ok(id) => id,
        Err(text) => return json::bad_request(&text),
    };
    let (leader, region) = match read_weights(&body) {
        Ok(weights) => weights,
        Err(text) => return json::bad_request(&text),
    };
    let (tenure, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    if let Some(answer) = refuse_unknown(&cluster, id) {
        return answer;
    }
    match cluster.weigh_store(&tenure, id, leader, region).await {
        Ok(()) => json::ok(&"The store's weight is updated."),
        Err(error @ CallError::Write(_)) => json::error(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        Err(CallError::Over) => not_leader(&gate),
        Err(error) => json::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// A limit as asked for.
#[derive(Debug, PartialEq)]
struct Wanted {
    rate: f64,
    /// None for both.
    kind: Option<LimitKind>,
    labels: Option<BTreeMap<String, String>>,
}

impl Wanted {
    /// A limit with what is wanted of it changed.
    fn on(&self, limit: StoreLimit) -> StoreLimit {
        match self.kind {
            None => StoreLimit { add_peer: self.rate, remove_peer: self.rate },
            Some(LimitKind::AddPeer) => StoreLimit { add_peer: self.rate, ..limit },
            Some(LimitKind::RemovePeer) => StoreLimit { remove_peer: self.rate, ..limit },
        }
    }
}

fn read_limit(body: &[u8]) -> Result<Wanted, String> {
    let input: Map<String, Value> = json_body::parse(body).map_err(|malformed| malformed.text)?;
    let rate = input.get("rate").ok_or("rate unset")?.as_f64().ok_or("bad format rate")?;
    if rate <= 0.0 {
        return Err("invalid rate which should be larger than 0".to_owned());
    }
    let kind = match input.get("type") {
        None | Some(Value::Null) => None,
        Some(kind) => {
            let found = kind.as_str().and_then(LimitKind::of_name);
            Some(found.ok_or_else(|| format!("unknown type {kind}: add-peer or remove-peer"))?)
        }
    };
    let labels = match input.get("labels") {
        None | Some(Value::Null) => None,
        Some(labels) => {
            let labels = labels.as_object().filter(|labels| labels.values().all(Value::is_string));
            let labels = labels.ok_or("bad format labels: an object of texts is wanted")?;
            let text = |(key, value): (&String, &Value)| {
                (key.clone(), value.as_str().unwrap_or_default().to_owned())
            };
            Some(labels.iter().map(text).collect::<BTreeMap<_, _>>()).filter(|labels| !labels.is_empty())
        }
    };
    Ok(Wanted { rate: rate.min(RATE_MAX), kind, labels })
}

fn read_weights(body: &[u8]) -> Result<(f64, f64), String> {
    let input: Map<String, Value> = json_body::parse(body).map_err(|malformed| malformed.text)?;
    let read = |name: &str| {
        let value = input.get(name).ok_or_else(|| format!("{name} weight unset"))?;
        let weight = value.as_f64().filter(|weight| (0.0..=1e6).contains(weight));
        weight.ok_or_else(|| format!("bad format {name} weight: a number from 0 to 1000000 is wanted"))
    };
    Ok((read("leader")?, read("region")?))
}

fn has_labels(store: &metapb::Store, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(key, value)| {
        store.labels.iter().any(|label| label.key.eq_ignore_ascii_case(key) && label.value == *value)
    })
}

fn refuse_unknown(cluster: &Cluster, id: u64) -> Option<Response<Body>> {
    let stores = cluster.stores();
    if stores.has(id) {
        return None;
    }
    Some(match stores.table.contains_key(&id) {
        false => json::error(StatusCode::NOT_FOUND, &StoreRefusal::NotFound(id).to_string()),
        true => json::error(StatusCode::GONE, &StoreRefusal::Removed(id).to_string()),
    })
}

/// Only the first kind of limits can be set.
fn refuse_version(gate: &Gate) -> Option<Response<Body>> {
    let settings = gate.pd.online.now();
    let version = settings.text("schedule.store-limit-version");
    (version == "v2")
        .then(|| json::bad_request(&format!("current store limit version:{version} not support set limit")))
}

/// A rate as people wrote it: whole numbers without a fraction.
fn number(rate: f64) -> Value {
    if rate.fract() == 0.0 && (0.0..9.0e15).contains(&rate) {
        Value::from(rate as u64)
    } else {
        Number::from_f64(rate).map_or(Value::Null, Value::Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_or_named_wrong() {
        let wanted = read_limit(br#"{"rate": 30, "labels": {"zone": "z1"}}"#).unwrap();
        assert_eq!(wanted.labels.as_ref().unwrap()["zone"], "z1");
        let before = StoreLimit { add_peer: 15.0, remove_peer: 16.0 };
        assert_eq!(wanted.on(before), StoreLimit { add_peer: 30.0, remove_peer: 30.0 });
        let add = read_limit(br#"{"rate": 0.5, "type": "add-peer"}"#).unwrap();
        assert_eq!(add.on(before), StoreLimit { add_peer: 0.5, remove_peer: 16.0 });
        for (body, text) in [
            ("{}", "rate unset"),
            (r#"{"rate": "30"}"#, "bad format rate"),
            (r#"{"rate": -5, "type": "add-peer"}"#, "invalid rate which should be larger than 0"),
            (r#"{"rate": 0}"#, "invalid rate which should be larger than 0"),
            (r#"{"rate": 1, "type": "bogus"}"#, "unknown type \"bogus\": add-peer or remove-peer"),
            (r#"{"rate": 1, "labels": [1]}"#, "bad format labels: an object of texts is wanted"),
        ] {
            assert_eq!(read_limit(body.as_bytes()).unwrap_err(), text, "{body}");
        }
    }

    #[test]
    fn weights_are_read_or_named_wrong() {
        assert_eq!(read_weights(br#"{"leader": 2, "region": 0.5}"#), Ok((2.0, 0.5)));
        assert_eq!(read_weights(br#"{"region": 1}"#).unwrap_err(), "leader weight unset");
        for weight in ["-1", "\"a\"", "1e300", "null"] {
            let body = format!(r#"{{"leader": 1, "region": {weight}}}"#);
            assert!(
                read_weights(body.as_bytes()).unwrap_err().starts_with("bad format region weight"),
                "{weight}"
            );
        }
    }

    #[test]
    fn rates_are_shown_as_they_were_written() {
        assert_eq!(
            [number(15.0), number(0.5), number(1e8)].map(|v| v.to_string()),
            ["15", "0.5", "100000000"]
        );
    }
}
