//! Election, replication and restarts, with real runtimes and real disks.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it set it up")]

mod cluster;

use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use cluster::{Cluster, GROUP, Ledger, eventually, pd, voters};
use raft_core::{Error, ProposeError, Role, Runtime, RuntimeConfig, Start};

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_one_elects_itself_writes_and_comes_back_from_disk() {
    let mut cluster = Cluster::bootstrapped(1, pd).await;
    let first = cluster.write("a").await;
    assert_eq!(first.output, "1");
    cluster.write("b").await;
    let term = cluster.status(1).term;
    cluster.kill(1);
    assert!(cluster.member(1).book.records().is_empty(), "the machine flushed nothing");
    cluster.restart(1).await;
    cluster.holds(1, &["a", "b"]).await;
    cluster.write("c").await;
    assert!(cluster.status(1).term > term);
    assert!(!cluster.member(1).book.applied_twice());
}

#[tokio::test(flavor = "multi_thread")]
async fn three_members_agree_and_a_killed_one_catches_up() {
    let mut cluster = Cluster::bootstrapped(3, pd).await;
    cluster.write("a").await;
    let leader = cluster.leader().await;
    cluster.kill(leader);
    cluster.write("b").await;
    cluster.restart(leader).await;
    cluster.write("c").await;
    for id in 1..=3 {
        cluster.holds(id, &["a", "b", "c"]).await;
        assert!(!cluster.member(id).book.applied_twice());
    }
    let entries = cluster.member(1).book.entries();
    assert_eq!(entries, cluster.member(2).book.entries());
    assert_eq!(entries, cluster.member(3).book.entries());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_killed_and_restarted_hold_what_was_acknowledged() {
    let mut cluster = Cluster::bootstrapped(3, pd).await;
    let mut expected = Vec::new();
    for n in 0..200 {
        let record = n.to_string();
        cluster.write(&record).await;
        expected.push(record);
    }
    for id in 1..=3 {
        cluster.kill(id);
    }
    for id in 1..=3 {
        cluster.restart(id).await;
    }
    cluster.leader().await;
    for id in 1..=3 {
        eventually("all records", || (cluster.member(id).book.records() == expected).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proposals_are_taken_by_the_leader_of_the_named_term_only() {
    let cluster = Cluster::bootstrapped(3, pd).await;
    let leader = cluster.leader().await;
    let term = cluster.status(leader).term;
    let data = Bytes::from_static(b"x");
    let handle = cluster.handle(leader);
    handle.propose(GROUP, Some(term), data.clone()).await.unwrap();
    let stale = handle.propose(GROUP, Some(term - 1), data.clone()).await;
    assert_eq!(stale, Err(ProposeError::StaleTerm { asked: term - 1, term }));
    let follower = (1..=3).find(|id| *id != leader).unwrap();
    let refused = cluster.handle(follower).propose(GROUP, None, data.clone()).await;
    assert_eq!(refused, Err(ProposeError::NotLeader { leader }));
    assert_eq!(handle.propose(99, None, data).await, Err(ProposeError::NoGroup));
    let huge = handle.propose(GROUP, None, vec![0; (16 << 20) + 1].into()).await.unwrap_err();
    assert!(huge.to_string().contains("16777217"), "{huge}");
}

#[tokio::test(flavor = "multi_thread")]
async fn big_loads_go_through_in_order() {
    let cluster = Cluster::bootstrapped(3, pd).await;
    let leader = cluster.leader().await;
    let handle = cluster.handle(leader);
    let writes = (0..2_000).map(|n| {
        let handle = handle.clone();
        let record = format!("{n:>2000}");
        async move { handle.propose(GROUP, None, record.into()).await }
    });
    for result in futures::future::join_all(writes).await {
        result.unwrap();
    }
    let counters = handle.counters();
    let (syncs, entries) = (counters.log_syncs.load(Relaxed), counters.entries_appended.load(Relaxed));
    assert!(entries >= 2_000 && syncs < entries, "{syncs} syncs for {entries} entries");
    for id in 1..=3 {
        eventually("2,000 records", || (cluster.member(id).book.records().len() == 2_000).then_some(()))
            .await;
        assert_eq!(cluster.member(1).book.entries(), cluster.member(id).book.entries());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_write_after_another_is_one_sync_each() {
    let cluster = Cluster::bootstrapped(1, pd).await;
    let leader = cluster.leader().await;
    let before = cluster.handle(leader).counters().log_syncs.load(Relaxed);
    for n in 0..100 {
        cluster.write(&n.to_string()).await;
    }
    assert!(cluster.handle(leader).counters().log_syncs.load(Relaxed) >= before + 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_groups_share_their_syncs() {
    let mut cluster = Cluster::bootstrapped(1, pd).await;
    cluster.leader().await;
    let handle = cluster.handle(1);
    let dir = tempfile::tempdir().unwrap();
    let books: Vec<_> = (100..300).map(|g| cluster::Book::open(dir.path().join(g.to_string()))).collect();
    for (book, group) in books.iter().zip(100..) {
        let ledger = Box::new(Ledger::new(book.clone()));
        handle
            .create(group, raft_core::GroupConfig::region(1), Start::Bootstrap(voters(&[1])), ledger)
            .await
            .unwrap();
    }
    let counters = handle.counters();
    let (syncs, entries) = (counters.log_syncs.load(Relaxed), counters.entries_appended.load(Relaxed));
    for round in 0..10 {
        let writes = (100..300).map(|group| {
            let handle = handle.clone();
            async move { handle.propose(group, None, round.to_string().into()).await }
        });
        for result in futures::future::join_all(writes).await {
            result.unwrap();
        }
    }
    let syncs = counters.log_syncs.load(Relaxed) - syncs;
    let entries = counters.entries_appended.load(Relaxed) - entries;
    assert!(entries >= 2_000, "{entries}");
    assert!(syncs * 10 < entries, "{syncs} syncs for {entries} entries");
    assert!(books.iter().all(|b| b.records().len() == 10));
    // All of them come back from the one log.
    cluster.kill(1);
    cluster.up(1);
    let mut on_disk = cluster.member(1).runtime.as_ref().unwrap().groups_on_disk();
    on_disk.retain(|g| *g != GROUP);
    assert_eq!(on_disk, (100..300).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_runtime_on_the_same_folder_is_refused() {
    let cluster = Cluster::bootstrapped(1, pd).await;
    let config = RuntimeConfig::pd(cluster.member(1).dir.path().join("raft"));
    let refused = Runtime::start(config, cluster.wire.clone(), Box::new(|_| {}));
    match refused {
        Err(Error::Folder { dir, .. }) => assert!(dir.contains("raft"), "{dir}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("two runtimes on one log"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_created_once_and_destroyed_in_order() {
    let mut cluster = Cluster::bootstrapped(1, pd).await;
    cluster.write("a").await;
    let handle = cluster.handle(1);
    let ledger = || Box::new(Ledger::new(cluster.member(1).book.clone()));
    let again = handle.create(GROUP, pd(1), Start::Restart, ledger()).await;
    assert!(matches!(again, Err(Error::GroupExists(GROUP))), "{again:?}");
    handle.destroy(GROUP).await.unwrap();
    assert!(cluster.member(1).book.destroyed());
    assert!(handle.status(GROUP).is_none());
    assert!(cluster.member(1).runtime.as_ref().unwrap().groups_on_disk().is_empty());
    assert!(matches!(handle.destroy(GROUP).await, Err(Error::NoGroup(GROUP))));
    assert_eq!(handle.propose(GROUP, None, "x".into()).await, Err(ProposeError::NoGroup));
    // Rule 3: its log is gone, so its machine must not come back under the same raft id.
    let back = handle.create(GROUP, pd(1), Start::Restart, ledger()).await;
    assert!(matches!(back, Err(Error::Inconsistent { group: GROUP, .. })), "{back:?}");
    cluster.kill(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_quorum_leads_nothing() {
    let mut cluster = Cluster::bootstrapped(3, pd).await;
    let leader = cluster.leader().await;
    for id in (1..=3).filter(|id| *id != leader) {
        cluster.kill(id);
    }
    eventually("it steps down", || (cluster.status(leader).role != Role::Leader).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_slow_machine_has_not_applied_waits_in_the_log() {
    let cluster = Cluster::bootstrapped(3, pd).await;
    cluster.write("first").await;
    let leader = cluster.leader().await;
    let slow = (1..=3).find(|id| *id != leader).unwrap();
    cluster.holds(slow, &["first"]).await;
    cluster.member(slow).book.stall();
    // More than may be on its way to the machine, and more than the memory cache holds.
    let mut expected = vec!["first".to_owned()];
    for n in 0..60 {
        let record = format!("{n}{}", "x".repeat(1_000_000));
        cluster.write(&record).await;
        expected.push(record);
    }
    cluster.member(slow).book.release();
    eventually("it has all, in order", || (cluster.member(slow).book.records() == expected).then_some(()))
        .await;
    assert!(!cluster.member(slow).book.applied_twice());
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_groups_leave_the_thread_to_the_one_that_works() {
    let mut cluster =
        Cluster { wire: cluster::Wire::new(), members: Vec::new(), config: raft_core::GroupConfig::region };
    cluster.add(1);
    let handle = cluster.handle(1);
    let dir = tempfile::tempdir().unwrap();
    let begun = (1_000..11_000).map(|group| {
        let handle = handle.clone();
        let ledger = Box::new(Ledger::new(cluster::Book::open(dir.path().join(group.to_string()))));
        let config = raft_core::GroupConfig::region(1);
        async move { handle.create(group, config, Start::Bootstrap(voters(&[1])), ledger).await }
    });
    for result in futures::future::join_all(begun).await {
        result.unwrap();
    }
    eventually("all lead", || {
        let leads = |group| handle.status(group).is_some_and(|s| s.borrow().role == Role::Leader);
        (1_000..11_000).all(leads).then_some(())
    })
    .await;
    // An idle group writes nothing: what is appended now belongs to the one that works.
    let entries = || handle.counters().entries_appended.load(Relaxed);
    let before = entries();
    for n in 0..50_u64 {
        handle.propose(1_000 + n, None, "x".into()).await.unwrap();
    }
    assert_eq!(entries(), before + 50);
}
