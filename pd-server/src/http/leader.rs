//! The leader: shown, resigned, transferred.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{get, post};
use http::{Response, StatusCode};
use serde::Serialize;

use super::path::Path;
use super::{json, not_leader};
use crate::grpc::Gate;
use crate::leadership::TransferError;
use crate::member::MemberId;

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new()
        .route("/pd/api/v1/leader", get(leader))
        .route("/pd/api/v1/leader/resign", post(resign))
        .route("/pd/api/v1/leader/transfer/{name}", post(transfer))
}

/// As the leader's own record has it, which says no more of it.
#[derive(Serialize)]
struct LeaderView {
    name: String,
    member_id: u64,
    peer_urls: Vec<String>,
    client_urls: Vec<String>,
}

/// The leader that can serve.
async fn leader(State(gate): State<Gate>) -> Response<Body> {
    match gate.pd.leadership.leader_to_name().await {
        Some(leader) => json::ok(&LeaderView {
            name: leader.name,
            member_id: leader.id.0,
            peer_urls: leader.peer_urls,
            client_urls: leader.client_urls,
        }),
        None => not_leader(&gate),
    }
}

/// Answers once the lead is handed over. A leader that is alone keeps it: as in tikv/pd, that is no error.
async fn resign(State(gate): State<Gate>) -> Response<Body> {
    let done = match gate.pd.leadership.transfer(None).await {
        Err(TransferError::NoHeir) => Ok(gate.pd.members.own().id),
        done => done,
    };
    answer(&gate, done, "The resign command is submitted.")
}

/// Answers once the lead is handed over.
async fn transfer(State(gate): State<Gate>, Path(name): Path<String>) -> Response<Body> {
    let Some(to) = gate.pd.members.list().into_iter().find(|member| member.name == name) else {
        let names: Vec<String> = gate.pd.members.list().into_iter().map(|member| member.name).collect();
        let text = format!("no valid pd to transfer etcd leader: {name} is none of {}", names.join(", "));
        return json::error(StatusCode::INTERNAL_SERVER_ERROR, &text);
    };
    let done = gate.pd.leadership.transfer(Some(to.id)).await;
    answer(&gate, done, "The transfer command is submitted.")
}

fn answer(gate: &Gate, done: Result<MemberId, TransferError>, words: &str) -> Response<Body> {
    match done {
        Ok(_) => json::ok(&words),
        Err(TransferError::NotLeader(_)) => not_leader(gate),
        Err(error @ (TransferError::NoHeir | TransferError::NotTaken(_))) => {
            let text = format!("the lead was not handed over: {error}");
            json::error(StatusCode::INTERNAL_SERVER_ERROR, &text)
        }
    }
}
