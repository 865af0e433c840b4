//! Rule 1 with real runtimes: who may answer when, and who may not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it set it up")]

mod cluster;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cluster::wire::kind;
use cluster::{Cluster, GROUP, eventually, pd};
use parking_lot::Mutex;
use proto::eraftpb::{Message, MessageType};
use proto::raftcore::Envelope;
use raft_core::{BootTime, GroupConfig, Lease, ProposeError, Role};

/// Looks all the time whether two members hold a lease at the same instant.
struct Witness {
    stop: Arc<AtomicBool>,
    looks: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<Option<String>>,
}

impl Witness {
    fn new(leases: Vec<Arc<Lease>>) -> Self {
        let (stop, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, seen) = (stop.clone(), looks.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // Read backwards from one instant: a lease that holds at `now` held when it was read.
                let now = BootTime::now();
                let held: Vec<Option<u64>> = leases.iter().map(|l| l.check(now)).collect();
                if held.iter().flatten().count() > 1 {
                    return Some(format!("at {now:?}: {held:?}"));
                }
                seen.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_micros(200));
            }
            None
        });
        Self { stop, looks, thread }
    }

    fn verdict(self) -> Option<String> {
        self.stop.store(true, Ordering::Relaxed);
        assert!(self.looks.load(Ordering::Relaxed) > 100);
        self.thread.join().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_isolated_leaders_lease_ends_before_the_next_leader_has_one() {
    let cluster = Cluster::bootstrapped(3, pd).await;
    let witness = Witness::new((1..=3).map(|id| cluster.handle(id).lease(GROUP).unwrap()).collect());
    for _ in 0..5 {
        let old = cluster.leader().await;
        let term = eventually("the leader holds it", || cluster.member(old).leased()).await;
        assert_eq!(term, cluster.status(old).term);
        let rest: Vec<u64> = (1..=3).filter(|id| *id != old).collect();
        cluster.wire.isolate(old, &rest);
        let new = cluster.leader_among(&rest).await;
        eventually("the new leader holds it", || cluster.member(new).leased()).await;
        assert_eq!(cluster.member(old).leased(), None);
        cluster.wire.heal();
        eventually("the old one follows", || (cluster.status(old).leader == new).then_some(())).await;
    }
    assert_eq!(witness.verdict(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_leader_keeps_it_by_probes() {
    let cluster = Cluster::bootstrapped(3, pd).await;
    let leader = cluster.leader().await;
    eventually("the lease", || cluster.member(leader).leased()).await;
    let applied = cluster.status(leader).applied;
    eventually("probes are written", || (cluster.status(leader).applied >= applied + 3).then_some(())).await;
    assert!(cluster.member(leader).book.records().is_empty(), "a probe carries nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_hangs_ends_it_though_everyone_still_answers() {
    let cluster = Cluster::bootstrapped(3, pd).await;
    let leader = cluster.leader().await;
    let term = eventually("the lease", || cluster.member(leader).leased()).await;
    cluster.member(leader).book.stall();
    let handle = cluster.handle(leader);
    let write = tokio::spawn(async move { handle.propose(GROUP, None, "a".into()).await });
    eventually("the lease ends", || cluster.member(leader).leased().is_none().then_some(())).await;
    assert_eq!((cluster.status(leader).role, cluster.status(leader).term), (Role::Leader, term));
    cluster.member(leader).book.release();
    write.await.unwrap().unwrap();
    assert_eq!(eventually("it is back", || cluster.member(leader).leased()).await, term);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_timeout_now_there_is_none_and_the_leader_steps_down() {
    let cluster = Cluster::bootstrapped(3, pd).await;
    let leader = cluster.leader().await;
    let term = eventually("the lease", || cluster.member(leader).leased()).await;
    // The message that would elect the target is lost: nobody takes over.
    let lease = cluster.handle(leader).lease(GROUP).unwrap();
    let seen: Arc<Mutex<Vec<Option<u64>>>> = Arc::default();
    let sightings = seen.clone();
    cluster.wire.watch(move |envelope| {
        let lost = kind(envelope) == MessageType::MsgTimeoutNow;
        if lost {
            // On the leader's own thread, before the message is gone.
            sightings.lock().push(lease.check(BootTime::now()));
        }
        !lost
    });
    let target = (1..=3).find(|id| *id != leader).unwrap();
    let handle = cluster.handle(leader);
    let transfer = tokio::spawn(async move { handle.transfer_leader(GROUP, target).await });
    eventually("the message leaves", || (!seen.lock().is_empty()).then_some(())).await;
    assert_eq!(*seen.lock(), [None], "the lease was over before it left");
    let refused = cluster.handle(leader).propose(GROUP, None, "a".into()).await;
    assert!(matches!(refused, Err(ProposeError::Busy(_) | ProposeError::NotLeader { .. })), "{refused:?}");
    eventually("it steps down", || {
        let status = cluster.status(leader);
        let leased = cluster.member(leader).leased();
        assert!(leased != Some(term), "a lease in the term that was given away");
        (status.role != Role::Leader || status.term != term).then_some(())
    })
    .await;
    assert!(transfer.await.unwrap().is_err());
    cluster.wire.unwatch();
    cluster.write("a").await;
}

/// Three seconds of silence after a start: long enough for a slow machine to send its question in time.
fn patient(id: u64) -> GroupConfig {
    GroupConfig { election_tick: 300, ..GroupConfig::pd(id) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_member_gives_no_vote_for_one_election_timeout() {
    let mut cluster = Cluster::bootstrapped(1, patient).await;
    cluster.write("a").await;
    let term = cluster.status(1).term;
    cluster.kill(1);
    let answers: Arc<AtomicU64> = Arc::default();
    let counted = answers.clone();
    cluster.wire.watch(move |envelope| {
        if kind(envelope) == MessageType::MsgRequestVoteResponse {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        true
    });
    let started = BootTime::now();
    cluster.restart(1).await;
    // Even a vote request that overrules raft-rs's own check.
    let ask = |term| {
        let message = Message {
            msg_type: MessageType::MsgRequestVote as i32,
            from: 2,
            to: 1,
            term,
            log_term: term,
            index: 1_000_000,
            context: "CampaignTransfer".into(),
            ..Message::default()
        };
        cluster.wire.deliver(Envelope { group_id: GROUP, message: Some(message), ..Envelope::default() });
    };
    ask(term + 100);
    cluster.write("b").await;
    assert!(cluster.status(1).term < term + 100, "the question was not even looked at");
    eventually("the silence is over", || {
        (BootTime::now() > started + Duration::from_millis(3_100)).then_some(())
    })
    .await;
    assert_eq!(answers.load(Ordering::Relaxed), 0);
    eventually("now it answers", || {
        ask(term + 200);
        (answers.load(Ordering::Relaxed) > 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_keeps_none() {
    let cluster = Cluster::bootstrapped(1, GroupConfig::region).await;
    cluster.write("a").await;
    assert!(cluster.handle(1).lease(GROUP).is_none());
}
