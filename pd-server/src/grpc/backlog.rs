//! What a heartbeat stream keeps while the owner of the cluster is busy.

use std::collections::HashMap;

use scheduler::{RegionId, RegionReport};

/// Heartbeats on their way to the owner, in order; once it is busy, only the newest of each Region.
#[derive(Default)]
pub struct Backlog {
    reports: Vec<RegionReport>,
    // Where each Region stands; empty as long as the owner keeps up.
    places: HashMap<RegionId, usize>,
}

impl Backlog {
    /// Takes a heartbeat.
    pub fn push(&mut self, report: RegionReport) {
        if !self.places.is_empty() {
            if let Some(place) = self.places.get(&report.meta.id) {
                self.reports[*place] = report;
                return;
            }
            self.places.insert(report.meta.id, self.reports.len());
        }
        self.reports.push(report);
    }

    /// The owner is busy: from here on newer heartbeats replace older ones of the same Region.
    pub fn keep_newest(&mut self) {
        if self.places.is_empty() {
            for report in std::mem::take(&mut self.reports) {
                match self.places.get(&report.meta.id) {
                    Some(place) => self.reports[*place] = report,
                    None => {
                        self.places.insert(report.meta.id, self.reports.len());
                        self.reports.push(report);
                    }
                }
            }
        }
    }

    /// All heartbeats, as the next batch.
    pub fn take(&mut self) -> Vec<RegionReport> {
        self.places.clear();
        std::mem::take(&mut self.reports)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.reports.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.reports.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::Backlog;
    use scheduler::{RegionId, RegionMeta, RegionReport};

    fn report(region: u64, term: u64) -> RegionReport {
        let meta = RegionMeta { id: RegionId(region), ..Default::default() };
        RegionReport { meta, term, ..Default::default() }
    }

    fn taken(backlog: &mut Backlog) -> Vec<(u64, u64)> {
        backlog.take().iter().map(|report| (report.meta.id.0, report.term)).collect()
    }

    #[test]
    fn a_busy_owner_gets_the_newest_of_each_region() {
        let mut backlog = Backlog::default();
        for (region, term) in [(1, 1), (2, 1), (1, 2)] {
            backlog.push(report(region, term));
        }
        assert_eq!(taken(&mut backlog), [(1, 1), (2, 1), (1, 2)], "one that keeps up gets all, in order");

        for (region, term) in [(1, 1), (2, 1), (1, 2)] {
            backlog.push(report(region, term));
        }
        backlog.keep_newest();
        backlog.push(report(2, 3));
        backlog.push(report(3, 1));
        backlog.keep_newest();
        assert_eq!(taken(&mut backlog), [(1, 2), (2, 3), (3, 1)]);

        backlog.push(report(1, 5));
        backlog.push(report(1, 6));
        assert_eq!(taken(&mut backlog), [(1, 5), (1, 6)], "and all again afterwards");
    }
}
