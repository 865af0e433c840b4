//! Schedulers and checkers as people switch them, and the limits as they stand.

use super::Planner;
use crate::limits::LimitState;
use crate::model::{LimitKind, StoreId, Time};
use crate::producers::{CheckerName, Pause, SchedulerName, SchedulerState};
use crate::refusal::Refusal;

impl Planner {
    /// The scheduler makes nothing for so long; 0 ends that. Operators that run go on. The pause ends with the planner:
    /// a new leader knows nothing of it.
    pub fn pause_scheduler(&mut self, now: Time, scheduler: SchedulerName, for_ms: u64) {
        self.pauses.pause_scheduler(scheduler, now, for_ms);
        self.drop_plan();
        self.upkeep_at = now;
    }

    /// The checker makes nothing for so long; 0 ends that. Operators that run go on. The pause ends with the planner.
    pub fn pause_checker(&mut self, now: Time, checker: CheckerName, for_ms: u64) {
        self.pauses.pause_checker(checker, now, for_ms);
        self.upkeep_at = now;
    }

    /// All schedulers that exist and what they do just now.
    pub fn schedulers(&self, now: Time) -> impl Iterator<Item = (SchedulerName, SchedulerState)> + '_ {
        SchedulerName::ALL.into_iter().map(move |name| (name, self.scheduler_state(name, now)))
    }

    /// All checkers that exist, and their pauses.
    pub fn checkers(&self, now: Time) -> impl Iterator<Item = (CheckerName, Option<Pause>)> + '_ {
        CheckerName::ALL.into_iter().map(move |name| (name, self.pauses.checker(name, now)))
    }

    /// A Store's limits, and how much of them is left.
    #[must_use]
    pub fn store_limits(&self, now: Time, store: StoreId) -> [LimitState; 2] {
        LimitKind::ALL.map(|kind| {
            let rate = self.cluster.limit_rate(store, kind);
            let available = self.cluster.limits.available(store, kind, rate, now);
            LimitState { kind, rate, available, refused: self.notes.refused_by_limit(store, kind) }
        })
    }

    pub(crate) fn scheduler_state(&self, name: SchedulerName, now: Time) -> SchedulerState {
        if !self.cluster.config.schedulers.contains(&name) {
            return SchedulerState::Removed;
        }
        self.pauses.scheduler(name, now).map_or(SchedulerState::Runs, SchedulerState::Paused)
    }

    /// Whether the scheduler may make operators just now.
    ///
    /// # Errors
    /// `Halted`, `SchedulerRemoved` or `SchedulerPaused`.
    pub(crate) fn check_scheduler(&self, scheduler: SchedulerName, now: Time) -> Result<(), Refusal> {
        if self.cluster.config.halt_scheduling {
            return Err(Refusal::Halted);
        }
        match self.scheduler_state(scheduler, now) {
            SchedulerState::Runs => Ok(()),
            SchedulerState::Removed => Err(Refusal::SchedulerRemoved(scheduler)),
            SchedulerState::Paused(Pause { until, .. }) => Err(Refusal::SchedulerPaused { scheduler, until }),
        }
    }

    pub(super) fn check_checker(&self, checker: CheckerName, now: Time) -> Result<(), Refusal> {
        match self.pauses.checker(checker, now) {
            Some(Pause { until, .. }) => Err(Refusal::CheckerPaused { checker, until }),
            None => Ok(()),
        }
    }
}
