//! Reading the index from other threads.

use crate::model::{RegionId, RegionView};

/// Looks Regions up while the planner changes them: never blocks it and is never blocked. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct RegionReader {}

impl RegionReader {
    /// The Region whose range holds `key`; none where the key space has a hole.
    #[must_use]
    pub fn get(&self, _key: &[u8]) -> Option<RegionView> {
        None
    }

    /// The Region just before the one that holds `key`; none when either is missing.
    #[must_use]
    pub fn get_prev(&self, _key: &[u8]) -> Option<RegionView> {
        None
    }

    /// The Region with this id.
    #[must_use]
    pub fn get_by_id(&self, _id: RegionId) -> Option<RegionView> {
        None
    }

    /// Regions in key order, from the one that holds `start_key`, up to `end_key` (empty: to the end), at most
    /// `limit`. Holes are left out. The result may be a little stale, but never overlaps itself.
    #[must_use]
    pub fn scan(&self, _start_key: &[u8], _end_key: &[u8], _limit: usize) -> Vec<RegionView> {
        Vec::new()
    }

    /// How many Regions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        0
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
