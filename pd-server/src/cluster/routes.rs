//! Where Regions are looked up: the planner's index, and in its place the first Region of all, as it was bootstrapped,
//! until its leader is heard of. A store whose answer to Bootstrap was lost asks for it, to learn whether it is its own.

use prost::Message;
use proto::metapb;
use scheduler::{RegionId, RegionReader, RegionView};

use super::wire;
use crate::keys::Keys;
use crate::state::{KeyRange, Kv, KvError};

/// Looks Regions up, without a hop to the owner.
pub struct Routes {
    heard: RegionReader,
    /// The bootstrapped Region, while it may still be as it was written. The planner is not told of it: nobody has
    /// heard of it, so it is neither complete nor to be repaired.
    first: Option<RegionView>,
}

impl Routes {
    pub(super) fn new(heard: RegionReader, first: Option<RegionView>) -> Self {
        Self { heard, first }
    }

    /// The Regions that sent heartbeats, without the one that was only bootstrapped.
    pub fn heard(&self) -> &RegionReader {
        &self.heard
    }

    /// The Region whose range holds `key`; none where the key space has a hole.
    pub fn get(&self, key: &[u8]) -> Option<RegionView> {
        self.heard.get(key).or_else(|| self.unheard().cloned())
    }

    /// The Region just before the one that holds `key`; none when either is missing.
    pub fn get_prev(&self, key: &[u8]) -> Option<RegionView> {
        // The first Region is the whole key space: none lies before it.
        self.heard.get_prev(key)
    }

    /// The Region with this id.
    pub fn get_by_id(&self, id: RegionId) -> Option<RegionView> {
        self.heard.get_by_id(id).or_else(|| self.unheard().filter(|first| first.meta.id == id).cloned())
    }

    /// Regions in key order, from the one that holds `start_key`, up to `end_key` (empty: to the end), at most `limit`.
    pub fn scan(&self, start_key: &[u8], end_key: &[u8], limit: usize) -> Vec<RegionView> {
        let found = self.heard.scan(start_key, end_key, limit);
        let is_range = end_key.is_empty() || start_key < end_key;
        match self.unheard() {
            // The first Region is the whole key space.
            Some(first) if is_range && limit > 0 => vec![first.clone()],
            Some(_) | None => found,
        }
    }

    /// How many Regions there are.
    pub fn len(&self) -> usize {
        self.heard.len().max(usize::from(self.first.is_some()))
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn unheard(&self) -> Option<&RegionView> {
        self.first.as_ref().filter(|_| self.heard.is_empty())
    }
}

/// The Region that Bootstrap stored, if its store has never sent a heartbeat: after one it lives there, may have been
/// split or moved, and its own heartbeats tell of it.
pub(super) fn first_region(
    kv: &Kv,
    keys: &Keys,
    stores: &[metapb::Store],
) -> Result<Option<RegionView>, KvError> {
    let found = kv.range(&KeyRange::prefix(keys.regions()), 1, None)?;
    let Some(record) = found.kvs.into_iter().next() else { return Ok(None) };
    let region = metapb::Region::decode(record.value)
        .map_err(|error| KvError::Storage(format!("{}: {error}", String::from_utf8_lossy(&record.key))))?;
    let lives_on = region.peers.first().map_or(0, |peer| peer.store_id);
    let is_silent = stores.iter().any(|store| store.id == lives_on && store.last_heartbeat == 0);
    Ok(is_silent.then(|| RegionView { meta: wire::region_meta(region), ..RegionView::default() }))
}
