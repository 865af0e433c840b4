//! What administrators do to this process, and marks that tools set on the cluster.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{get, post};
use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;
use tracing::info;

use super::{json, json_body, not_leader};
use crate::config::LogLevel;
use crate::grpc::Gate;
use crate::logging;
use crate::state::{Op, Txn};

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new().route("/pd/api/v1/admin/log", post(set_log_level)).route(
        "/pd/api/v1/admin/cluster/markers/snapshot-recovering",
        get(is_recovering).post(mark_recovering).delete(unmark_recovering),
    )
}

/// Changes the level of this process's log at once: each member has its own.
async fn set_log_level(body: Bytes) -> Response<Body> {
    let name: String = match json_body::parse(&body) {
        Ok(name) => name,
        Err(malformed) => return json::bad_request(&malformed.text),
    };
    let level = match name.to_ascii_lowercase().as_str() {
        "debug" => LogLevel::Debug,
        "info" => LogLevel::Info,
        "warn" | "warning" => LogLevel::Warn,
        // A process here does not live on after what tikv/pd logs as fatal.
        "error" | "fatal" => LogLevel::Error,
        _ => return json::bad_request(&format!("log level {name} is illegal")),
    };
    logging::set_level(level);
    info!(level = name, "log level changed");
    json::ok(&"The log level is updated.")
}

#[derive(Serialize)]
struct Marked {
    marked: bool,
}

/// Whether the cluster is being restored from snapshots of its disks.
async fn is_recovering(State(gate): State<Gate>) -> Response<Body> {
    let Ok(tenure) = gate.tenures.serve().await else { return not_leader(&gate) };
    let key = tenure.keys.snapshot_recovering();
    match gate.pd.kv.off_thread(move |kv| kv.get(&key)).await {
        Ok(found) => json::ok(&Marked { marked: found.is_some() }),
        Err(error) => json::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn mark_recovering(State(gate): State<Gate>) -> Response<Body> {
    change_mark(&gate, |key| Op::put(key, Bytes::from_static(b"on"))).await
}

async fn unmark_recovering(State(gate): State<Gate>) -> Response<Body> {
    change_mark(&gate, Op::delete).await
}

async fn change_mark(gate: &Gate, op: impl FnOnce(Bytes) -> Op) -> Response<Body> {
    let Ok(tenure) = gate.tenures.serve().await else { return not_leader(gate) };
    let txn = Txn::of(vec![op(tenure.keys.snapshot_recovering())]);
    match gate.pd.kv.txn(tenure.term, txn).await {
        Ok(_) => json::text(""),
        Err(error) => json::error(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}
