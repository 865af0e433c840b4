//! One stream for many callers, and every way in which a server may break it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::fake::{Fake, TsoFault};
use pd_client::{Client, Error, Timestamp};
use tokio::task::JoinSet;

#[tokio::test]
async fn callers_share_requests_and_nobody_a_timestamp() {
    let fake = Fake::start(1).await;
    let client = Client::connect(fake.endpoints()).await.unwrap();
    let mut callers = JoinSet::new();
    for _ in 0..200 {
        let client = client.clone();
        callers.spawn(async move {
            let mut got = Vec::new();
            for count in [1, 3, 2] {
                got.extend(client.get_timestamps(count).await.unwrap().iter());
            }
            got
        });
    }
    let mut all = BTreeSet::new();
    while let Some(got) = callers.join_next().await {
        let got = got.unwrap();
        assert!(got.is_sorted(), "{got:?}");
        all.extend(got);
    }
    assert_eq!(all.len(), 200 * 6, "no timestamp was given to two callers");
    let requests = fake.tso_requests();
    assert_eq!(requests.iter().sum::<u32>(), 200 * 6);
    assert!(requests.len() < 200, "{} requests for 600 asks", requests.len());
}

#[tokio::test]
async fn counts_out_of_range_are_refused_here() {
    let fake = Fake::start(1).await;
    let client = Client::connect(fake.endpoints()).await.unwrap();
    for count in [0, 65_537] {
        assert!(matches!(client.get_timestamps(count).await, Err(Error::BadArgument { .. })));
    }
    assert!(fake.tso_requests().is_empty());
}

#[tokio::test]
async fn the_stream_moves_to_the_next_leader() {
    let fake = Fake::start(3).await;
    let client = Client::connect(fake.endpoints()).await.unwrap();
    let mut last = client.get_timestamp().await.unwrap();
    for leader in [1, 0, 2] {
        fake.lead(leader);
        let next = client.get_timestamp().await.unwrap();
        assert!(next > last);
        last = next;
    }
}

#[tokio::test]
async fn a_hung_leader_is_left_although_its_stream_stays_open() {
    let fake = Fake::start(3).await;
    let client = Client::connect(fake.endpoints()).await.unwrap();
    let first = client.get_timestamp().await.unwrap();
    fake.hang(0);
    fake.lead(1);
    assert!(client.get_timestamp().await.unwrap() > first);
    assert_eq!(client.leader().unwrap().name, "pd-2");
}

#[tokio::test]
async fn an_answer_to_nobody_ends_the_stream_and_is_given_to_nobody() {
    let fake = Fake::start(1).await;
    let client = Client::connect(fake.endpoints()).await.unwrap();
    let mut seen = BTreeSet::new();
    for round in 1..=5 {
        fake.tso_fault(TsoFault::Twice);
        seen.extend(client.get_timestamps(3).await.unwrap().iter());
        fake.tso_closed(round).await;
        seen.extend(client.get_timestamps(3).await.unwrap().iter());
    }
    assert_eq!(seen.len(), 5 * 2 * 3, "no timestamp was given twice");
}

#[tokio::test]
async fn a_wrong_count_is_asked_again_on_a_new_stream() {
    let fake = Fake::start(1).await;
    let client = Client::connect(fake.endpoints()).await.unwrap();
    let first = client.get_timestamp().await.unwrap();
    fake.tso_fault(TsoFault::WrongCount);
    let next = client.get_timestamp().await.unwrap();
    assert!(next > first);
    assert_eq!(fake.tso_requests(), [1, 1, 1]);
}

#[tokio::test]
async fn a_timestamp_that_fell_is_told_and_not_handed_out() {
    let fake = Fake::start(1).await;
    let client = Client::connect(fake.endpoints()).await.unwrap();
    let first = client.get_timestamp().await.unwrap();
    fake.tso_fault(TsoFault::Old);
    let fallen = client.get_timestamp().await;
    let got = Timestamp { physical_ms: 1, logical: 5 };
    assert_eq!(fallen, Err(Error::TimestampFell { previous: first, got }));
    assert!(client.get_timestamp().await.unwrap() > first, "the client goes on");
}

#[tokio::test]
async fn abandoned_asks_cost_nothing_later() {
    let fake = Fake::start(2).await;
    let client = Client::connect(fake.endpoints()).await.unwrap();
    let first = client.get_timestamp().await.unwrap();
    fake.hang(0);
    let hurried = client.with_deadline(Duration::from_millis(50));
    assert!(hurried.get_timestamps(1_000).await.is_err());
    fake.lead(1);
    assert!(client.get_timestamp().await.unwrap() > first);
    assert_eq!(fake.tso_requests().last(), Some(&1));
}
