//! From the wire to the planner's own types and back. Wire types stop here.

use proto::{eraftpb, metapb, pdpb};
use scheduler::model::{
    DownPeer, Flow, NodeState, Peer, PeerId, PeerRole, RegionEpoch, RegionId, RegionMeta, RegionReport,
    RegionView, StoreId, StoreLabel, StoreMeta, StoreStats,
};
use scheduler::{Action, Command, PeerChangeKind, SplitPolicy};

/// Flow counters from this value on are nonsense (an underflow in the store) and count as 0.
const FLOW_END: u64 = 1 << 50;

/// A heartbeat as a compact value; takes the message apart without copying keys.
pub fn report(message: pdpb::RegionHeartbeatRequest) -> RegionReport {
    let interval = message.interval.unwrap_or_default();
    let flow = |value: u64| if value < FLOW_END { value } else { 0 };
    RegionReport {
        meta: region_meta(message.region.unwrap_or_default()),
        leader: message.leader.as_ref().map(peer).unwrap_or_default(),
        term: message.term,
        down: message.down_peers.iter().filter_map(down_peer).collect(),
        pending: message.pending_peers.iter().map(|peer| PeerId(peer.id)).collect(),
        flow: Flow {
            bytes_written: flow(message.bytes_written),
            keys_written: flow(message.keys_written),
            bytes_read: flow(message.bytes_read),
            keys_read: flow(message.keys_read),
        },
        size_bytes: message.approximate_size,
        keys: message.approximate_keys,
        interval_s: interval.end_timestamp.saturating_sub(interval.start_timestamp),
        cpu_percent: message.cpu_usage,
    }
}

/// A Region.
pub fn region_meta(region: metapb::Region) -> RegionMeta {
    RegionMeta {
        id: RegionId(region.id),
        epoch: epoch(region.region_epoch.as_ref()),
        peers: region.peers.iter().map(peer).collect(),
        start_key: region.start_key,
        end_key: region.end_key,
    }
}

/// An epoch; a missing one counts as 0/0.
pub fn epoch(epoch: Option<&metapb::RegionEpoch>) -> RegionEpoch {
    epoch.map(|e| RegionEpoch { conf_ver: e.conf_ver, version: e.version }).unwrap_or_default()
}

/// A store's record as the planner sees it.
pub fn store_meta(meta: &metapb::Store) -> StoreMeta {
    StoreMeta {
        id: StoreId(meta.id),
        node_state: match meta.node_state() {
            metapb::NodeState::Preparing => NodeState::Preparing,
            metapb::NodeState::Serving => NodeState::Serving,
            metapb::NodeState::Removing => NodeState::Removing,
            metapb::NodeState::Removed => NodeState::Removed,
        },
        labels: meta
            .labels
            .iter()
            .map(|label| StoreLabel { key: label.key.clone(), value: label.value.clone() })
            .collect(),
    }
}

/// A store heartbeat.
pub fn store_stats(stats: &pdpb::StoreStats) -> StoreStats {
    StoreStats {
        store: StoreId(stats.store_id),
        capacity_bytes: stats.capacity,
        available_bytes: stats.available,
        used_bytes: stats.used_size,
        region_count: u64::from(stats.region_count),
        sending_snapshots: u64::from(stats.sending_snap_count),
        receiving_snapshots: u64::from(stats.receiving_snap_count),
        applying_snapshots: u64::from(stats.applying_snap_count),
        is_busy: stats.is_busy,
    }
}

/// A command on a heartbeat stream.
pub fn command(header: pdpb::ResponseHeader, command: &Command) -> pdpb::RegionHeartbeatResponse {
    let mut message = pdpb::RegionHeartbeatResponse {
        header: Some(header),
        region_id: command.region.0,
        region_epoch: Some(epoch_to_wire(command.epoch)),
        target_peer: Some(peer_to_wire(&command.target)),
        ..Default::default()
    };
    match &command.action {
        Action::ChangePeers(changes) => {
            let changes = changes.iter().map(|change| pdpb::ChangePeer {
                peer: Some(peer_to_wire(&change.peer)),
                change_type: match change.kind {
                    PeerChangeKind::AddNode => eraftpb::ConfChangeType::AddNode,
                    PeerChangeKind::RemoveNode => eraftpb::ConfChangeType::RemoveNode,
                    PeerChangeKind::AddLearnerNode => eraftpb::ConfChangeType::AddLearnerNode,
                }
                .into(),
            });
            message.change_peer_v2 = Some(pdpb::ChangePeerV2 { changes: changes.collect() });
        }
        Action::TransferLeader(to) => {
            message.transfer_leader =
                Some(pdpb::TransferLeader { peer: Some(peer_to_wire(to)), peers: Vec::new() });
        }
        Action::Split { policy, keys } => {
            let policy = match policy {
                SplitPolicy::Scan => pdpb::CheckPolicy::Scan,
                SplitPolicy::Approximate => pdpb::CheckPolicy::Approximate,
                SplitPolicy::UseKey => pdpb::CheckPolicy::Usekey,
            };
            message.split_region = Some(pdpb::SplitRegion { policy: policy.into(), keys: keys.clone() });
        }
    }
    message
}

