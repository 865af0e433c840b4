//! The operator log: each line goes to the process's log with fields, the newest are kept to be asked for, and so is the
//! last operator of each Region for a while after its end.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use scheduler::{OperatorChange, OperatorEvent, OperatorView, RegionId, Step, Time};
use tracing::info;

use super::operators::{Epoch, OperatorRecord, OperatorStatus};

/// Lines kept. An operator has about eight, so this is the story of some hundred operators.
const KEPT: usize = 1_024;
/// How long an operator is known after its end.
const RECORD_MS: u64 = 10 * 60 * 1_000;
/// Operators known after their end; the oldest makes room. A cluster in a hurry ends some thousands in ten minutes.
const RECORDS_MAX: usize = 16_384;
/// Bytes of the keys in all of them: a split by hand may name many.
const RECORDS_BYTES_MAX: usize = 8 << 20;

/// The newest lines, and the operators that ended not long ago.
#[derive(Debug)]
pub struct OperatorLog {
    epoch: Epoch,
    kept: VecDeque<OperatorEvent>,
    running: BTreeMap<RegionId, OperatorView>,
    records: BTreeMap<RegionId, OperatorRecord>,
    /// In the order of their ends; entries of Regions whose record is a newer one are passed over.
    ends: VecDeque<(Time, RegionId)>,
    /// Of the keys in `records`.
    bytes: usize,
}

