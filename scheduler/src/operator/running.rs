//! An operator under way.

use super::{Cause, EndReason, OperatorKind, OperatorView, Step};
use crate::cluster::Influence;
use crate::effect::{Command, OperatorChange};
use crate::model::{OperatorId, Peer, RegionEpoch, RegionId, RegionView, StoreId, Time};

/// A command is said again after this long without an effect; each time twice as long, up to the second bound.
const RESEND_MS_MIN: u64 = 2_000;
const RESEND_MS_MAX: u64 = 8_000;

/// An operator under way.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    pub id: OperatorId,
    pub region: RegionId,
    pub kind: OperatorKind,
    pub cause: Cause,
    pub steps: Vec<Step>,
    pub current: usize,
    pub created: Time,
    pub step_started: Time,
    /// `conf_ver` when it was made: what it went up since must be explained by its own steps.
    pub origin_conf_ver: u64,
    /// Size of the Region when it was made, in KiB: what its moves weigh.
    pub weight_kib: u64,
    size_mib: u64,
    sent: Option<Sent>,
}

/// What was last said, and to whom: a command is dropped by a Store once epoch or leader have changed.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Time,
    wait_ms: u64,
    epoch: RegionEpoch,
    leader: StoreId,
}

/// What came of looking at the Region.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// For the operator log, in order.
    pub changes: Vec<OperatorChange>,
    /// To be sent.
    pub command: Option<Command>,
    /// True when the operator is over.
    pub over: bool,
}

impl Operator {
    pub fn new(
        id: OperatorId,
        kind: OperatorKind,
        cause: Cause,
        steps: Vec<Step>,
        region: &RegionView,
        weight_kib: u64,
        now: Time,
    ) -> Self {
        Operator {
            id,
            region: region.meta.id,
            kind,
            cause,
            steps,
            current: 0,
            created: now,
            step_started: now,
            origin_conf_ver: region.meta.epoch.conf_ver,
            weight_kib,
            size_mib: region.size_mib(),
            sent: None,
        }
    }

    pub fn view(&self) -> OperatorView {
        OperatorView {
            id: self.id,
            region: self.region,
            kind: self.kind,
            cause: self.cause,
            steps: self.steps.clone(),
            current: self.current,
            created: self.created,
            step_deadline: self.step_deadline(),
        }
    }

    /// Looks at the newest picture of the Region: ends steps, says or repeats the command, ends the operator.
    /// `store_ok` tells whether the Store that a step needs may still be relied on.
    pub fn advance(&mut self, region: &RegionView, store_ok: impl Fn(&Step) -> bool, now: Time) -> Progress {
        let mut progress = Progress::default();
        while let Some(step) = self.steps.get(self.current) {
            if !step.is_done(region) {
                break;
            }
            progress.changes.push(OperatorChange::StepDone { index: self.current, step: step.clone() });
            self.current += 1;
            self.step_started = now;
            self.sent = None;
        }
        let Some(step) = self.steps.get(self.current) else {
            progress.changes.push(OperatorChange::Finished);
            progress.over = true;
            return progress;
        };
        if let Some(reason) = self.end_reason(step, region, store_ok, now) {
            progress.changes.push(OperatorChange::Ended(reason));
            progress.over = true;
            return progress;
        }
        progress.command = self.command(region, now);
        progress
    }

    /// When the planner must look again without a heartbeat: the next repetition or the step's deadline.
    pub fn next_look(&self) -> Time {
        let again = self.sent.map_or(self.step_started, |s| s.at.after_ms(s.wait_ms));
        again.min(self.step_deadline())
    }

    /// When the step in hand times out.
    pub fn step_deadline(&self) -> Time {
        let limit = self.steps.get(self.current).map_or(0, |s| s.limit_ms(self.size_mib));
        self.step_started.after_ms(limit)
    }

    /// What it will still change, Store by Store, seen from the newest picture of the Region.
    pub fn influence(&self, region: &RegionView) -> Vec<(StoreId, Influence)> {
        let weight = i64::try_from(self.weight_kib).unwrap_or(i64::MAX);
        let is_there = |peer: &Peer| region.meta.peer(peer.id).is_some();
        let mut leader = region.leader.store;
        let mut all = Vec::new();
        for step in self.steps.get(self.current..).unwrap_or_default() {
            match step {
                Step::AddLearner(peer) => {
                    let counted = is_there(peer);
                    all.push((
                        peer.store,
                        Influence {
                            weight_kib: if counted { 0 } else { weight },
                            count: i64::from(!counted),
                            incoming: 1,
                            incoming_kib: self.weight_kib,
                            ..Influence::default()
                        },
                    ));
                    let outgoing =
                        Influence { outgoing: 1, outgoing_kib: self.weight_kib, ..Influence::default() };
                    all.push((leader, outgoing));
                }
                Step::RemovePeer(peer) if is_there(peer) => {
                    all.push((
                        peer.store,
                        Influence { weight_kib: -weight, count: -1, ..Influence::default() },
                    ));
                }
                Step::TransferLeader { to, .. } if to.store != leader => {
                    all.push((leader, Influence { leaders: -1, ..Influence::default() }));
                    all.push((to.store, Influence { leaders: 1, ..Influence::default() }));
                    leader = to.store;
                }
                Step::RemovePeer(_)
                | Step::TransferLeader { .. }
                | Step::PromoteLearner(_)
                | Step::EnterJoint { .. }
                | Step::LeaveJoint { .. }
                | Step::SplitRegion { .. } => {}
            }
        }
        all
    }

    fn end_reason(
        &self,
        step: &Step,
        region: &RegionView,
        store_ok: impl Fn(&Step) -> bool,
        now: Time,
    ) -> Option<EndReason> {
        let index = self.current;
        let seen = region.meta.epoch.conf_ver.saturating_sub(self.origin_conf_ver);
        let explained =
            self.steps[..=index].iter().map(|s| s.explained_conf_changes(&region.meta)).sum::<u64>();
        if seen > explained {
            return Some(EndReason::ForeignChange { seen, explained });
        }
        if let Err(why) = step.check(region) {
            return Some(EndReason::StepImpossible { index, why });
        }
        if let Some(store) = step.needs_store().filter(|_| !store_ok(step)) {
            return Some(EndReason::StepImpossible { index, why: super::StepBlock::StoreLost(store) });
        }
        let limit_ms = step.limit_ms(self.size_mib);
        (now.ms_since(self.step_started) >= limit_ms).then_some(EndReason::StepTimedOut { index, limit_ms })
    }

    fn command(&mut self, region: &RegionView, now: Time) -> Option<Command> {
        let epoch = region.meta.epoch;
        let leader = region.leader.store;
        let wait_ms = match self.sent {
            None => RESEND_MS_MIN,
            Some(s) if s.epoch != epoch || s.leader != leader => RESEND_MS_MIN,
            Some(s) if now.ms_since(s.at) >= s.wait_ms => (s.wait_ms * 2).min(RESEND_MS_MAX),
            Some(_) => return None,
        };
        self.sent = Some(Sent { at: now, wait_ms, epoch, leader });
        let action = self.steps.get(self.current)?.action(region)?;
        Some(Command { store: leader, region: self.region, epoch, target: region.leader, action })
    }
}
