//! The operator log: each line goes to the process's log with fields, the newest are kept to be asked for.

use std::collections::VecDeque;

use scheduler::{OperatorChange, OperatorEvent, OperatorView, Step};
use tracing::info;

/// Lines kept. An operator has about eight, so this is the story of some hundred operators.
const KEPT: usize = 1_024;

/// The newest lines.
#[derive(Debug, Default)]
pub struct OperatorLog {
    kept: VecDeque<OperatorEvent>,
}

impl OperatorLog {
    /// Writes a line and keeps it; the oldest makes room.
    pub fn write(&mut self, event: OperatorEvent) {
        let (region, operator, kind) = (event.region.0, event.operator.0, event.kind);
        match &event.what {
            OperatorChange::Created(view) => info!(
                region, operator, ?kind, reason = %view.cause, steps = %Steps(view), "operator created"
            ),
            OperatorChange::StepDone { index, step } => {
                info!(region, operator, ?kind, index, step = %step_name(step), detail = %step, "operator step done");
            }
            OperatorChange::Finished => info!(region, operator, ?kind, "operator finished"),
            OperatorChange::Ended(reason) => info!(region, operator, ?kind, %reason, "operator ended"),
        }
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(event);
    }

    /// The lines kept, oldest first.
    pub fn lines(&self) -> Vec<OperatorEvent> {
        self.kept.iter().cloned().collect()
    }
}

/// What an event counts as in the metrics.
pub fn event_name(change: &OperatorChange) -> &'static str {
    match change {
        OperatorChange::Created(_) => "create",
        OperatorChange::StepDone { .. } => "step",
        OperatorChange::Finished => "finish",
        OperatorChange::Ended(scheduler::EndReason::StepTimedOut { .. }) => "timeout",
        OperatorChange::Ended(_) => "cancel",
    }
}

/// The name of a step as operators of the ecosystem know it.
fn step_name(step: &Step) -> &'static str {
    match step {
        Step::AddLearner(_) => "add-learner",
        Step::PromoteLearner(_) => "promote-learner",
        Step::RemovePeer(_) => "remove-peer",
        Step::TransferLeader { .. } => "transfer-leader",
        Step::EnterJoint { .. } => "enter-joint",
        Step::LeaveJoint { .. } => "leave-joint",
        Step::SplitRegion { .. } => "split-region",
    }
}

struct Steps<'a>(&'a OperatorView);

impl std::fmt::Display for Steps<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, step) in self.0.steps.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{}", step_name(step))?;
        }
        Ok(())
    }
}
