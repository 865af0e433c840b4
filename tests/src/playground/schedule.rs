//! What is broken and mended, and when.

use std::time::{Duration, Instant};

/// Something done to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// kill -9 of the leader of PD.
    KillLeader,
    /// Members that do not run are started.
    StartMembers,
    /// kill -9 of the store with the most leaders.
    KillStore,
    /// Stores that do not run are started.
    StartStores,
}

/// Deeds to come.
#[derive(Debug, Default)]
pub struct Schedule {
    due: Vec<(Instant, Deed)>,
}

impl Schedule {
    /// The chaos of a run of this length: each fault in a quiet cluster, each mended before the next comes, and a
    /// third of the time left for the last one to heal under load.
    pub fn chaos(start: Instant, length: Duration) -> Schedule {
        let mut schedule = Schedule::default();
        for (permille, deed) in [
            (200, Deed::KillLeader),
            (330, Deed::StartMembers),
            (430, Deed::KillStore),
            (650, Deed::StartStores),
        ] {
            schedule.add(start + length * permille / 1_000, deed);
        }
        schedule
    }

    /// One deed more.
    pub fn add(&mut self, at: Instant, deed: Deed) {
        self.due.push((at, deed));
        self.due.sort_by_key(|(at, _)| *at);
    }

    /// Takes the next deed if it is due.
    pub fn take_due(&mut self, now: Instant) -> Option<Deed> {
        let (at, _) = self.due.first()?;
        (*at <= now).then(|| self.due.remove(0).1)
    }

    /// Deeds that have not been done.
    pub fn left(&self) -> impl Iterator<Item = Deed> {
        self.due.iter().map(|(_, deed)| *deed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeds_come_in_their_order_when_due() {
        let start = Instant::now();
        let mut schedule = Schedule::chaos(start, Duration::from_secs(100));
        schedule.add(start, Deed::StartStores);
        assert_eq!(schedule.take_due(start), Some(Deed::StartStores));
        assert_eq!(schedule.take_due(start), None);
        let end = start + Duration::from_secs(100);
        let all: Vec<Deed> = std::iter::from_fn(|| schedule.take_due(end)).collect();
        assert_eq!(all, [Deed::KillLeader, Deed::StartMembers, Deed::KillStore, Deed::StartStores]);
        assert_eq!(schedule.left().count(), 0);
    }
}
