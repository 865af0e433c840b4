//! Heartbeats of Regions, the look-ups that they feed, splits, and stores that leave.

use std::time::{Duration, Instant};

use proto::{metapb, pdpb};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use crate::boot::{bootstrap, first_store};
use crate::server::{PATIENCE, Pd, Server};

/// An open heartbeat stream.
pub struct Heartbeats {
    sender: mpsc::Sender<pdpb::RegionHeartbeatRequest>,
    pub answers: Streaming<pdpb::RegionHeartbeatResponse>,
    header: Option<pdpb::RequestHeader>,
}

impl Heartbeats {
    pub async fn open(pd: &mut Pd) -> Self {
        let (sender, requests) = mpsc::channel(1_024);
        let answers = pd.client.region_heartbeat(ReceiverStream::new(requests)).await.unwrap().into_inner();
        Self { sender, answers, header: pd.header() }
    }

    pub async fn send(&self, region: &metapb::Region) {
        let message = pdpb::RegionHeartbeatRequest {
            header: self.header.clone(),
            region: Some(region.clone()),
            leader: region.peers.first().copied(),
            term: 6,
            approximate_size: 5 << 20,
            ..Default::default()
        };
        self.sender.send(message).await.unwrap();
    }

    async fn refusal(&mut self) -> pdpb::Error {
        loop {
            let answer =
                tokio::time::timeout(PATIENCE, self.answers.message()).await.unwrap().unwrap().unwrap();
            if let Some(error) = answer.header.unwrap().error {
                return error;
            }
        }
    }
}

pub fn region(id: u64, start: &'static str, end: &'static str, version: u64) -> metapb::Region {
    metapb::Region {
        id,
        start_key: start.into(),
        end_key: end.into(),
        region_epoch: Some(metapb::RegionEpoch { conf_ver: 1, version }),
        peers: vec![metapb::Peer { id: id * 10, store_id: 1, ..Default::default() }],
        ..Default::default()
    }
}

async fn region_by_id(pd: &mut Pd, region_id: u64) -> Option<metapb::Region> {
    let request = pdpb::GetRegionByIdRequest { header: pd.header(), region_id, need_buckets: false };
    pd.client.get_region_by_id(request).await.unwrap().into_inner().region
}

pub async fn wait_for_region(pd: &mut Pd, id: u64, version: u64) -> metapb::Region {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(region) = region_by_id(pd, id).await
            && region.region_epoch.unwrap().version == version
        {
            return region;
        }
        assert!(Instant::now() < until, "region {id} of version {version} does not appear");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn heartbeats_feed_the_look_ups() {
    let server = Server::start();
    let mut pd = server.connect().await;
    bootstrap(&mut pd).await;
    let mut heartbeats = Heartbeats::open(&mut pd).await;
    let three = [region(7, "", "b", 3), region(8, "b", "d", 3), region(9, "d", "", 3)];
    for region in &three {
        heartbeats.send(region).await;
    }
    wait_for_region(&mut pd, 9, 3).await;

    let by_key = |key: &'static str| pdpb::GetRegionRequest {
        header: pd.header(),
        region_key: key.into(),
        ..Default::default()
    };
    let (at_b, before_b) = (by_key("b"), by_key("a"));
    let found = pd.client.get_region(at_b.clone()).await.unwrap().into_inner();
    assert_eq!((found.region.as_ref(), found.leader), (Some(&three[1]), Some(three[1].peers[0])));
    assert_eq!(pd.client.get_prev_region(at_b).await.unwrap().into_inner().region.as_ref(), Some(&three[0]));
    assert_eq!(pd.client.get_prev_region(before_b).await.unwrap().into_inner().region, None);
    assert_eq!(region_by_id(&mut pd, 10).await, None);

    let scan = |start: &'static str, end: &'static str, limit| pdpb::ScanRegionsRequest {
        header: pd.header(),
        start_key: start.into(),
        end_key: end.into(),
        limit,
    };
    for (request, ids) in [
        (scan("", "", 0), vec![7, 8, 9]),
        (scan("c", "", 1), vec![8]),
        (scan("", "c", -1), vec![7, 8]),
        (scan("d", "b", 0), vec![]),
    ] {
        let answer = pd.client.scan_regions(request).await.unwrap().into_inner();
        assert_eq!(answer.regions.iter().map(|r| r.region.as_ref().unwrap().id).collect::<Vec<_>>(), ids);
        assert_eq!((answer.region_metas.len(), answer.leaders.len()), (ids.len(), ids.len()));
    }
    let (_, body) = server.http("GET", "/pd/api/v1/regions").await;
    let listed: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((listed["count"].as_u64(), listed["regions"][1]["start_key"].as_str()), (Some(3), Some("62")));
    assert_eq!(listed["regions"][2]["approximate_size"], 5);

    // An older picture is refused with both epochs and changes nothing.
    heartbeats.send(&region(8, "b", "d", 2)).await;
    let error = heartbeats.refusal().await;
    assert_eq!(error.r#type(), pdpb::ErrorType::Unknown);
    assert!(error.message.contains("version:2") && error.message.contains("version:3"), "{}", error.message);
    assert_eq!(region_by_id(&mut pd, 8).await.as_ref(), Some(&three[1]));

    // A message that is no heartbeat is refused, and the stream goes on.
    heartbeats.send(&metapb::Region { id: 0, ..region(8, "b", "d", 4) }).await;
    assert!(heartbeats.refusal().await.message.starts_with("invalid request region, header:<cluster_id:"));
    heartbeats.send(&region(8, "b", "d", 4)).await;
    wait_for_region(&mut pd, 8, 4).await;

    // The store closes its side.
    drop(heartbeats.sender);
    let status = loop {
        match heartbeats.answers.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended without a status"),
            Err(status) => break status,
        }
    };
    assert_eq!((status.code(), status.message()), (Code::Unknown, "EOF"));
}

