//! A group of three: what followers answer, and what clients see when the lead moves.

use proto::pdpb;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::boot::bootstrap;
use crate::heartbeats::{Heartbeats, region, wait_for_region};
use crate::server::{PATIENCE, Server};

/// Takes the leader out of the group, with a member that follows and the rest.
async fn part(mut servers: Vec<Server>) -> (Server, Server, Vec<Server>) {
    let mut pd = servers[0].connect().await;
    let members = pd.client.get_members(pdpb::GetMembersRequest::default()).await.unwrap().into_inner();
    assert_eq!(members.members.len(), 3);
    let name = members.leader.unwrap().name;
    let place = servers.iter().position(|server| server.name == name).unwrap();
    let leader = servers.remove(place);
    let follower = servers.remove(0);
    (leader, follower, servers)
}

#[tokio::test]
async fn followers_name_the_leader_refuse_calls_and_pass_http_on() {
    let (leader, follower, _rest) = part(Server::group(3)).await;
    let mut pd = follower.connect().await;
    let members = pd.client.get_members(pdpb::GetMembersRequest::default()).await.unwrap().into_inner();
    assert_eq!(members.leader.unwrap().client_urls, [format!("http://{}", leader.client)]);
    let asked = pdpb::IsBootstrappedRequest { header: pd.header() };
    let status = pd.client.is_bootstrapped(asked).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "not leader"));
    let (_asks, requests) = mpsc::channel::<pdpb::TsoRequest>(1);
    let status = match pd.client.tso(ReceiverStream::new(requests)).await {
        Ok(answers) => answers.into_inner().message().await.unwrap_err(),
        Err(status) => status,
    };
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "not leader"));

    // HTTP is passed on: the leader answers, here that there is no cluster yet.
    let (status, body) = follower.http("GET", "/pd/api/v1/stores").await;
    assert!(status == 500 && body.contains("ErrNotBootstrapped"), "{status} {body}");
    let (status, body) = follower.http("GET", "/pd/api/v1/leader").await;
    assert!(status == 200 && body.contains(&leader.name), "{status} {body}");
    assert_eq!(follower.http("GET", "/pd/api/v1/version").await.0, 200);
    let (status, body) = follower.http("GET", "/pd/api/v1/health").await;
    let health: serde_json::Value = serde_json::from_str(&body).unwrap();
    let healthy = health.as_array().unwrap().iter().filter(|member| member["health"] == true).count();
    assert_eq!((status, healthy), (200, 3), "{body}");
    let (_, body) = follower.http("GET", "/metrics").await;
    assert!(body.contains("\netcd_server_is_leader 0\n"), "{body}");
}

#[tokio::test]
async fn streams_end_at_the_loss_of_the_lead_and_the_next_leader_goes_on() {
    let (mut leader, follower, rest) = part(Server::group(3)).await;
    let mut pd = leader.connect().await;
    bootstrap(&mut pd).await;
    let mut heartbeats = Heartbeats::open(&mut pd).await;
    heartbeats.send(&region(7, "", "", 1)).await;
    wait_for_region(&mut pd, 7, 1).await;
    let (asks, requests) = mpsc::channel(1);
    let mut timestamps = pd.client.tso(ReceiverStream::new(requests)).await.unwrap().into_inner();
    let ask = pdpb::TsoRequest { header: pd.header(), count: 1, ..Default::default() };
    asks.send(ask.clone()).await.unwrap();
    let before = timestamps.message().await.unwrap().unwrap().timestamp.unwrap();

    leader.terminate();
    for status in [
        tokio::time::timeout(PATIENCE, heartbeats.answers.message()).await.unwrap().unwrap_err(),
        tokio::time::timeout(PATIENCE, timestamps.message()).await.unwrap().unwrap_err(),
    ] {
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "not leader"));
    }
    assert!(leader.wait_for_end());

    let mut after = follower.connect().await;
    let members = after.client.get_members(pdpb::GetMembersRequest::default()).await.unwrap().into_inner();
    let next = members.leader.unwrap();
    assert_ne!(next.name, leader.name);
    let next = [&follower, &rest[0]].into_iter().find(|server| server.name == next.name).unwrap();
    let mut after = next.connect().await;
    let (asks, requests) = mpsc::channel(1);
    let mut timestamps = after.client.tso(ReceiverStream::new(requests)).await.unwrap().into_inner();
    asks.send(ask).await.unwrap();
    let later = timestamps.message().await.unwrap().unwrap().timestamp.unwrap();
    assert!((later.physical, later.logical) > (before.physical, before.logical));
    let stores = pdpb::GetAllStoresRequest { header: after.header(), exclude_tombstone_stores: false };
    assert_eq!(after.client.get_all_stores(stores).await.unwrap().into_inner().stores.len(), 1);
    // Routes are soft: the store tells the new leader.
    let heartbeats = Heartbeats::open(&mut after).await;
    heartbeats.send(&region(7, "", "", 1)).await;
    wait_for_region(&mut after, 7, 1).await;
}
