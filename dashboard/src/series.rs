//! The last hour of each figure: one value each 10 s, kept on every member, so that a new leader's page has them too.

use std::collections::{BTreeMap, VecDeque};

use crate::model::Figure;

/// Time between two values, in ms.
pub const STEP_MS: u64 = 10_000;
/// Values kept: an hour. The oldest makes room.
const KEPT: usize = 360;
/// Figures of which values are kept; more are not drawn.
const FIGURES_MAX: usize = 32;

/// The values.
#[derive(Clone, Debug, Default)]
pub struct Series {
    taken: usize,
    by_name: BTreeMap<String, VecDeque<Option<f64>>>,
}

impl Series {
    /// One value of each figure; none for those that are not told of this time.
    pub fn sample(&mut self, figures: &[Figure]) {
        self.taken = (self.taken + 1).min(KEPT);
        for figure in figures {
            if self.by_name.len() < FIGURES_MAX || self.by_name.contains_key(&figure.name) {
                self.by_name.entry(figure.name.clone()).or_default();
            }
        }
        for (name, values) in &mut self.by_name {
            let value = figures.iter().find(|figure| figure.name == *name).and_then(|figure| figure.value);
            // One that is new begins with what was not known before.
            while values.len() + 1 < self.taken {
                values.push_back(None);
            }
            values.push_back(value.map(rounded));
            while values.len() > KEPT {
                values.pop_front();
            }
        }
    }

    /// The values of a figure, oldest first.
    pub fn of(&self, name: &str) -> Vec<Option<f64>> {
        self.by_name.get(name).map(|values| values.iter().copied().collect()).unwrap_or_default()
    }
}

/// A line of 360 points needs no more digits, and they cost bytes.
fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(name: &str, value: Option<f64>) -> Figure {
        Figure {
            name: name.into(),
            label: String::new(),
            unit: String::new(),
            value,
            note: None,
            series: None,
            step_ms: STEP_MS,
        }
    }

    #[test]
    fn an_hour_is_kept_and_what_was_not_known_stays_unknown() {
        let mut series = Series::default();
        series.sample(&[figure("a", Some(1.26))]);
        series.sample(&[]);
        series.sample(&[figure("a", Some(2.0)), figure("b", Some(7.0))]);
        assert_eq!(series.of("a"), [Some(1.3), None, Some(2.0)]);
        assert_eq!(series.of("b"), [None, None, Some(7.0)]);
        assert!(series.of("c").is_empty());
        for _ in 0..500 {
            series.sample(&[figure("a", Some(3.0))]);
        }
        assert_eq!(series.of("a").len(), KEPT);
        assert_eq!(series.of("b").len(), KEPT);
    }
}
