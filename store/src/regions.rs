//! Which Regions are on a Store, by id and by range.
//!
//! Every peer, also an empty or a dying one, holds its range: no two may share a key. So no peer is created over
//! a range that is still being removed, or that another Region here has not given up yet.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use proto::metapb::Region;

use crate::region::Peer;
use crate::{KeyRange, RegionId};

/// The Regions of one Store.
#[derive(Default)]
pub struct Regions {
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    peers: HashMap<RegionId, Arc<Peer>>,
    // By start key; never overlapping.
    ranges: BTreeMap<Bytes, (KeyRange, RegionId)>,
    // Each holder's start key.
    starts: HashMap<RegionId, Bytes>,
}

/// The range is held by another Region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("region {0} holds a part of the range")]
pub struct RangeHeld(pub RegionId);

impl Regions {
    /// The peer of a Region.
    pub fn get(&self, region: RegionId) -> Option<Arc<Peer>> {
        self.inner.read().peers.get(&region).cloned()
    }

    /// All peers, in no order.
    pub fn all(&self) -> Vec<Arc<Peer>> {
        self.inner.read().peers.values().cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.inner.read().peers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The peer that holds `key`.
    pub fn holding(&self, key: &[u8]) -> Option<Arc<Peer>> {
        let inner = self.inner.read();
        let (_, (range, region)) = inner
            .ranges
            .range::<[u8], _>((std::ops::Bound::Unbounded, std::ops::Bound::Included(key)))
            .next_back()?;
        if range.contains(key) { inner.peers.get(region).cloned() } else { None }
    }

    /// The Regions here that share a key with `range`, from left to right.
    pub fn overlapping(&self, range: &KeyRange) -> Vec<Arc<Region>> {
        let inner = self.inner.read();
        let ids = inner.touching(range);
        ids.iter().filter_map(|id| inner.peers.get(id)).map(|peer| peer.region()).collect()
    }

    /// Takes a peer in, with its range.
    pub fn insert(&self, peer: Arc<Peer>) -> Result<(), RangeHeld> {
        let mut inner = self.inner.write();
        if inner.starts.contains_key(&peer.region_id()) {
            // It is here, or an earlier peer of it is dying.
            return Err(RangeHeld(peer.region_id()));
        }
        inner.claim(peer.region_id(), peer.range())?;
        inner.peers.insert(peer.region_id(), peer);
        Ok(())
    }

    /// Holds a range for a Region whose peer is not (or no longer) here.
    pub fn hold(&self, region: RegionId, range: KeyRange) -> Result<(), RangeHeld> {
        self.inner.write().claim(region, range)
    }

    /// Gives a Region another range, unless others hold a part of it.
    pub fn resize(&self, region: RegionId, range: KeyRange) -> Result<(), RangeHeld> {
        self.inner.write().claim(region, range)
    }

    /// A split: the parent keeps `rest`, the new peers take their ranges.
    pub fn split(&self, parent: RegionId, rest: KeyRange, made: &[Arc<Peer>]) -> Result<(), RangeHeld> {
        let mut inner = self.inner.write();
        inner.claim(parent, rest)?;
        for peer in made {
            inner.claim(peer.region_id(), peer.range())?;
            inner.peers.insert(peer.region_id(), peer.clone());
        }
        Ok(())
    }

    /// Takes a peer out; its range stays held until [`Regions::release`].
    pub fn detach(&self, region: RegionId) -> Option<Arc<Peer>> {
        self.inner.write().peers.remove(&region)
    }

    /// Frees the range of a Region.
    pub fn release(&self, region: RegionId) {
        self.inner.write().drop_range(region);
    }
}

impl Inner {
    fn touching(&self, range: &KeyRange) -> Vec<RegionId> {
        let before = self.ranges.range(..range.start.clone()).next_back();
        let from = self.ranges.range(range.start.clone()..);
        let met = before.into_iter().chain(from).map(|(_, held)| held);
        met.skip_while(|(held, _)| !held.overlaps(range))
            .take_while(|(held, _)| held.overlaps(range))
            .map(|(_, id)| *id)
            .collect()
    }

    fn claim(&mut self, region: RegionId, range: KeyRange) -> Result<(), RangeHeld> {
        if let Some(other) = self.touching(&range).into_iter().find(|other| *other != region) {
            return Err(RangeHeld(other));
        }
        self.drop_range(region);
        self.starts.insert(region, range.start.clone());
        self.ranges.insert(range.start.clone(), (range, region));
        Ok(())
    }

    fn drop_range(&mut self, region: RegionId) {
        if let Some(start) = self.starts.remove(&region) {
            self.ranges.remove(&start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PeerId;
    use crate::region::Stage;

    fn peer(id: u64, start: &'static str, end: &'static str) -> Arc<Peer> {
        let region = Region { id, start_key: start.into(), end_key: end.into(), ..Region::default() };
        Peer::new(PeerId(id + 1), region, Stage::Normal)
    }

    #[test]
    fn no_two_peers_share_a_key() {
        let regions = Regions::default();
        regions.insert(peer(1, "b", "d")).unwrap();
        regions.insert(peer(2, "d", "")).unwrap();
        for (start, end) in [("a", "c"), ("c", "d"), ("", ""), ("x", "y"), ("z", "")] {
            assert!(regions.insert(peer(9, start, end)).is_err(), "[{start}, {end})");
        }
        regions.insert(peer(3, "", "b")).unwrap();
        assert_eq!(regions.holding(b"c").unwrap().region_id(), RegionId(1));
        assert_eq!(regions.holding(b"d").unwrap().region_id(), RegionId(2));
        let met = regions.overlapping(&KeyRange::new("a", "e"));
        assert_eq!(met.iter().map(|region| region.id).collect::<Vec<_>>(), [3, 1, 2]);
    }

    #[test]
    fn a_detached_peer_holds_its_range_until_it_is_released() {
        let regions = Regions::default();
        regions.insert(peer(1, "b", "d")).unwrap();
        regions.detach(RegionId(1)).unwrap();
        assert!(regions.get(RegionId(1)).is_none() && regions.holding(b"c").is_none());
        assert_eq!(regions.insert(peer(9, "c", "")), Err(RangeHeld(RegionId(1))));
        regions.release(RegionId(1));
        regions.insert(peer(9, "c", "")).unwrap();
    }

    #[test]
    fn a_split_hands_ranges_over() {
        let regions = Regions::default();
        regions.insert(peer(1, "b", "z")).unwrap();
        let made = [peer(4, "b", "f"), peer(5, "f", "m")];
        regions.split(RegionId(1), KeyRange::new("m", "z"), &made).unwrap();
        for (key, id) in [(&b"b"[..], 4), (b"g", 5), (b"m", 1)] {
            assert_eq!(regions.holding(key).unwrap().region_id(), RegionId(id));
        }
        assert_eq!(regions.resize(RegionId(1), KeyRange::new("l", "z")), Err(RangeHeld(RegionId(5))));
        assert_eq!(regions.holding(b"m").unwrap().region_id(), RegionId(1), "a refusal changes nothing");
    }
}
