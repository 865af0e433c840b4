//! Changes of membership, simple and joint (rule 13).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it set it up")]

mod cluster;

use cluster::{Cluster, GROUP, change, eventually, pd};
use proto::eraftpb::ConfChangeType::{AddLearnerNode, AddNode, RemoveNode};
use proto::eraftpb::{ConfChangeV2, ConfState};
use raft_core::{BootTime, ProposeError, Start};

async fn everyone_sees(cluster: &Cluster, ids: &[u64], expected: &ConfState) {
    for id in ids {
        eventually(&format!("{id} sees {expected:?}"), || {
            let member = cluster.member(*id);
            (member.status().conf_state == *expected && member.book.mark().conf_state == *expected)
                .then_some(())
        })
        .await;
    }
}

/// One member, two learners beside it, both promoted by one joint change that is still to be left.
async fn joint_of_three() -> Cluster {
    let mut cluster = Cluster::bootstrapped(1, pd).await;
    cluster.write("a").await;
    for id in 2..=3 {
        cluster.add(id);
        cluster.begin(id, Start::Empty).await;
        cluster.change(change(&[(AddLearnerNode, id)])).await.unwrap();
    }
    for id in 2..=3 {
        cluster.holds(id, &["a"]).await;
    }
    cluster.change(change(&[(AddNode, 2), (AddNode, 3)])).await.unwrap();
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn one_becomes_three_by_learners_and_one_joint_change() {
    let cluster = joint_of_three().await;
    let joint = ConfState { voters: vec![1, 2, 3], voters_outgoing: vec![1], ..ConfState::default() };
    everyone_sees(&cluster, &[1, 2, 3], &joint).await;
    // Joint is left explicitly, never by itself, and nothing else happens before.
    let refused = cluster.change(change(&[(RemoveNode, 3)])).await.unwrap_err();
    assert!(refused.to_string().contains("joint"), "{refused}");
    cluster.write("while joint").await;
    assert_eq!(cluster.status(1).conf_state, joint);
    cluster.change(ConfChangeV2::default()).await.unwrap();
    let three = ConfState { voters: vec![1, 2, 3], ..ConfState::default() };
    everyone_sees(&cluster, &[1, 2, 3], &three).await;
    cluster.write("b").await;
    cluster.holds(3, &["a", "while joint", "b"]).await;
    let refused = cluster.change(ConfChangeV2::default()).await.unwrap_err();
    assert!(refused.to_string().contains("nothing to leave"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_leader_leaves_the_joint_membership_that_it_finds() {
    let mut cluster = joint_of_three().await;
    cluster.change(ConfChangeV2::default()).await.unwrap();
    let three = ConfState { voters: vec![1, 2, 3], ..ConfState::default() };
    everyone_sees(&cluster, &[1, 2, 3], &three).await;
    // Into joint again: 3 is to become a learner. Then whoever ordered it dies.
    cluster.add(4);
    cluster.begin(4, Start::Empty).await;
    cluster.change(change(&[(AddLearnerNode, 4)])).await.unwrap();
    let leader = cluster.leader().await;
    let other = if leader == 3 { 2 } else { 3 };
    cluster.change(change(&[(AddNode, 4), (RemoveNode, other)])).await.unwrap();
    let rest: Vec<u64> = (1..=4).filter(|id| *id != leader).collect();
    eventually("all are joint", || {
        rest.iter().all(|id| !cluster.status(*id).conf_state.voters_outgoing.is_empty()).then_some(())
    })
    .await;
    cluster.kill(leader);
    let new = cluster.leader_among(&rest).await;
    eventually("joint is left", || cluster.status(new).conf_state.voters_outgoing.is_empty().then_some(()))
        .await;
    assert_eq!(cluster.status(new).conf_state.voters, (1..=4).filter(|id| *id != other).collect::<Vec<_>>());
    cluster.write("b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_machine_refuses_is_not_in_force() {
    let cluster = Cluster::bootstrapped(1, pd).await;
    let mut add = change(&[(AddNode, 2)]);
    add.context = "refuse me".into();
    let refused = cluster.change(add).await;
    assert_eq!(refused, Err(ProposeError::Refused("not today".into())));
    // A second voter that does not exist would have stopped the group for good.
    cluster.write("a").await;
    assert_eq!(cluster.status(1).conf_state.voters, [1]);
    let refused = cluster.change(change(&[(RemoveNode, 1)])).await.unwrap_err();
    assert!(refused.to_string().contains("voters"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_silence_of_a_dead_newcomer_counts_from_its_joining() {
    let cluster = Cluster::bootstrapped(1, pd).await;
    cluster.leader().await;
    let before = BootTime::now();
    cluster.change(change(&[(AddLearnerNode, 2)])).await.unwrap();
    let silence = || cluster.status(1).progress.iter().find(|p| p.id == 2).map(|p| p.heard_ms);
    let first = eventually("the leader tells of it", silence).await;
    let since = (BootTime::now().0 - before.0) / 1_000_000;
    assert!(first <= since, "silent for {first} ms, asked to join {since} ms ago");
    eventually("its silence grows", || silence().filter(|ms| *ms > first + 200)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_leader_steps_down_and_the_rest_goes_on() {
    let mut cluster = Cluster::bootstrapped(3, pd).await;
    let leader = cluster.leader().await;
    cluster.change(change(&[(RemoveNode, leader)])).await.unwrap();
    let rest: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    let new = cluster.leader_among(&rest).await;
    cluster.handle(new).propose(GROUP, None, "a".into()).await.unwrap();
    assert_eq!(cluster.status(new).conf_state.voters, rest);
    // Messages of the removed go to the owner once it has said so.
    cluster.handle(new).set_removed(GROUP, vec![leader]);
    let vote = proto::raftcore::Envelope {
        group_id: GROUP,
        message: Some(proto::eraftpb::Message {
            msg_type: proto::eraftpb::MessageType::MsgRequestPreVote as i32,
            from: leader,
            to: new,
            term: 1_000,
            ..Default::default()
        }),
        ..Default::default()
    };
    cluster.wire.deliver(vote.clone());
    eventually("the owner gets it", || cluster.wire.orphans().contains(&vote).then_some(())).await;
    cluster.kill(leader);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_learners_stop_nobody_and_living_ones_are_promoted_beside_them() {
    let mut cluster = Cluster::bootstrapped(1, pd).await;
    for id in 2..=5 {
        cluster.change(change(&[(AddLearnerNode, id)])).await.unwrap();
    }
    cluster.write("four that were never there").await;
    for id in 2..=3 {
        cluster.add(id);
        cluster.begin(id, Start::Empty).await;
        cluster.holds(id, &["four that were never there"]).await;
    }
    cluster.change(change(&[(AddNode, 2), (AddNode, 3)])).await.unwrap();
    cluster.change(ConfChangeV2::default()).await.unwrap();
    let three = ConfState { voters: vec![1, 2, 3], learners: vec![4, 5], ..ConfState::default() };
    everyone_sees(&cluster, &[1, 2, 3], &three).await;
    // A learner goes as easily as it came.
    cluster.change(change(&[(RemoveNode, 4)])).await.unwrap();
    let leader = cluster.leader().await;
    cluster.kill(leader);
    cluster.write("the promoted go on").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_of_a_removed_member_moves_nobody() {
    let cluster = Cluster::bootstrapped(3, pd).await;
    cluster.write("a").await;
    let leader = cluster.leader().await;
    let removed = 9;
    let everyone = |removed: Vec<u64>| {
        for id in 1..=3 {
            cluster.handle(id).set_removed(GROUP, removed.clone());
        }
    };
    // One that a hand-over would have sent: it is heard in spite of a living leader.
    let vote = |term| proto::raftcore::Envelope {
        group_id: GROUP,
        message: Some(proto::eraftpb::Message {
            msg_type: proto::eraftpb::MessageType::MsgRequestVote as i32,
            from: removed,
            to: leader,
            term,
            index: 1_000_000,
            log_term: term,
            context: "CampaignTransfer".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    everyone(vec![removed]);
    cluster.wire.deliver(vote(500));
    eventually("its owner gets it", || cluster.wire.orphans().contains(&vote(500)).then_some(())).await;
    cluster.write("b").await;
    assert!(cluster.status(leader).term < 500);
    // The very same vote of one that was not removed ends the lead.
    everyone(Vec::new());
    cluster.wire.deliver(vote(500));
    eventually("its term is taken", || (cluster.status(leader).term >= 500).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_for_another_raft_id_or_group_go_to_the_owner() {
    let cluster = Cluster::bootstrapped(1, pd).await;
    for (group, to) in [(GROUP, 99), (GROUP + 1, 1)] {
        let message = proto::eraftpb::Message { from: 5, to, term: 9, ..Default::default() };
        let envelope =
            proto::raftcore::Envelope { group_id: group, message: Some(message), ..Default::default() };
        cluster.handle(1).step(envelope.clone());
        eventually("the owner gets it", || cluster.wire.orphans().contains(&envelope).then_some(())).await;
    }
    assert!(cluster.status(1).term < 9);
}
