//! What is kept to be asked for later: refusals by Region and Store, how operators ended, and counts. Bounded: the
//! oldest goes first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::explain::Noted;
use crate::model::{LimitKind, RegionId, StoreId, Time};
use crate::refusal::{Refusal, RefusalKind};

/// Regions and Stores with notes; the one longest without a new note makes room.
const SUBJECTS_MAX: usize = 10_000;
/// Notes of each kind that a subject keeps.
const NOTES_MAX: usize = 8;

/// Whom a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    Region(RegionId),
    Store(StoreId),
}

#[derive(Debug, Default)]
pub(crate) struct SubjectNotes {
    pub refusals: VecDeque<Noted>,
    pub ended: VecDeque<(Time, String)>,
    touched: u64,
}

/// All notes.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    subjects: BTreeMap<Subject, SubjectNotes>,
    by_touch: BTreeSet<(u64, Subject)>,
    touches: u64,
    counts: BTreeMap<RefusalKind, u64>,
    /// How often a Store's limit was the reason; bounded by the Stores that there ever were.
    by_limit: BTreeMap<(StoreId, LimitKind), u64>,
}

impl Notes {
    pub fn count(&mut self, refusal: &Refusal) {
        *self.counts.entry(refusal.kind()).or_default() += 1;
        if let Refusal::StoreLimit { store, kind, .. } = refusal {
            *self.by_limit.entry((*store, *kind)).or_default() += 1;
        }
    }

    /// Keeps and counts a refusal; one of the same kind in a row replaces the one before.
    pub fn refused(&mut self, about: Subject, refusal: Refusal, now: Time) {
        self.count(&refusal);
        let notes = self.touch(about);
        if let Some(last) = notes.refusals.back_mut()
            && last.refusal.kind() == refusal.kind()
        {
            *last = Noted { at: now, times: last.times + 1, refusal };
            return;
        }
        push_bounded(&mut notes.refusals, Noted { at: now, times: 1, refusal });
    }

    pub fn ended(&mut self, region: RegionId, how: String, now: Time) {
        push_bounded(&mut self.touch(Subject::Region(region)).ended, (now, how));
    }

    pub fn about(&self, subject: Subject) -> Option<&SubjectNotes> {
        self.subjects.get(&subject)
    }

    pub fn counts(&self) -> impl Iterator<Item = (RefusalKind, u64)> + '_ {
        self.counts.iter().map(|(kind, count)| (*kind, *count))
    }

    pub fn refused_by_limit(&self, store: StoreId, kind: LimitKind) -> u64 {
        self.by_limit.get(&(store, kind)).copied().unwrap_or_default()
    }

    fn touch(&mut self, about: Subject) -> &mut SubjectNotes {
        self.touches += 1;
        let touch = self.touches;
        if !self.subjects.contains_key(&about)
            && self.subjects.len() >= SUBJECTS_MAX
            && let Some((_, oldest)) = self.by_touch.pop_first()
        {
            self.subjects.remove(&oldest);
        }
        let notes = self.subjects.entry(about).or_default();
        self.by_touch.remove(&(notes.touched, about));
        notes.touched = touch;
        self.by_touch.insert((touch, about));
        notes
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, note: T) {
    if queue.len() == NOTES_MAX {
        queue.pop_front();
    }
    queue.push_back(note);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_longest_without_a_note_makes_room() {
        let mut notes = Notes::default();
        for id in 1..=SUBJECTS_MAX as u64 {
            notes.refused(Subject::Region(RegionId(id)), Refusal::Halted, Time(id));
        }
        notes.refused(Subject::Region(RegionId(1)), Refusal::Halted, Time(0));
        notes.refused(Subject::Store(StoreId(1)), Refusal::Halted, Time(0));
        assert!(notes.about(Subject::Region(RegionId(2))).is_none());
        let first = notes.about(Subject::Region(RegionId(1))).unwrap();
        assert_eq!((first.refusals.len(), first.refusals[0].times), (1, 2));
        assert_eq!(notes.counts().collect::<Vec<_>>(), [(RefusalKind::Halted, SUBJECTS_MAX as u64 + 2)]);
    }
}