impl OperatorLog {
    /// An empty log; `epoch` is when the planner's clock shows 0.
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            kept: VecDeque::new(),
            running: BTreeMap::new(),
            records: BTreeMap::new(),
            ends: VecDeque::new(),
            bytes: 0,
        }
    }

    /// When the planner's clock shows 0.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Writes a line and keeps it; the oldest makes room.
    pub fn write(&mut self, event: OperatorEvent) {
        let (region, operator, kind) = (event.region.0, event.operator.0, event.kind);
        match &event.what {
            OperatorChange::Created(view) => {
                info!(region, operator, ?kind, reason = %view.cause, steps = %Steps(view), "operator created");
                self.running.insert(event.region, view.clone());
            }
            OperatorChange::StepDone { index, step } => {
                info!(region, operator, ?kind, index, step = %step_name(step), detail = %step, "operator step done");
                if let Some(view) = self.running.get_mut(&event.region) {
                    view.current = index + 1;
                }
            }
            OperatorChange::Finished => {
                info!(region, operator, ?kind, "operator finished");
                self.end(event.region, OperatorStatus::Success, event.at);
            }
            OperatorChange::Ended(reason) => {
                info!(region, operator, ?kind, %reason, "operator ended");
                self.end(event.region, OperatorStatus::Ended(reason.clone()), event.at);
            }
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

    /// The last operator of a Region, if it ended not long ago.
    pub fn record(&mut self, region: RegionId, now: Time) -> Option<OperatorRecord> {
        self.forget_old(now);
        self.records.get(&region).cloned()
    }

    /// The last operator of each Region that ended not long ago, newest first.
    pub fn records(&mut self, now: Time) -> Vec<OperatorRecord> {
        self.forget_old(now);
        let mut all: Vec<OperatorRecord> = self.records.values().cloned().collect();
        all.sort_by_key(|record| std::cmp::Reverse((record.finished, record.view.id)));
        all
    }

    fn end(&mut self, region: RegionId, status: OperatorStatus, at: Time) {
        let Some(view) = self.running.remove(&region) else { return };
        self.forget_old(at);
        let bytes = key_bytes(&view);
        while self.ends.len() >= RECORDS_MAX
            || (self.bytes + bytes > RECORDS_BYTES_MAX && !self.ends.is_empty())
        {
            self.forget_first();
        }
        self.ends.push_back((at, region));
        self.bytes += bytes;
        let record = OperatorRecord { view, status, finished: Some(at), epoch: self.epoch };
        self.bytes -= self.records.insert(region, record).map_or(0, |old| key_bytes(&old.view));
    }

    fn forget_old(&mut self, now: Time) {
        while self.ends.front().is_some_and(|(at, _)| now.ms_since(*at) >= RECORD_MS) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((at, region)) = self.ends.pop_front()
            && self.records.get(&region).is_some_and(|record| record.finished == Some(at))
        {
            self.bytes -= self.records.remove(&region).map_or(0, |old| key_bytes(&old.view));
        }
    }
}

fn key_bytes(view: &OperatorView) -> usize {
    let keys = view.steps.iter().map(|step| match step {
        Step::SplitRegion { keys, .. } => keys.iter().map(Bytes::len).sum(),
        Step::AddLearner(_)
        | Step::PromoteLearner(_)
        | Step::RemovePeer(_)
        | Step::TransferLeader { .. }
        | Step::EnterJoint { .. }
        | Step::LeaveJoint { .. } => 0,
    });
    keys.sum()
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

#[cfg(test)]
mod tests {
    use super::*;
    use scheduler::{Cause, EndReason, OperatorId, OperatorKind, RegionEpoch, SplitPolicy};

    fn event(region: u64, at: u64, what: OperatorChange) -> OperatorEvent {
        let (region, kind) = (RegionId(region), OperatorKind::Admin);
        OperatorEvent { at: Time(at), operator: OperatorId(at), region, kind, what }
    }

    fn created(region: u64, at: u64) -> OperatorEvent {
        let view = OperatorView {
            id: OperatorId(at),
            region: RegionId(region),
            kind: OperatorKind::Admin,
            cause: Cause::AdminRemovePeer,
            epoch: RegionEpoch::default(),
            size_mib: 1,
            steps: Vec::new(),
            limit_ms: 60_000,
            current: 0,
            created: Time(at),
            step_deadline: Time(at + 60_000),
            waits_for: None,
        };
        event(region, at, OperatorChange::Created(view))
    }

    #[test]
    fn records_with_large_keys_make_room_for_each_other() {
        let mut log = OperatorLog::new(Epoch { wall_ns: 5 });
        let mut end = |region: u64, at: u64, megabytes: usize| {
            let mut event = created(region, at);
            if let OperatorChange::Created(view) = &mut event.what {
                let keys = vec![Bytes::from(vec![7; 1 << 20]); megabytes];
                let (start_key, end_key) = (Bytes::new(), Bytes::new());
                view.steps =
                    vec![Step::SplitRegion { policy: SplitPolicy::UseKey, keys, start_key, end_key }];
            }
            log.write(event);
            log.write(self::event(region, at + 1, OperatorChange::Finished));
            log.records(Time(at + 1)).iter().map(|r| r.view.region.0).collect::<Vec<_>>()
        };
        assert_eq!(end(1, 10, 5), [1]);
        assert_eq!(end(2, 20, 3), [2, 1]);
        assert_eq!(end(2, 30, 1), [2], "its own old record counted when it came");
        assert_eq!(end(3, 40, 7), [3, 2], "7 + 1 fit");
        assert_eq!(end(4, 50, 1), [4, 3]);
        assert_eq!(end(5, 60, 9), [5], "alone it is kept whatever it weighs");
        assert_eq!(end(6, 70, 0), [6]);
    }

    #[test]
    fn the_last_operator_of_a_region_is_known_for_ten_minutes() {
        let mut log = OperatorLog::new(Epoch { wall_ns: 5 });
        log.write(created(7, 1_000));
        assert!(log.record(RegionId(7), Time(1_000)).is_none(), "it runs still");
        let cancelled = EndReason::Cancelled("on request");
        log.write(event(7, 2_000, OperatorChange::Ended(cancelled.clone())));
        log.write(created(7, 3_000));
        log.write(event(7, 4_000, OperatorChange::Finished));
        log.write(created(8, 3_500));
        log.write(event(8, 5_000, OperatorChange::Ended(cancelled)));
        let known: Vec<(u64, bool)> = log
            .records(Time(6_000))
            .iter()
            .map(|r| (r.view.region.0, r.status == OperatorStatus::Success))
            .collect();
        assert_eq!(known, [(8, false), (7, true)]);
        let record = log.record(RegionId(7), Time(2_000 + RECORD_MS)).unwrap();
        assert_eq!(record.finished_ns(), Some(4_000_000_005));
        assert!(log.record(RegionId(7), Time(4_000 + RECORD_MS)).is_none());
        assert_eq!(log.records(Time(5_000 + RECORD_MS)).len(), 0);
    }
}
