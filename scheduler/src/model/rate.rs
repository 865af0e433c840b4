//! How fast a Store may get or lose replicas, and how much of the load it shall have compared with others. Integers
//! inside, so that two processes agree to the bit.

use std::fmt;

/// As tikv/pd counts: from here on a rate limits nothing.
const UNLIMITED_PER_MINUTE: f64 = 1e8;
const MILLI: f64 = 1000.0;

/// Steps a minute, in thousandths. 0 and 100,000,000 a minute or more stand for "no limit".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(pub u64);

impl Rate {
    /// No limit.
    pub const UNLIMITED: Rate = Rate(0);

    /// From steps a minute. What is no number, negative or too large limits nothing.
    #[must_use]
    pub fn per_minute(steps: f64) -> Rate {
        if steps.is_finite() && steps > 0.0 && steps < UNLIMITED_PER_MINUTE {
            // Within 0 and 1e11: exact enough in whole thousandths. A limit of less than that is one all the same.
            Rate(((steps * MILLI).round() as u64).max(1))
        } else {
            Rate::UNLIMITED
        }
    }

    /// True when it limits nothing.
    #[must_use]
    pub const fn is_unlimited(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_unlimited() { f.write_str("unlimited") } else { write!(f, "{}", self.0 as f64 / MILLI) }
    }
}

/// What of a Store is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitKind {
    /// Replicas that come.
    AddPeer,
    /// Replicas that go.
    RemovePeer,
}

impl LimitKind {
    /// Both.
    pub const ALL: [LimitKind; 2] = [LimitKind::AddPeer, LimitKind::RemovePeer];

    /// Its name in configuration and commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            LimitKind::AddPeer => "add-peer",
            LimitKind::RemovePeer => "remove-peer",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<LimitKind> {
        LimitKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A Store's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimit {
    /// Replicas that come.
    pub add_peer: Rate,
    /// Replicas that go.
    pub remove_peer: Rate,
}

impl StoreLimit {
    /// The limit of one kind.
    #[must_use]
    pub const fn of(&self, kind: LimitKind) -> Rate {
        match kind {
            LimitKind::AddPeer => self.add_peer,
            LimitKind::RemovePeer => self.remove_peer,
        }
    }
}

impl Default for StoreLimit {
    /// 15 a minute, both ways.
    fn default() -> Self {
        StoreLimit { add_peer: Rate(15_000), remove_peer: Rate(15_000) }
    }
}

/// How much a Store shall have compared with others, in thousandths: 1000 is the usual share, 0 is nothing at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(pub u64);

impl Weight {
    /// As people write it: 1 is the usual share. Negative and what is no number count as 0; at most a million.
    #[must_use]
    pub fn from_f64(weight: f64) -> Weight {
        // `clamp` keeps what is no number; the conversion makes it 0.
        Weight((weight.clamp(0.0, 1e6) * MILLI).round() as u64)
    }

    /// As people write it.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / MILLI
    }

    /// A load as it counts on a Store of this weight: twice as much at half the weight, endless at none.
    #[must_use]
    pub(crate) const fn scale(self, load: u64) -> u64 {
        match load.saturating_mul(1000).checked_div(self.0) {
            Some(scaled) => scaled,
            None => u64::MAX,
        }
    }
}

impl Default for Weight {
    fn default() -> Self {
        Weight(1000)
    }
}

/// A Store's weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreWeights {
    /// For the number of Regions that it leads.
    pub leader: Weight,
    /// For the size of what it holds.
    pub region: Weight,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_limits_nothing_is_unlimited() {
        for steps in [0.0, -3.0, f64::NAN, f64::INFINITY, 1e8] {
            assert!(Rate::per_minute(steps).is_unlimited(), "{steps}");
        }
        assert_eq!(Rate::per_minute(15.0), StoreLimit::default().add_peer);
        assert_eq!(Rate::per_minute(0.000_1), Rate(1), "a very low limit does not become none");
        assert_eq!(Rate::per_minute(0.5).to_string(), "0.5");
    }

    #[test]
    fn a_weight_scales_what_a_store_holds() {
        assert_eq!(Weight::default().scale(7), 7);
        assert_eq!(Weight::from_f64(2.0).scale(8), 4);
        assert_eq!(Weight::from_f64(0.5).scale(8), 16);
        assert_eq!(Weight::from_f64(0.0).scale(0), u64::MAX);
        assert_eq!(Weight::from_f64(f64::NAN), Weight(0));
    }
}
