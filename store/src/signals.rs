//! Regions that something is to be done about: sets with a bell. Bounded by the number of Regions, since each is in
//! a set at most once.

use std::collections::HashSet;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::RegionId;

/// A set of Regions, and a bell that rings when one is added.
#[derive(Default)]
pub struct Marked {
    regions: Mutex<HashSet<RegionId>>,
    bell: Notify,
}

impl Marked {
    /// Adds one. From any thread.
    pub fn add(&self, region: RegionId) {
        self.regions.lock().insert(region);
        self.bell.notify_one();
    }

    /// Adds several, and rings once.
    pub fn add_all(&self, regions: impl IntoIterator<Item = RegionId>) {
        self.regions.lock().extend(regions);
        self.bell.notify_one();
    }

    /// Takes all out.
    pub fn take(&self) -> Vec<RegionId> {
        self.regions.lock().drain().collect()
    }

    /// Waits until one was added since the last call. One waiter at a time.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }
}

/// The sets of one Store.
#[derive(Default)]
pub struct Signals {
    /// Range, peers or leader changed: PD should hear of it at once.
    pub changed: Marked,
    /// The peer here was removed, or replaced by a younger one.
    pub doomed: Marked,
    /// PD should be asked whether the peer here still belongs to its Region.
    pub doubtful: Marked,
}
