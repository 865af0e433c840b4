//! The cluster as a whole: what is wrong, since when and because of what, and the key space in columns.
//!
//! A [`Survey`] is kept beside the planner, not inside it: it reads the index as any reader does, and gets the rest (how
//! Stores are, drains, refusals) as a small copy, [`Standing`]. Pages that have not changed are not looked at again, so a
//! quiet cluster costs one comparison a page, and trouble costs as much as there is of it.

mod condition;
mod finding;
mod judge;
mod key_map;
mod sums;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use condition::OPERATORS_MAX;
pub use condition::{Drain, RepairStop, Standing, StoreStanding, StoreTrouble};
pub use finding::{ClusterHealth, Finding, FindingKind, FindingSubject, Heard, RegionCause};
pub use judge::{RegionTrouble, TroubleKinds};
pub use key_map::{By, Cell, CellTrouble, KeyMap, MapRequest};
pub use verdict::RegionVerdict;

use crate::index::{Ailing, Page, PageNo, RegionReader};
use crate::model::{RegionId, Time};
use condition::Conditions;
use finding::Sinces;
use sums::{PageSum, Troubled};

/// Totals of pages that did not change are read anew in this many refreshes, a part of them each time: sizes and flows
/// change with each heartbeat, and those come once a minute.
const TURNS: usize = 32;
/// A leader that has not heard of everything after this long says so as a problem, not as learning: three times the
/// silence after which a Store counts as disconnected.
pub(crate) const LEARNING_MS_MAX: u64 = 60_000;

/// See the top of the file.
#[derive(Debug)]
pub struct Survey {
    reader: RegionReader,
    pages: BTreeMap<PageNo, PageSum>,
    conditions: Conditions,
    standing: Standing,
    sinces: Sinces,
    holes: Vec<(Bytes, Bytes)>,
    hole_count: u64,
    learned: bool,
    turn: usize,
}

/// Peers that ail, by the page that holds their Region.
type AilingOf = BTreeMap<PageNo, Vec<(RegionId, Arc<Ailing>)>>;

/// Holes that are named.
const HOLES_MAX: usize = 50;

impl Survey {
    /// A survey of what `reader` reads. It knows nothing before the first refresh.
    #[must_use]
    pub fn new(reader: RegionReader) -> Survey {
        Survey {
            reader,
            pages: BTreeMap::new(),
            conditions: Conditions::default(),
            standing: Standing::default(),
            sinces: Sinces::default(),
            holes: Vec::new(),
            hole_count: 0,
            learned: false,
            turn: 0,
        }
    }

    /// Looks at what has changed. `standing` is the planner's, as of now.
    pub fn refresh(&mut self, standing: Standing) {
        let now = standing.at;
        self.standing = standing;
        let names = self.reader.store_names();
        let conditions = Conditions::new(&self.standing, &names);
        let all_anew = conditions != self.conditions;
        self.conditions = conditions;
        let mut ailing = self.ailing_by_page();
        let mut before = std::mem::take(&mut self.pages);
        let mut pages = BTreeMap::new();
        let mut changed = Vec::new();
        (self.holes, self.hole_count) = (Vec::new(), 0);
        let (mut order, turn) = (0, self.turn);
        let reader = self.reader.clone();
        reader.walk(b"", b"", |walked| {
            let ails = ailing.remove(&walked.no).unwrap_or_default();
            let (no, page) = (walked.no, walked.page);
            let known = before.remove(&no);
            let same_page = known.as_ref().is_some_and(|sum| sum.is_of(&page));
            let mut sum = match known {
                Some(sum) if same_page && !all_anew && sum.has_ailing(&ails) => sum,
                known => {
                    changed.push(no);
                    let mut anew = PageSum::of(&page, &ails, &names, &self.conditions, &reader);
                    if let Some(before) = known {
                        anew.inherit(before);
                    }
                    if !same_page {
                        anew.count(&page, &reader);
                    }
                    anew
                }
            };
            if order % TURNS == turn {
                sum.count(&page, &reader);
            }
            order += 1;
            self.hole_count += u64::from(sum.holes);
            if sum.holes > 0 && self.holes.len() < HOLES_MAX {
                name_holes(&page, &mut self.holes);
            }
            pages.insert(no, sum);
            ControlFlow::Continue(())
        });
        self.turn = (self.turn + 1) % TURNS;
        self.pages = pages;
        self.date(&changed, &before, now);
        self.learn();
        self.sinces.keep(&self.standing, self.hole_count > 0);
    }

    /// What is wrong, the worst first.
    #[must_use]
    pub fn health(&self) -> ClusterHealth {
        finding::health(self)
    }

    /// How many Regions were counted.
    #[must_use]
    pub fn regions(&self) -> u64 {
        self.pages.values().map(|sum| u64::from(sum.regions)).sum()
    }

    fn troubled(&self) -> impl Iterator<Item = &Troubled> + '_ {
        self.pages.values().flat_map(|sum| sum.troubled.iter())
    }

    fn ailing_by_page(&self) -> AilingOf {
        let mut by_page = AilingOf::new();
        self.reader.each_ailing(|slot, ailing| {
            let Some((id, no)) = self.reader.read_line(slot, |line| (line.id(), line.page())) else { return };
            by_page.entry(no).or_default().push((id, Arc::clone(ailing)));
        });
        for ails in by_page.values_mut() {
            ails.sort_unstable_by_key(|(id, _)| *id);
        }
        by_page
    }

    /// Regions in trouble keep the time from which they are, also when their page was cut or merged.
    fn date(&mut self, changed: &[PageNo], gone: &BTreeMap<PageNo, PageSum>, now: Time) {
        let mut since: BTreeMap<(RegionId, Option<RegionTrouble>), Time> = BTreeMap::new();
        let mut thin_since: BTreeMap<RegionId, Time> = BTreeMap::new();
        // What a page held before it was judged anew stands in its place until here.
        let before = gone.values().flat_map(|sum| sum.troubled.iter());
        let again = changed.iter().filter_map(|no| self.pages.get(no)).flat_map(|sum| sum.inherited.iter());
        for troubled in before.chain(again) {
            since.insert((troubled.region, troubled.trouble), troubled.since);
            thin_since.extend(troubled.thin_since.map(|at| (troubled.region, at)));
        }
        for no in changed {
            let Some(sum) = self.pages.get_mut(no) else { continue };
            for troubled in &mut sum.troubled {
                let known = since.get(&(troubled.region, troubled.trouble)).copied();
                troubled.since = known.unwrap_or_else(|| self.conditions.began(troubled.cause, now));
                if let Some(thin) = &mut troubled.thin_since {
                    *thin = thin_since.get(&troubled.region).copied().unwrap_or(now);
                }
            }
            sum.inherited = Vec::new();
        }
    }

    /// Learning is over once every key has its Region and every Store was heard with all its replicas, or after a time.
    fn learn(&mut self) {
        let standing = &self.standing;
        let complete = self.hole_count == 0
            && self.regions() > 0
            && standing.expected().all(|s| s.was_heard && s.known_replicas >= s.reported_replicas);
        self.learned |= complete;
    }

    fn is_learning(&self) -> bool {
        !self.learned && self.standing.at.ms_since(self.standing.began) < LEARNING_MS_MAX
    }
}

fn name_holes(page: &Page, holes: &mut Vec<(Bytes, Bytes)>) {
    for (at, entry) in page.entries().iter().enumerate() {
        if entry.is_hole() && holes.len() < HOLES_MAX {
            holes.push((page.start_key(at), page.end_key_of(at)));
        }
    }
}
