//! What comes back from the apply thread: progress, changes of membership, durability; and the cut of the log that
//! follows from it.

use proto::raftcore::LogStart;
use raft::ProgressState;

use super::Group;
use crate::apply::{Job, Waiter};
use crate::env::Env;
use crate::inbox::{AppliedReport, ChangeOutcome};
use crate::{Applied, ProposeError, convert, membership};

/// A snapshot on its way holds the cut of the log back, for up to this many times `log_keep` entries.
const HELD_FOR_SNAPSHOT: u64 = 8;

impl Group {
    /// Entries were applied.
    pub fn applied(&mut self, report: AppliedReport, env: &mut Env) {
        self.applying_bytes = self.applying_bytes.saturating_sub(report.bytes);
        self.applied = self.applied.max((report.index, report.term));
        for outcome in report.changes {
            self.change_applied(outcome, env);
        }
        // Below a snapshot that was stored meanwhile raft-rs has already counted it.
        if report.index > self.raw.raft.raft_log.applied {
            self.raw.advance_apply_to(report.index);
        }
        let own = report.term == self.raw.raft.term;
        if let Some(tenure) = &mut self.tenure {
            tenure.applied(report.index, own);
        }
        if own
            && self.leads()
            && std::mem::take(&mut self.may_inherit_joint)
            && membership::is_joint(&self.conf)
        {
            // Rule 13: whoever entered it may be gone.
            tracing::info!(group = self.id, "leaves the joint membership that it inherited");
            self.append_leave(env);
        }
        self.hand_over_rest(env);
        self.want_cut(env);
    }

    /// A change of membership came through: in force from now on, or not at all.
    fn change_applied(&mut self, outcome: ChangeOutcome, env: &Env) {
        let ChangeOutcome { index, term, accepted, output } = outcome;
        let waiter = self.changes_waiting.iter().position(|w| w.index <= index);
        let waiter: Option<Waiter> = waiter.map(|at| self.changes_waiting.swap_remove(at));
        let refusal = accepted.is_none().then(|| match std::str::from_utf8(&output) {
            Ok("") | Err(_) => ProposeError::Refused("the state machine refused the change".into()),
            Ok(reason) => ProposeError::Refused(reason.into()),
        });
        if let Some(change) = accepted
            && index > self.restored_at
        {
            self.enter_membership(&change, env);
        }
        if let Some(waiter) = waiter {
            let result = if (waiter.index, waiter.term) == (index, term) {
                refusal.map_or(Ok(Applied { index, term, output }), Err)
            } else {
                Err(ProposeError::Unknown)
            };
            let _ = waiter.reply.send(result);
        }
    }

    fn enter_membership(&mut self, change: &proto::eraftpb::ConfChangeV2, env: &Env) {
        let next = convert::conf_change_in(change)
            .map_err(|e| e.to_string())
            .and_then(|change| self.raw.apply_conf_change(&change).map_err(|e| e.to_string()));
        match next {
            Ok(next) => self.conf = convert::conf_state_out(&next),
            Err(error) => {
                // The apply thread computed it with the same code from the same membership.
                tracing::error!(
                    group = self.id,
                    error,
                    "memberships of log and machine differ: the process ends"
                );
                std::process::abort();
            }
        }
        tracing::info!(group = self.id, id = self.config.id, conf = ?self.conf, "membership in force");
        self.meet_members(env);
        if let Some(tenure) = &mut self.tenure {
            tenure.reconfigured();
        }
        if let Some(lease) = &self.face.lease {
            lease.void();
        }
        if self.leads() && !self.raw.raft.promotable() {
            // Removed or demoted in office: raft-rs would go on leading and stumble over its missing progress.
            let term = self.raw.raft.term;
            self.raw.raft.become_follower(term, raft::INVALID_ID);
        }
    }

    /// A received snapshot is in the machine.
    pub fn installed(&mut self, index: u64, term: u64, env: &Env) {
        self.applied = self.applied.max((index, term));
        env.counters.snapshots_received.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    /// Asks for what must be durable before the log is cut, every `log_keep` entries.
    fn want_cut(&mut self, env: &Env) {
        let behind_start = self.applied.0.saturating_sub(self.raw.store().start().index);
        if !self.flushing && (self.cut_hard || behind_start >= 2 * self.config.log_keep.max(1)) {
            self.flushing = true;
            env.apply(Job::Flush { group: self.id, index: self.applied.0 });
        }
    }

    /// The log engine wants this group's old entries gone.
    pub fn cut_soon(&mut self, env: &Env) {
        self.cut_hard = true;
        self.want_cut(env);
    }

    /// The machine holds everything up to `index` durably: older entries may go.
    pub fn flushed(&mut self, index: u64, env: &mut Env) {
        self.flushing = false;
        let keep = if std::mem::take(&mut self.cut_hard) { 0 } else { self.config.log_keep };
        let mut upto = index.saturating_sub(keep);
        if let Some(pending) = self.oldest_pending_snapshot() {
            let longest = index.saturating_sub(self.config.log_keep.saturating_mul(HELD_FOR_SNAPSHOT));
            upto = upto.min(pending).max(longest);
        }
        if upto <= self.raw.store().start().index {
            return;
        }
        let Ok(term) = self.raw.raft.raft_log.term(upto) else { return };
        let start = LogStart { index: upto, term };
        env.batch.cut(self.id, start);
        self.raw.mut_store().cut(start);
    }

    fn oldest_pending_snapshot(&self) -> Option<u64> {
        let on_their_way = self.raw.raft.prs().iter().filter(|(_, p)| p.state == ProgressState::Snapshot);
        on_their_way.map(|(_, p)| p.pending_snapshot).min()
    }
}
