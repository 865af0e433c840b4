//! How a group begins: what its log and its machine say, put together. Pure, so that every contradiction has a test.

use proto::eraftpb::{ConfState, SnapshotMetadata};
use proto::raftcore::{LogStart, Origin};

use crate::log::Found;
use crate::{BOOTSTRAP_INDEX, Error, Mark, Result, Start};

/// The term that goes with [`BOOTSTRAP_INDEX`].
const BOOTSTRAP_TERM: u64 = 1;

/// What to do to bring a group into being.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// The log as it is to be. Its commit is never below what is applied (rule 5).
    pub log: Found,
    /// Write `log` as new; otherwise it is there already.
    pub write: bool,
    /// This member never was in this group before: it gave no promise that a restart could break (rule 1, item 8).
    pub fresh: bool,
    /// The machine's mark once `redo` is done.
    pub mark: Mark,
    /// What the machine has to catch up on before entries are applied.
    pub redo: Redo,
}

/// A beginning that the log knows of and the machine does not (yet, or no more after a crash).
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Redo {
    Nothing,
    /// Take the mark of a new group.
    Bootstrap,
    /// Install this received snapshot file (a name within the snapshot folder).
    Install(String),
}

/// Decides. `term_at` reads the term of an entry that the log holds.
pub(crate) fn plan(
    group: u64,
    start: &Start,
    found: Option<Found>,
    mark: &Mark,
    term_at: impl FnOnce(u64) -> Option<u64>,
) -> Result<Plan> {
    let wrong = |reason: String| Err(Error::Inconsistent { group, reason });
    match (start, found) {
        (Start::Bootstrap(conf_state), found) if found.as_ref().is_none_or(unused) => {
            if conf_state.voters.is_empty() || !conf_state.voters_outgoing.is_empty() {
                return wrong("a new group needs voters and no joint membership".into());
            }
            if mark.index > BOOTSTRAP_INDEX {
                return wrong(lost_log(mark.index));
            }
            // A peer that only ever voted keeps its word.
            let fresh = found.is_none();
            let mut log = bootstrapped(conf_state);
            if let Some(found) = found
                && found.hard_state.term >= BOOTSTRAP_TERM
            {
                log.hard_state.term = found.hard_state.term;
                log.hard_state.vote = found.hard_state.vote;
            }
            let known = mark.index == BOOTSTRAP_INDEX;
            let (mark, redo) = match (known, &log.origin) {
                (false, Some(origin)) => (mark_of(origin), Redo::Bootstrap),
                (true, _) | (_, None) => (mark.clone(), Redo::Nothing),
            };
            Ok(Plan { log, write: true, fresh, mark, redo })
        }
        (Start::Empty, None) => {
            if mark.index > 0 {
                return wrong(lost_log(mark.index));
            }
            let log = Found::default();
            Ok(Plan { log, write: true, fresh: true, mark: mark.clone(), redo: Redo::Nothing })
        }
        (Start::Restart | Start::Bootstrap(_), None) => wrong(lost_log(mark.index)),
        (Start::Restart | Start::Empty | Start::Bootstrap(_), Some(found)) => {
            resume(group, found, mark, term_at)
        }
    }
}

/// Goes on from what log and machine hold.
fn resume(group: u64, mut log: Found, mark: &Mark, term_at: impl FnOnce(u64) -> Option<u64>) -> Result<Plan> {
    let wrong = |reason: String| Err(Error::Inconsistent { group, reason });
    let (mark, redo) = match &log.origin {
        Some(origin) if mark.index < mark_of(origin).index => {
            let redo =
                if origin.file.is_empty() { Redo::Bootstrap } else { Redo::Install(origin.file.clone()) };
            (mark_of(origin), redo)
        }
        Some(_) | None => (mark.clone(), Redo::Nothing),
    };
    if mark.index > log.last {
        return wrong(format!(
            "the state machine stands at {} but the log ends at {}: log entries were lost",
            mark.index, log.last
        ));
    }
    if mark.index < log.start.index {
        return wrong(format!(
            "the state machine stands at {} but the log begins after {} and no snapshot explains the gap: the state was lost (this member has to be replaced by a new one)",
            mark.index, log.start.index
        ));
    }
    let term = if mark.index == log.start.index { Some(log.start.term) } else { term_at(mark.index) };
    if term != Some(mark.term) {
        return wrong(format!(
            "the state machine applied entry {} of term {}, the log has it with term {term:?}",
            mark.index, mark.term
        ));
    }
    // Rule 5: what is applied was committed, even where the sync of that commit was lost.
    log.hard_state.commit = log.hard_state.commit.max(mark.index);
    if log.hard_state.commit > log.last {
        return wrong(format!(
            "entries up to {} were committed but the log ends at {}: log entries were lost",
            log.hard_state.commit, log.last
        ));
    }
    Ok(Plan { log, write: false, fresh: false, mark, redo })
}

/// A log that only ever held a vote.
fn unused(found: &Found) -> bool {
    found.last == 0
}

fn bootstrapped(conf_state: &ConfState) -> Found {
    let start = LogStart { index: BOOTSTRAP_INDEX, term: BOOTSTRAP_TERM };
    let mut log = Found { start, last: start.index, ..Found::default() };
    log.hard_state.term = BOOTSTRAP_TERM;
    log.hard_state.commit = BOOTSTRAP_INDEX;
    let metadata =
        SnapshotMetadata { conf_state: Some(conf_state.clone()), index: start.index, term: start.term };
    log.origin = Some(Origin { metadata: Some(metadata), ..Origin::default() });
    log
}

fn mark_of(origin: &Origin) -> Mark {
    let metadata = origin.metadata.clone().unwrap_or_default();
    Mark { index: metadata.index, term: metadata.term, conf_state: metadata.conf_state.unwrap_or_default() }
}

