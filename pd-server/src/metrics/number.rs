//! Numbers that many threads count and one reads now and then.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A count that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.inc_by(1);
    }

    /// So many more.
    pub fn inc_by(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// Up to now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
