//! What others ask for: ids for a split, and operators by hand.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{Planner, SplitGrant, SplitIds};
use crate::effect::{Effect, SplitPolicy};
use crate::index::REGION_PEERS_MAX;
use crate::model::{OperatorId, Peer, PeerId, PeerRole, RegionEpoch, RegionId, RegionView, StoreId, Time};
use crate::operator::build::{self, Newcomer};
use crate::operator::{OperatorKind, OperatorRequest, Step, TargetRole, guard};
use crate::refusal::Refusal;

/// New Regions that one request may ask for; stores ask for at most a few dozen.
const SPLIT_COUNT_MAX: u64 = 1_024;
/// A person may ask for a cut at as many keys: a Store cuts ten at a time, and the operator has a minute.
const SPLIT_KEYS_MAX: u64 = 1_024;

impl Planner {
    /// A leader asks for the ids of `count` new Regions.
    ///
    /// # Errors
    /// Halted, unknown, another epoch, too many, or ids lacking (then reserve them, give them, ask again).
    pub fn handle_split_request(
        &mut self,
        now: Time,
        region: RegionId,
        epoch: RegionEpoch,
        count: u64,
    ) -> Result<SplitGrant, Refusal> {
        let grant = self.grant_split(region, epoch, count);
        if let Err(refusal) = &grant {
            self.notes.count(refusal);
        }
        self.effects.extend(self.ids.ask(now).map(Effect::NeedIds));
        grant
    }

    fn grant_split(
        &mut self,
        region: RegionId,
        epoch: RegionEpoch,
        count: u64,
    ) -> Result<SplitGrant, Refusal> {
        if self.cluster.config.halt_scheduling {
            return Err(Refusal::Halted);
        }
        if !self.cluster.config.enable_tikv_split_region {
            return Err(Refusal::SwitchedOff("enable-tikv-split-region"));
        }
        let slot = self.cluster.index.find(region).ok_or(Refusal::UnknownRegion(region))?;
        let view = self.cluster.index.view(slot);
        let known = view.meta.epoch;
        if epoch.is_older_than(known) {
            return Err(Refusal::StaleEpoch { region, given: epoch, known_region: region, known });
        }
        if count > SPLIT_COUNT_MAX {
            return Err(Refusal::TooManySplits { count, limit: SPLIT_COUNT_MAX });
        }
        let peers = view.meta.peers.len() as u64;
        let (needed, available) = (count * (1 + peers), self.ids.available());
        if needed > available {
            return Err(Refusal::IdsLacking { needed, available });
        }
        let mut draw = || self.ids.take().ok_or(Refusal::IdsLacking { needed, available });
        let piece = |_| {
            let region = RegionId(draw()?);
            let peers = (0..peers).map(|_| draw().map(PeerId)).collect::<Result<_, _>>()?;
            Ok(SplitIds { region, peers })
        };
        let pieces = (0..count).map(piece).collect::<Result<_, Refusal>>()?;
        Ok(SplitGrant { pieces })
    }

    /// An operator that a person asks for. It starts at once or is refused.
    ///
    /// # Errors
    /// Why not; nothing has changed then.
    pub fn add_operator(&mut self, now: Time, request: OperatorRequest) -> Result<OperatorId, Refusal> {
        let added = self.try_add(now, &request);
        if let Err(refusal) = &added {
            self.notes.count(refusal);
        }
        added
    }

    fn try_add(&mut self, now: Time, request: &OperatorRequest) -> Result<OperatorId, Refusal> {
        let region = request.region();
        let slot = self.cluster.index.find(region).ok_or(Refusal::UnknownRegion(region))?;
        if self.operators.kind(region) == Some(OperatorKind::Admin) {
            return Err(Refusal::OperatorRuns(region));
        }
        let view = self.cluster.index.view(slot);
        if view.meta.is_joint() {
            return Err(Refusal::Joint(region));
        }
        let steps = self.requested_steps(now, &view, request)?;
        if steps.is_empty() {
            return Err(Refusal::NothingToDo(region));
        }
        let steps = self.with_peer_ids(steps)?;
        self.replace_operator(now, region);
        Ok(self.start_operator(now, slot, &view, OperatorKind::Admin, request.cause(), steps))
    }