#[tokio::test]
async fn an_unknown_store_ends_its_stream() {
    let server = Server::start();
    let mut pd = server.connect().await;
    bootstrap(&mut pd).await;
    let mut heartbeats = Heartbeats::open(&mut pd).await;
    let mut foreign = region(7, "", "", 1);
    foreign.peers[0].store_id = 77;
    heartbeats.send(&foreign).await;
    let status = heartbeats.answers.message().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unknown, "invalid store ID 77, not found"));
    assert_eq!(region_by_id(&mut pd, 7).await, None);
}

#[tokio::test]
async fn splits_get_fresh_ids_unless_the_picture_is_old() {
    let server = Server::start();
    let mut pd = server.connect().await;
    bootstrap(&mut pd).await;
    let heartbeats = Heartbeats::open(&mut pd).await;
    heartbeats.send(&region(7, "", "", 5)).await;
    wait_for_region(&mut pd, 7, 5).await;
    let ask = |region: Option<metapb::Region>, split_count| pdpb::AskBatchSplitRequest {
        header: pd.header(),
        region,
        split_count,
        ..Default::default()
    };
    let requests = [ask(Some(region(7, "", "", 5)), 2), ask(Some(region(7, "", "", 4)), 1), ask(None, 1)];
    let [good, old, none] = requests;
    // A leader may be ahead of us by a peer or two: it gets as many ids as it has peers.
    let ahead = [0, 1, 3].map(|count| {
        let peer = |n| metapb::Peer { id: 70 + n, store_id: n, ..Default::default() };
        let region = metapb::Region { peers: (0..count).map(peer).collect(), ..region(7, "", "", 5) };
        (usize::try_from(count).unwrap().max(1), ask(Some(region), 2))
    });
    for (count, request) in ahead {
        let granted = pd.client.ask_batch_split(request).await.unwrap().into_inner();
        assert_eq!(granted.ids.iter().map(|id| id.new_peer_ids.len()).collect::<Vec<_>>(), [count; 2]);
    }
    let granted = pd.client.ask_batch_split(good).await.unwrap().into_inner();
    assert_eq!(granted.header.unwrap().error, None);
    let mut ids: Vec<u64> =
        granted.ids.iter().flat_map(|id| id.new_peer_ids.iter().copied().chain([id.new_region_id])).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4, "two Regions with one peer each: {ids:?}");
    let error = pd.client.ask_batch_split(old).await.unwrap().into_inner().header.unwrap().error.unwrap();
    assert_eq!(
        error.message,
        "invalid region epoch, request: conf_ver:1 version:4, current: conf_ver:1 version:5"
    );
    let error = pd.client.ask_batch_split(none).await.unwrap().into_inner().header.unwrap().error.unwrap();
    assert_eq!(
        (error.r#type(), error.message.as_str()),
        (pdpb::ErrorType::RegionNotFound, "missing region for split")
    );

    let report = |regions| pdpb::ReportBatchSplitRequest { header: pd.header(), regions };
    let (good, bad) = (report(vec![region(20, "", "m", 6), region(7, "m", "", 6)]), report(Vec::new()));
    assert_eq!(pd.client.report_batch_split(good).await.unwrap().into_inner().header.unwrap().error, None);
    let error = pd.client.report_batch_split(bad).await.unwrap().into_inner().header.unwrap().error.unwrap();
    assert_eq!(error.message, "invalid split region");
}

