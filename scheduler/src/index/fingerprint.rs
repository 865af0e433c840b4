//! One number for all of a heartbeat that is not a counter: equal numbers mean an unchanged Region.

use crate::model::{Peer, PeerRole, RegionReport};

/// Of range, epoch, Peers and leader. Never 0, which marks an empty line.
pub(crate) fn fingerprint(report: &RegionReport) -> u64 {
    let meta = &report.meta;
    let mut hash = mix(meta.epoch.version, meta.epoch.conf_ver);
    hash = bytes(hash, &meta.start_key);
    hash = bytes(hash, &meta.end_key);
    for p in &meta.peers {
        hash = peer(hash, p);
    }
    hash = mix(mix(hash, report.leader.id.0), report.leader.store.0);
    hash | 1
}

fn peer(hash: u64, peer: &Peer) -> u64 {
    let role = match peer.role {
        PeerRole::Voter => 0,
        PeerRole::Learner => 1,
        PeerRole::IncomingVoter => 2,
        PeerRole::DemotingVoter => 3,
    };
    mix(mix(hash, peer.id.0), peer.store.0 << 3 | role << 1 | u64::from(peer.is_witness))
}

fn bytes(hash: u64, bytes: &[u8]) -> u64 {
    let mut hash = mix(hash, bytes.len() as u64);
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let mut eight = [0; 8];
        eight.copy_from_slice(word);
        hash = mix(hash, u64::from_le_bytes(eight));
    }
    let mut rest = [0; 8];
    rest[..words.remainder().len()].copy_from_slice(words.remainder());
    mix(hash, u64::from_le_bytes(rest))
}

/// Both halves of a long product folded together: each bit of the input reaches all of the output.
fn mix(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ 0x9E37_79B9_7F4A_7C15) * u128::from(word ^ 0xD6E8_FEB8_6659_FD93);
    (product >> 64) as u64 ^ product as u64
}
