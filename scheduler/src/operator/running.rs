//! An operator under way.

use super::{Cause, EndReason, OperatorKind, OperatorView, Step, guard};
use crate::cluster::{Cluster, Influence};
use crate::effect::{Command, OperatorChange};
use crate::model::{OperatorId, Peer, RegionEpoch, RegionId, RegionView, StoreId, Time};
use crate::refusal::Refusal;

/// A command is said again after this long without an effect; each time twice as long, up to the second bound.
const RESEND_MS_MIN: u64 = 2_000;
const RESEND_MS_MAX: u64 = 8_000;
/// A step that waits for a Peer to work is looked at this often, besides at each heartbeat of the Region.
const LOOK_AGAIN_MS: u64 = 2_000;

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
    /// The epoch when it was made: what `conf_ver` went up since must be explained by its own steps.
    pub origin: RegionEpoch,
    /// Size of the Region when it was made, in KiB: what its moves weigh.
    pub weight_kib: u64,
    size_mib: u64,
    sent: Option<Sent>,
    waits: Option<Wait>,
}

/// What was last said, and to whom: a command is dropped by a Store once epoch or leader have changed.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Time,
    wait_ms: u64,
    epoch: RegionEpoch,
    leader: StoreId,
}

/// What the step in hand waits for, as of the last look.
#[derive(Clone, Debug)]
struct Wait {
    looked: Time,
    why: Refusal,
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
            origin: region.meta.epoch,
            weight_kib,
            size_mib: region.size_mib(),
            sent: None,
            waits: None,
        }
    }

    pub fn view(&self) -> OperatorView {
        OperatorView {
            id: self.id,
            region: self.region,
            kind: self.kind,
            cause: self.cause,
            epoch: self.origin,
            size_mib: self.size_mib,
            limit_ms: self.steps.iter().map(|s| s.limit_ms(self.size_mib)).fold(0, u64::saturating_add),
            steps: self.steps.clone(),
            current: self.current,
            created: self.created,
            step_deadline: self.step_deadline(),
            waits_for: self.waits_for().cloned(),
        }
    }

    /// Why the step in hand is not asked for, if it is not.
    pub fn waits_for(&self) -> Option<&Refusal> {
        self.waits.as_ref().map(|wait| &wait.why)
    }

    /// Looks at the newest picture of the Region: ends steps, says or repeats the command, ends the operator.
    /// A step whose Peers or Stores do not work just now is not asked for and waits.
    pub fn advance(&mut self, region: &RegionView, cluster: &Cluster, now: Time) -> Progress {
        let mut progress = Progress::default();
        while let Some(step) = self.steps.get(self.current) {
            if !step.is_done(region) {
                break;
            }
            progress.changes.push(OperatorChange::StepDone { index: self.current, step: step.clone() });
            self.current += 1;
            self.step_started = now;
            self.sent = None;
            self.waits = None;
        }
        let Some(step) = self.steps.get(self.current) else {
            progress.changes.push(OperatorChange::Finished);
            progress.over = true;
            return progress;
        };
        let waits_for = guard::may_go(step, &self.steps[..self.current], region, cluster, now).err();
        if let Some(reason) = self.end_reason(step, region, cluster, waits_for.as_ref(), now) {
            progress.changes.push(OperatorChange::Ended(reason));
            progress.over = true;
            return progress;
        }
        self.waits = waits_for.map(|why| Wait { looked: now, why });
        if self.waits.is_none() {
            progress.command = self.command(region, now);
        }
        progress
    }

    /// When the planner must look again without a heartbeat: the next repetition or the step's deadline.
    pub fn next_look(&self) -> Time {
        let again = match (&self.waits, self.sent) {
            (Some(wait), _) => wait.looked.after_ms(LOOK_AGAIN_MS),
            (None, Some(sent)) => sent.at.after_ms(sent.wait_ms),
            (None, None) => self.step_started,
        };
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
        cluster: &Cluster,
        waits_for: Option<&Refusal>,
        now: Time,
    ) -> Option<EndReason> {
        let index = self.current;
        let seen = region.meta.epoch.conf_ver.saturating_sub(self.origin.conf_ver);
        let explained =
            self.steps[..=index].iter().map(|s| s.explained_conf_changes(&region.meta)).sum::<u64>();
        if seen > explained {
            return Some(EndReason::ForeignChange { seen, explained });
        }
        if let Err(why) = step.check(region).and_then(|()| guard::check_stores(step, cluster, now)) {
            return Some(EndReason::StepImpossible { index, why });
        }
        let limit_ms = step.limit_ms(self.size_mib);
        let timed_out = now.ms_since(self.step_started) >= limit_ms;
        timed_out.then(|| EndReason::StepTimedOut { index, limit_ms, waits_for: waits_for.cloned() })
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
