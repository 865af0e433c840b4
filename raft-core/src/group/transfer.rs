//! Handing over the lead (rule 11): only to a voter heard within 100 ms whose log is complete, one at a time, then
//! one election timeout of rest. Otherwise alternating targets would keep an isolated leader in office for ever.

use std::time::Duration;

use super::Group;
use crate::env::Env;
use crate::inbox::Done;
use crate::{BootTime, Busy, ProposeError, Role};

/// A target must have been heard within this.
const HEARD_WITHIN: Duration = Duration::from_millis(100);
/// How long an accepted transfer waits, with proposals held back, for the target to answer a ping and to have
/// everything. Bounded: the group writes nothing meanwhile.
const WAIT: Duration = Duration::from_millis(500);

/// A transfer under way.
pub(super) struct Transfer {
    to: u64,
    stage: Stage,
    done: Option<Done>,
}

enum Stage {
    /// The target was pinged; it may lack entries.
    Preparing { until: BootTime },
    /// MsgTimeoutNow is sent.
    Ordered { until: BootTime },
}

impl Transfer {
    /// Tells whoever asked.
    pub fn finish(self, result: Result<(), ProposeError>) {
        if let Some(done) = self.done {
            let _ = done.send(result);
        }
    }
}

impl Group {
    /// Begins a transfer, or refuses it with a reason.
    pub fn transfer(&mut self, to: u64, done: Done, env: &Env) {
        if self.leads() && to == self.config.id {
            let _ = done.send(Ok(()));
            return;
        }
        if let Err(refusal) = self.may_transfer(to, env) {
            let _ = done.send(Err(refusal));
            return;
        }
        // A Region's members beat once a second only: an answer to a ping is the fresh sign of life.
        self.raw.ping();
        self.transfer =
            Some(Transfer { to, stage: Stage::Preparing { until: env.now + WAIT }, done: Some(done) });
    }

    fn may_transfer(&self, to: u64, env: &Env) -> Result<(), ProposeError> {
        if !self.leads() {
            return Err(self.not_leader());
        }
        if self.transfer.is_some() {
            return Err(ProposeError::Busy(Busy::Transferring));
        }
        if env.now < self.rest_until || self.handed_over_at.is_some() {
            return Err(ProposeError::Busy(Busy::Resting));
        }
        if !self.conf.voters.contains(&to) {
            return Err(ProposeError::Refused(format!("{to} is no voter of this group")));
        }
        // Silent for longer than two beats: it will not answer in time, so nobody is made to wait for it.
        let beats = u32::try_from(2 * self.config.heartbeat_tick).unwrap_or(u32::MAX);
        let silence = self.silence(to, env);
        if silence > env.tick.saturating_mul(beats) + HEARD_WITHIN {
            return Err(ProposeError::Refused(format!("{to} was not heard for {} ms", silence.as_millis())));
        }
        Ok(())
    }

    /// Moves the transfer on; called whenever something came in and on each tick.
    pub fn drive_transfer(&mut self, env: &Env) {
        let Some(transfer) = &self.transfer else { return };
        let to = transfer.to;
        match transfer.stage {
            Stage::Preparing { until } => self.prepare(to, until, env),
            Stage::Ordered { until } => {
                let leader = self.raw.raft.leader_id;
                if leader == to && self.office.0 != Role::Leader {
                    self.finish_transfer(Ok(()), env);
                } else if leader != 0 && leader != self.config.id {
                    self.finish_transfer(
                        Err(ProposeError::Refused(format!("{leader} leads instead of {to}"))),
                        env,
                    );
                } else if env.now >= until {
                    let reason = format!("{to} did not take over within one election timeout");
                    self.finish_transfer(Err(ProposeError::Refused(reason)), env);
                }
            }
        }
    }

    fn prepare(&mut self, to: u64, until: BootTime, env: &Env) {
        if !self.leads() {
            let error = self.not_leader();
            self.finish_transfer(Err(error), env);
            return;
        }
        let last = self.raw.raft.raft_log.last_index();
        let matched = self.raw.raft.prs().get(to).map_or(0, |p| p.matched);
        let silence = self.silence(to, env);
        if silence <= HEARD_WITHIN && matched == last {
            self.raw.transfer_leader(to);
            let until = env.now + self.election_timeout(env);
            if let Some(transfer) = &mut self.transfer {
                transfer.stage = Stage::Ordered { until };
            }
        } else if env.now >= until {
            let reason = if matched == last {
                format!("{to} was not heard for {} ms", silence.as_millis())
            } else {
                format!("{to} has entries up to {matched} of {last}")
            };
            self.finish_transfer(Err(ProposeError::Refused(reason)), env);
        }
    }

    fn finish_transfer(&mut self, result: Result<(), ProposeError>, env: &Env) {
        if let Some(transfer) = self.transfer.take() {
            if matches!(transfer.stage, Stage::Ordered { .. }) {
                // raft-rs set the clock of its quorum check back with the order.
                self.rest_until = env.now + self.election_timeout(env);
            }
            transfer.finish(result);
        }
    }

    pub(super) fn election_timeout(&self, env: &Env) -> Duration {
        env.tick.saturating_mul(u32::try_from(self.config.election_tick).unwrap_or(u32::MAX))
    }
}
