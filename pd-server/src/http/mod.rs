//! HTTP: thin routes over the same owners as gRPC. What only the leader knows is refused on other members with a text
//! that names the leader.

mod json;
mod members;
mod regions;
mod stores;
mod units;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{delete, get};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::cluster::{Cluster, Tenure};
use crate::grpc::Gate;

/// All routes.
pub fn routes(gate: &Gate) -> Router {
    Router::new()
        .route("/pd/api/v1/version", get(version))
        .route("/pd/api/v1/ping", get(ping))
        .route("/pd/ping", get(ping))
        .route("/pd/api/v1/health", get(members::health))
        .route("/pd/health", get(members::health))
        .route("/pd/api/v1/members", get(members::members))
        .route("/pd/api/v1/stores", get(stores::stores))
        .route("/pd/api/v1/store/{id}", get(stores::store))
        .route("/pd/api/v1/store/{id}", delete(stores::remove))
        .route("/pd/api/v1/regions", get(regions::regions))
        .route("/metrics", get(metrics))
        .with_state(gate.clone())
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
    build_time: &'static str,
    hash: &'static str,
    branch: &'static str,
}

async fn version() -> Response<Body> {
    json::ok(&Version { version: crate::COMPATIBLE_VERSION, build_time: "", hash: "", branch: "" })
}

async fn ping() {}

async fn metrics(State(gate): State<Gate>) -> Response<Body> {
    match gate.metrics.render(&gate) {
        Ok(text) => {
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            json::with_type(StatusCode::OK, kind, Body::from(text))
        }
        Err(error) => json::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// The tenure and its cluster, or the answer that says why not.
async fn cluster(gate: &Gate) -> Result<(Arc<Tenure>, Arc<Cluster>), Response<Body>> {
    let Ok(tenure) = gate.tenures.serve().await else { return Err(not_leader(gate)) };
    match tenure.cluster() {
        Ok(cluster) => Ok((tenure, cluster)),
        Err(_) => {
            let text =
                "[PD:cluster:ErrNotBootstrapped]TiKV cluster not bootstrapped, please start TiKV first";
            Err(json::error(StatusCode::INTERNAL_SERVER_ERROR, text))
        }
    }
}

/// Passing on to the leader is not there yet: the caller learns where to ask.
fn not_leader(gate: &Gate) -> Response<Body> {
    let leader = gate.pd.leadership.state().leader;
    let text = match leader.filter(|leader| leader.id != gate.pd.members.own().id) {
        Some(leader) => {
            format!("not leader: ask the leader {} at {}", leader.name, leader.client_urls.join(","))
        }
        None => "not leader: there is no leader at the moment, try again".to_owned(),
    };
    json::error(StatusCode::SERVICE_UNAVAILABLE, &text)
}
