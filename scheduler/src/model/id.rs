//! The small values everything else is named by: ids, time, epochs.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl From<u64> for $name {
            fn from(id: u64) -> Self {
                Self(id)
            }
        }
    };
}

id! {
    /// A Region. 0 is never a Region.
    RegionId
}
id! {
    /// A Store. 0 is never a Store.
    StoreId
}
id! {
    /// A Peer: one replica of one Region. Never used twice; 0 is never a Peer.
    PeerId
}
id! {
    /// An Operator: counted from 1 by the planner that made it, so it is unique only in that planner's life.
    OperatorId
}

/// Milliseconds of a monotonic clock that the caller reads and the planner never does. Only differences mean
/// something; a value older than one already given counts as no time passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// This moment and `ms` milliseconds.
    #[must_use]
    pub const fn after_ms(self, ms: u64) -> Time {
        Time(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment, 0 when `earlier` is later.
    #[must_use]
    pub const fn ms_since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

/// What tells an older picture of a Region from a newer one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionEpoch {
    /// Grows with each change of Peers.
    pub conf_ver: u64,
    /// Grows with each change of the key range.
    pub version: u64,
}

impl RegionEpoch {
    /// True when one of the two numbers is lower than in `other`.
    #[must_use]
    pub const fn is_older_than(self, other: RegionEpoch) -> bool {
        self.version < other.version || self.conf_ver < other.conf_ver
    }
}

impl fmt::Display for RegionEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conf_ver:{} version:{}", self.conf_ver, self.version)
    }
}
