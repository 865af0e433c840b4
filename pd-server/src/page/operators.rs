//! Operators as rows of the page: what runs, and from the operator log what has ended.

use std::collections::BTreeMap;

use dashboard::model::{OperatorRow, OperatorState};
use scheduler::{EndReason, OperatorChange, OperatorKind, OperatorView, Step, StoreId, Time};

use super::view::Planned;

/// Running operators shown; their number is told in any case.
pub const RUNNING_MAX: usize = 1_000;
/// Ended ones shown.
const ENDED_MAX: usize = 200;

/// The rows, at `now_ms` since 1970: running ones by Region, then ended ones, newest first.
pub fn rows(planned: &Planned, now_ms: u64) -> Vec<OperatorRow> {
    // The planner counts time from when it began.
    let at = |time: Time| now_ms.saturating_sub(planned.now.ms_since(time));
    let deadline = |time: Time| now_ms.saturating_add(time.ms_since(planned.now));
    let running = planned.running.iter().map(|view| OperatorRow {
        started_ms: Some(at(view.created)),
        limit_ms: Some(deadline(view.step_deadline)),
        waiting_for: view.waits_for.as_ref().map(ToString::to_string),
        state: if view.waits_for.is_some() { OperatorState::Waiting } else { OperatorState::Running },
        ..row(view, at(view.created))
    });
    let mut rows: Vec<_> = running.collect();
    let mut begun: BTreeMap<_, &OperatorView> = BTreeMap::new();
    let mut steps_done: BTreeMap<_, usize> = BTreeMap::new();
    let mut ended = Vec::new();
    for event in &planned.log {
        match &event.what {
            OperatorChange::Created(view) => {
                begun.insert(event.operator, view);
            }
            OperatorChange::StepDone { index, .. } => {
                steps_done.insert(event.operator, index + 1);
            }
            OperatorChange::Finished | OperatorChange::Ended(_) => {
                // Without its first line, which made room, too little is known of it.
                let Some(view) = begun.get(&event.operator) else { continue };
                let (state, reason) = end(&event.what);
                ended.push(OperatorRow {
                    state,
                    reason,
                    finished_ms: Some(at(event.at)),
                    step: steps_done.get(&event.operator).copied().unwrap_or(0),
                    ..row(view, at(view.created))
                });
            }
        }
    }
    rows.extend(ended.into_iter().rev().take(ENDED_MAX));
    rows
}

fn row(view: &OperatorView, created_ms: u64) -> OperatorRow {
    let mut stores: Vec<u64> = view.steps.iter().flat_map(stores_of).map(|store| store.0).collect();
    stores.sort_unstable();
    stores.dedup();
    OperatorRow {
        id: view.id.0,
        region: view.region.0,
        kind: kind(view.kind).to_owned(),
        desc: view.cause.to_string(),
        state: OperatorState::Running,
        created_ms,
        started_ms: None,
        finished_ms: None,
        limit_ms: None,
        steps: view.steps.iter().map(ToString::to_string).collect(),
        step: view.current,
        reason: None,
        waiting_for: None,
        stores,
    }
}

fn end(what: &OperatorChange) -> (OperatorState, Option<String>) {
    let OperatorChange::Ended(reason) = what else { return (OperatorState::Finished, None) };
    let state = match reason {
        EndReason::Cancelled(_) => OperatorState::Cancelled,
        EndReason::Replaced => OperatorState::Replaced,
        EndReason::StepTimedOut { .. } => OperatorState::Timeout,
        EndReason::ForeignChange { .. } | EndReason::StepImpossible { .. } | EndReason::RegionVanished => {
            OperatorState::Failed
        }
    };
    (state, Some(reason.to_string()))
}

const fn kind(kind: OperatorKind) -> &'static str {
    match kind {
        OperatorKind::Admin => "admin",
        OperatorKind::Replica => "replica",
        OperatorKind::Region => "region",
        OperatorKind::Leader => "leader",
    }
}

fn stores_of(step: &Step) -> Vec<StoreId> {
    match step {
        Step::AddLearner(peer) | Step::PromoteLearner(peer) | Step::RemovePeer(peer) => vec![peer.store],
        Step::TransferLeader { from, to } => vec![*from, to.store],
        Step::EnterJoint { promote, demote } | Step::LeaveJoint { promote, demote } => {
            promote.iter().chain(demote).map(|peer| peer.store).collect()
        }
        Step::SplitRegion { .. } => Vec::new(),
    }
}
