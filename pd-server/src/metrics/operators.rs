//! Operators: what happens to them, under the causes that people search boards for.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use raft_core::Sizes;
use scheduler::{
    EndReason, OperatorChange, OperatorEvent, OperatorId, OperatorKind, OperatorView, Step, StoreId, Time,
};

use super::exposition::{Exposition, Kind};

/// Upper bounds for how long an operator ran, in seconds.
const SECONDS: [f64; 14] =
    [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 40.0, 60.0, 90.0, 120.0, 300.0, 600.0, 3_600.0];

/// Written by the cluster's owner only.
#[derive(Default)]
pub struct Operators {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Those that run, as long as their owner leads: why, and since when. The planner bounds them.
    running: BTreeMap<OperatorId, (String, Time)>,
    events: BTreeMap<(String, &'static str), u64>,
    finished: BTreeMap<String, Finished>,
    /// Of the Regions, in MiB.
    sizes: BTreeMap<String, Sizes>,
    /// What balance moves: by its cause, a store, and whether it comes there or goes from there.
    moves: BTreeMap<(String, StoreId, &'static str), u64>,
}

#[derive(Default)]
struct Finished {
    within: [u64; SECONDS.len()],
    count: u64,
    sum_s: f64,
}

impl Operators {
    /// Something happened to an operator.
    pub fn event(&self, event: &OperatorEvent) {
        let mut state = self.state.lock();
        let state = &mut *state;
        if let OperatorChange::Created(view) = &event.what {
            state.running.insert(event.operator, (view.cause.to_string(), view.created));
            state.created(view);
        }
        let over = matches!(event.what, OperatorChange::Finished | OperatorChange::Ended(_));
        let known = if over {
            state.running.remove(&event.operator)
        } else {
            state.running.get(&event.operator).cloned()
        };
        let Some((cause, created)) = known else { return };
        if event.what == OperatorChange::Finished {
            state.finished.entry(cause.clone()).or_default().add(event.at.ms_since(created) as f64 / 1e3);
        }
        *state.events.entry((cause, name(&event.what))).or_default() += 1;
    }

    /// The lead is over, and with it all that ran.
    pub fn forget_running(&self) {
        self.state.lock().running.clear();
    }

    /// Writes them all.
    pub fn write(&self, out: &mut Exposition) {
        let state = self.state.lock();
        let help = "What happened to operators, by cause.";
        let mut family = out.family("pd_schedule_operators_count", Kind::Counter, help);
        for ((cause, event), count) in &state.events {
            family.put(&[("type", cause), ("event", event)], *count as f64);
        }
        let help = "How long operators ran that did all their steps, by cause.";
        let name = "pd_schedule_finish_operators_duration_seconds";
        let mut family = out.family(name, Kind::Histogram, help);
        for (cause, finished) in &state.finished {
            family.seconds(&[("type", cause)], &SECONDS, &finished.within, finished.count, finished.sum_s);
        }
        let help = "Sizes in MiB of the Regions that operators are made for, by cause.";
        let mut family = out.family("pd_schedule_operator_region_size", Kind::Histogram, help);
        for (cause, sizes) in &state.sizes {
            family.tally(&[("type", cause)], &sizes.tally(), 1.0);
        }
        let help = "Replicas or leaders that balance has planned to come to a store and go from it.";
        let mut family = out.family("pd_scheduler_balance_direction", Kind::Counter, help);
        for ((scheduler, store, direction), count) in &state.moves {
            let store = store.0.to_string();
            family.put(&[("type", scheduler), ("store", &store), ("direction", direction)], *count as f64);
        }
    }
}

impl State {
    fn created(&mut self, view: &OperatorView) {
        let cause = view.cause.to_string();
        self.sizes.entry(cause.clone()).or_default().record(view.size_mib, 1);
        if !matches!(view.kind, OperatorKind::Leader | OperatorKind::Region) {
            return;
        }
        let scheduler = format!("{cause}-scheduler");
        let mut count = |store: StoreId, direction: &'static str| {
            *self.moves.entry((scheduler.clone(), store, direction)).or_default() += 1;
        };
        for step in &view.steps {
            match step {
                Step::AddLearner(peer) => count(peer.store, "in"),
                Step::RemovePeer(peer) => count(peer.store, "out"),
                // On the way of a move of a replica the lead only makes room.
                Step::TransferLeader { from, to } if view.kind == OperatorKind::Leader => {
                    count(*from, "out");
                    count(to.store, "in");
                }
                Step::TransferLeader { .. }
                | Step::PromoteLearner(_)
                | Step::EnterJoint { .. }
                | Step::LeaveJoint { .. }
                | Step::SplitRegion { .. } => {}
            }
        }
    }
}

impl Finished {
    fn add(&mut self, seconds: f64) {
        for (place, _) in SECONDS.iter().enumerate().filter(|(_, bound)| seconds <= **bound) {
            self.within[place] += 1;
        }
        self.count += 1;
        self.sum_s += seconds;
    }
}

/// What an event counts as.
fn name(change: &OperatorChange) -> &'static str {
    match change {
        OperatorChange::Created(_) => "create",
        OperatorChange::StepDone { .. } => "step",
        OperatorChange::Finished => "finish",
        OperatorChange::Ended(EndReason::StepTimedOut { .. }) => "timeout",
        OperatorChange::Ended(EndReason::Replaced) => "replace",
        OperatorChange::Ended(_) => "cancel",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scheduler::{Cause, Peer, PeerId, RegionEpoch, RegionId};

    fn peer(id: u64, store: u64) -> Peer {
        Peer::voter(PeerId(id), StoreId(store))
    }

    fn event(at_ms: u64, what: OperatorChange) -> OperatorEvent {
        let (operator, region, kind) = (OperatorId(9), RegionId(5), OperatorKind::Region);
        OperatorEvent { at: Time(at_ms), operator, region, kind, what }
    }

    #[test]
    fn an_operator_is_counted_from_its_start_to_its_end() {
        let operators = Operators::default();
        let view = OperatorView {
            id: OperatorId(9),
            region: RegionId(5),
            kind: OperatorKind::Region,
            cause: Cause::BalanceSize,
            epoch: RegionEpoch::default(),
            size_mib: 100,
            steps: vec![
                Step::AddLearner(peer(7, 3)),
                Step::PromoteLearner(peer(7, 3)),
                Step::RemovePeer(peer(2, 1)),
            ],
            limit_ms: 60_000,
            current: 0,
            created: Time(1_000),
            step_deadline: Time(61_000),
            waits_for: None,
        };
        operators.event(&event(1_000, OperatorChange::Created(view)));
        operators.event(&event(4_000, OperatorChange::Finished));
        operators.event(&event(5_000, OperatorChange::Finished));
        let mut out = Exposition::default();
        operators.write(&mut out);
        let text = out.into_text();
        for line in [
            "pd_schedule_operators_count{type=\"balance-region\",event=\"create\"} 1",
            "pd_schedule_operators_count{type=\"balance-region\",event=\"finish\"} 1",
            "pd_schedule_finish_operators_duration_seconds_bucket{type=\"balance-region\",le=\"2\"} 0",
            "pd_schedule_finish_operators_duration_seconds_bucket{type=\"balance-region\",le=\"4\"} 1",
            "pd_schedule_finish_operators_duration_seconds_sum{type=\"balance-region\"} 3",
            "pd_schedule_operator_region_size_bucket{type=\"balance-region\",le=\"64\"} 0",
            "pd_schedule_operator_region_size_bucket{type=\"balance-region\",le=\"128\"} 1",
            "pd_scheduler_balance_direction{type=\"balance-region-scheduler\",store=\"3\",direction=\"in\"} 1",
            "pd_scheduler_balance_direction{type=\"balance-region-scheduler\",store=\"1\",direction=\"out\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
    }
}
