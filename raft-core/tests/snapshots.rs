//! Newcomers and laggards get snapshots once the log is cut.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it set it up")]

mod cluster;

use std::sync::atomic::Ordering;

use cluster::{Cluster, change, eventually};
use proto::eraftpb::ConfChangeType;
use raft_core::{GroupConfig, Start};

/// Cuts the log early.
fn short(id: u64) -> GroupConfig {
    GroupConfig { log_keep: 10, ..GroupConfig::pd(id) }
}

async fn write_many(cluster: &Cluster, range: std::ops::Range<u32>) {
    for n in range {
        cluster.write(&n.to_string()).await;
    }
}

async fn received(cluster: &Cluster, id: u64, snapshots: u64) {
    let counters = cluster.handle(id).counters().clone();
    let count = || counters.snapshots_received.load(Ordering::Relaxed);
    eventually("snapshots are counted", || (count() == snapshots).then_some(())).await;
}

async fn log_is_cut(cluster: &Cluster, above: u64) {
    let leader = cluster.leader().await;
    eventually("the log is cut", || (cluster.status(leader).first > above).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_laggard_whose_entries_were_cut_catches_up_by_snapshot_and_survives_a_kill() {
    let mut cluster = Cluster::bootstrapped(3, short).await;
    write_many(&cluster, 0..5).await;
    let leader = cluster.leader().await;
    let behind = (1..=3).find(|id| *id != leader).unwrap();
    let last = cluster.status(behind).last;
    cluster.kill(behind);
    write_many(&cluster, 5..105).await;
    log_is_cut(&cluster, last + 1).await;
    // The snapshot overtakes entries that its machine is still busy with.
    cluster.up(behind);
    cluster.member(behind).book.stall();
    cluster.begin(behind, Start::Restart).await;
    eventually("the log takes the snapshot", || (cluster.status(behind).first > last + 1).then_some(()))
        .await;
    cluster.member(behind).book.release();
    let all: Vec<String> = (0..105).map(|n| n.to_string()).collect();
    let holds_all = |c: &Cluster, id| (c.member(id).book.records() == all).then_some(());
    eventually("it has all", || holds_all(&cluster, behind)).await;
    received(&cluster, behind, 1).await;
    // Its log begins behind the snapshot and holds together over a kill.
    cluster.kill(behind);
    cluster.restart(behind).await;
    cluster.write("more").await;
    eventually("it goes on", || (cluster.member(behind).book.records().len() == 106).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_behind_its_log_after_a_crash_installs_the_snapshot_again() {
    // The log took the snapshot, the machine did not come to it: what a kill between the two leaves behind.
    let mut cluster = Cluster::bootstrapped(3, short).await;
    let leader = cluster.leader().await;
    let behind = (1..=3).find(|id| *id != leader).unwrap();
    cluster.write("first").await;
    cluster.holds(behind, &["first"]).await;
    cluster.kill(behind);
    let others: Vec<u64> = (1..=3).filter(|id| *id != behind).collect();
    write_many(&cluster, 0..100).await;
    cluster.leader_among(&others).await;
    log_is_cut(&cluster, 10).await;
    cluster.up(behind);
    // Nothing is applied while the book is held, not even the replay of the log before the snapshot.
    cluster.member(behind).book.stall();
    cluster.begin(behind, Start::Restart).await;
    let first = eventually("the log takes the snapshot", || {
        let first = cluster.status(behind).first;
        (first > 10).then_some(first)
    })
    .await;
    assert!(cluster.member(behind).book.mark().index < first - 1);
    cluster.wire.unplug(behind);
    let book = cluster.member(behind).book.clone();
    let folder = cluster.handle(behind).snapshot_dir();
    let kept = |folder: &std::path::Path| {
        let names = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name());
        names.filter(|n| n.to_string_lossy().ends_with(".taken")).count()
    };
    assert_eq!(kept(&folder), 1);
    // A copy of the folder as a crash would leave it, taken up by another runtime.
    let crashed = cluster.member(behind).dir.path().join("crashed");
    copy(&cluster.member(behind).dir.path().join("raft"), &crashed);
    book.release();
    cluster.kill(behind);
    let live = cluster.member(behind).dir.path().join("raft");
    std::fs::remove_dir_all(&live).unwrap();
    std::fs::rename(&crashed, &live).unwrap();
    let _ = std::fs::remove_file(cluster.member(behind).dir.path().join("book"));
    // The machine has lost even its first record: the origin record is what brings the state back.
    let member = cluster.members.iter_mut().find(|m| m.id == behind).unwrap();
    member.book = cluster::Book::open(member.dir.path().join("book"));
    assert_eq!(member.book.mark().index, 0);
    cluster.restart(behind).await;
    eventually("it has all", || (cluster.member(behind).book.records().len() == 101).then_some(())).await;
    eventually("the file goes", || (kept(&folder) == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_needs_a_snapshot_even_while_the_log_is_whole() {
    let mut cluster = Cluster::bootstrapped(1, cluster::pd).await;
    cluster.write("a").await;
    cluster.add(2);
    cluster.begin(2, Start::Empty).await;
    cluster.change(change(&[(ConfChangeType::AddLearnerNode, 2)])).await.unwrap();
    cluster.holds(2, &["a"]).await;
    // From the log alone it would have missed the first membership.
    received(&cluster, 2, 1).await;
    assert_eq!(cluster.member(2).book.mark().conf_state.learners, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_not_installed_and_comes_again() {
    let mut cluster = Cluster::bootstrapped(1, short).await;
    write_many(&cluster, 0..50).await;
    cluster.add(2);
    cluster.begin(2, Start::Empty).await;
    cluster.wire.spoil_next_file();
    cluster.change(change(&[(ConfChangeType::AddLearnerNode, 2)])).await.unwrap();
    eventually("one was spoilt", || cluster.wire.spoilt().then_some(())).await;
    eventually("another came", || (cluster.member(2).book.records().len() == 50).then_some(())).await;
    received(&cluster, 2, 1).await;
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
