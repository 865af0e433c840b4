//! Values as the configuration spells them: URLs, durations, sizes, booleans.

use std::fmt;
use std::net::Ipv6Addr;
use std::time::Duration;

/// An `http://host:port` without a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerUrl {
    host: String,
    port: u16,
}

impl ServerUrl {
    /// Reads one URL.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("{text:?}: {what}; a URL like http://127.0.0.1:2379 is expected");
        let url = url::Url::parse(text).map_err(|e| wrong(&e.to_string()))?;
        match url.scheme() {
            "http" => {}
            "https" => return Err(wrong("https is not served yet")),
            other => return Err(wrong(&format!("scheme {other:?} is unknown"))),
        }
        if url.path() != "/"
            || url.query().is_some()
            || url.fragment().is_some()
            || !url.username().is_empty()
        {
            return Err(wrong("only host and port may stand in it"));
        }
        // The parser drops the port 80 of http; it must have been written nevertheless.
        let port = url.port().or_else(|| text.trim_end_matches('/').ends_with(":80").then_some(80));
        let port = port.filter(|port| *port != 0).ok_or_else(|| wrong("the port is missing"))?;
        let host = url.host_str().ok_or_else(|| wrong("the host is missing"))?;
        Ok(Self { host: host.to_owned(), port })
    }

    /// Reads URLs with commas between them.
    ///
    /// # Errors
    /// None at all, or the first that is wrong.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        let urls = text.split(',').map(|url| Self::parse(url.trim())).collect::<Result<Vec<_>, _>>()?;
        if let Some(twice) = urls.iter().enumerate().find(|(i, url)| urls[..*i].contains(url)) {
            return Err(format!("{} is listed twice", twice.1));
        }
        Ok(urls)
    }

    /// `host:port`, to listen on or to connect to. IPv6 addresses stand in brackets.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Nobody can connect to it: it stands for all addresses of the machine.
    pub fn is_unspecified(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        bare == "0.0.0.0" || bare.parse::<Ipv6Addr>().is_ok_and(|address| address.is_unspecified())
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

/// Reads a duration as Go writes it: numbers with units, largest first or not, such as `1h30m`, `1.5s`, `100ms`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration; 30m, 1h30m or 500ms would be one");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() || total.is_zero() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, next) = tail.split_at(unit_end);
        let unit_seconds = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return Err(wrong()),
        };
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let part = Duration::try_from_secs_f64(number * unit_seconds).map_err(|_| wrong())?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = next;
        if rest.is_empty() {
            break;
        }
    }
    Ok(total)
}

/// Reads a size: a number of bytes, or with a unit such as `KiB`, `MB`, `GiB`.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size; 512MiB or 8GiB would be one");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim() {
        "" | "B" => 0,
        "KB" | "KiB" => 10,
        "MB" | "MiB" => 20,
        "GB" | "GiB" => 30,
        "TB" | "TiB" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// Writes a duration as Go does: `1h30m0s`, `1.5s`, `50ms`, `0s`.
pub(super) fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let nanos = duration.subsec_nanos();
    if seconds == 0 && nanos > 0 {
        let (unit, digits) = match nanos {
            1_000_000.. => ("ms", 6),
            1_000.. => ("µs", 3),
            _ => ("ns", 0),
        };
        return decimal(u64::from(nanos), digits) + unit;
    }
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let last = decimal(seconds % 60 * 1_000_000_000 + u64::from(nanos), 9) + "s";
    match (hours, minutes) {
        (0, 0) => last,
        (0, minutes) => format!("{minutes}m{last}"),
        (hours, minutes) => format!("{hours}h{minutes}m{last}"),
    }
}

/// A number of 10^-`digits`, without zeros at the end.
fn decimal(number: u64, digits: usize) -> String {
    let padded = format!("{number:0>width$}", width = digits + 1);
    let (whole, fraction) = padded.split_at(padded.len() - digits);
    match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}

/// Writes a size in the largest unit that leaves no fraction: `8GiB`, `150MiB`, `12B`.
pub(super) fn format_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut size = bytes;
    let mut unit = 0;
    while size >= 1_024 && size.is_multiple_of(1_024) && unit + 1 < UNITS.len() {
        size /= 1_024;
        unit += 1;
    }
    format!("{size}{}", UNITS[unit])
}

/// Reads a boolean that was written as text.
pub(super) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(format!("{other:?} is neither true nor false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let url = ServerUrl::parse("http://pd-1.example:2379").unwrap();
        assert_eq!(
            (url.address().as_str(), url.to_string().as_str()),
            ("pd-1.example:2379", "http://pd-1.example:2379")
        );
        assert_eq!(ServerUrl::parse("http://[::1]:80/").unwrap().address(), "[::1]:80");
        assert!(ServerUrl::parse("http://0.0.0.0:1").unwrap().is_unspecified());
        assert!(ServerUrl::parse("http://[::]:1").unwrap().is_unspecified());
        assert!(!url.is_unspecified());
        for (text, reason) in [
            ("127.0.0.1:2379", "relative URL"),
            ("localhost:2379", "scheme \"localhost\""),
            ("", "relative URL"),
            ("http://127.0.0.1", "port is missing"),
            ("http://127.0.0.1:0", "port is missing"),
            ("http://:2379", "empty host"),
            ("http://127.0.0.1:99999", "port"),
            ("https://127.0.0.1:2379", "https is not served yet"),
            ("unix://localhost:1", "scheme \"unix\""),
            ("http://127.0.0.1:2379/pd", "only host and port"),
            ("http://me@127.0.0.1:2379", "only host and port"),
        ] {
            let error = ServerUrl::parse(text).unwrap_err();
            assert!(error.contains(reason) && error.contains(text), "{text}: {error}");
        }
        assert_eq!(ServerUrl::parse_list("http://a:1, http://b:2").unwrap().len(), 2);
        assert_eq!(ServerUrl::parse_list("http://a:1,http://a:1").unwrap_err(), "http://a:1 is listed twice");
        assert!(ServerUrl::parse_list("http://a:1,").is_err());
    }

    #[test]
    fn durations() {
        for (text, ms) in [
            ("30m", 1_800_000),
            ("1h30m", 5_400_000),
            ("1h0m0s", 3_600_000),
            ("500ms", 500),
            ("1.5s", 1_500),
            ("0s", 0),
            ("0", 0),
            ("2m500ms", 120_500),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "5", "m", "5 m", "-5m", "5min", "1h30", "1..5s", "1e9h", "99999999999999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in [
            "0s",
            "1s",
            "1.5s",
            "50ms",
            "1.5ms",
            "2µs",
            "3ns",
            "1m0s",
            "30m0s",
            "1h0m0s",
            "48h0m0s",
            "1h0m0.25s",
        ] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
        assert_eq!(format_duration(parse_duration("2m500ms").unwrap()), "2m0.5s");
    }

    #[test]
    fn sizes_and_booleans() {
        for text in ["0B", "12B", "8GiB", "150MiB", "1025B", "16384TiB"] {
            assert_eq!(format_size(parse_size(text).unwrap()), text);
        }
        for (text, bytes) in [("8GiB", 8 << 30), ("150MB", 150 << 20), ("12", 12), ("1 KiB", 1_024)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "GiB", "8XB", "-1", "99999999999TiB", "1.5GiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert_eq!((parse_bool("true"), parse_bool("false")), (Ok(true), Ok(false)));
        assert!(parse_bool("yes").is_err());
    }
}
