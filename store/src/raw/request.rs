//! Who a request is for: the checks that come before anything is read or proposed.

use std::sync::Arc;

use bytes::Bytes;
use proto::kvrpcpb::Context;
use proto::metapb::RegionEpoch;

use crate::region::{EpochCheck, Peer, Scope, epoch_of};
use crate::region_error::{self, RegionError};
use crate::{KeyRange, PeerId, RegionId, StoreCore, StoreId};

/// A request that may go to its Region.
pub struct Admitted {
    /// The Region's peer here.
    pub peer: Arc<Peer>,
    /// The epoch that the client knows; its version is the Region's.
    pub epoch: RegionEpoch,
    /// The Region's range at that version.
    pub range: KeyRange,
    // Tells whether the data stayed whole.
    generation: u64,
}

impl Admitted {
    /// Finds the Region of a request and compares Store, peer and epoch.
    pub fn new(core: &StoreCore, context: Option<&Context>) -> Result<Self, RegionError> {
        let Some(context) = context else {
            return Err(region_error::other("the request has no context"));
        };
        let region_id = RegionId(context.region_id);
        if let Some(asked) = &context.peer
            && asked.store_id != core.id.0
        {
            return Err(region_error::store_not_match(StoreId(asked.store_id), core.id));
        }
        let peer = core.regions.get(region_id).ok_or_else(|| region_error::region_not_found(region_id))?;
        if let Some(asked) = &context.peer
            && asked.id != peer.id().0
        {
            return Err(region_error::mismatch_peer_id(PeerId(asked.id), peer.id()));
        }
        let Some(generation) = peer.generation() else {
            return Err(region_error::not_initialized(region_id));
        };
        let (region, epoch) = (peer.region(), context.region_epoch.unwrap_or_default());
        if EpochCheck::of(&region, &epoch, Scope::Data) == EpochCheck::Different {
            return Err(stale(core, &peer));
        }
        let range = KeyRange::of(&region);
        Ok(Self { peer, epoch, range, generation })
    }

    /// Refuses a key outside the Region.
    pub fn check_key(&self, key: &Bytes) -> Result<(), RegionError> {
        if self.range.contains(key) {
            Ok(())
        } else {
            Err(region_error::key_not_in_region(key, &self.peer.region()))
        }
    }

    /// Whether what was read since is whole and the Region's: to be asked after reading. A split that was applied
    /// meanwhile has handed keys to another Region, whose leader may have written them.
    pub fn check_after(&self, core: &StoreCore) -> Result<(), RegionError> {
        if self.peer.generation() != Some(self.generation) {
            return Err(region_error::region_not_found(self.peer.region_id()));
        }
        if epoch_of(&self.peer.region()).version != self.epoch.version {
            return Err(stale(core, &self.peer));
        }
        Ok(())
    }
}

/// The Region as it is now, and its left neighbour here: after a split, where the client's keys went.
fn stale(core: &StoreCore, peer: &Peer) -> RegionError {
    let region = peer.region();
    let mut current = vec![region.as_ref().clone()];
    let left = core.regions.all().into_iter().map(|peer| peer.region());
    let mut left = left.filter(|other| !region.start_key.is_empty() && other.end_key == region.start_key);
    current.extend(left.next().map(|region| region.as_ref().clone()));
    region_error::epoch_not_match(current)
}

/// Only one column family is there.
pub fn check_cf(cf: &str) -> Result<(), String> {
    match cf {
        "" | "default" => Ok(()),
        other => Err(format!("column family `{other}` is not served; only `default` is")),
    }
}

#[cfg(test)]
mod tests {
    use proto::metapb::{self, Region};

    use super::*;
    use crate::Tuning;
    use crate::engine::SledEngine;
    use crate::region::Stage;

    /// Store 1 with Region 2, `[b, m)` at version 3, and its left neighbour 10; Region 20 has no data yet.
    fn core() -> (tempfile::TempDir, Arc<StoreCore>) {
        let dir = tempfile::tempdir().unwrap();
        let engine = Arc::new(SledEngine::open(dir.path()).unwrap());
        let core = StoreCore::new(7, StoreId(1), engine, Tuning::default());
        for (id, start, end, stage) in
            [(2, "b", "m", Stage::Normal), (10, "", "b", Stage::Normal), (20, "m", "", Stage::Empty)]
        {
            let region = Region {
                id,
                start_key: start.into(),
                end_key: end.into(),
                region_epoch: Some(RegionEpoch { conf_ver: 5, version: 3 }),
                peers: vec![metapb::Peer { id: id + 1, store_id: 1, ..metapb::Peer::default() }],
                ..Region::default()
            };
            core.regions.insert(Peer::new(PeerId(id + 1), region, stage)).unwrap();
        }
        (dir, core)
    }

    fn context(region_id: u64, peer: u64, store_id: u64, version: u64) -> Context {
        Context {
            region_id,
            peer: Some(metapb::Peer { id: peer, store_id, ..metapb::Peer::default() }),
            region_epoch: Some(RegionEpoch { conf_ver: 1, version }),
            ..Context::default()
        }
    }

    #[test]
    fn each_mismatch_has_its_error() {
        let (_dir, core) = core();
        let refused = |context| Admitted::new(&core, Some(&context)).err().unwrap();
        assert_eq!(refused(context(2, 3, 9, 3)).store_not_match.unwrap().actual_store_id, 1);
        assert_eq!(refused(context(99, 3, 1, 3)).region_not_found.unwrap().region_id, 99);
        assert_eq!(refused(context(2, 4, 1, 3)).mismatch_peer_id.unwrap().store_peer_id, 3);
        assert_eq!(refused(context(20, 21, 1, 3)).region_not_initialized.unwrap().region_id, 20);
        let current = refused(context(2, 3, 1, 2)).epoch_not_match.unwrap().current_regions;
        assert_eq!(
            current.iter().map(|region| region.id).collect::<Vec<_>>(),
            [2, 10],
            "and where keys went"
        );
        assert!(Admitted::new(&core, None).is_err());
        let admitted = Admitted::new(&core, Some(&context(2, 3, 1, 3))).ok().unwrap();
        assert!(admitted.check_key(&Bytes::from_static(b"c")).is_ok());
        let elsewhere = admitted.check_key(&Bytes::from_static(b"m")).unwrap_err();
        assert_eq!(elsewhere.key_not_in_region.unwrap().end_key, "m");
    }

    #[test]
    fn what_was_read_counts_only_if_the_data_stayed() {
        let (_dir, core) = core();
        let admit = || Admitted::new(&core, Some(&context(2, 3, 1, 3))).ok().unwrap();
        let peer = core.regions.get(RegionId(2)).unwrap();
        let split = admit();
        assert!(split.check_after(&core).is_ok());
        let mut region = peer.region().as_ref().clone();
        region.region_epoch = Some(RegionEpoch { conf_ver: 5, version: 4 });
        peer.set_region(Arc::new(region));
        assert!(split.check_after(&core).unwrap_err().epoch_not_match.is_some());
        let dying = Admitted::new(&core, Some(&context(2, 3, 1, 4))).ok().unwrap();
        let mut stage = peer.stage();
        peer.set_stage(&mut stage, Stage::Dying);
        assert!(dying.check_after(&core).unwrap_err().region_not_found.is_some());
    }

    #[test]
    fn one_column_family() {
        assert!(check_cf("").is_ok() && check_cf("default").is_ok());
        assert!(check_cf("lock").unwrap_err().contains("`lock`"));
    }
}
