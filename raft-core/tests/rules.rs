//! What raft-rs must not see, and what it must survive: one test a fact of the rules.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it set it up")]

mod cluster;

use std::sync::Arc;
use std::time::Duration;

use cluster::wire::kind;
use cluster::{Cluster, GROUP, eventually, pd};
use parking_lot::Mutex;
use proto::eraftpb::{Entry, Message, MessageType};
use proto::raftcore::Envelope;
use raft_core::{Error, Role, Runtime, RuntimeConfig};

fn envelope(message: Message) -> Envelope {
    Envelope { group_id: GROUP, message: Some(message), ..Envelope::default() }
}

fn follower_of(leader: u64) -> u64 {
    (1..=3).find(|id| *id != leader).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_4_proposals_from_the_network_are_dropped() {
    let cluster = Cluster::bootstrapped(3, pd).await;
    let leader = cluster.leader().await;
    let term = cluster.status(leader).term;
    let entries = vec![Entry { data: "forwarded".into(), ..Entry::default() }];
    for term in [0, term] {
        let msg_type = MessageType::MsgPropose as i32;
        let from = follower_of(leader);
        let message =
            Message { msg_type, from, to: leader, term, entries: entries.clone(), ..Message::default() };
        cluster.wire.deliver(envelope(message));
    }
    cluster.write("own").await;
    cluster.holds(leader, &["own"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_5_a_machine_ahead_of_the_synced_commit_starts() {
    let mut cluster = Cluster::bootstrapped(1, pd).await;
    for n in 0..20 {
        cluster.write(&n.to_string()).await;
    }
    // The commit of the last entries is in no synced write yet; the machine is durable right up to them.
    cluster.member(1).book.save().unwrap();
    cluster.kill(1);
    cluster.restart(1).await;
    cluster.write("more").await;
    assert_eq!(cluster.member(1).book.records().len(), 21);
    assert!(!cluster.member(1).book.applied_twice());
}

/// The newest file of a member's log.
fn log_file(cluster: &Cluster, id: u64) -> std::path::PathBuf {
    let folder = std::fs::read_dir(cluster.member(id).dir.path().join("raft/log")).unwrap();
    let files = folder.map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|e| e == "raftlog")).max().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_3_a_torn_write_is_cut_and_a_damaged_record_stops_the_member() {
    let mut cluster = Cluster::bootstrapped(3, pd).await;
    let all: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    for record in &all {
        cluster.write(record).await;
    }
    let member = follower_of(cluster.leader().await);
    cluster.kill(member);
    let file = log_file(&cluster, member);
    let good = std::fs::read(&file).unwrap();
    for at in [good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&file, &bad).unwrap();
        let config = RuntimeConfig::pd(cluster.member(member).dir.path().join("raft"));
        let refused = Runtime::start(config, cluster.wire.clone(), Box::new(|_| {})).err().unwrap();
        assert!(matches!(refused, Error::Damaged { .. }), "{refused}");
        assert_eq!(std::fs::read(&file).unwrap(), bad);
    }
    // What the kill broke off: the beginning of one more record. (Nothing that was acknowledged may go.)
    std::fs::write(&file, [&good[..], &[0, 0, 0, 0, 0, 1, 2]].concat()).unwrap();
    cluster.restart(member).await;
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    cluster.holds(member, &all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_3_a_commit_beyond_the_log_is_no_reason_to_panic() {
    let cluster = Cluster::bootstrapped(3, pd).await;
    let leader = cluster.leader().await;
    let behind = follower_of(leader);
    let msg_type = MessageType::MsgHeartbeat as i32;
    let term = cluster.status(leader).term;
    let message = Message { msg_type, from: leader, to: behind, term, commit: 1 << 40, ..Message::default() };
    cluster.wire.deliver(envelope(message));
    cluster.write("a").await;
    cluster.holds(behind, &["a"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_13_a_rejection_below_what_is_matched_does_not_set_a_probe_back() {
    let cluster = Cluster::bootstrapped(3, pd).await;
    for n in 0..10 {
        cluster.write(&n.to_string()).await;
    }
    let leader = cluster.leader().await;
    let member = follower_of(leader);
    let matched = eventually("all is matched", || {
        let status = cluster.status(leader);
        let found = status.progress.iter().find(|p| p.id == member).map(|p| p.matched);
        found.filter(|m| *m == status.last)
    })
    .await;
    let lowest: Arc<Mutex<u64>> = Arc::new(Mutex::new(u64::MAX));
    let seen = lowest.clone();
    cluster.wire.watch(move |envelope| {
        let message = envelope.message.as_ref().unwrap();
        if kind(envelope) == MessageType::MsgAppend && message.to == member {
            let mut lowest = seen.lock();
            *lowest = message.index.min(*lowest);
        }
        true
    });
    // An unreachable member is probed; then an old rejection comes in.
    cluster.handle(leader).report_unreachable(GROUP, member);
    for index in matched..matched + 4 {
        let message = Message {
            msg_type: MessageType::MsgAppendResponse as i32,
            from: member,
            to: leader,
            term: cluster.status(leader).term,
            index,
            reject: true,
            reject_hint: matched - 5,
            log_term: 1,
            ..Message::default()
        };
        cluster.wire.deliver(envelope(message));
    }
    cluster.write("after").await;
    eventually("it has it", || {
        let has = cluster.member(member).book.records().last().is_some_and(|r| r == "after");
        has.then_some(())
    })
    .await;
    assert!(*lowest.lock() >= matched, "appended from {} though {matched} is matched", *lowest.lock());
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_13_a_member_with_much_unapplied_does_not_campaign() {
    let cluster = Cluster::bootstrapped(3, pd).await;
    let leader = cluster.leader().await;
    let busy = follower_of(leader);
    let other = (1..=3).find(|id| *id != leader && *id != busy).unwrap();
    cluster.member(busy).book.stall();
    let handle = cluster.handle(leader);
    let writes = (0..5_000).map(|n: u32| {
        let handle = handle.clone();
        async move { handle.propose(GROUP, None, n.to_string().into()).await }
    });
    for result in futures::future::join_all(writes).await {
        result.unwrap();
    }
    eventually("it knows of them", || {
        let status = cluster.status(busy);
        (status.committed > status.applied + 4_500).then_some(())
    })
    .await;
    for id in 1..=3 {
        cluster.wire.isolate(id, &[1, 2, 3]);
    }
    eventually("the other one campaigns", || {
        (cluster.status(other).role == Role::PreCandidate).then_some(())
    })
    .await;
    // As long again as any election timeout may be.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(cluster.status(busy).role, Role::Follower);
    cluster.member(busy).book.release();
    eventually("then it does", || (cluster.status(busy).role == Role::PreCandidate).then_some(())).await;
    cluster.wire.heal();
    cluster.write("after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_from_the_network_is_dropped() {
    let cluster = Cluster::bootstrapped(3, pd).await;
    let leader = cluster.leader().await;
    let member = follower_of(leader);
    let term = cluster.status(leader).term;
    let entry = |index, term| Entry { index, term, data: "x".into(), ..Entry::default() };
    let append = |index, entries| Message {
        msg_type: MessageType::MsgAppend as i32,
        from: leader,
        to: member,
        term,
        index,
        log_term: 1,
        entries,
        ..Message::default()
    };
    let nonsense = [
        Message { msg_type: 77, from: leader, to: member, term, ..Message::default() },
        // Gaps, terms from the future, no term, a snapshot without its file, local messages.
        append(1, vec![entry(5, term)]),
        append(1, vec![entry(2, term), entry(4, term)]),
        append(1, vec![entry(2, term + 5)]),
        Message { term: 0, ..append(1, vec![entry(2, term)]) },
        Message { msg_type: MessageType::MsgSnapshot as i32, ..append(1, Vec::new()) },
        Message { msg_type: MessageType::MsgHup as i32, ..append(1, Vec::new()) },
        Message { msg_type: MessageType::MsgReadIndex as i32, ..append(1, Vec::new()) },
        Message { msg_type: MessageType::MsgTransferLeader as i32, ..append(1, Vec::new()) },
        Message { from: 0, ..append(1, Vec::new()) },
    ];
    for message in nonsense {
        cluster.wire.deliver(envelope(message));
    }
    cluster.handle(member).step(Envelope { group_id: GROUP, ..Envelope::default() });
    cluster.write("sense").await;
    cluster.holds(member, &["sense"]).await;
}
