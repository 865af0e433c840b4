//! Buckets: the pieces into which a leader cuts its Region to tell which of them is hot. Soft state of a tenure: leaders
//! report them again and again.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use prost::Message;
use proto::metapb;
use scheduler::RegionId;

use super::routes::Routes;

/// Most bytes of buckets kept. Beyond it those of Regions that are gone are dropped, then new ones are not taken: who
/// asks for a Region gets it without buckets, which is as if its leader had not reported any.
const BYTES_MAX: usize = 256 << 20;
/// What an entry costs beside its message.
const ENTRY_BYTES: usize = 128;
/// When full, one in so many reports looks for Regions that are gone: the look costs as much as there are entries.
const SWEEP_EVERY: u64 = 65_536;

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// Kept.
    Kept,
    /// Nobody has heard of the Region.
    UnknownRegion,
    /// What is kept is as new or newer.
    Stale,
    /// No room.
    Full,
}

/// The newest buckets of each Region.
#[derive(Debug, Default)]
pub struct Buckets(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_region: HashMap<u64, Arc<metapb::Buckets>>,
    bytes: usize,
    refused: u64,
}

impl Buckets {
    /// Takes a report, if its Region is known and it is newer than what is kept.
    pub fn report(&self, routes: &Routes, buckets: metapb::Buckets) -> Reported {
        let region = buckets.region_id;
        if routes.get_by_id(RegionId(region)).is_none() {
            return Reported::UnknownRegion;
        }
        let mut kept = self.0.lock();
        let former = kept.by_region.get(&region);
        if former.is_some_and(|former| former.version > buckets.version) {
            return Reported::Stale;
        }
        let former_cost = former.map_or(0, |former| cost(former));
        let with = kept.bytes - former_cost + cost(&buckets);
        if with > BYTES_MAX {
            kept.refused += 1;
            if kept.refused % SWEEP_EVERY == 1 {
                kept.sweep(routes);
            }
            return Reported::Full;
        }
        kept.bytes = with;
        kept.by_region.insert(region, Arc::new(buckets));
        Reported::Kept
    }

    /// The buckets of a Region.
    pub fn get(&self, region: RegionId) -> Option<Arc<metapb::Buckets>> {
        self.0.lock().by_region.get(&region.0).cloned()
    }
}

impl Kept {
    fn sweep(&mut self, routes: &Routes) {
        self.by_region.retain(|region, _| routes.get_by_id(RegionId(*region)).is_some());
        self.bytes = self.by_region.values().map(|buckets| cost(buckets)).sum();
    }
}

fn cost(buckets: &metapb::Buckets) -> usize {
    ENTRY_BYTES + buckets.encoded_len()
}
