//! Which commands an epoch lets pass: checked when proposed and again when applied.

use proto::metapb::{Region, RegionEpoch};

use super::epoch_of;

/// What of the epoch a command depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Reads and writes: the key range, so the version.
    Data,
    /// Splits and changes of membership: range and peers, so both numbers.
    Admin,
}

/// The answer of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochCheck {
    /// It may pass.
    Current,
    /// The command's epoch is over, or one that this peer has not reached.
    Different,
}

impl EpochCheck {
    /// Compares a command's epoch with the Region's.
    pub fn of(region: &Region, asked: &RegionEpoch, scope: Scope) -> Self {
        let now = epoch_of(region);
        let same = match scope {
            Scope::Data => now.version == asked.version,
            Scope::Admin => now == *asked,
        };
        if same { Self::Current } else { Self::Different }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let region =
            Region { region_epoch: Some(RegionEpoch { conf_ver: 5, version: 3 }), ..Region::default() };
        use EpochCheck::{Current, Different};
        let cases = [
            ((5, 3), Current, Current),
            ((4, 3), Current, Different),
            ((6, 3), Current, Different),
            ((5, 2), Different, Different),
            ((5, 4), Different, Different),
        ];
        for ((conf_ver, version), data, admin) in cases {
            let asked = RegionEpoch { conf_ver, version };
            assert_eq!(EpochCheck::of(&region, &asked, Scope::Data), data, "{asked:?}");
            assert_eq!(EpochCheck::of(&region, &asked, Scope::Admin), admin, "{asked:?}");
        }
    }
}