    fn requested_steps(
        &self,
        now: Time,
        view: &RegionView,
        request: &OperatorRequest,
    ) -> Result<Vec<Step>, Refusal> {
        match request {
            OperatorRequest::AddPeer { store, .. } => {
                Ok(build::add(self.requested_newcomer(now, view, *store)?))
            }
            OperatorRequest::AddLearner { store, .. } => {
                let Newcomer::New(peer) = self.requested_newcomer(now, view, *store)? else {
                    return Err(Refusal::HoldsReplica(*store));
                };
                Ok(vec![Step::AddLearner(peer)])
            }
            OperatorRequest::RemovePeer { store, .. } => {
                // Whether enough healthy voters stay is judged before its step is said, as for every operator.
                let old = *view.meta.peer_on(*store).ok_or(Refusal::HoldsNoReplica(*store))?;
                // A repair under way is not thrown away for one that would only wait.
                if self.operators.kind(view.meta.id) == Some(OperatorKind::Replica) {
                    guard::check_removable(&old, view, &self.cluster, now)?;
                }
                let next = self.next_leader_if_needed(now, view, old)?;
                Ok(build::remove(view, old, next))
            }
            OperatorRequest::TransferPeer { from, to, .. } => {
                let old = *view.meta.peer_on(*from).ok_or(Refusal::HoldsNoReplica(*from))?;
                let new = self.requested_newcomer(now, view, *to)?;
                let next = self.next_leader_if_needed(now, view, old).unwrap_or_default();
                Ok(build::replace(view, old, new, next))
            }
            OperatorRequest::TransferRegion { targets, .. } => self.rearranged(now, view, targets),
            OperatorRequest::TransferLeader { to, .. } => {
                let to = *view.meta.peer_on(*to).ok_or(Refusal::HoldsNoReplica(*to))?;
                self.check_can_lead(now, view, &to)?;
                Ok(vec![Step::TransferLeader { from: view.leader.store, to }])
            }
            OperatorRequest::Split { policy, keys, .. } => {
                check_split_keys(view, *policy, keys)?;
                let (start_key, end_key) = (view.meta.start_key.clone(), view.meta.end_key.clone());
                Ok(vec![Step::SplitRegion { policy: *policy, keys: keys.clone(), start_key, end_key }])
            }
        }
    }

    fn rearranged(
        &self,
        now: Time,
        view: &RegionView,
        targets: &[(StoreId, TargetRole)],
    ) -> Result<Vec<Step>, Refusal> {
        check_targets(targets, self.cluster.config.max_replicas)?;
        let placed = |(store, role): &(StoreId, TargetRole)| {
            let known = self.cluster.stores.get(*store).ok_or(Refusal::UnknownStore(*store))?;
            let peer = match view.meta.peer_on(*store) {
                Some(peer) => *peer,
                None => {
                    known.check_heard(now, &self.cluster.config)?;
                    Peer::learner(PeerId(0), *store)
                }
            };
            match role {
                TargetRole::Voter | TargetRole::Leader | TargetRole::Follower => Ok(build::as_voter(peer)),
                TargetRole::Learner => Ok(build::as_learner(peer)),
            }
        };
        let peers = targets.iter().map(placed).collect::<Result<Vec<Peer>, Refusal>>()?;
        let role_on = |store| targets.iter().find(|(s, _)| *s == store).map(|(_, role)| *role);
        let leads = |role| matches!(role, Some(TargetRole::Voter | TargetRole::Leader));
        let wanted = targets.iter().find(|(_, role)| *role == TargetRole::Leader).map(|(store, _)| *store);
        let next = match wanted {
            Some(store) => Some(store),
            None if leads(role_on(view.leader.store)) => None,
            // Whoever has a vote already leads at once; of them, whose Store leads least for its weight.
            None => {
                let may = peers.iter().filter(|p| role_on(p.store) == Some(TargetRole::Voter));
                let least = may.min_by_key(|p| {
                    let is_new = view.meta.peer(p.id).is_none_or(|p| p.role != PeerRole::Voter);
                    let after = self.cluster.virtual_leaders(p.store) + 1;
                    (is_new, self.cluster.leader_weight(p.store).scale(after), p.store)
                });
                Some(least.ok_or(Refusal::NoLeaderTarget(view.meta.id))?.store)
            }
        };
        let next = next.and_then(|store| peers.iter().find(|p| p.store == store)).copied();
        if let Some(next) = next.filter(|p| view.is_ailing(p.id)) {
            return Err(Refusal::Ailing(next.id));
        }
        Ok(build::rearrange(view, &peers, next))
    }

