//! What is said at the end: one sentence, then one line for each promise and number.

use std::time::Duration;

/// The numbers of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// Regions, as the stores say.
    pub regions: u64,
    /// Stores that are Up, as PD says.
    pub stores_up: u64,
    /// Regions of which the stores hold every replica.
    pub complete: u64,
    /// Whether missing replicas break a promise: not when the run was ended by hand in the middle of something.
    pub replicas_promised: bool,
    /// Why Regions are not complete.
    pub incomplete_because: Vec<String>,
    /// Writes acknowledged.
    pub acknowledged: u64,
    /// Keys that held what they must not.
    pub lost: u64,
    /// What was found instead.
    pub lost_because: Vec<String>,
    /// Keys that could not be read back in time.
    pub unread: u64,
    /// Timestamps taken.
    pub timestamps: u64,
    /// Timestamps that went back or were given twice.
    pub fallbacks: u64,
    /// Ids taken.
    pub ids: u64,
    /// Ids given twice.
    pub duplicates: u64,
    /// The longest time between two timestamps around a kill of PD's leader.
    pub timestamp_gap: Option<Duration>,
    /// The longest time that a write waited for its acknowledgement around a kill of a store.
    pub write_gap: Option<Duration>,
    /// Faults that the run was asked to cause and did not.
    pub faults_missing: Vec<String>,
}

impl Summary {
    /// The promises that were broken, each as a sentence.
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if self.lost > 0 {
            broken.push(format!("{} acknowledged writes are lost.", self.lost));
        }
        if self.unread > 0 {
            broken.push(format!("{} keys could not be read back.", self.unread));
        }
        if self.fallbacks > 0 {
            broken.push(format!("{} timestamps went back or were given twice.", self.fallbacks));
        }
        if self.duplicates > 0 {
            broken.push(format!("{} ids were given twice.", self.duplicates));
        }
        if self.replicas_promised && (self.complete < self.regions || !self.incomplete_because.is_empty()) {
            let missing = self.regions - self.complete;
            broken.push(format!("{missing} of {} Regions do not have all replicas.", self.regions));
        }
        if self.regions == 0 {
            broken.push("No store could say what it holds.".to_string());
        }
        broken.extend(self.faults_missing.iter().map(|fault| format!("Not done: {fault}.")));
        broken
    }

    /// All lines, the sentence first.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.broken();
        if lines.is_empty() {
            lines.push(self.sentence());
        }
        lines.extend(self.lost_because.iter().map(|text| format!("  {text}")));
        if self.replicas_promised {
            lines.extend(self.incomplete_because.iter().map(|text| format!("  {text}")));
        }
        lines.extend(self.values().map(|(name, value)| format!("{name}: {value}")));
        lines
    }

    fn sentence(&self) -> String {
        let mut sentence = "Nothing was lost.".to_string();
        if let Some(gap) = self.timestamp_gap {
            sentence += &format!(" Leader of PD killed: {} ms without timestamps.", gap.as_millis());
        }
        if let Some(gap) = self.write_gap {
            sentence += &format!(" Store killed: no write waited longer than {:.1} s.", gap.as_secs_f64());
        }
        sentence
    }

    /// Names and values as scripts read them; `-` where nothing was measured.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, String)> {
        let gap_ms = self.timestamp_gap.map(|gap| gap.as_millis().to_string());
        let gap_s = self.write_gap.map(|gap| format!("{:.1}", gap.as_secs_f64()));
        [
            ("regions", self.regions.to_string()),
            ("stores up", self.stores_up.to_string()),
            ("regions with all replicas", self.complete.to_string()),
            ("writes acknowledged", self.acknowledged.to_string()),
            ("writes lost", self.lost.to_string()),
            ("timestamps taken", self.timestamps.to_string()),
            ("timestamp fallbacks", self.fallbacks.to_string()),
            ("ids taken", self.ids.to_string()),
            ("duplicate ids", self.duplicates.to_string()),
            ("timestamp gap at the leader kill in ms", gap_ms.unwrap_or_else(|| "-".to_string())),
            ("longest write gap at the store kill in s", gap_s.unwrap_or_else(|| "-".to_string())),
        ]
        .into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Summary {
        Summary {
            regions: 42,
            complete: 42,
            replicas_promised: true,
            timestamp_gap: Some(Duration::from_millis(640)),
            ..Summary::default()
        }
    }

    #[test]
    fn a_good_run_says_so_first() {
        let lines = good().lines();
        assert_eq!(lines[0], "Nothing was lost. Leader of PD killed: 640 ms without timestamps.");
        assert!(lines.contains(&"timestamp gap at the leader kill in ms: 640".to_string()));
        assert!(lines.contains(&"longest write gap at the store kill in s: -".to_string()));
        assert_eq!(lines.len(), 12);
    }

    #[test]
    fn every_broken_promise_is_told_and_fails_the_run() {
        let breaks: [fn(&mut Summary); 8] = [
            |s| s.lost = 1,
            |s| s.unread = 1,
            |s| s.fallbacks = 1,
            |s| s.duplicates = 1,
            |s| s.complete = 41,
            |s| s.incomplete_because = vec!["the Regions do not tile".to_string()],
            |s| (s.regions, s.complete) = (0, 0),
            |s| s.faults_missing = vec!["kill".to_string()],
        ];
        assert!(good().broken().is_empty());
        for change in breaks {
            let mut summary = good();
            change(&mut summary);
            let broken = summary.broken();
            assert_eq!(broken.len(), 1, "{broken:?}");
            assert_eq!(summary.lines()[0], broken[0]);
        }
    }
}
