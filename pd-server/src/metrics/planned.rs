//! What only the planner knows: one short question, given up when its owner has no time.

use std::collections::BTreeMap;
use std::time::Duration;

use scheduler::{
    LimitState, OperatorKind, Pause, Planner, RefusalKind, SchedulerName, SchedulerState, StoreId,
    StoreSummary, Time,
};
use tokio::time::timeout;

use super::exposition::{Exposition, Kind};
use crate::cluster::Cluster;
use crate::grpc::Gate;

/// How long the planner's owner may take: Prometheus gives up after 10 s, and heartbeats come first.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the planner answers.
pub struct Planned {
    /// Stores by id.
    pub stores: BTreeMap<u64, Known>,
    refusals: Vec<(RefusalKind, u64)>,
    running: [(OperatorKind, usize); 4],
    schedulers: Vec<(SchedulerName, SchedulerState)>,
    checkers: Vec<(&'static str, Option<Pause>)>,
    prepared: bool,
}

/// What it knows of a store.
pub struct Known {
    /// Its numbers.
    pub summary: StoreSummary,
    /// What limits it.
    pub limits: [LimitState; 2],
    /// Its disk is too full for new replicas.
    pub low_space: bool,
}

/// Asks; none when there was no answer in time.
pub async fn ask(cluster: &Cluster) -> Option<Planned> {
    let ids: Vec<u64> = cluster.stores().table.keys().copied().collect();
    let asked = cluster.plan(move |planner, now| Planned::of(planner, now, &ids));
    timeout(PATIENCE, asked).await.ok()?.ok()
}

impl Planned {
    fn of(planner: &Planner, now: Time, ids: &[u64]) -> Self {
        let known = |id: &u64| {
            let summary = planner.store_summary(now, StoreId(*id))?;
            let low_space = planner.standing_of(now, StoreId(*id))?.low_space.is_some();
            Some((*id, Known { summary, limits: planner.store_limits(now, StoreId(*id)), low_space }))
        };
        let kinds = [OperatorKind::Admin, OperatorKind::Replica, OperatorKind::Region, OperatorKind::Leader];
        Self {
            stores: ids.iter().filter_map(known).collect(),
            refusals: planner.refusal_counts().collect(),
            running: kinds.map(|kind| (kind, planner.operator_count(kind))),
            schedulers: planner.schedulers(now).collect(),
            checkers: planner.checkers(now).map(|(checker, pause)| (checker.name(), pause)).collect(),
            prepared: planner.is_prepared(),
        }
    }

    /// Writes what is not of single stores.
    pub fn write(&self, out: &mut Exposition, gate: &Gate) {
        let help = "What the planner refused, by reason, since this member leads.";
        let mut family = out.family("pd_planner_refusals_total", Kind::Counter, help);
        for (kind, count) in &self.refusals {
            family.put(&[("reason", &reason(*kind))], *count as f64);
        }
        let mut family = out.family("pd_planner_operators", Kind::Gauge, "Operators that run, by kind.");
        for (kind, count) in self.running {
            let kind = match kind {
                OperatorKind::Admin => "admin",
                OperatorKind::Replica => "replica",
                OperatorKind::Region => "region",
                OperatorKind::Leader => "leader",
            };
            family.put(&[("kind", kind)], count as f64);
        }
        let help = "1 for a scheduler or checker that works, 0 for one that is paused or taken out.";
        let mut family = out.family("pd_scheduler_status", Kind::Gauge, help);
        for (scheduler, state) in &self.schedulers {
            let works = match state {
                SchedulerState::Runs => 1.0,
                SchedulerState::Paused(_) | SchedulerState::Removed => 0.0,
            };
            family.put(&[("kind", scheduler.name()), ("type", "allow")], works);
        }
        for (checker, pause) in &self.checkers {
            let works = if pause.is_none() { 1.0 } else { 0.0 };
            family.put(&[("kind", &format!("{checker}-checker")), ("type", "allow")], works);
        }
        let halted = if gate.pd.online.now().halt_scheduling() { 1.0 } else { 0.0 };
        let help = "1 while halt-scheduling is on.";
        let mut family = out.family("pd_scheduling_allowance_status", Kind::Gauge, help);
        family.put(&[("kind", "halt-scheduling")], halted);
        let help = "1 once the planner knows enough Regions to balance.";
        out.gauge("pd_planner_prepared", help, if self.prepared { 1.0 } else { 0.0 });
    }
}

/// A reason as a label: words with dashes.
fn reason(kind: RefusalKind) -> String {
    let mut words = String::new();
    for c in format!("{kind:?}").chars() {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push('-');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::reason;
    use scheduler::RefusalKind;

    #[test]
    fn reasons_are_words() {
        assert_eq!(reason(RefusalKind::HoldsNoReplica), "holds-no-replica");
        assert_eq!(reason(RefusalKind::Full), "full");
    }
}
