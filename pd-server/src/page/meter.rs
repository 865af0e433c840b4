//! Rates, from counters that are read whenever somebody looks.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use raft_core::Tally;

use crate::grpc::Gate;

/// A rate is taken over about so long: long enough to be calm, short enough to be now.
const SPAN: Duration = Duration::from_secs(5);
/// Readings are at least so far apart: several lookers share them.
const APART: Duration = Duration::from_millis(500);
/// Syncs of the log are few on a quiet member: their mean is taken over longer.
const SYNC_SPAN: Duration = Duration::from_secs(30);

const NS_PER_MS: f64 = 1e6;

/// Remembers readings.
#[derive(Default)]
pub struct Meter {
    readings: Mutex<VecDeque<Reading>>,
}

#[derive(Clone)]
struct Reading {
    at: Instant,
    timestamps: u64,
    /// How long they took, in ns.
    latency: Tally,
    region_heartbeats: u64,
    /// Syncs of the log, in ns.
    syncs: Tally,
}

/// What happens a second, where two readings are known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Timestamps given out a second.
    pub timestamps: Option<f64>,
    /// 99 of 100 took at most so long, in ms.
    pub timestamp_p99_ms: Option<f64>,
    /// Region heartbeats taken a second.
    pub region_heartbeats: Option<f64>,
    /// Mean time of a sync of the log, in ms; none without one lately.
    pub sync_mean_ms: Option<f64>,
    /// 99 of 100 took at most so long, in ms.
    pub sync_p99_ms: Option<f64>,
}

impl Meter {
    /// Reads the counters, and tells the rates up to now.
    pub fn rates(&self, gate: &Gate) -> Rates {
        let raft = gate.pd.raft.counters();
        self.take(Reading {
            at: Instant::now(),
            timestamps: gate.pd.tso.counters().timestamps.load(Relaxed),
            latency: gate.pd.tso.counters().latency.tally(),
            region_heartbeats: gate.metrics.region_heartbeats.get(),
            syncs: raft.log_sync.tally(),
        })
    }

    fn take(&self, now: Reading) -> Rates {
        let mut readings = self.readings.lock();
        if readings.back().is_none_or(|last| now.at.duration_since(last.at) >= APART) {
            readings.push_back(now.clone());
        }
        // One that is older than the longest span stays, so that there is always one to compare with.
        while readings.get(1).is_some_and(|second| now.at.duration_since(second.at) >= SYNC_SPAN) {
            readings.pop_front();
        }
        let since = |span: Duration| {
            let old = readings.iter().rev().find(|old| now.at.duration_since(old.at) >= span);
            old.or(readings.front()).filter(|old| now.at.duration_since(old.at) >= APART)
        };
        let per_s = |count: fn(&Reading) -> u64| {
            let old = since(SPAN)?;
            let seconds = now.at.duration_since(old.at).as_secs_f64();
            Some(count(&now).saturating_sub(count(old)) as f64 / seconds)
        };
        let latency = since(SPAN).map(|old| Spread::between(&old.latency, &now.latency));
        let syncs = since(SYNC_SPAN).map(|old| Spread::between(&old.syncs, &now.syncs));
        Rates {
            timestamps: per_s(|reading| reading.timestamps),
            timestamp_p99_ms: latency.and_then(|spread| spread.p99_ms),
            region_heartbeats: per_s(|reading| reading.region_heartbeats),
            sync_mean_ms: syncs.and_then(|spread| spread.mean_ms),
            sync_p99_ms: syncs.and_then(|spread| spread.p99_ms),
        }
    }
}

/// How long things took between two tallies; none without one, or beyond the last bound.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Spread {
    mean_ms: Option<f64>,
    p99_ms: Option<f64>,
}

impl Spread {
    fn between(old: &Tally, new: &Tally) -> Self {
        let count = new.count.saturating_sub(old.count);
        if count == 0 {
            return Self::default();
        }
        let mean_ms = new.sum.saturating_sub(old.sum) as f64 / count as f64 / NS_PER_MS;
        let most = count - count / 100;
        let mut bounds = new.up_to.iter().zip(&old.up_to);
        let bound = bounds.find(|((_, new), (_, old))| new.saturating_sub(*old) >= most);
        Self {
            mean_ms: Some((mean_ms * 100.0).round() / 100.0),
            p99_ms: bound.map(|((bound, _), _)| *bound as f64 / NS_PER_MS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_last_seconds() {
        let (meter, began) = (Meter::default(), Instant::now());
        let tally =
            |count, ns: u64| Tally { up_to: vec![(500_000, 0), (1_000_000, count)], count, sum: count * ns };
        let reading = |ms: u64, timestamps: u64| Reading {
            at: began + Duration::from_millis(ms),
            timestamps,
            latency: tally(timestamps, 700_000),
            region_heartbeats: 0,
            syncs: tally(timestamps / 10, 1_000_000),
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
        assert_eq!((busy.timestamp_p99_ms, busy.sync_p99_ms), (Some(1.0), Some(1.0)));
        assert!(meter.readings.lock().len() < 64);
    }

    #[test]
    fn one_of_a_hundred_may_be_slower() {
        let tally = |quick, slow| Tally {
            up_to: vec![(1_000_000, quick), (2_000_000, quick + slow)],
            count: quick + slow,
            sum: 0,
        };
        let p99_ms = |quick, slow| Spread::between(&tally(0, 0), &tally(quick, slow)).p99_ms;
        assert_eq!(p99_ms(99, 1), Some(1.0));
        assert_eq!(p99_ms(98, 2), Some(2.0));
        assert_eq!(Spread::between(&tally(5, 5), &tally(5, 5)), Spread::default());
        let beyond = Tally { up_to: vec![(1_000_000, 0)], count: 3, sum: 0 };
        let none = Tally { up_to: vec![(1_000_000, 0)], count: 0, sum: 0 };
        assert_eq!(Spread::between(&none, &beyond).p99_ms, None, "longer than any bound");
    }
}
