use std::ops::ControlFlow;

use bytes::Bytes;
use proto::metapb::{self, RegionEpoch};

use super::*;
use crate::Tuning;
use crate::engine::{Batch, Order, SledEngine};

fn core(dir: &tempfile::TempDir) -> Arc<StoreCore> {
    let engine = Arc::new(SledEngine::open(dir.path()).unwrap());
    StoreCore::new(7, StoreId(1), engine, Tuning::default())
}

fn region(id: u64, start: &'static str, end: &'static str, peer: u64) -> Region {
    Region {
        id,
        start_key: start.into(),
        end_key: end.into(),
        region_epoch: Some(RegionEpoch { conf_ver: 3, version: 1 }),
        peers: vec![metapb::Peer { id: peer, store_id: 1, ..metapb::Peer::default() }],
        ..Region::default()
    }
}

fn put(core: &StoreCore, keys: &[&str]) {
    let mut batch = Batch::default();
    for key in keys {
        batch.put(crate::keys::data_key(key.as_bytes()), Bytes::from_static(b"v"));
    }
    core.engine.write(batch).unwrap();
}

fn data(core: &StoreCore) -> Vec<String> {
    let (start, end) = crate::keys::data_bounds(&KeyRange::default());
    let mut keys = Vec::new();
    let mut visit = |key: &[u8], _: &[u8]| {
        keys.push(String::from_utf8_lossy(crate::keys::user_key(key)).into_owned());
        ControlFlow::Continue(())
    };
    core.engine.scan(&start, &end, Order::Ascending, &mut visit).unwrap();
    keys
}

fn living(core: &StoreCore, region: Region, peer: u64) {
    let state = RegionState {
        region: Some(region.clone()),
        stage: StateStage::Normal.into(),
        peer_id: peer,
        index: 9,
        term: 2,
    };
    core.states.put_synced(&state).unwrap();
    core.regions.insert(Peer::new(PeerId(peer), region, Stage::Normal)).unwrap();
}

fn asked(id: u64, start: &'static str, end: &'static str, peer: u64) -> Creation {
    Creation { region: region(id, start, end, peer), peer: PeerId(peer) }
}

#[tokio::test]
async fn a_removed_peer_takes_its_data_and_only_a_younger_one_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let core = core(&dir);
    living(&core, region(2, "b", "m", 3), 3);
    put(&core, &["a", "b", "c", "lzz", "m"]);
    destroy(&core, RegionId(2)).await.unwrap();
    assert_eq!(data(&core), ["a", "m"], "its own range, nothing else");
    let state = core.states.get(RegionId(2)).unwrap().unwrap();
    assert_eq!((state.stage(), state.peer()), (StateStage::Tombstone, PeerId(3)));
    for dead in [2, 3] {
        let refused = reserve(&core, &asked(2, "b", "m", dead)).unwrap();
        assert_eq!(refused.err(), Some(Refusal::Tombstone(PeerId(3))));
    }
    let (peer, state) = reserve(&core, &asked(2, "b", "m", 4)).unwrap().unwrap();
    assert_eq!((peer.id(), state.stage()), (PeerId(4), StateStage::Empty));
}

#[tokio::test]
async fn no_peer_is_created_over_a_range_that_is_still_being_removed() {
    let dir = tempfile::tempdir().unwrap();
    let core = core(&dir);
    living(&core, region(2, "b", "m", 3), 3);
    put(&core, &["c"]);
    let (state, had_data) = condemn(&core, RegionId(2)).unwrap().unwrap();
    for creation in [asked(2, "b", "m", 9), asked(20, "c", "d", 21)] {
        let refused = reserve(&core, &creation).unwrap();
        assert_eq!(refused.err(), Some(Refusal::Held(RegionId(2))));
    }
    bury(&core, state, had_data).await.unwrap();
    assert!(reserve(&core, &asked(20, "c", "d", 21)).unwrap().is_ok());
    assert!(data(&core).is_empty());
}

#[tokio::test]
async fn a_crash_after_the_tombstone_is_finished_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    {
        let core = core(&dir);
        living(&core, region(2, "b", "m", 3), 3);
        living(&core, region(5, "m", "", 6), 6);
        put(&core, &["c", "n"]);
        condemn(&core, RegionId(2)).unwrap().unwrap();
    }
    let core = core(&dir);
    restart(&core).await.unwrap();
    assert_eq!(data(&core), ["n"]);
    assert!(core.regions.get(RegionId(2)).is_none() && core.regions.get(RegionId(5)).is_some());
    assert_eq!(core.states.get(RegionId(2)).unwrap().unwrap().stage(), StateStage::Tombstone);
}

#[tokio::test]
async fn an_empty_peer_that_finds_its_range_taken_does_not_stop_the_store() {
    let dir = tempfile::tempdir().unwrap();
    {
        let core = core(&dir);
        reserve(&core, &asked(2, "b", "z", 3)).unwrap().unwrap();
        core.regions.release(RegionId(2));
        living(&core, region(5, "m", "z", 6), 6);
    }
    let core = core(&dir);
    restart(&core).await.unwrap();
    assert!(core.regions.get(RegionId(5)).is_some() && core.regions.get(RegionId(2)).is_none());
}

#[tokio::test]
async fn an_empty_peer_leaves_other_data_alone() {
    let dir = tempfile::tempdir().unwrap();
    let core = core(&dir);
    reserve(&core, &asked(2, "b", "m", 3)).unwrap().unwrap();
    put(&core, &["c"]);
    destroy(&core, RegionId(2)).await.unwrap();
    assert_eq!(data(&core), ["c"], "it never had data; what lies there is not its own to remove");
    assert_eq!(core.states.get(RegionId(2)).unwrap().unwrap().stage(), StateStage::Tombstone);
}

#[tokio::test]
async fn a_peer_that_crashed_before_it_was_removed_is_doomed_again() {
    let dir = tempfile::tempdir().unwrap();
    {
        // Applied its own removal, and no more.
        let core = core(&dir);
        living(&core, region(2, "b", "m", 77), 3);
    }
    let core = core(&dir);
    restart(&core).await.unwrap();
    assert_eq!(core.signals.doomed.take(), [RegionId(2)]);
}

#[test]
fn only_a_later_epoch_proves_that_a_peer_is_gone() {
    let known = region(2, "", "", 3);
    let mut now = region(2, "", "", 9);
    assert!(!outlived(&known, PeerId(3), &now), "the same epoch");
    now.region_epoch = Some(RegionEpoch { conf_ver: 4, version: 1 });
    assert!(outlived(&known, PeerId(3), &now));
    assert!(!outlived(&known, PeerId(9), &now));
}
