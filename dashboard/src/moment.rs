//! Moments and numbers as text for people.

/// `12:03:07 UTC` for a moment of the last 18 hours before `now_ms`, else `2026-11-24 12:03 UTC`.
pub fn moment(at_ms: u64, now_ms: u64) -> String {
    let seconds = at_ms / 1_000;
    let (h, m, s) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    if now_ms.abs_diff(at_ms) < 18 * 3_600_000 {
        return format!("{h:02}:{m:02}:{s:02} UTC");
    }
    let (year, month, day) = civil(seconds / 86_400);
    format!("{year}-{month:02}-{day:02} {h:02}:{m:02} UTC")
}

/// `1,204`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A figure with its unit.
pub fn figure(value: f64, unit: &str) -> String {
    if unit == "bytes" {
        return bytes(value);
    }
    let number = if value.fract() == 0.0 || value >= 100.0 {
        count(value.round().max(0.0) as u64)
    } else {
        format!("{value:.1}")
    };
    match unit {
        "" => number,
        unit => format!("{number}{unit}"),
    }
}

fn bytes(mut value: f64) -> String {
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if value < 1_024.0 {
            break;
        }
        value /= 1_024.0;
        unit = larger;
    }
    if unit == "B" { format!("{value:.0} B") } else { format!("{value:.1} {unit}") }
}

/// Year, month and day of the day with this number from 1970-01-01, which is 0.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years that begin in March, so that the leap day is the last one; eras of 400 such years from 0000-03-01.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_short_when_they_are_near() {
        let noon = 1_795_521_787_000; // 2026-11-24 12:03:07
        assert_eq!(moment(noon, noon + 60_000), "12:03:07 UTC");
        assert_eq!(moment(noon, noon + 86_400_000), "2026-11-24 12:03 UTC");
        assert_eq!(moment(951_782_400_000, noon), "2000-02-29 00:00 UTC");
    }

    #[test]
    fn figures_have_units() {
        assert_eq!(figure(1_204.0, ""), "1,204");
        assert_eq!(figure(0.0, ""), "0");
        assert_eq!(figure(12.34, "/s"), "12.3/s");
        assert_eq!(figure(212_400.4, "/s"), "212,400/s");
        assert_eq!(figure(1_536.0, "bytes"), "1.5 KiB");
        assert_eq!(figure(7.0, "bytes"), "7 B");
    }
}
