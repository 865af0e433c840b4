//! Labels of Regions by rule: read. There is one rule, which marks the keys of the DEFAULT keyspace.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use bytes::Bytes;
use http::{Response, StatusCode};
use scheduler::RegionView;
use serde::Serialize;

use super::path::Path;
use super::regions::find;
use super::{json, json_body};
use crate::grpc::Gate;

/// The id of the one rule.
const DEFAULT_KEYSPACE: &str = "keyspaces/0";
/// First key of the DEFAULT keyspace, and the first behind it.
const RANGE: (&[u8], &[u8]) = (b"x\0\0\0\0\0\0\0\xfb", b"x\0\0\x01\0\0\0\0\xfb");

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new()
        .route("/pd/api/v1/config/region-label/rules", get(rules))
        .route("/pd/api/v1/config/region-label/rules/ids", get(by_ids))
        .route("/pd/api/v1/config/region-label/rule/{id}", get(rule))
        .route("/pd/api/v1/region/id/{id}/labels", get(labels))
        .route("/pd/api/v1/region/id/{id}/label/{key}", get(label))
}

#[derive(Serialize)]
struct Rule {
    id: &'static str,
    index: i64,
    labels: [Label; 1],
    rule_type: &'static str,
    data: [Range; 1],
}

#[derive(Clone, Serialize)]
struct Label {
    key: &'static str,
    value: &'static str,
}

#[derive(Serialize)]
struct Range {
    start_key: String,
    end_key: String,
}

fn default_rule() -> Rule {
    Rule {
        id: DEFAULT_KEYSPACE,
        index: 0,
        labels: [Label { key: "id", value: "0" }],
        rule_type: "key-range",
        data: [Range { start_key: hex::encode(RANGE.0), end_key: hex::encode(RANGE.1) }],
    }
}

async fn rules() -> Response<Body> {
    json::ok(&[default_rule()])
}

/// The rules whose ids the body lists.
async fn by_ids(body: Bytes) -> Response<Body> {
    let ids: Vec<String> = match json_body::parse(&body) {
        Ok(ids) => ids,
        Err(malformed) => return json::bad_body(&malformed),
    };
    let wanted = ids.iter().any(|id| id == DEFAULT_KEYSPACE);
    json::ok(&wanted.then(default_rule).into_iter().collect::<Vec<_>>())
}

async fn rule(Path(id): Path<String>) -> Response<Body> {
    if id == DEFAULT_KEYSPACE { json::ok(&default_rule()) } else { json::answer(StatusCode::NOT_FOUND, &()) }
}

/// The labels of a Region: those of the rules whose range it lies in as a whole.
async fn labels(State(gate): State<Gate>, Path(id): Path<String>) -> Response<Body> {
    match find(&gate, &id).await {
        Ok(view) => json::ok(&labels_of(&view)),
        Err(answer) => answer,
    }
}

/// The value of one label; empty when the Region does not have it.
async fn label(State(gate): State<Gate>, Path((id, key)): Path<(String, String)>) -> Response<Body> {
    match find(&gate, &id).await {
        Ok(view) => {
            let labels = labels_of(&view);
            json::ok(&labels.iter().find(|label| label.key == key).map_or("", |label| label.value))
        }
        Err(answer) => answer,
    }
}

fn labels_of(view: &RegionView) -> Vec<Label> {
    let (start, end) = (view.meta.start_key.as_ref(), view.meta.end_key.as_ref());
    let lies_inside = start >= RANGE.0 && !end.is_empty() && end <= RANGE.1;
    if lies_inside { default_rule().labels.to_vec() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::{default_rule, labels_of};
    use scheduler::{RegionMeta, RegionView};

    #[test]
    fn a_region_has_the_labels_of_the_ranges_that_it_lies_in() {
        let region = |start: &'static [u8], end: &'static [u8]| RegionView {
            meta: RegionMeta { start_key: start.into(), end_key: end.into(), ..Default::default() },
            ..Default::default()
        };
        assert_eq!(default_rule().data[0].start_key, "7800000000000000fb");
        assert_eq!(default_rule().data[0].end_key, "7800000100000000fb");
        assert_eq!(labels_of(&region(b"x\0\0\0a", b"x\0\0\0b")).len(), 1);
        assert!(labels_of(&region(b"", b"")).is_empty());
        assert!(labels_of(&region(b"x\0\0\0a", b"")).is_empty());
        assert!(labels_of(&region(b"t", b"x\0\0\0b")).is_empty());
    }
}
