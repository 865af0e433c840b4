//! The heartbeat stream over changes of leader.

use crate::fake::{CLUSTER, Fake};
use pd_client::{Client, HeartbeatEvent, HeartbeatEvents, NotSent};
use proto::{metapb, pdpb};

fn of_region(id: u64) -> pdpb::RegionHeartbeatRequest {
    let region = Some(metapb::Region { id, ..metapb::Region::default() });
    pdpb::RegionHeartbeatRequest { region, ..pdpb::RegionHeartbeatRequest::default() }
}

async fn opened_on(events: &mut HeartbeatEvents) -> String {
    loop {
        match events.next().await.unwrap() {
            HeartbeatEvent::Opened(leader) => return leader.name,
            HeartbeatEvent::Lost(_) => {}
            HeartbeatEvent::Answer(answer) => panic!("{answer:?}"),
        }
    }
}

#[tokio::test]
async fn heartbeats_go_out_with_our_header_and_commands_come_in() {
    let fake = Fake::start(1).await;
    let client = Client::connect(fake.endpoints()).await.unwrap();
    let (sender, mut events) = client.region_heartbeats();
    assert_eq!(opened_on(&mut events).await, "pd-1");
    sender.send(of_region(5)).await.unwrap();
    let (_, heartbeat) = &fake.heartbeats(1).await[0];
    assert_eq!(heartbeat.header.as_ref().unwrap().cluster_id, CLUSTER);
    assert_eq!(heartbeat.region.as_ref().unwrap().id, 5);

    let keepalive = pdpb::RegionHeartbeatResponse {
        header: crate::fake::header(),
        ..pdpb::RegionHeartbeatResponse::default()
    };
    let command = pdpb::RegionHeartbeatResponse { region_id: 5, ..keepalive.clone() };
    fake.command(0, keepalive).await;
    fake.command(0, command.clone()).await;
    match events.next().await.unwrap() {
        HeartbeatEvent::Answer(answer) => assert_eq!(*answer, command),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_change_of_leader_reopens_the_stream_and_says_so() {
    let fake = Fake::start(3).await;
    let client = Client::connect(fake.endpoints()).await.unwrap();
    let (sender, mut events) = client.region_heartbeats();
    assert_eq!(opened_on(&mut events).await, "pd-1");
    sender.send(of_region(1)).await.unwrap();
    fake.heartbeats(1).await;
    fake.lead(2);
    assert!(matches!(events.next().await.unwrap(), HeartbeatEvent::Lost(_)));
    assert_eq!(opened_on(&mut events).await, "pd-3");
    sender.send(of_region(2)).await.unwrap();
    let all = fake.heartbeats(2).await;
    assert_eq!((all[1].0, all[1].1.region.as_ref().unwrap().id), (2, 2));
}

#[tokio::test]
async fn a_hung_leader_is_left_when_the_others_name_another() {
    let fake = Fake::start(3).await;
    let client = Client::connect(fake.endpoints()).await.unwrap();
    let (sender, mut events) = client.region_heartbeats();
    assert_eq!(opened_on(&mut events).await, "pd-1");
    sender.send(of_region(1)).await.unwrap();
    fake.heartbeats(1).await;
    fake.hang(0);
    fake.lead(1);
    assert_eq!(opened_on(&mut events).await, "pd-2");
}

#[tokio::test]
async fn without_a_stream_nothing_is_kept() {
    let fake = Fake::start(1).await;
    let client = Client::connect(fake.endpoints()).await.unwrap();
    let (sender, mut events) = client.region_heartbeats();
    assert_eq!(opened_on(&mut events).await, "pd-1");
    drop(events);
    // The task closes the stream once it sees that nobody reads.
    while sender.send(of_region(1)).await != Err(NotSent) {
        tokio::task::yield_now().await;
    }
}
