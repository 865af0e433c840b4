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
