//! The members and whether they answer: known to each member.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use futures::future;
use http::Response;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;

use super::json;
use crate::grpc::Gate;
use crate::member::Member;

/// A member that does not answer a ping within this counts as not healthy.
const PING_LIMIT: Duration = Duration::from_secs(1);

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new()
        .route("/pd/api/v1/health", get(health))
        .route("/pd/health", get(health))
        .route("/pd/api/v1/members", get(members))
}

#[derive(Serialize)]
struct Health {
    name: String,
    member_id: u64,
    client_urls: Vec<String>,
    health: bool,
}

/// Each member's health: as the leader hears them, elsewhere by asking each.
async fn health(State(gate): State<Gate>) -> Response<Body> {
    let own = gate.pd.members.own().id;
    let check = |member: Member| {
        let gate = gate.clone();
        async move {
            let health = match gate.pd.members.healthy(member.id) {
                Some(healthy) => healthy,
                None => member.id == own || answers(&member).await,
            };
            Health { name: member.name, member_id: member.id.0, client_urls: member.client_urls, health }
        }
    };
    let all = future::join_all(gate.pd.members.list().into_iter().map(check)).await;
    json::ok(&all)
}

#[derive(Serialize)]
struct MembersView {
    header: Header,
    members: Vec<MemberView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<MemberView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etcd_leader: Option<MemberView>,
}

#[derive(Serialize)]
struct Header {
    cluster_id: u64,
}

#[derive(Clone, Serialize)]
struct MemberView {
    name: String,
    member_id: u64,
    peer_urls: Vec<String>,
    client_urls: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    deploy_path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    binary_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    git_hash: String,
}

impl From<&Member> for MemberView {
    fn from(member: &Member) -> Self {
        Self {
            name: member.name.clone(),
            member_id: member.id.0,
            peer_urls: member.peer_urls.clone(),
            client_urls: member.client_urls.clone(),
            deploy_path: member.deploy_path.clone(),
            binary_version: member.binary_version.clone(),
            git_hash: member.git_hash.clone(),
        }
    }
}

/// All members and the leader that can serve.
async fn members(State(gate): State<Gate>) -> Response<Body> {
    let leader = gate.pd.leadership.leader_to_name().await.as_ref().map(MemberView::from);
    json::ok(&MembersView {
        header: Header { cluster_id: gate.pd.cluster_id() },
        members: gate.pd.members.list().iter().map(MemberView::from).collect(),
        etcd_leader: leader.clone(),
        leader,
    })
}

/// Whether a member answers a ping on one of its client URLs.
async fn answers(member: &Member) -> bool {
    let one = |url: &String| {
        let address =
            url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).trim_end_matches('/').to_owned();
        async move { matches!(tokio::time::timeout(PING_LIMIT, ping(&address)).await, Ok(Ok(true))) }
    };
    future::join_all(member.client_urls.iter().map(one)).await.contains(&true)
}

async fn ping(address: &str) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = http::Request::get("/pd/api/v1/ping")
        .header(http::header::HOST, address)
        .body(Empty::<bytes::Bytes>::new())?;
    let answer = async move { sender.send_request(request).await.map(|answer| answer.status().is_success()) };
    let (_, answer) = tokio::join!(connection, answer);
    Ok(answer?)
}
