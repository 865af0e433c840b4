//! The cluster as the checkers and balancers see it: what heartbeats told, and what is under way on top of it.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::index::{Index, ListRole, Slot, StoreLists};
use crate::limits::{self, Limits};
use crate::model::{
    LimitKind, Liveness, NodeState, Peer, PeerId, PeerRole, Rate, RegionView, StoreId, StoreState, Time,
    Weight,
};
use crate::operator::Step;
use crate::refusal::Refusal;
use crate::stores::{Store, Stores};

/// Moves that may always be on their way to or from a Store at a time: enough to keep a disk busy.
const MOVES_MIN: u64 = 4;
/// More may be on their way while they are small altogether: 64 MiB.
const SMALL_MOVES_KIB: u64 = 64 << 10;

/// What operators under way will still change on a Store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Influence {
    pub weight_kib: i64,
    pub count: i64,
    pub leaders: i64,
    /// Replicas on their way to it, and their weight.
    pub incoming: u64,
    pub incoming_kib: u64,
    /// Snapshots that it has to send for others, and their weight.
    pub outgoing: u64,
    pub outgoing_kib: u64,
}

impl Influence {
    pub fn add(&mut self, other: &Influence) {
        self.weight_kib += other.weight_kib;
        self.count += other.count;
        self.leaders += other.leaders;
        self.incoming += other.incoming;
        self.incoming_kib += other.incoming_kib;
        self.outgoing += other.outgoing;
        self.outgoing_kib += other.outgoing_kib;
    }

    pub fn take(&mut self, other: &Influence) {
        self.weight_kib -= other.weight_kib;
        self.count -= other.count;
        self.leaders -= other.leaders;
        self.incoming -= other.incoming;
        self.incoming_kib -= other.incoming_kib;
        self.outgoing -= other.outgoing;
        self.outgoing_kib -= other.outgoing_kib;
    }
}

/// See the top of the file.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub config: Config,
    pub index: Index,
    pub stores: Stores,
    pub influence: BTreeMap<StoreId, Influence>,
    pub limits: Limits,
}

impl Cluster {
    pub fn new(config: Config) -> Cluster {
        Cluster {
            config,
            index: Index::new(),
            stores: Stores::default(),
            influence: BTreeMap::new(),
            limits: Limits::default(),
        }
    }

    pub fn influence_on(&self, store: StoreId) -> Influence {
        self.influence.get(&store).copied().unwrap_or_default()
    }

    /// What the Store holds once all that is under way is done, in KiB.
    pub fn virtual_weight_kib(&self, store: StoreId) -> u64 {
        let now = self.index.store(store).map_or(0, StoreLists::weight_kib);
        now.saturating_add_signed(self.influence_on(store).weight_kib)
    }

    /// Replicas that it holds then.
    pub fn virtual_count(&self, store: StoreId) -> u64 {
        let now = self.index.store(store).map_or(0, StoreLists::count);
        now.saturating_add_signed(self.influence_on(store).count)
    }

    /// Regions that it leads then.
    pub fn virtual_leaders(&self, store: StoreId) -> u64 {
        let now = self.index.store(store).map_or(0, |s| s.role(ListRole::Leader).count);
        now.saturating_add_signed(self.influence_on(store).leaders)
    }

    /// Whether the Store may get a replica of this weight now.
    ///
    /// # Errors
    /// Why not.
    pub fn may_take(&self, store: &Store, weight_kib: u64, now: Time) -> Result<(), Refusal> {
        let pending = self.index.store(store.meta.id).map_or(0, |s| s.pending);
        store.may_take(now, &self.config, pending)?;
        self.check_limit(store.meta.id, LimitKind::AddPeer, limits::price(mib(weight_kib)), now)?;
        let i = self.influence_on(store.meta.id);
        self.slot_free(store.meta.id, i.incoming, i.incoming_kib, weight_kib)
    }

    /// Whether the Store may send a snapshot of this weight now.
    ///
    /// # Errors
    /// Why not.
    pub fn may_send(&self, store: StoreId, weight_kib: u64) -> Result<(), Refusal> {
        let i = self.influence_on(store);
        self.slot_free(store, i.outgoing, i.outgoing_kib, weight_kib)
    }

    /// What the Store's limit of that kind allows. A Store on its way out may lose its replicas as fast as it can.
    pub fn limit_rate(&self, store: StoreId, kind: LimitKind) -> Rate {
        let leaves = self.stores.get(store).is_some_and(|s| s.state() != StoreState::Up);
        match kind {
            LimitKind::RemovePeer if leaves => Rate::UNLIMITED,
            LimitKind::AddPeer | LimitKind::RemovePeer => self.config.store_limit(store).of(kind),
        }
    }

    /// Whether the steps may start, by the limits of all Stores that they load.
    ///
    /// # Errors
    /// `StoreLimit`.
    pub fn check_limits(&self, steps: &[Step], weight_kib: u64, now: Time) -> Result<(), Refusal> {
        let mut loads = steps.iter().filter_map(|step| self.load_of(step, weight_kib, now));
        loads.try_for_each(|(store, kind, units)| self.check_limit(store, kind, units, now))
    }

    /// They start.
    pub fn take_limits(&mut self, steps: &[Step], weight_kib: u64, now: Time) {
        for step in steps {
            if let Some((store, kind, units)) = self.load_of(step, weight_kib, now) {
                let rate = self.limit_rate(store, kind);
                self.limits.take(store, kind, rate, units, now);
            }
        }
    }

