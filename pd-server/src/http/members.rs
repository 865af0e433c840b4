//! The members: who they are, whether they answer, who is wanted as leader, and their removal.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::routing::{delete, get};
use futures::future;
use http::{Response, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;

use super::path::Path;
use super::{json, json_body, not_leader};
use crate::grpc::Gate;
use crate::member::{ChangeError, Member, MemberId, MemberState};

/// A member that does not answer a ping within this counts as not healthy.
const PING_LIMIT: Duration = Duration::from_secs(1);

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new()
        .route("/pd/api/v1/health", get(health))
        .route("/pd/health", get(health))
        .route("/pd/api/v1/members", get(members))
        .route("/pd/api/v1/members/name/{name}", delete(delete_by_name).post(set_property))
        .route("/pd/api/v1/members/id/{id}", delete(delete_by_id))
}

/// What a member's property is called that can be set.
const LEADER_PRIORITY: &str = "leader-priority";

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
    #[serde(skip_serializing_if = "is_zero")]
    leader_priority: i32,
    #[serde(skip_serializing_if = "String::is_empty")]
    deploy_path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    binary_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    git_hash: String,
}

/// As protobuf's JSON has it: what is 0 is left out.
fn is_zero(number: &i32) -> bool {
    *number == 0
}

impl From<&MemberState> for MemberView {
    fn from(state: &MemberState) -> Self {
        let member = &state.member;
        Self {
            name: member.name.clone(),
            member_id: member.id.0,
            peer_urls: member.peer_urls.clone(),
            client_urls: member.client_urls.clone(),
            leader_priority: state.leader_priority,
            deploy_path: member.deploy_path.clone(),
            binary_version: member.binary_version.clone(),
            git_hash: member.git_hash.clone(),
        }
    }
}

/// All members and the leader that can serve.
async fn members(State(gate): State<Gate>) -> Response<Body> {
    let leader = gate.pd.leadership.leader_to_name().await;
    let states = gate.pd.members.states();
    let leader = leader.and_then(|leader| states.iter().find(|state| state.member.id == leader.id));
    let leader = leader.map(MemberView::from);
    json::ok(&MembersView {
        header: Header { cluster_id: gate.pd.cluster_id() },
        members: states.iter().map(MemberView::from).collect(),
        etcd_leader: leader.clone(),
        leader,
    })
}

/// Removes the member of this name; one that was removed before is found removed.
async fn delete_by_name(State(gate): State<Gate>, Path(name): Path<String>) -> Response<Body> {
    let found = gate.pd.members.list().into_iter().find(|member| member.name == name);
    let Some(id) = found.map(|member| member.id).or_else(|| gate.pd.members.removed_id(&name)) else {
        return unknown(&name);
    };
    match gate.pd.membership.remove(id).await {
        Ok(_) => json::ok(&format!("removed, pd: {name}")),
        Err(ChangeError::NotFound) => unknown(&name),
        Err(error) => refused(&gate, &error),
    }
}

/// The same by id.
async fn delete_by_id(State(gate): State<Gate>, Path(text): Path<String>) -> Response<Body> {
    let Ok(id) = text.parse() else {
        return json::bad_request(&format!("strconv.ParseUint: parsing {text:?}: invalid syntax"));
    };
    match gate.pd.membership.remove(MemberId(id)).await {
        Ok(_) => json::ok(&format!("removed, pd: {id}")),
        Err(error) => refused(&gate, &error),
    }
}

/// Sets how much a member is wanted as leader: `{"leader-priority": 3}`. Other properties are not known and, as in
/// tikv/pd, passed over.
async fn set_property(State(gate): State<Gate>, Path(name): Path<String>, body: Bytes) -> Response<Body> {
    let Some(id) =
        gate.pd.members.list().into_iter().find(|member| member.name == name).map(|found| found.id)
    else {
        return unknown(&name);
    };
    let properties: serde_json::Map<String, serde_json::Value> = match json_body::parse(&body) {
        Ok(properties) => properties,
        Err(malformed) => return json::bad_body(&malformed),
    };
    let Some(value) = properties.get(LEADER_PRIORITY) else { return json::ok(&"success") };
    let Some(priority) = whole(value) else { return json::bad_request("bad format leader priority") };
    match gate.pd.membership.set_priority(id, priority).await {
        Ok(()) => json::ok(&"success"),
        Err(ChangeError::NotFound) => unknown(&name),
        Err(error) => refused(&gate, &error),
    }
}

/// A whole number, however it is written: tools send `3` and `3.0`.
fn whole(value: &serde_json::Value) -> Option<i32> {
    let number = value.as_f64()?;
    let fits = number.fract() == 0.0 && f64::from(i32::MIN) <= number && number <= f64::from(i32::MAX);
    #[allow(clippy::cast_possible_truncation, reason = "it is whole and in the range")]
    fits.then_some(number as i32)
}

fn unknown(name: &str) -> Response<Body> {
    json::error(StatusCode::NOT_FOUND, &format!("not found, pd: {name}"))
}

/// As tikv/pd answers what its etcd refuses, with our reason.
fn refused(gate: &Gate, error: &ChangeError) -> Response<Body> {
    let reason = match error {
        ChangeError::NotLeader(_) => return not_leader(gate),
        // The text that tools know.
        ChangeError::NotFound => "etcdserver: member not found: etcdserver: member not found".to_owned(),
        ChangeError::LastVoter { .. }
        | ChangeError::NoQuorum { .. }
        | ChangeError::Unwanted(_)
        | ChangeError::NotHandedOver { .. }
        | ChangeError::Slow
        | ChangeError::Kv(_) => error.to_string(),
    };
    json::error(StatusCode::INTERNAL_SERVER_ERROR, &format!("[PD:etcd:ErrEtcdMemberRemove]{reason}"))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::whole;

    #[test]
    fn priorities_are_whole_numbers() {
        for (value, priority) in [
            (json!(3), Some(3)),
            (json!(-2.0), Some(-2)),
            (json!(2.5), None),
            (json!(3_000_000_000_u64), None),
            (json!("x"), None),
            (json!(null), None),
        ] {
            assert_eq!(whole(&value), priority, "{value}");
        }
    }
}