fn lost_log(applied: u64) -> String {
    format!(
        "the raft log has no record of this group, whose state machine stands at {applied}: a member without its log must not \
         return under its old raft id (replace it by a new member)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use raft::eraftpb::HardState;

    fn conf(voters: &[u64]) -> ConfState {
        ConfState { voters: voters.to_vec(), ..ConfState::default() }
    }

    fn mark(index: u64, term: u64) -> Mark {
        Mark { index, term, conf_state: conf(&[1, 2, 3]) }
    }

    fn log(start: (u64, u64), last: u64, hard: (u64, u64, u64)) -> Found {
        let mut hard_state = HardState::default();
        (hard_state.term, hard_state.vote, hard_state.commit) = hard;
        Found { hard_state, start: LogStart { index: start.0, term: start.1 }, last, origin: None }
    }

    fn reason(result: Result<Plan>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn bootstrap_begins_where_a_newcomer_needs_a_snapshot() {
        let plan = plan(7, &Start::Bootstrap(conf(&[1])), None, &Mark::default(), |_| None).unwrap();
        assert_eq!(plan.log.start, LogStart { index: 1, term: 1 });
        assert_eq!((plan.mark.index, plan.redo, plan.write, plan.fresh), (1, Redo::Bootstrap, true, true));
        assert_eq!(plan.mark.conf_state, conf(&[1]));
    }

    #[test]
    fn a_machine_that_brings_its_bootstrap_mark_is_left_alone() {
        let plan = plan(7, &Start::Bootstrap(conf(&[1, 2, 3])), None, &mark(1, 1), |_| None).unwrap();
        assert_eq!(plan.redo, Redo::Nothing);
    }

    #[test]
    fn bootstrap_over_a_mere_vote_keeps_the_vote() {
        let found = log((0, 0), 0, (5, 3, 0));
        let plan = plan(7, &Start::Bootstrap(conf(&[1])), Some(found), &Mark::default(), |_| None).unwrap();
        assert_eq!((plan.log.hard_state.term, plan.log.hard_state.vote, plan.fresh), (5, 3, false));
    }

    #[test]
    fn bootstrap_applied_again_after_a_crash_goes_on_from_the_log() {
        let mut found = bootstrapped(&conf(&[1]));
        found.last = 9;
        let plan = plan(7, &Start::Bootstrap(conf(&[1])), Some(found), &Mark::default(), |_| None).unwrap();
        assert_eq!((plan.redo, plan.write, plan.mark.index, plan.log.last), (Redo::Bootstrap, false, 1, 9));
    }

    #[test]
    fn rule_3_a_wiped_log_is_no_new_start() {
        for start in [Start::Restart, Start::Bootstrap(conf(&[1])), Start::Empty] {
            let text = reason(plan(7, &start, None, &mark(40, 3), |_| None));
            assert!(text.contains("group 7") && text.contains("40") && text.contains("replace"), "{text}");
        }
        assert!(reason(plan(7, &Start::Restart, None, &Mark::default(), |_| None)).contains("no record"));
    }

    #[test]
    fn rule_3_a_mark_beyond_the_log_is_refused() {
        let text =
            reason(plan(7, &Start::Restart, Some(log((1, 1), 30, (3, 0, 30))), &mark(40, 3), |_| Some(3)));
        assert!(text.contains("40") && text.contains("30") && text.contains("lost"), "{text}");
    }

    #[test]
    fn a_mark_before_the_log_is_refused_unless_a_snapshot_explains_it() {
        let mut found = log((50, 4), 60, (4, 0, 55));
        let text = reason(plan(7, &Start::Restart, Some(found.clone()), &mark(40, 3), |_| Some(3)));
        assert!(["40", "50", "replace"].iter().all(|word| text.contains(word)), "{text}");
        let metadata = SnapshotMetadata { conf_state: Some(conf(&[1, 2])), index: 50, term: 4 };
        found.origin = Some(Origin { metadata: Some(metadata), file: "x".into(), descriptor: None });
        let plan = plan(7, &Start::Restart, Some(found), &mark(40, 3), |_| Some(3)).unwrap();
        assert_eq!(plan.redo, Redo::Install("x".into()));
        assert_eq!((plan.mark.index, plan.mark.conf_state), (50, conf(&[1, 2])));
    }

    #[test]
    fn rule_5_commit_is_at_least_what_is_applied() {
        let plan =
            plan(7, &Start::Restart, Some(log((1, 1), 30, (3, 2, 10))), &mark(20, 3), |_| Some(3)).unwrap();
        assert_eq!((plan.log.hard_state.commit, plan.log.hard_state.vote), (20, 2));
    }

    #[test]
    fn rule_5_only_after_the_term_was_checked() {
        let text =
            reason(plan(7, &Start::Restart, Some(log((1, 1), 30, (3, 2, 10))), &mark(20, 3), |_| Some(2)));
        assert!(text.contains("entry 20 of term 3"), "{text}");
    }

    #[test]
    fn a_commit_beyond_the_log_is_refused() {
        let text =
            reason(plan(7, &Start::Restart, Some(log((1, 1), 30, (3, 2, 31))), &mark(20, 3), |_| Some(3)));
        assert!(text.contains("31"), "{text}");
    }

    #[test]
    fn a_peer_that_only_voted_restarts_with_its_vote() {
        for start in [Start::Restart, Start::Empty] {
            let plan = plan(7, &start, Some(log((0, 0), 0, (5, 3, 0))), &Mark::default(), |_| None).unwrap();
            assert_eq!((plan.log.hard_state.vote, plan.write, plan.fresh), (3, false, false));
        }
    }
}
