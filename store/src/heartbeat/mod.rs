//! What a Store tells PD of itself and of the Regions that it leads.

mod region;
mod store;

pub use region::run as run_regions;
pub use store::{Disk, run as run_store};

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
