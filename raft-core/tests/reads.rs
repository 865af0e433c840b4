//! ReadIndex: linearisable or an error, never a hang.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it set it up")]

mod cluster;

use std::time::Duration;

use cluster::wire::kind;
use cluster::{Cluster, GROUP, eventually, pd};
use proto::eraftpb::MessageType;
use raft_core::{GroupConfig, ProposeError, Role};

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_reads_and_others_name_it() {
    let cluster = Cluster::bootstrapped(3, pd).await;
    cluster.write("a").await;
    let leader = cluster.leader().await;
    let reads = (0..500).map(|_| cluster.handle(leader)).map(|h| async move { h.read_index(GROUP).await });
    for result in futures::future::join_all(reads).await {
        result.unwrap();
    }
    let follower = (1..=3).find(|id| *id != leader).unwrap();
    assert_eq!(cluster.handle(follower).read_index(GROUP).await, Err(ProposeError::NotLeader { leader }));
    assert_eq!(cluster.handle(leader).read_index(99).await, Err(ProposeError::NoGroup));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_one_reads() {
    let cluster = Cluster::bootstrapped(1, pd).await;
    cluster.write("a").await;
    cluster.handle(1).read_index(GROUP).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposed_leader_fails_its_reads_instead_of_answering_the_past() {
    let cluster = Cluster::bootstrapped(3, pd).await;
    cluster.write("old").await;
    let old = cluster.leader().await;
    let rest: Vec<u64> = (1..=3).filter(|id| *id != old).collect();
    cluster.wire.isolate(old, &rest);
    let reads: Vec<_> = (0..10)
        .map(|_| {
            let handle = cluster.handle(old);
            tokio::spawn(async move { handle.read_index(GROUP).await })
        })
        .collect();
    let new = cluster.leader_among(&rest).await;
    cluster.handle(new).propose(GROUP, None, "new".into()).await.unwrap();
    for read in reads {
        let result = read.await.unwrap();
        assert!(matches!(result, Err(ProposeError::NotLeader { .. })), "{result:?}");
    }
    // A proposal that went to it is of unknown outcome, and turns out lost.
    cluster.wire.heal();
    cluster.holds(old, &["old", "new"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_on_a_cut_off_leader_ends_as_unknown() {
    let cluster = Cluster::bootstrapped(3, pd).await;
    let old = cluster.leader().await;
    let rest: Vec<u64> = (1..=3).filter(|id| *id != old).collect();
    cluster.wire.isolate(old, &rest);
    let lost = cluster.handle(old).propose(GROUP, None, "lost".into()).await;
    assert!(matches!(lost, Err(ProposeError::Unknown | ProposeError::NotLeader { .. })), "{lost:?}");
    let new = cluster.leader_among(&rest).await;
    cluster.handle(new).propose(GROUP, None, "kept".into()).await.unwrap();
    cluster.wire.heal();
    cluster.holds(old, &["kept"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_has_committed_nothing_of_its_term_makes_reads_wait() {
    let mut cluster = Cluster { wire: cluster::Wire::new(), members: Vec::new(), config: pd };
    // Nothing can be committed: the leader beats and is answered, its appends are not.
    cluster.wire.watch(|envelope| kind(envelope) != MessageType::MsgAppendResponse);
    for id in 1..=3 {
        cluster.add(id);
    }
    for id in 1..=3 {
        cluster.begin(id, raft_core::Start::Bootstrap(cluster::voters(&[1, 2, 3]))).await;
    }
    let leader =
        eventually("one leads", || (1..=3).find(|id| cluster.status(*id).role == Role::Leader)).await;
    let handle = cluster.handle(leader);
    let mut read = tokio::spawn(async move { handle.read_index(GROUP).await });
    let early = tokio::time::timeout(Duration::from_millis(200), &mut read).await;
    assert!(early.is_err(), "{early:?}");
    cluster.wire.unwatch();
    read.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_waits_until_what_was_committed_before_it_is_applied() {
    // Without a lease there are no probes: what is committed next is the record.
    let cluster = Cluster::bootstrapped(3, |id| GroupConfig { lease: false, ..pd(id) }).await;
    let index = cluster.write("a").await.index;
    let leader = cluster.leader().await;
    cluster.member(leader).book.stall();
    let handle = cluster.handle(leader);
    let write = tokio::spawn(async move { handle.propose(GROUP, None, "b".into()).await });
    eventually("it is committed", || (cluster.status(leader).committed > index).then_some(())).await;
    let handle = cluster.handle(leader);
    let read = tokio::spawn(async move { handle.read_index(GROUP).await });
    cluster.member(leader).book.release();
    read.await.unwrap().unwrap();
    assert!(cluster.member(leader).book.records().contains(&"b".to_owned()));
    write.await.unwrap().unwrap();
}
