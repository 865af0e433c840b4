//! Rates, from counters that are read whenever somebody looks.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::grpc::Gate;

/// A rate is taken over about so long: long enough to be calm, short enough to be now.
const SPAN: Duration = Duration::from_secs(5);
/// Readings are at least so far apart: several lookers share them.
const APART: Duration = Duration::from_millis(500);
/// Syncs of the log are few on a quiet member: their mean is taken over longer.
const SYNC_SPAN: Duration = Duration::from_secs(30);

/// Remembers readings.
#[derive(Default)]
pub struct Meter {
    readings: Mutex<VecDeque<Reading>>,
}

#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    timestamps: u64,
    region_heartbeats: u64,
    syncs: u64,
    sync_ns: u64,
}

/// What happens a second, where two readings are known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Timestamps given out a second.
    pub timestamps: Option<f64>,
    /// Region heartbeats taken a second.
    pub region_heartbeats: Option<f64>,
    /// Mean time of a sync of the log, in ms; none without one lately.
    pub sync_mean_ms: Option<f64>,
}

impl Meter {
    /// Reads the counters, and tells the rates up to now.
    pub fn rates(&self, gate: &Gate) -> Rates {
        let raft = gate.pd.raft.counters();
        self.take(Reading {
            at: Instant::now(),
            timestamps: gate.pd.tso.counters().timestamps.load(Relaxed),
            region_heartbeats: gate.metrics.region_heartbeats.get(),
            syncs: raft.log_syncs.load(Relaxed),
            sync_ns: raft.log_sync_ns.load(Relaxed),
        })
    }

    fn take(&self, now: Reading) -> Rates {
        let mut readings = self.readings.lock();
        if readings.back().is_none_or(|last| now.at.duration_since(last.at) >= APART) {
            readings.push_back(now);
        }
        // One that is older than the longest span stays, so that there is always one to compare with.
        while readings.get(1).is_some_and(|second| now.at.duration_since(second.at) >= SYNC_SPAN) {
            readings.pop_front();
        }
        let since = |span: Duration| {
            let old = readings.iter().rev().find(|old| now.at.duration_since(old.at) >= span);
            old.or(readings.front()).copied().filter(|old| now.at.duration_since(old.at) >= APART)
        };
        let per_s = |count: fn(&Reading) -> u64| {
            let old = since(SPAN)?;
            let seconds = now.at.duration_since(old.at).as_secs_f64();
            Some(count(&now).saturating_sub(count(&old)) as f64 / seconds)
        };
        let sync_mean_ms = since(SYNC_SPAN).and_then(|old| {
            let syncs = now.syncs.saturating_sub(old.syncs);
            let spent_ms = now.sync_ns.saturating_sub(old.sync_ns) as f64 / 1e6;
            (syncs > 0).then(|| (spent_ms / syncs as f64 * 100.0).round() / 100.0)
        });
        Rates {
            timestamps: per_s(|reading| reading.timestamps),
            region_heartbeats: per_s(|reading| reading.region_heartbeats),
            sync_mean_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_last_seconds() {
        let (meter, began) = (Meter::default(), Instant::now());
        let reading = |ms: u64, timestamps: u64| Reading {
            at: began + Duration::from_millis(ms),
            timestamps,
            region_heartbeats: 0,
            syncs: timestamps / 10,
            sync_ns: timestamps * 100_000,
        };
        assert_eq!(meter.take(reading(0, 100)), Rates::default(), "one reading is no rate");
        assert_eq!(meter.take(reading(100, 200)).timestamps, None, "too close");
        assert_eq!(meter.take(reading(1_000, 300)).timestamps, Some(200.0));
        for second in 2..=60 {
            meter.take(reading(second * 1_000, 300));
        }
        let quiet = meter.take(reading(61_000, 300));
        assert_eq!((quiet.timestamps, quiet.region_heartbeats), (Some(0.0), Some(0.0)));
        assert_eq!(quiet.sync_mean_ms, None);
        let busy = meter.take(reading(66_000, 800));
        assert_eq!((busy.timestamps, busy.sync_mean_ms), (Some(100.0), Some(1.0)));
        assert!(meter.readings.lock().len() < 64);
    }
}
