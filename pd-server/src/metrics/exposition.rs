//! The text form of metrics, for what is read off the state when somebody asks: nothing is kept of it between two times.

use std::fmt::Write;

use raft_core::Tally;

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rises until the process, or what it belongs to, begins anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
}

/// Text that grows.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// The samples of one name.
pub struct Family<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Exposition {
    /// Begins a name. Each may be begun once only.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { text: &mut self.text, name }
    }

    /// A name with one number and no labels.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, Kind::Gauge, help).put(&[], value);
    }

    /// The same for what only rises.
    pub fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, Kind::Counter, help).put(&[], value);
    }

    /// A histogram without labels. `unit` is what the counted numbers are multiplied by.
    pub fn histogram(&mut self, name: &str, help: &str, tally: &Tally, unit: f64) {
        self.family(name, Kind::Histogram, help).tally(&[], tally, unit);
    }

    /// All of it.
    pub fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// One number.
    pub fn put(&mut self, labels: &[(&str, &str)], value: f64) {
        self.sample("", labels, None, value);
    }

    /// One histogram.
    pub fn tally(&mut self, labels: &[(&str, &str)], tally: &Tally, unit: f64) {
        for (bound, count) in &tally.up_to {
            // To nine digits: 62.5 us is no power of ten, and 0.000062500000001 is no bound.
            let bound = (*bound as f64 * unit * 1e9).round() / 1e9;
            self.sample("_bucket", labels, Some(&bound.to_string()), *count as f64);
        }
        self.sample("_bucket", labels, Some("+Inf"), tally.count as f64);
        self.sample("_sum", labels, None, tally.sum as f64 * unit);
        self.sample("_count", labels, None, tally.count as f64);
    }

    /// One histogram of seconds with bounds of its own; `within` counts what lies at or below each.
    pub fn seconds(
        &mut self,
        labels: &[(&str, &str)],
        bounds: &[f64],
        within: &[u64],
        count: u64,
        sum_s: f64,
    ) {
        for (bound, within) in bounds.iter().zip(within) {
            self.sample("_bucket", labels, Some(&bound.to_string()), *within as f64);
        }
        self.sample("_bucket", labels, Some("+Inf"), count as f64);
        self.sample("_sum", labels, None, sum_s);
        self.sample("_count", labels, None, count as f64);
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], up_to: Option<&str>, value: f64) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        let labels = labels.iter().copied().chain(up_to.map(|bound| ("le", bound)));
        let mut opened = false;
        for (label, value) in labels {
            self.text.push(if opened { ',' } else { '{' });
            opened = true;
            let _ = write!(self.text, "{label}=\"");
            escape(self.text, value);
            self.text.push('"');
        }
        if opened {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

fn escape(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use raft_core::Durations;
    use std::time::Duration;

    #[test]
    fn numbers_labels_and_histograms_as_text() {
        let mut out = Exposition::default();
        let mut family = out.family("a_b", Kind::Gauge, "Help.");
        family.put(&[], 1.5);
        family.put(&[("x", "say \"a\\b\"\nc"), ("y", "")], 3.0);
        let times = Durations::default();
        times.record_time(Duration::from_millis(3), 2);
        out.histogram("t_seconds", "Times.", &times.tally(), 1e-9);
        let text = out.into_text();
        let start =
            "# HELP a_b Help.\n# TYPE a_b gauge\na_b 1.5\na_b{x=\"say \\\"a\\\\b\\\"\\nc\",y=\"\"} 3\n";
        assert!(text.starts_with(start), "{text}");
        for line in [
            "t_seconds_bucket{le=\"0.0000625\"} 0",
            "t_seconds_bucket{le=\"0.002\"} 0",
            "t_seconds_bucket{le=\"0.004\"} 2",
            "t_seconds_bucket{le=\"8.192\"} 2",
            "t_seconds_bucket{le=\"+Inf\"} 2",
            "t_seconds_sum 0.006",
            "t_seconds_count 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
    }
}
