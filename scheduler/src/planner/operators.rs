//! The operators under way: started, advanced by heartbeats and by time, ended. One for each Region.

use std::collections::{BTreeMap, BTreeSet};

use super::Planner;
use crate::checker::{self, Wish};
use crate::cluster::Influence;
use crate::effect::{Effect, OperatorChange, OperatorEvent};
use crate::index::{Slot, flag};
use crate::model::{OperatorId, RegionId, RegionView, StoreId, Time};
use crate::notes::Subject;
use crate::operator::{Cause, EndReason, Operator, OperatorKind, OperatorView, Step};
use crate::refusal::Refusal;

/// An operator whose Region has left the index ends after this long: a split reports its pieces one after another, and
/// the Region may be gone for that moment only.
const VANISHED_MS: u64 = 10_000;
/// While it is gone it is looked for this often.
const LOOK_FOR_MS: u64 = 2_000;

#[derive(Debug)]
struct Running {
    operator: Operator,
    influence: Vec<(StoreId, Influence)>,
    look: Time,
    missing_since: Option<Time>,
}

/// All that run.
#[derive(Debug, Default)]
pub(crate) struct Operators {
    running: BTreeMap<RegionId, Running>,
    looks: BTreeSet<(Time, RegionId)>,
    counts: BTreeMap<OperatorKind, usize>,
    last_id: u64,
}

impl Operators {
    pub fn runs(&self, region: RegionId) -> bool {
        self.running.contains_key(&region)
    }

    pub fn view(&self, region: RegionId) -> Option<OperatorView> {
        self.running.get(&region).map(|r| r.operator.view())
    }

    /// The kind of the Region's operator.
    pub fn kind(&self, region: RegionId) -> Option<OperatorKind> {
        self.running.get(&region).map(|r| r.operator.kind)
    }

    /// How many of this kind run.
    pub fn count(&self, kind: OperatorKind) -> usize {
        self.counts.get(&kind).copied().unwrap_or_default()
    }

    /// When the first must be looked at without a heartbeat.
    pub fn next_look(&self) -> Option<Time> {
        self.looks.first().map(|(at, _)| *at)
    }

    fn due(&self, now: Time) -> Vec<RegionId> {
        self.looks.iter().take_while(|(at, _)| *at <= now).map(|(_, region)| *region).collect()
    }

    fn remove(&mut self, region: RegionId) -> Option<Running> {
        let gone = self.running.remove(&region)?;
        self.looks.remove(&(gone.look, region));
        *self.counts.entry(gone.operator.kind).or_default() -= 1;
        Some(gone)
    }

    fn insert(&mut self, running: Running) {
        let region = running.operator.region;
        self.looks.insert((running.look, region));
        *self.counts.entry(running.operator.kind).or_default() += 1;
        self.running.insert(region, running);
    }
}

