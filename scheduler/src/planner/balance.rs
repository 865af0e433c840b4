//! The balance carried out: plans are made when the last one is used up, and their moves started as places get free.

use super::Planner;
use crate::balance::{Move, Scope, Transfer, plan_leaders, plan_sizes, targets_kib};
use crate::index::{ListRole, flag};
use crate::model::{Peer, PeerId, StoreId, Time};
use crate::notes::Subject;
use crate::operator::build::{self, Newcomer};
use crate::operator::{Cause, OperatorKind, Step};
use crate::producers::SchedulerName;
use crate::refusal::Refusal;

/// Between two plans for the sizes, and after one that found nothing to do.
const PLAN_SIZES_MS: u64 = 1_000;
const PLAN_SIZES_IDLE_MS: u64 = 5_000;
/// A plan that waits for limits is made anew after this long: Regions grow, and it must not overshoot.
const PLAN_AGE_MS: u64 = 60_000;
/// After a search for leader transfers that found none.
const PLAN_LEADERS_IDLE_MS: u64 = 2_000;

impl Planner {
    pub(super) fn balance(&mut self, now: Time) {
        if self.cluster.config.halt_scheduling || !self.is_prepared {
            return;
        }
        let may_plan = self.check_scheduler(SchedulerName::BalanceRegion, now).is_ok();
        if !may_plan || now.ms_since(self.planned_at) >= PLAN_AGE_MS {
            // What has started goes on; what was planned is planned anew when it may be.
            self.moves.clear();
            self.planned.clear();
        }
        if may_plan && self.moves.is_empty() && now >= self.plan_sizes_at {
            let scope = Scope { unhealthy: &self.unhealthy, rotation: self.rotation };
            let moves = plan_sizes(&self.cluster, &scope, now);
            let pause = if moves.is_empty() { PLAN_SIZES_IDLE_MS } else { PLAN_SIZES_MS };
            self.plan_sizes_at = now.after_ms(pause);
            self.rotation = self.rotation.wrapping_add(moves.len());
            self.planned_at = now;
            self.planned = moves.iter().map(|m| m.region).collect();
            self.moves = moves.into();
        }
        self.start_moves(now);
        if self.check_scheduler(SchedulerName::BalanceLeader, now).is_ok() {
            self.balance_leaders(now);
        }
    }

    /// The plan in force no longer fits the cluster. What has started goes on.
    pub(super) fn drop_plan(&mut self) {
        self.moves.clear();
        self.planned.clear();
        self.plan_sizes_at = Time(0);
        self.plan_leaders_at = Time(0);
    }

    /// Starts the moves for which both ends have a place free.
    pub(super) fn start_moves(&mut self, now: Time) {
        if self.moves.is_empty() || self.check_scheduler(SchedulerName::BalanceRegion, now).is_err() {
            return;
        }
        let mut kept = std::collections::VecDeque::new();
        while let Some(next) = self.moves.pop_front() {
            if self.may_start(OperatorKind::Region).is_err() {
                kept.push_back(next);
                break;
            }
            match self.start_move(now, &next) {
                Ok(()) => {
                    self.planned.remove(&next.region);
                }
                Err(refusal @ (Refusal::MovesInFlight { .. } | Refusal::IdsLacking { .. })) => {
                    self.notes.count(&refusal);
                    kept.push_back(next);
                }
                Err(refusal @ Refusal::StoreLimit { .. }) => {
                    // Its turn may come in minutes: until then others may do with the Region what they like.
                    self.planned.remove(&next.region);
                    self.notes.count(&refusal);
                    kept.push_back(next);
                }
                Err(refusal) => {
                    // The cluster has changed since: the next plan knows.
                    self.planned.remove(&next.region);
                    self.notes.refused(Subject::Region(next.region), refusal, now);
                }
            }
        }
        kept.append(&mut self.moves);
        self.moves = kept;
    }

    fn start_move(&mut self, now: Time, wanted: &Move) -> Result<(), Refusal> {
        let region = wanted.region;
        let slot = self.cluster.index.find(region).ok_or(Refusal::UnknownRegion(region))?;
        if self.cluster.index.line(slot).has(flag::OPERATOR) {
            return Err(Refusal::OperatorRuns(region));
        }
        // The commonest refusal first: it costs nothing.
        let store = self.cluster.stores.get(wanted.to).ok_or(Refusal::UnknownStore(wanted.to))?;
        let weight = self.cluster.weight_kib(slot);
        self.cluster.may_take(store, weight, now)?;
        let view = self.cluster.index.view(slot);
        let old = *view.meta.peer_on(wanted.from).ok_or(Refusal::HoldsNoReplica(wanted.from))?;
        if view.meta.peer_on(wanted.to).is_some() {
            return Err(Refusal::HoldsReplica(wanted.to));
        }
        if let Some(ailing) = view.meta.peers.iter().find(|p| view.is_ailing(p.id)) {
            return Err(Refusal::Ailing(ailing.id));
        }
        if view.meta.is_joint() {
            return Err(Refusal::Joint(region));
        }
        self.cluster.may_send(view.leader.store, weight)?;
        let next = self.next_leader_if_needed(now, &view, old).unwrap_or_default();
        let new = Newcomer::New(Peer::learner(PeerId(0), wanted.to));
        let steps = build::replace(&view, old, new, next);
        self.cluster.check_limits(&steps, weight, now)?;
        let steps = self.with_peer_ids(steps)?;
        self.start_operator(now, slot, &view, OperatorKind::Region, Cause::BalanceSize, steps);
        Ok(())
    }

    fn balance_leaders(&mut self, now: Time) {
        // Each chain ends with fewer left to do; the limit of operators bounds the loop.
        while now >= self.plan_leaders_at && self.may_start(OperatorKind::Leader).is_ok() {
            let scope = Scope { unhealthy: &self.unhealthy, rotation: self.rotation };
            let Some(chain) = plan_leaders(&self.cluster, &scope, &self.planned, now) else {
                self.plan_leaders_at = now.after_ms(PLAN_LEADERS_IDLE_MS);
                self.rotation = self.rotation.wrapping_add(1);
                return;
            };
            let free = self.cluster.config.leader_schedule_limit - self.operators.count(OperatorKind::Leader);
            if chain.len() > free && self.operators.count(OperatorKind::Leader) > 0 {
                return;
            }
            for transfer in chain {
                if let Err(refusal) = self.start_transfer(now, &transfer) {
                    self.notes.refused(Subject::Region(transfer.region), refusal, now);
                    self.plan_leaders_at = now.after_ms(PLAN_LEADERS_IDLE_MS);
                    return;
                }
            }
        }
    }

    fn start_transfer(&mut self, now: Time, wanted: &Transfer) -> Result<(), Refusal> {
        let slot = self.cluster.index.find(wanted.region).ok_or(Refusal::UnknownRegion(wanted.region))?;
        if self.cluster.index.role_on(slot, wanted.from) != Some(ListRole::Leader) {
            return Err(Refusal::NoLeader(wanted.region));
        }
        let view = self.cluster.index.view(slot);
        let to = *view.meta.peer_on(wanted.to).ok_or(Refusal::HoldsNoReplica(wanted.to))?;
        let steps = vec![Step::TransferLeader { from: wanted.from, to }];
        self.start_operator(now, slot, &view, OperatorKind::Leader, Cause::BalanceLeader, steps);
        Ok(())
    }

    /// The target of one Store, if it takes part.
    pub(super) fn target_kib(&self, store: StoreId, now: Time) -> Option<u64> {
        targets_kib(&self.cluster, now).into_iter().find(|(id, _)| *id == store).map(|(_, target)| target)
    }
}
