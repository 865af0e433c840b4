//! Debug: what lies in this Store's engine, whoever leads.

use std::ops::ControlFlow;

use axum::Json;
use axum::extract::{Query, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Pages;
use crate::engine::Order;
use crate::{KeyRange, keys};

/// Most keys of one list.
const MAX_KEYS: usize = 10_000;

/// What is asked for; keys are hex.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    key: Option<String>,
    start: Option<String>,
    end: Option<String>,
    limit: Option<usize>,
}

type Answer = Result<Json<Value>, (StatusCode, String)>;

pub async fn page(State(pages): State<Pages>, Query(ask): Query<Ask>) -> Answer {
    let work = tokio::task::spawn_blocking(move || match &ask.key {
        Some(key) => one(&pages, &unhex("key", key)?),
        None => list(&pages, &ask),
    });
    work.await.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?
}

fn one(pages: &Pages, key: &[u8]) -> Answer {
    let core = &pages.core;
    let value = core.engine.get(&keys::data_key(key)).map_err(|error| failed(&error))?;
    let holder = core.regions.holding(key).map(|peer| peer.region_id().0);
    Ok(Json(json!({
        "key": hex::encode_upper(key),
        "found": value.is_some(),
        "value": value.map(hex::encode_upper),
        "region": holder,
    })))
}

fn list(pages: &Pages, ask: &Ask) -> Answer {
    let (start, end) = (ask.start.as_deref().unwrap_or_default(), ask.end.as_deref().unwrap_or_default());
    let range = KeyRange::new(unhex("start", start)?, unhex("end", end)?);
    let limit = ask.limit.unwrap_or(MAX_KEYS).min(MAX_KEYS);
    let (start, end) = keys::data_bounds(&range);
    let mut pairs = Vec::new();
    let mut more = false;
    let scanned = pages.core.engine.scan(&start, &end, Order::Ascending, &mut |key, value| {
        if pairs.len() == limit {
            more = true;
            return ControlFlow::Break(());
        }
        let key = hex::encode_upper(keys::user_key(key));
        pairs.push(json!({ "key": key, "value": hex::encode_upper(value) }));
        ControlFlow::Continue(())
    });
    scanned.map_err(|error| failed(&error))?;
    Ok(Json(json!({ "pairs": pairs, "more": more })))
}

fn unhex(name: &str, text: &str) -> Result<Vec<u8>, (StatusCode, String)> {
    let wrong = |error| (StatusCode::BAD_REQUEST, format!("{name}: `{text}` is not hex: {error}\n"));
    hex::decode(text).map_err(wrong)
}

fn failed(error: &std::io::Error) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("the engine cannot be read: {error}\n"))
}