    /// A learner that is there may be promoted; otherwise the Store must be heard. A person's wish waits for no limit.
    fn requested_newcomer(&self, now: Time, view: &RegionView, store: StoreId) -> Result<Newcomer, Refusal> {
        let known = self.cluster.stores.get(store).ok_or(Refusal::UnknownStore(store))?;
        match view.meta.peer_on(store) {
            Some(peer) if peer.role != PeerRole::Learner => Err(Refusal::HoldsReplica(store)),
            Some(peer) if view.is_ailing(peer.id) => Err(Refusal::Ailing(peer.id)),
            Some(peer) => Ok(Newcomer::Present(*peer)),
            None => {
                known.check_heard(now, &self.cluster.config)?;
                Ok(Newcomer::New(Peer::learner(PeerId(0), store)))
            }
        }
    }

    fn check_can_lead(&self, now: Time, view: &RegionView, to: &Peer) -> Result<(), Refusal> {
        if to.role != PeerRole::Voter || to.is_witness {
            return Err(Refusal::NotVoter(to.id));
        }
        if view.is_ailing(to.id) {
            return Err(Refusal::Ailing(to.id));
        }
        if view.leader.id == to.id {
            return Err(Refusal::NothingToDo(view.meta.id));
        }
        let store = self.cluster.stores.get(to.store).ok_or(Refusal::UnknownStore(to.store))?;
        store.may_lead(now, &self.cluster.config)
    }
}

fn check_targets(targets: &[(StoreId, TargetRole)], voters_min: usize) -> Result<(), Refusal> {
    let bad = |what| Err(Refusal::BadRequest(what));
    let count = |wanted| targets.iter().filter(|(_, role)| *role == wanted).count();
    let stores: BTreeSet<StoreId> = targets.iter().map(|(store, _)| *store).collect();
    if stores.len() != targets.len() {
        return bad("each store is to be named once");
    }
    if targets.len() > REGION_PEERS_MAX {
        return bad("a region has at most 64 peers");
    }
    if targets.len() - count(TargetRole::Learner) < voters_min {
        return bad("fewer stores are to have a vote than max-replicas says");
    }
    match (count(TargetRole::Leader), count(TargetRole::Voter)) {
        (0, 0) => bad("a store with the role leader or voter is needed"),
        (0 | 1, _) => Ok(()),
        (_, _) => bad("one store at most may have the role leader"),
    }
}

fn check_split_keys(view: &RegionView, policy: SplitPolicy, keys: &[Bytes]) -> Result<(), Refusal> {
    match policy {
        SplitPolicy::UseKey if keys.is_empty() => Err(Refusal::BadRequest("a split at keys needs keys")),
        SplitPolicy::Scan | SplitPolicy::Approximate if !keys.is_empty() => {
            Err(Refusal::BadRequest("only a split at keys takes keys"))
        }
        SplitPolicy::UseKey if keys.len() as u64 > SPLIT_KEYS_MAX => {
            Err(Refusal::TooManySplits { count: keys.len() as u64, limit: SPLIT_KEYS_MAX })
        }
        SplitPolicy::UseKey | SplitPolicy::Scan | SplitPolicy::Approximate => {
            let distinct: BTreeSet<&Bytes> = keys.iter().collect();
            if distinct.len() != keys.len() || !keys.is_sorted() {
                return Err(Refusal::BadRequest("split keys must rise"));
            }
            if keys.iter().all(|key| view.meta.can_split_at(key)) {
                Ok(())
            } else {
                Err(Refusal::BadRequest("split keys must lie inside the region, behind its start key"))
            }
        }
    }
}
