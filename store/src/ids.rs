//! Numbers that must not be mixed up. All are handed out by PD and never used twice.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A Store: one data folder.
    StoreId
);
id!(
    /// A Region, and the Raft group of the same number.
    RegionId
);
id!(
    /// A Peer of a Region, and its Raft id. A higher one of the same Region and Store is a younger one.
    PeerId
);
