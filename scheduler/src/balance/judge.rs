//! Whether a plan is worth its bytes.

/// A Store counts as off when it is further from its target than this part of it, in per mille. Within it a cluster is
/// quiet: reports differ by as much from one minute to the next.
pub(super) const ENTER_PER_MILLE: i64 = 30;
/// What a plan may move for each byte by which it lessens the deviation beyond that band.
const BYTES_PER_GAIN: i64 = 100;

/// How far beyond the band a Store is, in KiB.
pub(super) fn beyond_band(load_kib: i64, target_kib: i64) -> i64 {
    ((load_kib - target_kib).abs() - target_kib * ENTER_PER_MILLE / 1000).max(0)
}

/// A Store before and after the plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub target_kib: i64,
    pub before_kib: i64,
    pub after_kib: i64,
}

/// True when the plan brings some Store enough nearer to its band, for few enough bytes.
pub(super) fn is_worth(stores: &[Change], moved_kib: i64) -> bool {
    let falls = stores.iter().map(|c| {
        let before = beyond_band(c.before_kib, c.target_kib);
        (c.target_kib, before, before - beyond_band(c.after_kib, c.target_kib))
    });
    let enough = falls.clone().any(|(target, before, fall)| {
        let least = (target * 3 / 1000).max((target / 100).min(before / 2));
        before > 0 && fall >= least.max(1)
    });
    let total: i64 = falls.map(|(_, _, fall)| fall).sum();
    enough && moved_kib <= BYTES_PER_GAIN.saturating_mul(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before_kib: i64, after_kib: i64) -> Change {
        Change { target_kib: 100_000, before_kib, after_kib }
    }

    #[test]
    fn noise_inside_the_band_is_not_worth_a_move() {
        assert!(!is_worth(&[change(102_900, 100_000), change(97_100, 100_000)], 2_900));
    }

    #[test]
    fn a_store_far_off_is() {
        assert!(is_worth(&[change(120_000, 100_000), change(80_000, 100_000)], 20_000));
    }

    #[test]
    fn a_crumb_is_not() {
        assert!(!is_worth(&[change(120_000, 119_900), change(80_000, 80_100)], 100));
    }

    #[test]
    fn too_many_bytes_for_the_gain_are_not() {
        assert!(!is_worth(&[change(104_000, 103_000)], 200_000));
    }
}
