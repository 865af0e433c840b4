//! Whether this member is fit to be asked, for probes and load balancers: known to each member for itself.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::json;
use super::query::Query;
use crate::grpc::Gate;

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new()
        .route("/pd/api/v2/ready", get(ready))
        .route("/pd/api/v2/livez", get(alive))
        .route("/pd/api/v2/readyz", get(has_leader))
        .route("/livez", get(alive))
        .route("/readyz", get(has_leader))
        .route("/health", get(health))
        .route("/version", get(version))
}

#[derive(Serialize)]
struct Ready {
    region_loaded: bool,
    is_bootstrapped: bool,
}

/// Whether the Regions are known well enough to plan. A member that does not lead has none to know and is ready.
async fn ready(State(gate): State<Gate>, query: Query) -> Response<Body> {
    let cluster = gate.tenures.current().and_then(|tenure| tenure.cluster().ok());
    let region_loaded = match &cluster {
        None => true,
        Some(cluster) => cluster.plan(|planner, _| planner.is_prepared()).await.unwrap_or(true),
    };
    let status = if region_loaded { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    if query.has("verbose") {
        return json::answer(status, &Ready { region_loaded, is_bootstrapped: cluster.is_some() });
    }
    let mut response = json::empty();
    *response.status_mut() = status;
    response
}

/// This process answers.
async fn alive() -> Response<Body> {
    words(StatusCode::OK, "ok\n")
}

/// A leader that can serve is known here.
async fn has_leader(State(gate): State<Gate>) -> Response<Body> {
    if knows_leader(&gate).await {
        words(StatusCode::OK, "ok\n")
    } else {
        words(StatusCode::SERVICE_UNAVAILABLE, "[-]leader failed: no leader that can serve is known\n")
    }
}

#[derive(Serialize)]
struct Health {
    health: &'static str,
    reason: &'static str,
}

/// The same in the form of the store that tikv/pd embeds.
async fn health(State(gate): State<Gate>) -> Response<Body> {
    let (status, health) = if knows_leader(&gate).await {
        (StatusCode::OK, Health { health: "true", reason: "" })
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Health { health: "false", reason: "RAFT NO LEADER" })
    };
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    json::with_type(status, kind, Body::from(serde_json::to_string(&health).unwrap_or_default()))
}

/// The version of the store that tikv/pd embeds: tools that speak to it look here first.
async fn version() -> Response<Body> {
    let words = r#"{"etcdserver":"3.5.15","etcdcluster":"3.5.0"}"#;
    json::with_type(StatusCode::OK, HeaderValue::from_static("application/json"), Body::from(words))
}

async fn knows_leader(gate: &Gate) -> bool {
    gate.pd.leadership.leader_to_name().await.is_some()
}

fn words(status: StatusCode, words: &'static str) -> Response<Body> {
    json::with_type(status, HeaderValue::from_static("text/plain; charset=utf-8"), Body::from(words))
}
