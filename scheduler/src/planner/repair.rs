//! Repairs: from a wish of the checker to an operator, within the limits.

use std::collections::BTreeMap;

use super::Planner;
use crate::checker::{self, Wish};
use crate::index::{Slot, flag};
use crate::model::{Peer, PeerId, RegionId, RegionView, StoreId, Time};
use crate::notes::Subject;
use crate::operator::build::{self, Newcomer};
use crate::operator::{Cause, OperatorKind, Step, guard};
use crate::producers::CheckerName;
use crate::refusal::Refusal;

/// Unhealthy Regions looked at when an operator has ended.
const TURN_SHORT: usize = 16;

impl Planner {
    /// Operators have ended: their places go to the next.
    pub(super) fn use_free_places(&mut self, now: Time) {
        if std::mem::take(&mut self.places_free) {
            self.repair_turn(now, TURN_SHORT);
            self.start_moves(now);
        }
    }

    /// Tries the next `count` unhealthy Regions, each in its turn.
    pub(super) fn repair_turn(&mut self, now: Time, count: usize) {
        let from = self.unhealthy_from;
        let turn: Vec<RegionId> =
            self.unhealthy.range(from..).chain(self.unhealthy.range(..from)).take(count).copied().collect();
        for region in turn {
            let Some(slot) = self.cluster.index.find(region) else {
                self.unhealthy.remove(&region);
                continue;
            };
            if self.cluster.index.line(slot).has(flag::OPERATOR) {
                continue;
            }
            if let Err(refusal) = self.may_start(OperatorKind::Replica) {
                self.unhealthy_from = region;
                self.notes.refused(Subject::Region(region), refusal, now);
                return;
            }
            self.unhealthy_from = RegionId(region.0 + 1);
            let view = self.cluster.index.view(slot);
            match checker::wish(&view, &self.cluster, now) {
                Some(wish) => self.repair_or_note(now, slot, &view, wish),
                None => {
                    self.unhealthy.remove(&region);
                }
            }
        }
    }

    pub(super) fn repair_or_note(&mut self, now: Time, slot: Slot, view: &RegionView, wish: Wish) {
        let mut stores = Vec::new();
        let repaired = self.repair(now, slot, view, wish, &mut stores);
        for refusal in stores {
            self.notes.count(&refusal);
        }
        if let Err(refusal) = repaired {
            self.notes.refused(Subject::Region(view.meta.id), refusal, now);
        }
    }

    fn repair(
        &mut self,
        now: Time,
        slot: Slot,
        view: &RegionView,
        wish: Wish,
        stores: &mut Vec<Refusal>,
    ) -> Result<(), Refusal> {
        self.may_start(OperatorKind::Replica)?;
        self.check_wish(wish, now)?;
        let (cause, steps) = self.repair_steps(now, slot, view, wish, stores)?;
        self.cluster.check_limits(&steps, self.cluster.weight_kib(slot), now)?;
        let steps = self.with_peer_ids(steps)?;
        self.start_operator(now, slot, view, OperatorKind::Replica, cause, steps);
        Ok(())
    }

    /// Whether anybody may make an operator for this wish just now.
    ///
    /// # Errors
    /// `CheckerPaused` or `SwitchedOff`.
    pub(super) fn check_wish(&self, wish: Wish, now: Time) -> Result<(), Refusal> {
        let config = &self.cluster.config;
        let (checker, is_on, item) = match wish {
            Wish::LeaveJoint => (CheckerName::JointState, true, ""),
            Wish::Replace { cause: Cause::ReplaceDownPeer, .. }
            | Wish::Remove { cause: Cause::ReplaceDownPeer, .. } => {
                (CheckerName::Rule, config.enable_remove_down_replica, "enable-remove-down-replica")
            }
            Wish::Replace { .. } | Wish::Remove { cause: Cause::ReplaceOfflinePeer, .. } => {
                (CheckerName::Rule, config.enable_replace_offline_replica, "enable-replace-offline-replica")
            }
            Wish::Remove { .. } => {
                (CheckerName::Rule, config.enable_remove_extra_replica, "enable-remove-extra-replica")
            }
            Wish::Add | Wish::Promote(_) | Wish::WaitFor(_) => {
                (CheckerName::Rule, config.enable_make_up_replica, "enable-make-up-replica")
            }
        };
        self.check_checker(checker, now)?;
        if is_on { Ok(()) } else { Err(Refusal::SwitchedOff(item)) }
    }