    fn load_of(&self, step: &Step, weight_kib: u64, now: Time) -> Option<(StoreId, LimitKind, u64)> {
        match step {
            Step::AddLearner(peer) => Some((peer.store, LimitKind::AddPeer, limits::price(mib(weight_kib)))),
            Step::RemovePeer(peer) => {
                let store = self.stores.get(peer.store);
                let is_down = store.is_some_and(|s| s.liveness(now, &self.config) == Liveness::Down);
                let price = if is_down { limits::price_off_dead } else { limits::price };
                Some((peer.store, LimitKind::RemovePeer, price(mib(weight_kib))))
            }
            Step::PromoteLearner(_)
            | Step::TransferLeader { .. }
            | Step::EnterJoint { .. }
            | Step::LeaveJoint { .. }
            | Step::SplitRegion { .. } => None,
        }
    }

    fn check_limit(&self, store: StoreId, kind: LimitKind, needed: u64, now: Time) -> Result<(), Refusal> {
        let rate = self.limit_rate(store, kind);
        match self.limits.available(store, kind, rate, now) {
            Some(available) if available < needed => {
                Err(Refusal::StoreLimit { store, kind, rate, available, needed })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn slot_free(&self, store: StoreId, count: u64, kib: u64, weight_kib: u64) -> Result<(), Refusal> {
        let is_small = kib + weight_kib <= SMALL_MOVES_KIB && count < self.config.max_snapshot_count;
        if count < MOVES_MIN || is_small {
            return Ok(());
        }
        let (limit, limit_bytes) = (MOVES_MIN, SMALL_MOVES_KIB << 10);
        Err(Refusal::MovesInFlight { store, count, bytes: kib << 10, limit, limit_bytes })
    }

    /// The Store for one more replica of the Region: the one that will hold least. Reasons of those that may not go to
    /// `refused`.
    ///
    /// # Errors
    /// `MovesInFlight` or `StoreLimit` when a Store may take it later (the one that may soonest), else `NoTarget`.
    pub fn choose_store(
        &self,
        region: &RegionView,
        weight_kib: u64,
        now: Time,
        refused: &mut Vec<Refusal>,
    ) -> Result<StoreId, Refusal> {
        let mut best: Option<(u64, u64, StoreId)> = None;
        let mut later: Option<Refusal> = None;
        let (mut looked, mut up) = (0, 0);
        for store in self.stores.iter() {
            let id = store.meta.id;
            if store.meta.node_state == NodeState::Removed {
                continue;
            }
            looked += 1;
            up += usize::from(store.state() == StoreState::Up);
            let verdict = match region.meta.peer_on(id) {
                Some(_) => Err(Refusal::HoldsReplica(id)),
                None => self.may_take(store, weight_kib, now),
            };
            match verdict {
                Ok(()) => {
                    let after = self.virtual_weight_kib(id).saturating_add(weight_kib);
                    let score = (store.weights.region.scale(after), self.virtual_count(id), id);
                    best = Some(best.map_or(score, |b| b.min(score)));
                }
                Err(refusal) => {
                    let waits = matches!(refusal, Refusal::MovesInFlight { .. } | Refusal::StoreLimit { .. });
                    if waits && later.as_ref().is_none_or(|l| refusal.refill_ms() <= l.refill_ms()) {
                        later = Some(refusal.clone());
                    }
                    refused.push(refusal);
                }
            }
        }
        match (best, later) {
            (Some((_, _, id)), _) => Ok(id),
            (None, Some(later)) => Err(later),
            (None, None) => Err(Refusal::NoTarget { region: region.meta.id, stores: looked, up }),
        }
    }

    /// Who leads once `leaving` does not: the healthy voter whose Store will lead least, for its weight.
    ///
    /// # Errors
    /// `NoLeaderTarget`.
    pub fn choose_leader(&self, region: &RegionView, leaving: PeerId, now: Time) -> Result<Peer, Refusal> {
        let may = |p: &&Peer| {
            p.id != leaving
                && matches!(p.role, PeerRole::Voter | PeerRole::IncomingVoter)
                && !p.is_witness
                && !region.is_ailing(p.id)
                && self.stores.get(p.store).is_some_and(|s| s.may_lead(now, &self.config).is_ok())
        };
        let least = region.meta.peers.iter().filter(may).min_by_key(|p| {
            let after = self.virtual_leaders(p.store) + 1;
            (self.leader_weight(p.store).scale(after), p.store)
        });
        least.copied().ok_or(Refusal::NoLeaderTarget(region.meta.id))
    }

    /// How much the Store shall lead, compared with others.
    pub fn leader_weight(&self, store: StoreId) -> Weight {
        self.stores.get(store).map_or_else(Weight::default, |s| s.weights.leader)
    }

    /// How much the Store shall hold, compared with others.
    pub fn region_weight(&self, store: StoreId) -> Weight {
        self.stores.get(store).map_or_else(Weight::default, |s| s.weights.region)
    }

    /// What moving a replica of this Region weighs.
    pub fn weight_kib(&self, slot: Slot) -> u64 {
        self.index.weight_kib(slot)
    }
}

/// Sizes as tikv/pd counts them for prices: MiB, rounded up.
const fn mib(weight_kib: u64) -> u64 {
    weight_kib.div_ceil(1024)
}
