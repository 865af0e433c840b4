//! Store limits: how many replicas may come to a Store and go from it in a minute. A bucket for each Store and kind is
//! filled by time and emptied by operators as they start, by tikv/pd's prices.

use std::collections::BTreeMap;

use crate::model::{LimitKind, Rate, StoreId, Time};

/// What moving a replica of more than [`SMALL_MIB`] costs, and what a bucket holds at least. Units.
pub(crate) const FULL_PRICE: u64 = 1_000;
/// What a smaller one costs.
const SMALL_PRICE: u64 = 200;
/// Replicas up to this size are small.
const SMALL_MIB: u64 = 20;
/// Replicas up to this size cost nothing.
const FREE_MIB: u64 = 1;
/// Inside, levels are counted in parts of a unit, so that a rate in thousandths a minute fills whole parts each ms.
const PARTS: u64 = 60_000;

/// What moving a replica of this size costs, in units.
pub(crate) const fn price(size_mib: u64) -> u64 {
    if size_mib > SMALL_MIB {
        FULL_PRICE
    } else if size_mib > FREE_MIB {
        SMALL_PRICE
    } else {
        0
    }
}

/// The price of taking a replica off a Store that is down: nobody sends anything.
pub(crate) fn price_off_dead(size_mib: u64) -> u64 {
    price(size_mib).min(SMALL_PRICE)
}

/// A limit as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitState {
    /// Of what.
    pub kind: LimitKind,
    /// What it allows.
    pub rate: Rate,
    /// Units at hand, of which a large replica costs 1,000; none when nothing is limited.
    pub available: Option<u64>,
    /// How often it was the reason to wait, since the planner began.
    pub refused: u64,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    parts: u64,
    at: Time,
}

/// The buckets of all Stores. One that is not here yet is full.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    buckets: BTreeMap<(StoreId, LimitKind), Bucket>,
}

impl Limits {
    /// Units at hand; none when nothing is limited.
    pub fn available(&self, store: StoreId, kind: LimitKind, rate: Rate, now: Time) -> Option<u64> {
        (!rate.is_unlimited()).then(|| self.parts(store, kind, rate, now) / PARTS)
    }

    /// An operator starts. More than there is may be taken: people do not wait for a limit.
    pub fn take(&mut self, store: StoreId, kind: LimitKind, rate: Rate, units: u64, now: Time) {
        if rate.is_unlimited() || units == 0 {
            return;
        }
        let parts = self.parts(store, kind, rate, now).saturating_sub(units.saturating_mul(PARTS));
        self.buckets.insert((store, kind), Bucket { parts, at: now });
    }

    /// A Store is gone for good.
    pub fn forget(&mut self, store: StoreId) {
        for kind in LimitKind::ALL {
            self.buckets.remove(&(store, kind));
        }
    }

    fn parts(&self, store: StoreId, kind: LimitKind, rate: Rate, now: Time) -> u64 {
        // One large replica, or what flows in within a second.
        let capacity = (FULL_PRICE * PARTS).max(rate.0.saturating_mul(1_000));
        match self.buckets.get(&(store, kind)) {
            None => capacity,
            Some(bucket) => {
                let flowed = rate.0.saturating_mul(now.ms_since(bucket.at));
                bucket.parts.saturating_add(flowed).min(capacity)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: StoreId = StoreId(1);
    const RATE: Rate = Rate(15_000);

    #[test]
    fn a_bucket_of_fifteen_a_minute_refills_a_large_replica_in_four_seconds() {
        let mut limits = Limits::default();
        let available = |l: &Limits, at| l.available(STORE, LimitKind::AddPeer, RATE, Time(at));
        assert_eq!(available(&limits, 0), Some(FULL_PRICE));
        limits.take(STORE, LimitKind::AddPeer, RATE, price(21), Time(0));
        assert_eq!(available(&limits, 0), Some(0));
        assert_eq!(available(&limits, 3_999), Some(999));
        assert_eq!(available(&limits, 4_000), Some(1_000));
        assert_eq!(available(&limits, 60_000), Some(FULL_PRICE), "it never holds more than one");
        assert_eq!(limits.available(STORE, LimitKind::RemovePeer, RATE, Time(0)), Some(FULL_PRICE));
    }

    #[test]
    fn a_high_rate_holds_a_second_of_it() {
        let mut limits = Limits::default();
        let rate = Rate::per_minute(600.0);
        assert_eq!(limits.available(STORE, LimitKind::AddPeer, rate, Time(0)), Some(10_000));
        limits.take(STORE, LimitKind::AddPeer, rate, 10_000, Time(0));
        assert_eq!(limits.available(STORE, LimitKind::AddPeer, rate, Time(100)), Some(1_000));
    }

    #[test]
    fn no_limit_is_never_used_up_and_crumbs_are_free() {
        let mut limits = Limits::default();
        limits.take(STORE, LimitKind::AddPeer, Rate::UNLIMITED, 5_000, Time(0));
        assert_eq!(limits.available(STORE, LimitKind::AddPeer, Rate::UNLIMITED, Time(0)), None);
        assert_eq!(limits.available(STORE, LimitKind::AddPeer, RATE, Time(0)), Some(FULL_PRICE));
        assert_eq!([price(1), price(2), price(20), price(21)], [0, 200, 200, 1_000]);
        assert_eq!(price_off_dead(10_000), 200);
    }

    #[test]
    fn more_than_there_is_may_be_taken() {
        let mut limits = Limits::default();
        for _ in 0..3 {
            limits.take(STORE, LimitKind::AddPeer, RATE, FULL_PRICE, Time(0));
        }
        assert_eq!(limits.available(STORE, LimitKind::AddPeer, RATE, Time(4_000)), Some(FULL_PRICE));
    }
}
