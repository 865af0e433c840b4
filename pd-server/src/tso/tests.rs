//! The owner's thread, with a lease that the test holds in its hand.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::clock::wall_ms;
use super::*;

struct Bench {
    tso: TsoHandle,
    lease: Arc<AtomicBool>,
    _thread: TsoThread,
}

fn bench() -> Bench {
    let lease = Arc::new(AtomicBool::new(true));
    let holds = Arc::clone(&lease);
    let (tso, thread) =
        start(Arc::default(), Box::new(move |term| term == 1 && holds.load(Ordering::SeqCst))).unwrap();
    Bench { tso, lease, _thread: thread }
}

fn window(length_ms: i64) -> Standing {
    let start_ms = wall_ms();
    Standing::Serving(Window { term: 1, start_ms, bound_ms: start_ms + length_ms })
}

#[tokio::test]
async fn each_request_gets_its_reply_in_order() {
    let bench = bench();
    bench.tso.set_standing(window(60_000));
    let (mut asker, mut replies) = bench.tso.open();
    let counts: Vec<u32> = (0..20_000).map(|i| 1 + i % 7).collect();
    let asked = counts.clone();
    let asking = tokio::spawn(async move { asker.ask(&asked).await });
    let mut received = Vec::new();
    while replies.receive(&mut received).await.unwrap() > 0 {
        assert!(received.len() <= counts.len());
    }
    asking.await.unwrap().unwrap();
    assert_eq!(received.iter().map(|reply| reply.count).collect::<Vec<_>>(), counts);
    let mut last = Timestamp::default();
    for reply in &received {
        let first = Timestamp { logical: reply.timestamp.logical - reply.count + 1, ..reply.timestamp };
        assert!(first > last, "{first:?} after {last:?}");
        last = reply.timestamp;
    }
    let counters = bench.tso.counters();
    assert_eq!(counters.requests.load(Ordering::Relaxed), 20_000);
    assert_eq!(
        counters.timestamps.load(Ordering::Relaxed),
        counts.iter().map(|count| u64::from(*count)).sum::<u64>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_two_streams_get_the_same() {
    let bench = bench();
    bench.tso.set_standing(window(60_000));
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let tso = bench.tso.clone();
        tasks.push(tokio::spawn(async move {
            let mut mine = Vec::new();
            for _ in 0..500 {
                mine.push(tso.request(3).await.unwrap());
            }
            mine
        }));
    }
    let mut all = BTreeSet::new();
    for task in tasks {
        for reply in task.await.unwrap() {
            for back in 0..reply.count {
                let timestamp = Timestamp { logical: reply.timestamp.logical - back, ..reply.timestamp };
                assert!(all.insert(timestamp), "{timestamp:?} twice");
            }
        }
    }
    assert_eq!(all.len(), 8 * 500 * 3);
}

#[tokio::test]
async fn a_member_that_does_not_lead_refuses_at_once_and_a_new_leader_holds() {
    let bench = bench();
    assert_eq!(bench.tso.request(1).await, Err(TsoError::NotLeader));
    bench.tso.set_standing(Standing::Preparing);
    let (mut asker, mut replies) = bench.tso.open();
    asker.ask(&[5]).await.unwrap();
    bench.tso.set_standing(window(60_000));
    let mut received = Vec::new();
    assert_eq!(replies.receive(&mut received).await, Ok(1));
    // Held without becoming ready: refused in the end.
    bench.tso.set_standing(Standing::Preparing);
    assert_eq!(bench.tso.request(1).await, Err(TsoError::NotLeader));
    // Losing the lead refuses what is held, at once.
    let (mut asker, mut replies) = bench.tso.open();
    asker.ask(&[1, 2]).await.unwrap();
    bench.tso.set_standing(Standing::Following);
    assert_eq!(replies.receive(&mut received).await, Err(TsoError::NotLeader));
    assert_eq!(asker.ask(&[1]).await, Err(TsoError::NotLeader));
}

#[tokio::test]
async fn nothing_is_given_without_the_lease() {
    let bench = bench();
    bench.tso.set_standing(window(60_000));
    bench.tso.request(1).await.unwrap();
    bench.lease.store(false, Ordering::SeqCst);
    assert_eq!(bench.tso.request(1).await, Err(TsoError::NotLeader));
    let (mut asker, mut replies) = bench.tso.open();
    asker.ask(&[1]).await.unwrap();
    bench.lease.store(true, Ordering::SeqCst);
    assert_eq!(replies.receive(&mut Vec::new()).await, Ok(1), "earned again within the second");
}

#[tokio::test]
async fn a_reached_bound_waits_for_a_higher_one() {
    let bench = bench();
    let start_ms = wall_ms();
    let narrow = Window { term: 1, start_ms, bound_ms: start_ms + 1 };
    bench.tso.set_standing(Standing::Serving(narrow));
    let (mut asker, mut replies) = bench.tso.open();
    asker.ask(&[LOGICAL_END - 1, 1, 1]).await.unwrap();
    let mut received = Vec::new();
    assert_eq!(replies.receive(&mut received).await, Ok(1));
    bench.tso.bound_wanted().await;
    bench.tso.set_standing(Standing::Serving(Window { bound_ms: start_ms + 10_000, ..narrow }));
    while received.len() < 3 {
        replies.receive(&mut received).await.unwrap();
    }
    assert!(received[1].timestamp.physical_ms > start_ms);
    // A bound that nobody raises ends the wait with an error of its own.
    bench.tso.set_standing(Standing::Serving(narrow));
    assert_eq!(bench.tso.request(1).await, Err(TsoError::BoundReached));
}

#[tokio::test]
async fn counts_that_no_millisecond_holds_are_refused() {
    let bench = bench();
    bench.tso.set_standing(window(60_000));
    for count in [0, LOGICAL_END, u32::MAX] {
        assert_eq!(bench.tso.request(count).await, Err(TsoError::Count(count)));
    }
    let (mut asker, mut replies) = bench.tso.open();
    assert_eq!(asker.ask(&[2, 3, 0, 4]).await, Err(TsoError::Count(0)));
    drop(asker);
    let mut received = Vec::new();
    while replies.receive(&mut received).await.unwrap() > 0 {}
    assert_eq!(
        received.iter().map(|reply| reply.count).collect::<Vec<_>>(),
        [2, 3],
        "those before are answered"
    );
    assert_eq!(TsoError::Count(0).to_string(), "tso count must be between 1 and 262143, not 0");
}

#[tokio::test]
async fn a_slow_reader_slows_its_asker_and_nobody_else() {
    let bench = bench();
    bench.tso.set_standing(window(60_000));
    let (mut slow, replies) = bench.tso.open();
    slow.ask(&[1; STREAM_PENDING_MAX]).await.unwrap();
    let more = slow.ask(&[1]);
    tokio::pin!(more);
    assert!(futures::poll!(&mut more).is_pending(), "asked beyond the bound");
    bench.tso.request(1).await.unwrap();
    assert!(futures::poll!(&mut more).is_pending());
    drop(replies);
    assert_eq!(more.await, Err(TsoError::Closed));
}