impl Planner {
    /// All operators that run, by Region id.
    pub fn operators(&self) -> impl Iterator<Item = OperatorView> + '_ {
        self.operators.running.values().map(|r| r.operator.view())
    }

    /// The Region's operator.
    #[must_use]
    pub fn operator(&self, region: RegionId) -> Option<OperatorView> {
        self.operators.view(region)
    }

    /// How many operators of this kind run.
    #[must_use]
    pub fn operator_count(&self, kind: OperatorKind) -> usize {
        self.operators.count(kind)
    }

    /// Ends the Region's operator. What it has done stays done; the checkers look at the Region afresh.
    ///
    /// # Errors
    /// `Refusal::NoOperator`.
    pub fn cancel_operator(&mut self, now: Time, region: RegionId) -> Result<(), Refusal> {
        let gone = self.operators.remove(region).ok_or(Refusal::NoOperator(region))?;
        let ended = OperatorChange::Ended(EndReason::Cancelled("on request"));
        self.end_operator(now, gone, vec![ended]);
        Ok(())
    }

    /// Ends all operators, as `cancel_operator` does. Returns how many there were.
    pub fn cancel_all_operators(&mut self, now: Time) -> usize {
        let regions: Vec<RegionId> = self.operators.running.keys().copied().collect();
        regions.iter().filter(|region| self.cancel_operator(now, **region).is_ok()).count()
    }

    /// One that a person asked for takes the place of what the planner had in mind for the Region.
    pub(super) fn replace_operator(&mut self, now: Time, region: RegionId) {
        if let Some(gone) = self.operators.remove(region) {
            self.end_operator(now, gone, vec![OperatorChange::Ended(EndReason::Replaced)]);
        }
    }

    /// Whether one more operator of this kind may start.
    ///
    /// # Errors
    /// `Halted` or `OperatorLimit`.
    pub(super) fn may_start(&self, kind: OperatorKind) -> Result<(), Refusal> {
        let config = &self.cluster.config;
        let limit = match kind {
            OperatorKind::Admin => return Ok(()),
            OperatorKind::Replica => config.replica_schedule_limit,
            OperatorKind::Region => config.region_schedule_limit,
            OperatorKind::Leader => config.leader_schedule_limit,
        };
        if config.halt_scheduling {
            return Err(Refusal::Halted);
        }
        let running = self.operators.count(kind);
        if running >= limit { Err(Refusal::OperatorLimit { running, limit }) } else { Ok(()) }
    }

    /// Starts an operator on a Region that has none, and says its first command.
    pub(super) fn start_operator(
        &mut self,
        now: Time,
        slot: Slot,
        view: &RegionView,
        kind: OperatorKind,
        cause: Cause,
        steps: Vec<Step>,
    ) -> OperatorId {
        self.operators.last_id += 1;
        let id = OperatorId(self.operators.last_id);
        let weight_kib = self.cluster.weight_kib(slot);
        self.cluster.take_limits(&steps, weight_kib, now);
        let operator = Operator::new(id, kind, cause, steps, view, weight_kib, now);
        let created = OperatorChange::Created(operator.view());
        self.log(now, &operator, created);
        self.cluster.index.line(slot).set(flag::OPERATOR, true);
        let running = Running { operator, influence: Vec::new(), look: now, missing_since: None };
        self.operators.insert(running);
        self.advance_with(now, view);
        id
    }

    /// A heartbeat of a Region with an operator came.
    pub(super) fn advance_operator(&mut self, now: Time, region: RegionId) {
        if let Some(slot) = self.cluster.index.find(region) {
            let view = self.cluster.index.view(slot);
            self.advance_with(now, &view);
        }
    }

    /// Repetitions and deadlines.
    pub(super) fn advance_due_operators(&mut self, now: Time) {
        for region in self.operators.due(now) {
            match self.cluster.index.find(region) {
                Some(slot) => {
                    let view = self.cluster.index.view(slot);
                    self.advance_with(now, &view);
                }
                None => self.look_for_vanished(now, region),
            }
        }
    }

    fn look_for_vanished(&mut self, now: Time, region: RegionId) {
        let Some(mut running) = self.operators.remove(region) else { return };
        let since = *running.missing_since.get_or_insert(now);
        if now.ms_since(since) >= VANISHED_MS {
            self.end_operator(now, running, vec![OperatorChange::Ended(EndReason::RegionVanished)]);
            return;
        }
        running.look = now.after_ms(LOOK_FOR_MS);
        self.operators.insert(running);
    }

    fn advance_with(&mut self, now: Time, view: &RegionView) {
        let Some(mut running) = self.operators.remove(view.meta.id) else { return };
        running.missing_since = None;
        let progress = running.operator.advance(view, &self.cluster, now);
        if progress.over {
            self.end_operator(now, running, progress.changes);
            return;
        }
        for change in progress.changes {
            self.log(now, &running.operator, change);
        }
        if self.gives_way(now, &running.operator, view) {
            let reason = EndReason::Cancelled("a replica is lost and its repair goes first");
            self.end_operator(now, running, vec![OperatorChange::Ended(reason)]);
            return;
        }
        self.effects.extend(progress.command.map(Effect::Command));
        if let Some(why) = running.operator.waits_for() {
            self.notes.refused(Subject::Region(view.meta.id), why.clone(), now);
        }
        running.look = running.operator.next_look().max(now.after_ms(1));
        let influence = running.operator.influence(view);
        self.exchange_influence(&running.influence, &influence);
        running.influence = influence;
        self.operators.insert(running);
    }

    /// A person's operator that waits for healthy voters while the Region has lost one: the wait would keep the repair
    /// from what it waits for.
    fn gives_way(&self, now: Time, operator: &Operator, view: &RegionView) -> bool {
        let waits = matches!(operator.waits_for(), Some(Refusal::TooFewHealthy { .. }));
        if operator.kind != OperatorKind::Admin || !waits {
            return false;
        }
        let lost = checker::wish(view, &self.cluster, now).filter(|wish| match wish {
            Wish::Add => true,
            Wish::Replace { cause, .. } | Wish::Remove { cause, .. } => *cause == Cause::ReplaceDownPeer,
            Wish::LeaveJoint | Wish::Promote(_) | Wish::WaitFor(_) => false,
        });
        lost.is_some_and(|wish| {
            self.check_wish(wish, now).is_ok() && self.may_start(OperatorKind::Replica).is_ok()
        })
    }

    /// The operator has been taken off the list already.
    fn end_operator(&mut self, now: Time, running: Running, changes: Vec<OperatorChange>) {
        self.exchange_influence(&running.influence, &[]);
        let operator = running.operator;
        for change in changes {
            let how = match &change {
                OperatorChange::Finished => Some(format!("{}: finished", operator.cause)),
                OperatorChange::Ended(reason) => Some(format!("{}: {reason}", operator.cause)),
                OperatorChange::Created(_) | OperatorChange::StepDone { .. } => None,
            };
            if let Some(how) = how {
                self.notes.ended(operator.region, how, now);
            }
            self.log(now, &operator, change);
        }
        self.places_free = true;
        let Some(slot) = self.cluster.index.find(operator.region) else { return };
        self.cluster.index.line(slot).set(flag::OPERATOR, false);
        let view = self.cluster.index.view(slot);
        if checker::wish(&view, &self.cluster, now).is_some() {
            self.unhealthy.insert(operator.region);
            // This Region first: what it lacks still is known best.
            self.unhealthy_from = operator.region;
        } else {
            self.unhealthy.remove(&operator.region);
        }
    }

    fn exchange_influence(&mut self, old: &[(StoreId, Influence)], new: &[(StoreId, Influence)]) {
        for (store, influence) in new {
            self.cluster.influence.entry(*store).or_default().add(influence);
        }
        for (store, influence) in old {
            self.cluster.influence.entry(*store).or_default().take(influence);
        }
    }

    fn log(&mut self, at: Time, operator: &Operator, what: OperatorChange) {
        let event =
            OperatorEvent { at, operator: operator.id, region: operator.region, kind: operator.kind, what };
        self.effects.push_back(Effect::Operator(event));
    }
}
