//! Handing over the lead (rule 11).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it set it up")]

mod cluster;

use cluster::wire::kind;
use cluster::{Cluster, GROUP, change, eventually, pd};
use proto::eraftpb::ConfChangeType::AddLearnerNode;
use proto::eraftpb::MessageType;
use raft_core::{Busy, GroupConfig, ProposeError, Role, Start};

async fn is_refused(cluster: &Cluster, to: u64, word: &str) {
    let leader = cluster.leader().await;
    match cluster.handle(leader).transfer_leader(GROUP, to).await {
        Err(ProposeError::Refused(reason)) => assert!(reason.contains(word), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lead_goes_to_whom_it_is_given_and_then_rests() {
    let cluster = Cluster::bootstrapped(3, pd).await;
    cluster.write("a").await;
    let old = cluster.leader().await;
    let new = (1..=3).find(|id| *id != old).unwrap();
    let term = cluster.status(old).term;
    cluster.handle(old).transfer_leader(GROUP, new).await.unwrap();
    assert_eq!(cluster.leader().await, new);
    assert_eq!(cluster.status(new).term, term + 1);
    cluster.write("b").await;
    // Itself is a target that needs nothing.
    cluster.handle(new).transfer_leader(GROUP, new).await.unwrap();
    let not_leader = cluster.handle(old).transfer_leader(GROUP, new).await;
    assert_eq!(not_leader, Err(ProposeError::NotLeader { leader: new }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_beats_rarely_is_pinged_first() {
    // The next beat is further away than a transfer waits.
    let rare = |id| GroupConfig { heartbeat_tick: 90, election_tick: 300, lease: false, ..pd(id) };
    let cluster = Cluster::bootstrapped(3, rare).await;
    let old = cluster.leader().await;
    let new = (1..=3).find(|id| *id != old).unwrap();
    eventually("it is silent", || {
        let progress = cluster.status(old).progress;
        progress.iter().any(|p| p.id == new && (150..350).contains(&p.heard_ms)).then_some(())
    })
    .await;
    cluster.handle(old).transfer_leader(GROUP, new).await.unwrap();
    eventually("it leads", || (cluster.status(new).role == Role::Leader).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn learners_strangers_and_the_silent_are_refused_and_writes_go_on() {
    let mut cluster = Cluster::bootstrapped(3, pd).await;
    cluster.add(4);
    cluster.begin(4, Start::Empty).await;
    cluster.change(change(&[(AddLearnerNode, 4)])).await.unwrap();
    is_refused(&cluster, 4, "no voter").await;
    is_refused(&cluster, 99, "no voter").await;
    let leader = cluster.leader().await;
    let dead = (1..=3).find(|id| *id != leader).unwrap();
    cluster.kill(dead);
    eventually("it is missed", || {
        let silent = cluster.status(leader).progress.iter().any(|p| p.id == dead && p.heard_ms > 500);
        silent.then_some(())
    })
    .await;
    is_refused(&cluster, dead, "not heard").await;
    cluster.write("a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_lacks_entries_is_refused_and_the_leader_stays() {
    let cluster = Cluster::bootstrapped(3, pd).await;
    let leader = cluster.leader().await;
    let behind = (1..=3).find(|id| *id != leader).unwrap();
    cluster.wire.watch(move |envelope| {
        let to = envelope.message.as_ref().unwrap().to;
        !(kind(envelope) == MessageType::MsgAppend && to == behind)
    });
    cluster.write("a").await;
    is_refused(&cluster, behind, "has entries up to").await;
    assert_eq!(cluster.leader().await, leader);
    cluster.write("b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_and_no_proposals_meanwhile() {
    let cluster = Cluster::bootstrapped(3, |id| GroupConfig { election_tick: 100, ..pd(id) }).await;
    let leader = cluster.leader().await;
    cluster.wire.watch(|envelope| kind(envelope) != MessageType::MsgTimeoutNow);
    let (first, second) = match leader {
        1 => (2, 3),
        2 => (1, 3),
        _ => (1, 2),
    };
    let handle = cluster.handle(leader);
    // Both are in the inbox before the first can end.
    let (one, two, write) = tokio::join!(
        handle.transfer_leader(GROUP, first),
        handle.transfer_leader(GROUP, second),
        handle.propose(GROUP, None, "a".into()),
    );
    assert_eq!(two, Err(ProposeError::Busy(Busy::Transferring)));
    assert_eq!(write, Err(ProposeError::Busy(Busy::Transferring)));
    assert!(one.is_err(), "{one:?}");
}
