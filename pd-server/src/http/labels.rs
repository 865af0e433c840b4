//! Labels of stores: seen over all stores, and the stores that have one.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use http::Response;
use regex::{Regex, RegexBuilder};
use serde::Serialize;

use super::query::Query;
use super::stores::show;
use super::{bootstrapped, json};
use crate::grpc::Gate;

/// Bytes that a compiled pattern may take: labels are short words, and so are their patterns.
const PATTERN_BYTES_MAX: usize = 256 << 10;

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new().route("/pd/api/v1/labels", get(labels)).route("/pd/api/v1/labels/stores", get(stores))
}

#[derive(Serialize)]
struct Label {
    key: String,
    value: String,
}

/// Each pair of key and value once, in the order of the stores.
async fn labels(State(gate): State<Gate>) -> Response<Body> {
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let stores = cluster.stores();
    let (mut seen, mut labels) = (BTreeSet::new(), Vec::new());
    for label in stores.table.values().flat_map(|record| &record.meta.labels) {
        if seen.insert((&label.key, &label.value)) {
            labels.push(Label { key: label.key.clone(), value: label.value.clone() });
        }
    }
    json::ok(&labels)
}

/// Stores with a label whose key and value match the patterns `name` and `value`, whatever the case.
async fn stores(State(gate): State<Gate>, query: Query) -> Response<Body> {
    let compile = |name: &str| {
        let refuse = |error| format!("[PD:regexp:ErrRegexpCompile]{name}: error parsing regexp: {error}");
        pattern(&query.text(name)).map_err(refuse)
    };
    let (key, value) = match (compile("name"), compile("value")) {
        (Ok(key), Ok(value)) => (key, value),
        (Err(text), _) | (_, Err(text)) => return json::bad_request(&text),
    };
    show(&gate, |record| {
        record.meta.labels.iter().any(|label| key.is_match(&label.key) && value.is_match(&label.value))
    })
    .await
}

fn pattern(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).case_insensitive(true).size_limit(PATTERN_BYTES_MAX).build()
}
