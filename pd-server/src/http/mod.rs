//! HTTP: thin routes over the same owners as gRPC, one module a resource. What only the leader knows is refused on other
//! members with a text that names the leader.

mod admin;
mod checkers;
mod cluster;
mod config;
mod json;
mod labels;
mod leader;
mod members;
mod operators;
mod region_labels;
mod regions;
mod rules;
mod schedulers;
mod stats;
mod store_limits;
mod stores;
mod units;
mod v2;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
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
        .route("/metrics", get(metrics))
        .merge(admin::routes())
        .merge(checkers::routes())
        .merge(cluster::routes())
        .merge(config::routes())
        .merge(labels::routes())
        .merge(leader::routes())
        .merge(members::routes())
        .merge(operators::routes())
        .merge(region_labels::routes())
        .merge(regions::routes())
        .merge(rules::routes())
        .merge(schedulers::routes())
        .merge(stats::routes())
        .merge(store_limits::routes())
        .merge(stores::routes())
        .merge(v2::routes())
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
async fn bootstrapped(gate: &Gate) -> Result<(Arc<Tenure>, Arc<Cluster>), Response<Body>> {
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