    /// The steps for a wish; a new Peer still has id 0.
    pub(super) fn repair_steps(
        &self,
        now: Time,
        slot: Slot,
        view: &RegionView,
        wish: Wish,
        stores: &mut Vec<Refusal>,
    ) -> Result<(Cause, Vec<Step>), Refusal> {
        let cluster = &self.cluster;
        match wish {
            Wish::LeaveJoint => {
                let demoting = view.meta.peer(view.leader.id);
                let demoting = demoting.filter(|p| p.role == crate::model::PeerRole::DemotingVoter);
                let next = demoting.map(|p| cluster.choose_leader(view, p.id, now)).transpose()?;
                Ok((Cause::LeaveJoint, build::leave_joint(view, next)))
            }
            Wish::Replace { old, cause } => {
                let new = match checker::ready_learner(view, cluster, now) {
                    Some(learner) => Newcomer::Present(learner),
                    None => self.newcomer(now, slot, view, stores)?,
                };
                let next = self.next_leader_if_needed(now, view, old).unwrap_or_default();
                Ok((cause, build::replace(view, old, new, next)))
            }
            Wish::Remove { old, cause } => {
                guard::check_removable(&old, view, cluster, now)?;
                let next = self.next_leader_if_needed(now, view, old)?;
                Ok((cause, build::remove(view, old, next)))
            }
            Wish::Add => Ok((Cause::AddMissingPeer, build::add(self.newcomer(now, slot, view, stores)?))),
            Wish::Promote(learner) => Ok((Cause::PromoteLearner, build::add(Newcomer::Present(learner)))),
            Wish::WaitFor(peer) => Err(Refusal::Ailing(peer)),
        }
    }

    /// A new Peer on the best Store. Its id is still to be drawn.
    fn newcomer(
        &self,
        now: Time,
        slot: Slot,
        view: &RegionView,
        stores: &mut Vec<Refusal>,
    ) -> Result<Newcomer, Refusal> {
        let weight = self.cluster.weight_kib(slot);
        self.cluster.may_send(view.leader.store, weight)?;
        let store = self.cluster.choose_store(view, weight, now, stores)?;
        Ok(Newcomer::New(Peer::learner(PeerId(0), store)))
    }

    /// Who leads next when this Peer leads now.
    pub(super) fn next_leader_if_needed(
        &self,
        now: Time,
        view: &RegionView,
        leaving: Peer,
    ) -> Result<Option<Peer>, Refusal> {
        if view.leader.id != leaving.id {
            return Ok(None);
        }
        self.cluster.choose_leader(view, leaving.id, now).map(Some)
    }

    /// Draws ids for the new Peers in the steps: those that still have id 0, told apart by their Stores.
    pub(super) fn with_peer_ids(&mut self, mut steps: Vec<Step>) -> Result<Vec<Step>, Refusal> {
        let mut ids: BTreeMap<StoreId, PeerId> = BTreeMap::new();
        for step in &steps {
            if let Step::AddLearner(peer) = step
                && peer.id == PeerId(0)
            {
                ids.insert(peer.store, PeerId(0));
            }
        }
        let (needed, available) = (ids.len() as u64, self.ids.available());
        if needed > available {
            return Err(Refusal::IdsLacking { needed, available });
        }
        for id in ids.values_mut() {
            *id = PeerId(self.ids.take().ok_or(Refusal::IdsLacking { needed, available })?);
        }
        let name = |peer: &mut Peer| {
            if peer.id == PeerId(0)
                && let Some(id) = ids.get(&peer.store)
            {
                peer.id = *id;
            }
        };
        for step in &mut steps {
            match step {
                Step::AddLearner(peer) | Step::PromoteLearner(peer) | Step::RemovePeer(peer) => name(peer),
                Step::TransferLeader { to, .. } => name(to),
                Step::EnterJoint { promote, demote } | Step::LeaveJoint { promote, demote } => {
                    promote.iter_mut().chain(demote).for_each(name);
                }
                Step::SplitRegion { .. } => {}
            }
        }
        Ok(steps)
    }

    /// All Regions of this Store are to be looked at.
    pub(super) fn queue_store(&mut self, store: StoreId) {
        let Some(lists) = self.cluster.index.store(store) else { return };
        for role in crate::index::ListRole::ALL {
            for slot in lists.role(role).all(0) {
                self.unhealthy.insert(self.cluster.index.line(slot).id());
            }
        }
    }
}
