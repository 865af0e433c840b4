//! Sizes, times and durations in the words that the ecosystem's tools print and parse.

use std::fmt::Write;
use std::time::Duration;

/// Binary units in rising order.
const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Bytes as `110GiB`, `63.81GiB`: four digits that count, no trailing zeros.
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits_before = if value >= 1000.0 {
        4
    } else if value >= 100.0 {
        3
    } else if value >= 10.0 {
        2
    } else {
        1
    };
    let mut text = format!("{value:.*}", 4 - digits_before);
    trim_fraction(&mut text);
    text.push_str(UNITS[unit]);
    text
}

/// A duration as `26518h17m17.62s`, `5m0s`, `1.5s`; zero is `0s`.
pub fn duration(value: Duration) -> String {
    let seconds = value.as_secs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = String::new();
    if hours > 0 {
        let _ = write!(text, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        let _ = write!(text, "{minutes}m");
    }
    let mut fraction = format!("{rest}.{:09}", value.subsec_nanos());
    trim_fraction(&mut fraction);
    text + &fraction + "s"
}

/// A time since the epoch as `2026-11-23T20:30:38.62042895Z`: RFC 3339 without trailing zeros.
pub fn time(since_epoch: Duration) -> String {
    let at = std::time::UNIX_EPOCH + since_epoch;
    let mut text = humantime::format_rfc3339_nanos(at).to_string();
    text.pop();
    trim_fraction(&mut text);
    text.push('Z');
    text
}

fn trim_fraction(text: &mut String) {
    if text.contains('.') {
        let kept = text.trim_end_matches('0').trim_end_matches('.').len();
        text.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::{duration, size, time};
    use std::time::Duration;

    #[test]
    fn sizes_have_four_digits_that_count() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1KiB"),
            (1536, "1.5KiB"),
            (118_111_600_640, "110GiB"),
            (68_519_714_816, "63.81GiB"),
            (u64::MAX, "16EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn durations_and_times_drop_trailing_zeros() {
        assert_eq!(duration(Duration::ZERO), "0s");
        assert_eq!(duration(Duration::from_millis(1500)), "1.5s");
        assert_eq!(duration(Duration::from_secs(300)), "5m0s");
        let uptime = Duration::new(26_518 * 3600 + 17 * 60 + 17, 620_428_950);
        assert_eq!(duration(uptime), "26518h17m17.62042895s");
        assert_eq!(time(Duration::from_secs(1_700_000_001)), "2023-11-14T22:13:21Z");
        assert_eq!(time(Duration::new(1_795_465_838, 620_428_950)), "2026-11-23T20:30:38.62042895Z");
    }
}
