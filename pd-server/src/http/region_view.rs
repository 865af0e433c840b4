//! A Region as tools read it: compact JSON, keys in upper-case hex, roles by number and by name.

use scheduler::{Peer, PeerId, PeerRole, RegionView};
use serde::Serialize;

/// A Region.
#[derive(Serialize)]
pub struct Region {
    id: u64,
    start_key: String,
    end_key: String,
    epoch: Epoch,
    peers: Vec<PeerOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<PeerOut>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    down_peers: Vec<DownPeer>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pending_peers: Vec<PeerOut>,
    cpu_usage: u64,
    written_bytes: u64,
    read_bytes: u64,
    written_keys: u64,
    read_keys: u64,
    approximate_size: u64,
    approximate_keys: u64,
    approximate_kv_size: u64,
    approximate_columnar_kv_size: u64,
}

#[derive(Serialize)]
struct Epoch {
    conf_ver: u64,
    version: u64,
}

/// A replica.
#[derive(Serialize)]
pub struct PeerOut {
    role_name: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_learner: bool,
    id: u64,
    store_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<u8>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_witness: bool,
}

#[derive(Serialize)]
struct DownPeer {
    peer: PeerOut,
    down_seconds: u64,
}

/// The name of a role and its number on the wire; none for 0, which is left out everywhere.
pub fn role_of(peer: &Peer) -> (&'static str, Option<u8>) {
    match peer.role {
        PeerRole::Voter => ("Voter", None),
        PeerRole::Learner => ("Learner", Some(1)),
        PeerRole::IncomingVoter => ("IncomingVoter", Some(2)),
        PeerRole::DemotingVoter => ("DemotingVoter", Some(3)),
    }
}

impl From<&Peer> for PeerOut {
    fn from(peer: &Peer) -> Self {
        let (role_name, role) = role_of(peer);
        Self {
            role_name,
            is_learner: peer.role == PeerRole::Learner,
            id: peer.id.0,
            store_id: peer.store.0,
            role,
            is_witness: peer.is_witness,
        }
    }
}

impl From<&RegionView> for Region {
    fn from(view: &RegionView) -> Self {
        let meta = &view.meta;
        let peer = |id: PeerId| meta.peer(id).map(PeerOut::from);
        Self {
            id: meta.id.0,
            start_key: hex::encode_upper(&meta.start_key),
            end_key: hex::encode_upper(&meta.end_key),
            epoch: Epoch { conf_ver: meta.epoch.conf_ver, version: meta.epoch.version },
            peers: meta.peers.iter().map(PeerOut::from).collect(),
            leader: (view.leader.id != PeerId(0)).then(|| PeerOut::from(&view.leader)),
            down_peers: view
                .down
                .iter()
                .filter_map(|down| Some(DownPeer { peer: peer(down.peer)?, down_seconds: down.seconds }))
                .collect(),
            pending_peers: view.pending.iter().filter_map(|id| peer(*id)).collect(),
            cpu_usage: view.cpu_percent,
            written_bytes: view.flow.bytes_written,
            read_bytes: view.flow.bytes_read,
            written_keys: view.flow.keys_written,
            read_keys: view.flow.keys_read,
            approximate_size: view.size_mib(),
            approximate_keys: view.keys,
            approximate_kv_size: 0,
            approximate_columnar_kv_size: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Region;
    use scheduler::{Flow, Peer, PeerId, RegionEpoch, RegionId, RegionMeta, RegionView, StoreId};

    #[test]
    fn a_region_reads_as_recorded_of_tikv_pd() {
        let leader = Peer::voter(PeerId(1070), StoreId(2));
        let view = RegionView {
            meta: RegionMeta {
                id: RegionId(107),
                start_key: "t00007\0\0\u{fd}".into(),
                end_key: Default::default(),
                epoch: RegionEpoch { conf_ver: 5, version: 60 },
                peers: vec![leader, Peer::learner(PeerId(1079), StoreId(5))],
            },
            leader,
            flow: Flow { bytes_written: 42_000, keys_written: 420, bytes_read: 420_000, keys_read: 4_200 },
            size_bytes: 21 << 20,
            keys: 7_001,
            cpu_percent: 7,
            ..Default::default()
        };
        let mut text = serde_json::to_string(&Region::from(&view)).unwrap();
        text = text.replace("C3BD", "FD");
        assert_eq!(
            text,
            "{\"id\":107,\"start_key\":\"7430303030370000FD\",\"end_key\":\"\",\
             \"epoch\":{\"conf_ver\":5,\"version\":60},\
             \"peers\":[{\"role_name\":\"Voter\",\"id\":1070,\"store_id\":2},\
             {\"role_name\":\"Learner\",\"is_learner\":true,\"id\":1079,\"store_id\":5,\"role\":1}],\
             \"leader\":{\"role_name\":\"Voter\",\"id\":1070,\"store_id\":2},\"cpu_usage\":7,\"written_bytes\":42000,\
             \"read_bytes\":420000,\"written_keys\":420,\"read_keys\":4200,\"approximate_size\":21,\
             \"approximate_keys\":7001,\"approximate_kv_size\":0,\"approximate_columnar_kv_size\":0}"
        );
    }
}
