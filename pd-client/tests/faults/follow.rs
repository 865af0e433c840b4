//! Finding the leader, following it, and what callers are told when there is none.

use std::time::Duration;

use crate::fake::{CLUSTER, Fake};
use pd_client::{Client, Error, Options};
use proto::pdpb::ErrorType;

#[tokio::test]
async fn the_leader_is_found_through_any_member() {
    let fake = Fake::start(3).await;
    fake.lead(2);
    for endpoint in fake.endpoints() {
        let client = Client::connect([endpoint]).await.unwrap();
        assert_eq!(client.cluster_id(), CLUSTER);
        assert_eq!(client.leader().unwrap().name, "pd-3");
        assert_eq!(client.get_members().await.unwrap().members.len(), 3);
    }
}

#[tokio::test]
async fn members_that_are_down_are_passed_over() {
    let fake = Fake::start(1).await;
    let mut endpoints = fake.endpoints();
    // A port that was free a moment ago and that nobody listens on.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    endpoints.push(gone.to_string());
    let client = Client::connect(endpoints).await.unwrap();
    assert_eq!(client.alloc_id().await.unwrap(), 1);
}

#[tokio::test]
async fn endpoints_of_two_clusters_are_refused() {
    let (one, other) = (Fake::start(1).await, Fake::of_cluster(1, 78).await);
    let both = [one.endpoints(), other.endpoints()].concat();
    let error = Client::connect(&both).await.unwrap_err();
    let Error::MixedClusters { first_id, other_id, .. } = error else { panic!("{error}") };
    assert_eq!([first_id.min(other_id), first_id.max(other_id)], [77, 78]);
}

#[tokio::test]
async fn bad_endpoints_are_named_before_anyone_is_asked() {
    let error = Client::connect(["127.0.0.1:2379", "nowhere"]).await.unwrap_err();
    assert!(error.to_string().contains("`nowhere`"), "{error}");
    let none: [&str; 0] = [];
    assert!(matches!(Client::connect(none).await, Err(Error::EndpointCount { given: 0, .. })));
}

#[tokio::test]
async fn calls_follow_when_the_leader_says_that_it_is_none() {
    let fake = Fake::start(3).await;
    let client = Client::connect(fake.endpoints()).await.unwrap();
    let mut last = 0;
    for leader in [1, 2, 0, 2] {
        fake.lead(leader);
        let ids = client.alloc_ids(10).await.unwrap();
        assert_eq!(ids, last + 1..=last + 10);
        last += 10;
        assert_eq!(client.leader().unwrap().name, format!("pd-{}", leader + 1));
    }
}

#[tokio::test]
async fn a_hung_leader_holds_a_call_for_one_attempt_only() {
    let fake = Fake::start(3).await;
    let client = Client::connect(fake.endpoints()).await.unwrap();
    fake.hang(0);
    fake.lead(1);
    assert_eq!(client.alloc_id().await.unwrap(), 1);
    assert_eq!(client.leader().unwrap().name, "pd-2");
}

#[tokio::test]
async fn a_slow_leader_is_not_left_because_members_name_an_old_one() {
    let fake = Fake::start(4).await;
    // Long attempts, and doubts at once: the members are asked again and again while the leader is slow.
    let options = Options {
        silence: Duration::from_millis(10),
        attempt_timeout: Duration::from_secs(30),
        call_timeout: Duration::from_secs(30),
        ..Options::default()
    };
    let client = Client::connect_with(fake.endpoints(), options).await.unwrap();
    fake.hang(3);
    fake.misinform(1, 3);
    fake.misinform(2, 3);
    fake.hold_alloc(true);
    let slow = tokio::spawn({
        let client = client.clone();
        async move { client.alloc_id().await }
    });
    fake.misinformed_answers(20).await;
    fake.hold_alloc(false);
    assert_eq!(slow.await.unwrap().unwrap(), 1);
    assert_eq!(fake.alloc_calls(), 1);
}

#[tokio::test]
async fn refusals_keep_kind_and_text() {
    let fake = Fake::start(1).await;
    let client = Client::connect(fake.endpoints()).await.unwrap();
    assert_eq!(client.get_store(1).await.unwrap().0.id, 1);
    let error = client.get_store(9).await.unwrap_err();
    assert_eq!(error.header_kind(), Some(ErrorType::Unknown));
    assert_eq!(error.to_string(), "GetStore: store 9 not found (Unknown)");
    // A call that this server does not have: no use to repeat it.
    let error = client.is_bootstrapped().await.unwrap_err();
    assert!(matches!(error, Error::Refused { code: tonic::Code::Unimplemented, .. }), "{error}");
}

#[tokio::test]
async fn a_group_that_hangs_as_a_whole_ends_in_the_callers_deadline() {
    let fake = Fake::start(2).await;
    let options = Options { attempt_timeout: Duration::from_millis(100), ..Options::default() };
    let client = Client::connect_with(fake.endpoints(), options).await.unwrap();
    fake.hang(0);
    fake.hang(1);
    let hurried = client.with_deadline(Duration::from_millis(400));
    let (id, timestamp) = tokio::join!(hurried.alloc_id(), hurried.get_timestamp());
    let error = id.unwrap_err();
    assert!(matches!(error, Error::Deadline { call: "AllocID", .. }), "{error}");
    assert!(error.to_string().contains("did not answer"), "{error}");
    assert!(matches!(timestamp, Err(Error::Deadline { call: "Tso", .. })));
}
