//! The peers here, one object each.

use axum::Json;
use axum::extract::State;
use proto::metapb::PeerRole;
use raft_core::Role;
use serde_json::{Value, json};

use super::Pages;
use crate::StoreCore;
use crate::region::{Peer, epoch_of};

pub async fn page(State(pages): State<Pages>) -> Json<Vec<Value>> {
    let mut peers = pages.core.regions.all();
    peers.sort_by_key(|peer| peer.region_id());
    Json(peers.iter().map(|peer| describe(&pages.core, peer)).collect())
}

fn describe(core: &StoreCore, peer: &Peer) -> Value {
    let region = peer.region();
    let epoch = epoch_of(&region);
    let stage = peer.stage_now();
    let status = core.handle().and_then(|handle| peer.with_status(handle, Clone::clone)).unwrap_or_default();
    let leader = region.peers.iter().find(|there| there.id == status.leader);
    let peers: Vec<Value> = region
        .peers
        .iter()
        .map(|peer| json!({ "id": peer.id, "store_id": peer.store_id, "role": role_of_peer(peer.role()) }))
        .collect();
    json!({
        "id": region.id,
        "peer_id": peer.id().0,
        "start_key": hex::encode_upper(&region.start_key),
        "end_key": hex::encode_upper(&region.end_key),
        "conf_ver": epoch.conf_ver,
        "version": epoch.version,
        "stage": format!("{stage:?}"),
        "role": role_of_group(status.role),
        "term": status.term,
        "leader": status.leader,
        "leader_store": leader.map_or(0, |leader| leader.store_id),
        "applied": status.applied,
        "committed": status.committed,
        "first": status.first,
        "last": status.last,
        "approximate_size": peer.size.bytes(),
        "approximate_keys": peer.size.keys(),
        "peers": peers,
    })
}

fn role_of_group(role: Role) -> &'static str {
    match role {
        Role::Follower => "Follower",
        Role::PreCandidate => "PreCandidate",
        Role::Candidate => "Candidate",
        Role::Leader => "Leader",
    }
}

fn role_of_peer(role: PeerRole) -> &'static str {
    match role {
        PeerRole::Voter => "Voter",
        PeerRole::Learner => "Learner",
        PeerRole::IncomingVoter => "IncomingVoter",
        PeerRole::DemotingVoter => "DemotingVoter",
    }
}
