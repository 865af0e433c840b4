//! Timestamps of all clients over one set: none twice, none at or below one that was answered before it was asked for.
//!
//! The set stays small without forgetting anything that matters. Every question remembers the highest answer at its
//! beginning, its floor; an answer at or below its floor went back. So an answer that could be given twice unnoticed
//! must lie above the lowest floor of the open questions, and only answers above that are kept.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use pd_client::{Timestamp, TimestampRange};

/// Hears every question and every answer.
#[derive(Debug, Default)]
pub struct TimestampWitness {
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    /// The highest answer so far, packed; 0 before the first.
    highest: u64,
    /// Floors of the open questions, and how many have each.
    open: BTreeMap<u64, u32>,
    /// Answers above the lowest floor: first to last, packed, both included.
    ranges: BTreeMap<u64, u64>,
    taken: u64,
    fallbacks: u64,
}

/// A question that was put and is not answered yet.
#[derive(Debug)]
#[must_use = "an open question keeps answers in memory"]
pub struct Question {
    floor: u64,
}

impl TimestampWitness {
    /// Before asking.
    pub fn ask(&self) -> Question {
        let mut heard = self.lock();
        let floor = heard.highest;
        *heard.open.entry(floor).or_default() += 1;
        Question { floor }
    }

    /// After a failure: the question has no answer.
    pub fn no_answer(&self, question: &Question) {
        self.lock().close(question.floor);
    }

    /// After the answer. Returns how many of its timestamps must not have been given.
    pub fn answer(&self, question: &Question, range: TimestampRange) -> u64 {
        let (first, last) = (range.first().version(), range.last.version());
        let mut heard = self.lock();
        let below = if first > question.floor { 0 } else { question.floor.min(last) - first + 1 };
        let repeated = heard.repeated(first.max(question.floor + 1), last);
        let wrong = below + repeated;
        heard.taken += u64::from(range.count);
        heard.fallbacks += wrong;
        heard.highest = heard.highest.max(last);
        heard.ranges.insert(first, last);
        heard.close(question.floor);
        wrong
    }

    /// A client itself refused an answer because it went back.
    pub fn refused(&self, question: &Question, _got: Timestamp) {
        let mut heard = self.lock();
        heard.fallbacks += 1;
        heard.close(question.floor);
    }

    /// How many were given.
    pub fn taken(&self) -> u64 {
        self.lock().taken
    }

    /// How many of them went back or were given twice.
    pub fn fallbacks(&self) -> u64 {
        self.lock().fallbacks
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    /// How many of `first..=last` were heard before.
    fn repeated(&self, first: u64, last: u64) -> u64 {
        let mut count = 0;
        for (&start, &end) in self.ranges.range(..=last).rev() {
            // Ranges do not overlap unless something is wrong, so the ends fall with the starts.
            if end < first {
                break;
            }
            count += end.min(last) - start.max(first) + 1;
        }
        count
    }

    fn close(&mut self, floor: u64) {
        if let Some(count) = self.open.get_mut(&floor) {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&floor);
            }
        }
        let lowest = self.open.keys().next().copied().unwrap_or(self.highest);
        while let Some(entry) = self.ranges.first_entry()
            && *entry.get() <= lowest
        {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(physical_ms: i64, first: i64, last: i64) -> TimestampRange {
        let count = u32::try_from(last - first + 1).unwrap();
        TimestampRange { last: Timestamp { physical_ms, logical: last }, count }
    }

    #[test]
    fn rising_answers_are_fine_and_leave_nothing_behind() {
        let witness = TimestampWitness::default();
        for ms in 1..1_000 {
            let question = witness.ask();
            assert_eq!(witness.answer(&question, range(ms, 0, 99)), 0);
        }
        assert_eq!((witness.taken(), witness.fallbacks()), (99_900, 0));
        assert!(witness.lock().ranges.is_empty());
    }

    #[test]
    fn open_questions_may_be_answered_in_any_order() {
        let witness = TimestampWitness::default();
        let (early, late) = (witness.ask(), witness.ask());
        assert_eq!(witness.answer(&late, range(5, 3, 4)), 0);
        assert_eq!(witness.answer(&early, range(5, 0, 2)), 0);
        assert_eq!(witness.fallbacks(), 0);
    }

    #[test]
    fn an_answer_below_one_known_before_the_question_went_back() {
        let witness = TimestampWitness::default();
        let question = witness.ask();
        assert_eq!(witness.answer(&question, range(5, 0, 9)), 0);
        let question = witness.ask();
        assert_eq!(witness.answer(&question, range(5, 8, 11)), 2);
        let question = witness.ask();
        assert_eq!(witness.answer(&question, range(4, 0, 0)), 1);
        assert_eq!(witness.fallbacks(), 3);
    }

    #[test]
    fn two_open_questions_must_not_get_the_same() {
        let witness = TimestampWitness::default();
        let (one, other) = (witness.ask(), witness.ask());
        assert_eq!(witness.answer(&one, range(5, 0, 4)), 0);
        assert_eq!(witness.answer(&other, range(5, 4, 6)), 1);
        assert_eq!(witness.fallbacks(), 1);
    }

    #[test]
    fn a_question_that_stays_open_keeps_what_could_repeat() {
        let witness = TimestampWitness::default();
        let slow = witness.ask();
        for ms in 1..10 {
            let question = witness.ask();
            assert_eq!(witness.answer(&question, range(ms, 0, 0)), 0);
        }
        assert_eq!(witness.answer(&slow, range(7, 0, 0)), 1);
        assert!(witness.lock().ranges.is_empty());
    }
}
