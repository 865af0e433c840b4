//! Who led, as this member saw it: each change with the time in which no leader was known or heard.

use std::collections::VecDeque;
use std::sync::Arc;

use dashboard::model::LeaderChange;
use parking_lot::Mutex;
use raft_core::BootTime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::now_ms;
use crate::PD_GROUP;
use crate::pd::Pd;

/// Changes kept; the oldest makes room.
const KEPT: usize = 64;

/// The changes since this process started.
#[derive(Default)]
pub struct Leaders {
    history: Mutex<History>,
    /// Counts the changes.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct History {
    leader: Option<String>,
    /// Since when it leads; none while nobody does, and when that was before this process looked.
    since_ms: Option<u64>,
    /// Who led last, while there is none.
    before: Option<String>,
    /// When the last one was lost or heard last.
    lost_ms: Option<u64>,
    changes: VecDeque<LeaderChange>,
}

impl Leaders {
    /// Follows leadership until `stop`.
    pub fn follow(pd: &Arc<Pd>, stop: CancellationToken) -> Arc<Self> {
        let leaders = Arc::new(Self::default());
        let (told, pd) = (Arc::clone(&leaders), Arc::clone(pd));
        tokio::spawn(async move {
            let mut changes = pd.leadership.subscribe();
            let own = pd.members.own().name.clone();
            loop {
                let state = changes.borrow_and_update().clone();
                let name = state.leader.map(|leader| leader.name);
                let is_own = name.as_ref() == Some(&own);
                // A leader is lost from when it was heard last, not from when that was noticed.
                let heard = pd.raft.leader_heard(PD_GROUP);
                let silent_ns = heard.map_or(0, |heard| BootTime::now().0.saturating_sub(heard.0));
                if told.history.lock().see(name, is_own, state.term.0, now_ms(), silent_ns / 1_000_000) {
                    told.changed.send_modify(|changes| *changes += 1);
                }
                tokio::select! {
                    () = stop.cancelled() => break,
                    changed = changes.changed() => if changed.is_err() { break },
                }
            }
        });
        leaders
    }

    /// Marked when a leader is lost or known.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Since when the leader leads, if this process saw it begin.
    pub fn since_ms(&self) -> Option<u64> {
        self.history.lock().since_ms
    }

    /// The changes, newest first.
    pub fn changes(&self) -> Vec<LeaderChange> {
        self.history.lock().changes.iter().rev().cloned().collect()
    }
}

impl History {
    /// At `now_ms` this one, perhaps this very member, leads in `term`; who led before was heard `silent_ms` ago. True when
    /// that is news.
    fn see(&mut self, leader: Option<String>, is_own: bool, term: u64, now_ms: u64, silent_ms: u64) -> bool {
        if self.leader == leader {
            return false;
        }
        if let Some(gone) = std::mem::replace(&mut self.leader, leader.clone()) {
            self.before = Some(gone);
            self.lost_ms = Some(now_ms.saturating_sub(silent_ms));
            self.since_ms = None;
        }
        let Some(to) = leader else { return true };
        // Whom a process finds at its start may have led for days: that is no change. It cannot have led itself.
        if self.before.is_none() && !is_own {
            return true;
        }
        self.since_ms = Some(now_ms);
        // Before the first one nothing is known about a gap.
        let gap_ms = self.lost_ms.take().map(|lost| now_ms.saturating_sub(lost));
        if self.changes.len() == KEPT {
            self.changes.pop_front();
        }
        self.changes.push_back(LeaderChange { at_ms: now_ms, from: self.before.take(), to, term, gap_ms });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_begins_when_the_leader_was_heard_last() {
        let mut history = History::default();
        let one = || Some("pd-1".to_owned());
        history.see(one(), true, 1, 1_000, 0);
        history.see(one(), true, 1, 2_000, 0);
        history.see(None, false, 2, 5_000, 400);
        assert_eq!(history.since_ms, None);
        history.see(Some("pd-2".into()), false, 2, 5_300, 0);
        assert_eq!(history.since_ms, Some(5_300));
        history.see(one(), true, 3, 9_000, 20);
        let told: Vec<_> =
            history.changes.iter().map(|c| (c.from.as_deref(), c.to.as_str(), c.gap_ms)).collect();
        let expected =
            [(None, "pd-1", None), (Some("pd-1"), "pd-2", Some(700)), (Some("pd-2"), "pd-1", Some(20))];
        assert_eq!(told, expected);
        for term in 0..100 {
            history.see(Some(term.to_string()), false, term, term, 0);
        }
        assert_eq!(history.changes.len(), KEPT);
    }

    #[test]
    fn whom_a_process_finds_leading_has_not_begun_then() {
        let mut history = History::default();
        assert!(history.see(Some("pd-2".into()), false, 3, 1_000, 0), "it is news all the same");
        assert_eq!((history.since_ms, history.changes.len()), (None, 0));
        history.see(Some("pd-3".into()), false, 4, 2_000, 50);
        assert_eq!(history.since_ms, Some(2_000));
        assert_eq!(history.changes[0].from.as_deref(), Some("pd-2"));
    }
}
