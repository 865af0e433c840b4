//! How many Regions are not as they should be, by kind: the counts behind `regions/check/{kind}`. One pass over all Regions,
//! kept for a time that follows from how long it took.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::exposition::{Exposition, Kind};
use crate::cluster::{Cluster, Tenure};
use crate::grpc::Gate;
use crate::http::count_region_kinds;
use crate::leadership::Term;

/// Counts are at least this old before Regions are looked at again.
const FRESH: Duration = Duration::from_secs(10);
/// And so many times as old as the look took: it never takes more than a fiftieth of a core.
const REST: u32 = 50;

/// The last counts.
#[derive(Default)]
pub struct RegionKinds {
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    term: Term,
    made: Instant,
    took: Duration,
    counts: Vec<(&'static str, u64)>,
}

impl RegionKinds {
    /// Writes the counts, made anew if they are old.
    pub async fn write(&self, out: &mut Exposition, gate: &Gate, tenure: &Tenure, cluster: &Cluster) {
        // Held over the look: two who ask at once share one.
        let mut kept = self.kept.lock().await;
        let is_fresh = |k: &Kept| k.term == tenure.term && k.made.elapsed() < FRESH.max(k.took * REST);
        if !kept.as_ref().is_some_and(is_fresh) {
            let began = Instant::now();
            let counts = count_region_kinds(gate, cluster).await;
            let made = Instant::now();
            *kept = Some(Kept { term: tenure.term, made, took: made - began, counts });
        }
        let Some(kept) = kept.as_ref() else { return };
        let help = "Regions that are not as they should be, by kind; up to some seconds old.";
        let mut family = out.family("pd_regions_status", Kind::Gauge, help);
        for (kind, count) in &kept.counts {
            let kind = kind.strip_suffix("-region").unwrap_or(kind);
            family.put(&[("type", &format!("{kind}-region-count"))], *count as f64);
        }
    }
}