#[tokio::test]
async fn a_taken_address_is_free_after_the_store_is_buried() {
    let server = Server::start();
    let mut pd = server.connect().await;
    bootstrap(&mut pd).await;
    let (store, _) = first_store();
    // All data lies on another store.
    let second = metapb::Store {
        id: 2,
        address: "127.0.0.1:20162".to_owned(),
        peer_address: String::new(),
        ..store.clone()
    };
    let second = pdpb::PutStoreRequest { header: pd.header(), store: Some(second) };
    assert_eq!(pd.client.put_store(second).await.unwrap().into_inner().header.unwrap().error, None);
    let heartbeats = Heartbeats::open(&mut pd).await;
    let mut elsewhere = region(2, "", "", 1);
    elsewhere.peers[0].store_id = 2;
    heartbeats.send(&elsewhere).await;
    wait_for_region(&mut pd, 2, 1).await;
    let put = |store| pdpb::PutStoreRequest { header: pd.header(), store: Some(store) };
    let twin = put(metapb::Store { id: 50, ..store.clone() });
    let error = pd.client.put_store(twin.clone()).await.unwrap().into_inner().header.unwrap().error.unwrap();
    assert!(
        error.message.starts_with("duplicated store address: id:50 address:\"127.0.0.1:20161\""),
        "{}",
        error.message
    );
    assert!(error.message.contains("already registered by id:1 "), "{}", error.message);
    assert!(error.message.contains("DELETE /pd/api/v1/store/1"), "{}", error.message);

    let (status, body) = server.http("DELETE", "/pd/api/v1/store/1").await;
    assert_eq!(status, 400, "it would leave fewer stores than replicas: {body}");
    let (status, body) = server.http("DELETE", "/pd/api/v1/store/1?force").await;
    assert_eq!((status, body.as_str()), (200, "\"The store is set as Offline.\"\n"));
    let until = Instant::now() + PATIENCE;
    loop {
        let request = pdpb::GetStoreRequest { header: pd.header(), store_id: 1 };
        let found = pd.client.get_store(request).await.unwrap().into_inner().store.unwrap();
        if found.state() == metapb::StoreState::Tombstone {
            assert_eq!(found.node_state(), metapb::NodeState::Removed);
            break;
        }
        assert!(Instant::now() < until, "the empty store is not buried");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let answer = pd.client.put_store(twin).await.unwrap().into_inner();
    assert_eq!(answer.header.unwrap().error, None);
    let heartbeat = pdpb::StoreHeartbeatRequest {
        header: pd.header(),
        stats: Some(pdpb::StoreStats { store_id: 1, ..Default::default() }),
        ..Default::default()
    };
    let error =
        pd.client.store_heartbeat(heartbeat).await.unwrap().into_inner().header.unwrap().error.unwrap();
    assert_eq!(
        (error.r#type(), error.message.as_str()),
        (pdpb::ErrorType::StoreTombstone, "store is tombstone")
    );
    let (status, body) = server.http("DELETE", "/pd/api/v1/store/1").await;
    assert_eq!((status, body.as_str()), (410, "\"[PD:core:ErrStoreRemoved]store 1 has been removed\"\n"));
}

#[tokio::test]
async fn streams_end_with_not_leader_when_the_server_stops() {
    let mut server = Server::start();
    let mut pd = server.connect().await;
    bootstrap(&mut pd).await;
    let mut heartbeats = Heartbeats::open(&mut pd).await;
    heartbeats.send(&region(7, "", "", 1)).await;
    wait_for_region(&mut pd, 7, 1).await;
    let (_asks, requests) = mpsc::channel::<pdpb::TsoRequest>(1);
    let mut timestamps = pd.client.tso(ReceiverStream::new(requests)).await.unwrap().into_inner();
    server.terminate();
    let status = tokio::time::timeout(PATIENCE, heartbeats.answers.message()).await.unwrap().unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "not leader"));
    let status = tokio::time::timeout(PATIENCE, timestamps.message()).await.unwrap().unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "not leader"));
    assert!(server.wait_for_end());
}
