use std::sync::Arc;

use proto::metapb::{self, RegionEpoch};

use super::*;
use crate::Tuning;
use crate::engine::SledEngine;

fn core() -> (tempfile::TempDir, Arc<StoreCore>) {
    let dir = tempfile::tempdir().unwrap();
    let engine = Arc::new(SledEngine::open(dir.path()).unwrap());
    (dir, StoreCore::new(7, StoreId(1), engine, Tuning::default()))
}

/// A Region 2 with these (peer, store) pairs.
fn region(conf_ver: u64, peers: &[(u64, u64)]) -> Region {
    let peer = |(id, store_id): &(u64, u64)| metapb::Peer {
        id: *id,
        store_id: *store_id,
        ..metapb::Peer::default()
    };
    Region {
        id: 2,
        region_epoch: Some(RegionEpoch { conf_ver, version: 1 }),
        peers: peers.iter().map(peer).collect(),
        ..Region::default()
    }
}

fn context(to_store: u64, region: Region) -> EnvelopeContext {
    EnvelopeContext { from_store: 8, to_store, region: Some(region), removed: false }
}

#[test]
fn a_store_that_took_over_an_address_creates_nothing() {
    let (_dir, core) = core();
    let sent = context(99, region(3, &[(3, 99), (4, 8)]));
    let verdict = judge(&core, None, &sent, MessageType::MsgAppend, PeerId(4), PeerId(3));
    assert_eq!(verdict, Verdict::Drop("it is for a store that had this address before"));
    // Even where a peer of that id would be meant for this Store.
    let sent = context(99, region(3, &[(3, 1), (4, 8)]));
    let verdict = judge(&core, None, &sent, MessageType::MsgAppend, PeerId(4), PeerId(3));
    assert_eq!(verdict, Verdict::Drop("it is for a store that had this address before"));
}

#[test]
fn a_leader_creates_a_peer_that_its_region_names_here() {
    let (_dir, core) = core();
    let sent = context(1, region(3, &[(3, 1), (4, 8)]));
    assert_eq!(judge(&core, None, &sent, MessageType::MsgHeartbeat, PeerId(4), PeerId(3)), Verdict::Create);
    let elsewhere = judge(&core, None, &sent, MessageType::MsgHeartbeat, PeerId(4), PeerId(5));
    assert!(matches!(elsewhere, Verdict::Drop(_)), "{elsewhere:?}");
    let answer = judge(&core, None, &sent, MessageType::MsgAppendResponse, PeerId(4), PeerId(3));
    assert!(matches!(answer, Verdict::Drop(_)), "{answer:?}");
}

#[test]
fn a_younger_peer_replaces_an_older_one_only_with_proof() {
    let (_dir, core) = core();
    let here = Peer::new(PeerId(3), region(3, &[(3, 1), (4, 8)]), Stage::Normal);
    let judge = |region, to| {
        let sent = context(1, region);
        judge(&core, Some(&here), &sent, MessageType::MsgAppend, PeerId(4), PeerId(to))
    };
    assert_eq!(judge(region(3, &[(3, 1), (4, 8)]), 3), Verdict::Step);
    assert_eq!(judge(region(5, &[(4, 8), (9, 1)]), 9), Verdict::Replaced);
    assert!(matches!(judge(region(3, &[(4, 8), (9, 1)]), 9), Verdict::Drop(_)), "no later epoch");
    assert!(matches!(judge(region(5, &[(3, 1), (9, 1)]), 9), Verdict::Drop(_)), "the old one is still named");
    assert!(matches!(judge(region(2, &[(2, 1), (4, 8)]), 2), Verdict::Drop(_)), "an earlier peer stays dead");
}

#[test]
fn a_removed_candidate_is_told_and_a_lagging_voter_is_not() {
    let (_dir, core) = core();
    let here = Peer::new(PeerId(3), region(5, &[(3, 1), (4, 8)]), Stage::Normal);
    let judge = |conf_ver, from| {
        let sent = context(1, region(conf_ver, &[(3, 1), (4, 8), (6, 9)]));
        judge(&core, Some(&here), &sent, MessageType::MsgRequestPreVote, PeerId(from), PeerId(3))
    };
    assert_eq!(judge(4, 6), Verdict::TellRemoved);
    assert_eq!(judge(4, 4), Verdict::Step, "a member");
    assert_eq!(judge(6, 6), Verdict::Step, "added later than what is applied here");
}

#[test]
fn a_snapshot_over_another_peers_range_is_refused() {
    let (_dir, core) = core();
    let neighbour = Region { id: 9, start_key: "m".into(), ..region(1, &[(10, 1)]) };
    core.regions.insert(Peer::new(PeerId(10), neighbour, Stage::Normal)).unwrap();
    let declared = Region { end_key: "m".into(), ..region(3, &[(3, 1)]) };
    let here = Peer::new(PeerId(3), declared.clone(), Stage::Empty);
    core.regions.insert(here.clone()).unwrap();
    let summary = |region| SnapshotSummary { region, index: 9, term: 2 };
    let before_its_split = Region { end_key: "".into(), ..declared.clone() };
    assert!(admit_range(&core, &here, &summary(before_its_split)).is_err());
    admit_range(&core, &here, &summary(Region { end_key: "k".into(), ..declared })).unwrap();
    assert!(core.regions.holding(b"l").is_none());
    let written = core.states.get(RegionId(2)).unwrap().unwrap();
    assert_eq!(
        (written.stage(), KeyRange::of(&written.region.unwrap())),
        (StateStage::Empty, KeyRange::new("", "k"))
    );
}
