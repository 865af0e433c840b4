//! Commands carried out as a store's Raft group would, with its refusals and the planner's promises as assertions.

use std::collections::{BTreeMap, BTreeSet};

use scheduler::{
    Action, Command, Peer, PeerChange, PeerChangeKind, PeerId, PeerRole, RegionReport, StoreId, Time,
};

use super::Cluster;

/// How long a snapshot of 1 MiB takes.
const SNAPSHOT_MS_PER_MIB: u64 = 5;

impl Cluster {
    pub(super) fn carry_out(&mut self, command: &Command) {
        let now = self.now;
        let wanted = self.planner.config().max_replicas;
        let dead: BTreeSet<StoreId> =
            self.stores.iter().filter(|(_, s)| !s.alive).map(|(id, _)| *id).collect();
        let region = self.regions.get_mut(&command.region).expect("commands are for regions that exist");
        let report = &mut region.report;
        assert_eq!(command.target.store, command.store, "a command goes to the leader's stream");
        // A heartbeat may be on its way: a store drops such a command.
        if command.epoch != report.meta.epoch || command.target.id != report.leader.id {
            return;
        }
        let healthy = |report: &RegionReport, catching_up: &BTreeMap<PeerId, Time>| {
            let counts = |p: &&Peer| {
                matches!(p.role, PeerRole::Voter | PeerRole::IncomingVoter)
                    && !dead.contains(&p.store)
                    && !catching_up.contains_key(&p.id)
            };
            report.meta.peers.iter().filter(counts).count()
        };
        let before = healthy(report, &region.catching_up);
        match &command.action {
            Action::ChangePeers(changes) => {
                change_peers(report, changes, &dead);
                for change in changes {
                    let is_new = change.kind == PeerChangeKind::AddLearnerNode
                        && change.peer.role == PeerRole::Learner
                        && report.meta.peer(change.peer.id).is_some_and(|p| p.role == PeerRole::Learner)
                        && changes.len() == 1;
                    if is_new {
                        self.moved_bytes += report.size_bytes;
                        let ms = (report.size_bytes >> 20) * SNAPSHOT_MS_PER_MIB + 100;
                        region.catching_up.insert(change.peer.id, now.after_ms(ms));
                    }
                }
                region.catching_up.retain(|id, _| report.meta.peer(*id).is_some());
            }
            Action::TransferLeader(to) => {
                let peer = *report.meta.peer(to.id).expect("the target of a transfer is a peer");
                assert!(matches!(peer.role, PeerRole::Voter | PeerRole::IncomingVoter));
                if dead.contains(&peer.store) {
                    return;
                }
                report.leader = peer;
                report.term += 1;
            }
            Action::Split { .. } => return,
        }
        let after = healthy(report, &region.catching_up);
        assert!(after >= before.min(wanted), "{before} healthy voters, then {after}: {command:?}");
        let stores: BTreeSet<StoreId> = report.meta.peers.iter().map(|p| p.store).collect();
        assert_eq!(stores.len(), report.meta.peers.len(), "never two replicas on a store");
        region.heartbeat_at = now;
    }
}

/// What a store's Raft group would do, with the refusals of a real one as assertions.
fn change_peers(report: &mut RegionReport, changes: &[PeerChange], dead: &BTreeSet<StoreId>) {
    let leader = report.leader.id;
    let peers = &mut report.meta.peers;
    let epoch = &mut report.meta.epoch;
    let is_joint = peers.iter().any(|p| p.role.is_joint());
    match changes {
        [] => {
            assert!(is_joint, "only a joint state can be left");
            let leads = peers.iter().find(|p| p.id == leader).unwrap();
            assert_ne!(leads.role, PeerRole::DemotingVoter, "the leader cannot leave as it is demoted");
            epoch.conf_ver += peers.iter().filter(|p| p.role.is_joint()).count() as u64;
            for peer in peers.iter_mut() {
                peer.role = match peer.role {
                    PeerRole::Voter | PeerRole::IncomingVoter => PeerRole::Voter,
                    PeerRole::Learner | PeerRole::DemotingVoter => PeerRole::Learner,
                };
            }
        }
        [change] => {
            assert!(!is_joint, "no simple change inside a joint state");
            epoch.conf_ver += 1;
            let at = peers.iter().position(|p| p.id == change.peer.id);
            match (change.kind, at) {
                (PeerChangeKind::AddLearnerNode, None) => {
                    assert!(!dead.contains(&change.peer.store), "a dead store gets nothing");
                    assert!(peers.iter().all(|p| p.store != change.peer.store));
                    peers.push(change.peer);
                }
                (PeerChangeKind::AddNode, Some(at)) => {
                    assert_eq!(peers[at].role, PeerRole::Learner);
                    peers[at].role = PeerRole::Voter;
                }
                (PeerChangeKind::RemoveNode, Some(at)) => {
                    assert_ne!(change.peer.id, leader, "the leader is never removed");
                    peers.remove(at);
                }
                (kind, at) => panic!("{kind:?} of peer {:?}, which is at {at:?}", change.peer),
            }
        }
        several => {
            assert!(!is_joint, "no joint state inside another");
            epoch.conf_ver += several.len() as u64;
            for change in several {
                let peer = peers.iter_mut().find(|p| p.id == change.peer.id).expect("a peer of the region");
                peer.role = match (change.kind, peer.role) {
                    (PeerChangeKind::AddNode, PeerRole::Learner) => PeerRole::IncomingVoter,
                    (PeerChangeKind::AddLearnerNode, PeerRole::Voter) => PeerRole::DemotingVoter,
                    (kind, role) => panic!("{kind:?} of a {role:?}"),
                };
            }
        }
    }
    report.leader = *peers.iter().find(|p| p.id == leader).expect("the leader stays a peer");
}
