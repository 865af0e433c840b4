//! Ticks, the lease and its probes, and what a leader does after it handed over.

use super::Group;
use crate::Role;
use crate::env::Env;

/// raft-rs reads every committed and unapplied entry at once before it campaigns (rule 13): a member that is further
/// behind applies first.
const MAX_UNAPPLIED_TO_CAMPAIGN: u64 = 4_096;
/// Leaders publish how long their members are silent this often, in ticks.
const SILENCES_EVERY: u64 = 10;

impl Group {
    /// One tick. True if the group must be visited in this round.
    pub fn tick(&mut self, env: &mut Env) -> bool {
        self.ticks += 1;
        let mut due = self.transfer.is_some() || self.tenure.is_some() && self.leads();
        if self.leads() || self.campaign_is_cheap() {
            due |= self.raw.tick();
        }
        match self.raw.raft.state {
            raft::StateRole::Leader => {
                due |= self.step_down_after_hand_over();
                self.probe(env);
                if self.ticks % SILENCES_EVERY == self.id % SILENCES_EVERY {
                    self.drop_old_snapshot(env);
                    due = true;
                }
            }
            raft::StateRole::Follower => {
                if crate::membership::is_sole_voter(&self.conf, self.config.id) {
                    self.campaign();
                    due = true;
                }
            }
            raft::StateRole::Candidate | raft::StateRole::PreCandidate => {}
        }
        due
    }

    pub(super) fn campaign_is_cheap(&self) -> bool {
        let log = &self.raw.raft.raft_log;
        log.committed.saturating_sub(log.applied) <= MAX_UNAPPLIED_TO_CAMPAIGN
    }

    /// MsgTimeoutNow is about to leave (rule 1, item 7): no lease for the rest of this term.
    pub(super) fn hand_over_office(&mut self) {
        self.handed_over_at = Some(self.ticks);
        if let Some(tenure) = &mut self.tenure {
            tenure.forfeit();
        }
        if let Some(lease) = &self.face.lease {
            lease.void();
        }
    }

    /// And after one election timeout it leads no more, whether the target took over or not.
    fn step_down_after_hand_over(&mut self) -> bool {
        let patience = self.config.election_tick as u64;
        if self.handed_over_at.is_none_or(|at| self.ticks < at + patience) {
            return false;
        }
        let term = self.raw.raft.term;
        self.raw.raft.become_follower(term, raft::INVALID_ID);
        true
    }

    fn probe(&mut self, env: &Env) {
        if self.tenure.as_ref().is_some_and(|t| t.probe_due(env.now)) {
            self.append_probe(env);
        }
    }

    /// Grants or voids the lease by what this round brought.
    pub fn renew_lease(&self, env: &Env) {
        let (Some(tenure), Some(lease)) = (&self.tenure, &self.face.lease) else { return };
        let held = (self.office.0 == Role::Leader)
            .then(|| tenure.lease(self.config.id, &self.conf, env.now))
            .flatten();
        match held {
            Some((term, until)) => lease.grant(term, until, env.now),
            None if self.office.0 == Role::Leader && !tenure.is_forfeited() => lease.lapse(),
            None => lease.void(),
        }
    }
}
