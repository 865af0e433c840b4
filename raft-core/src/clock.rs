//! The one clock of leases: CLOCK_BOOTTIME, which goes on while the machine sleeps (Rust's `Instant` does not).

use std::ops::Add;
use std::time::Duration;

/// A reading of CLOCK_BOOTTIME in nanoseconds since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(pub u64);

impl BootTime {
    /// Reads the clock.
    pub fn now() -> Self {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Self(t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64)
    }
}

impl Add<Duration> for BootTime {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}