/// A Region that was looked up, with its leader (none if it is unknown).
pub fn region_to_wire(view: &RegionView) -> pdpb::Region {
    pdpb::Region {
        leader: (view.leader.id != PeerId(0)).then(|| peer_to_wire(&view.leader)),
        down_peers: view
            .down
            .iter()
            .filter_map(|down| {
                let peer = view.meta.peer(down.peer).map(peer_to_wire)?;
                Some(pdpb::PeerStats { peer: Some(peer), down_seconds: down.seconds })
            })
            .collect(),
        pending_peers: view.pending.iter().filter_map(|id| view.meta.peer(*id)).map(peer_to_wire).collect(),
        region: Some(metapb::Region {
            id: view.meta.id.0,
            start_key: view.meta.start_key.clone(),
            end_key: view.meta.end_key.clone(),
            region_epoch: Some(epoch_to_wire(view.meta.epoch)),
            peers: view.meta.peers.iter().map(peer_to_wire).collect(),
            ..Default::default()
        }),
        buckets: None,
    }
}

/// An epoch for the wire.
pub fn epoch_to_wire(epoch: RegionEpoch) -> metapb::RegionEpoch {
    metapb::RegionEpoch { conf_ver: epoch.conf_ver, version: epoch.version }
}

/// A peer for the wire.
pub fn peer_to_wire(peer: &Peer) -> metapb::Peer {
    metapb::Peer {
        id: peer.id.0,
        store_id: peer.store.0,
        role: match peer.role {
            PeerRole::Voter => metapb::PeerRole::Voter,
            PeerRole::Learner => metapb::PeerRole::Learner,
            PeerRole::IncomingVoter => metapb::PeerRole::IncomingVoter,
            PeerRole::DemotingVoter => metapb::PeerRole::DemotingVoter,
        }
        .into(),
        is_witness: peer.is_witness,
    }
}

fn peer(peer: &metapb::Peer) -> Peer {
    Peer {
        id: PeerId(peer.id),
        store: StoreId(peer.store_id),
        role: match peer.role() {
            metapb::PeerRole::Voter => PeerRole::Voter,
            metapb::PeerRole::Learner => PeerRole::Learner,
            metapb::PeerRole::IncomingVoter => PeerRole::IncomingVoter,
            metapb::PeerRole::DemotingVoter => PeerRole::DemotingVoter,
        },
        is_witness: peer.is_witness,
    }
}

fn down_peer(stats: &pdpb::PeerStats) -> Option<DownPeer> {
    stats.peer.as_ref().map(|peer| DownPeer { peer: PeerId(peer.id), seconds: stats.down_seconds })
}

#[cfg(test)]
mod tests {
    use super::{command, report};
    use proto::{metapb, pdpb};
    use scheduler::model::{Peer, PeerId, RegionEpoch, RegionId, StoreId};
    use scheduler::{Action, Command, PeerChange, PeerChangeKind};

    #[test]
    fn a_report_keeps_what_the_planner_needs_and_drops_nonsense() {
        let peer = |id, store_id| metapb::Peer { id, store_id, ..Default::default() };
        let message = pdpb::RegionHeartbeatRequest {
            region: Some(metapb::Region {
                id: 7,
                peers: vec![peer(70, 1), peer(71, 2)],
                ..Default::default()
            }),
            leader: Some(peer(70, 1)),
            down_peers: vec![pdpb::PeerStats { peer: Some(peer(71, 2)), down_seconds: 120 }],
            bytes_written: u64::MAX,
            keys_read: 3,
            interval: Some(pdpb::TimeInterval { start_timestamp: 10, end_timestamp: 70 }),
            ..Default::default()
        };
        let report = report(message);
        assert_eq!((report.meta.id, report.leader.store), (RegionId(7), StoreId(1)));
        assert_eq!((report.flow.bytes_written, report.flow.keys_read, report.interval_s), (0, 3, 60));
        assert_eq!((report.down[0].peer, report.down[0].seconds), (PeerId(71), 120));
    }

    #[test]
    fn leaving_a_joint_state_is_a_change_of_nothing() {
        let with = |action| {
            let order = Command {
                store: StoreId(1),
                region: RegionId(7),
                epoch: RegionEpoch { conf_ver: 4, version: 2 },
                target: Peer::voter(PeerId(70), StoreId(1)),
                action,
            };
            command(pdpb::ResponseHeader::default(), &order)
        };
        let leave = with(Action::ChangePeers(Vec::new()));
        assert_eq!(leave.change_peer_v2, Some(pdpb::ChangePeerV2::default()));
        assert_eq!((leave.region_id, leave.target_peer.unwrap().id), (7, 70));
        let promote = PeerChange { kind: PeerChangeKind::AddNode, peer: Peer::voter(PeerId(71), StoreId(2)) };
        let simple = with(Action::ChangePeers(vec![promote])).change_peer_v2.unwrap();
        assert_eq!(simple.changes[0].peer.as_ref().unwrap().store_id, 2);
    }
}
