//! Ids of all clients over one set: none twice.
//!
//! Ids come in blocks that nearly touch, so the set is kept as ranges: a new one begins only where an id went to
//! somebody else (a Region, a peer) or was skipped at a change of leader.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

/// Hears every id.
#[derive(Debug, Default)]
pub struct IdWitness {
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    /// First to last, both included; neither touching nor overlapping.
    ranges: BTreeMap<u64, u64>,
    taken: u64,
    duplicates: u64,
}

impl IdWitness {
    /// `ids` were given to somebody. Returns how many of them had been given before.
    pub fn given(&self, ids: RangeInclusive<u64>) -> u64 {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut first, mut last) = ids.into_inner();
        heard.taken += last - first + 1;
        let mut repeated = 0;
        // All ranges that touch or overlap grow into one.
        while let Some((&start, &end)) = heard.ranges.range(..=last.saturating_add(1)).next_back()
            && end.saturating_add(1) >= first
        {
            repeated += (end.min(last) + 1).saturating_sub(start.max(first));
            heard.ranges.remove(&start);
            (first, last) = (first.min(start), last.max(end));
        }
        heard.ranges.insert(first, last);
        heard.duplicates += repeated;
        repeated
    }

    /// How many were given.
    pub fn taken(&self) -> u64 {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).taken
    }

    /// How many were given more than once.
    pub fn duplicates(&self) -> u64 {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).duplicates
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn agrees_with_a_plain_set() {
        let mut random = StdRng::seed_from_u64(7);
        for _ in 0..200 {
            let (witness, mut plain) = (IdWitness::default(), BTreeSet::new());
            let mut duplicates = 0;
            for _ in 0..40 {
                let first = random.random_range(1..200);
                let ids = first..=first + random.random_range(0..8);
                let expected = ids.clone().filter(|id| !plain.insert(*id)).count() as u64;
                assert_eq!(witness.given(ids), expected);
                duplicates += expected;
            }
            assert_eq!(witness.duplicates(), duplicates);
            let heard = witness.heard.lock().unwrap();
            let kept: Vec<u64> = heard.ranges.iter().flat_map(|(first, last)| *first..=*last).collect();
            assert!(kept.iter().eq(plain.iter()));
        }
    }

    #[test]
    fn blocks_that_touch_become_one() {
        let witness = IdWitness::default();
        for block in [1..=10, 21..=30, 11..=20] {
            assert_eq!(witness.given(block), 0);
        }
        assert_eq!(witness.heard.lock().unwrap().ranges.len(), 1);
        assert_eq!(witness.taken(), 30);
        assert_eq!(witness.given(15..=15), 1);
    }
}
