//! Numbers as people read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, now.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Bytes with a unit: `820 B`, `1.5 GiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut whole, mut unit, mut rest) = (bytes, "B", 0);
    for next in UNITS {
        if whole < 1024 {
            break;
        }
        (rest, whole, unit) = ((whole % 1024) * 10 / 1024, whole / 1024, next);
    }
    if whole < 10 && unit != "B" { format!("{whole}.{rest} {unit}") } else { format!("{whole} {unit}") }
}

/// A span in its two greatest units: `40s`, `3m 20s`, `2d 4h`.
pub fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let Some(at) = units.iter().position(|(size, _)| seconds >= *size) else { return "0s".to_owned() };
    let (size, name) = units[at];
    let mut text = format!("{}{name}", seconds / size);
    if let Some((smaller, name)) = units.get(at + 1) {
        let rest = seconds % size / smaller;
        if rest > 0 {
            text.push_str(&format!(" {rest}{name}"));
        }
    }
    text
}

/// The time of day in UTC of a moment since 1970: `12:03:07`.
pub fn clock(ms: u64) -> String {
    let seconds = ms / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Date and time in UTC of a moment since 1970.
pub fn moment(ms: u64) -> String {
    // Later years have five digits, which no clock shows.
    const LAST_MS: u64 = 253_402_300_799_000;
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms.min(LAST_MS))).to_string()
}

/// A number with thousands set apart: `1,204`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A text from elsewhere, for a terminal: what would move its cursor is shown as a mark.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::{bytes, clock, count, plain, span};

    #[test]
    fn numbers_as_people_read_them() {
        assert_eq!(
            [bytes(820), bytes(1536), bytes(120 << 30), bytes(u64::MAX)],
            ["820 B", "1.5 KiB", "120 GiB", "15 EiB"]
        );
        assert_eq!(
            [span(900), span(200_000), span(3_600_000), span(187_200_000)],
            ["0s", "3m 20s", "1h", "2d 4h"]
        );
        assert_eq!([count(7), count(1204), count(1_000_000)], ["7", "1,204", "1,000,000"]);
        assert_eq!(clock(1_700_000_003_500), "22:13:23");
        assert_eq!(plain("a\u{1b}[2J"), "a\u{fffd}[2J");
    }
}
