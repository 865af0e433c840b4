//! What has become of the cluster: the questions that tests ask of it.

use std::collections::{BTreeMap, BTreeSet};

use scheduler::{Effect, NodeState, OperatorChange, OperatorEvent, PeerRole, StoreId};

use super::{Cluster, SimStore};

impl Cluster {
    /// Events of the operator log so far.
    pub fn operator_log(&self) -> impl Iterator<Item = &OperatorEvent> {
        self.effects.iter().filter_map(|e| match e {
            Effect::Operator(event) => Some(event),
            Effect::Command(_) | Effect::NeedIds(_) | Effect::Store(_) => None,
        })
    }

    pub fn operators_created(&self) -> usize {
        self.operator_log().filter(|e| matches!(e.what, OperatorChange::Created(_))).count()
    }

    pub fn leaders(&self) -> BTreeMap<StoreId, u64> {
        let mut leaders: BTreeMap<StoreId, u64> = self.up_stores().map(|s| (s, 0)).collect();
        for region in self.regions.values() {
            *leaders.entry(region.report.leader.store).or_default() += 1;
        }
        leaders
    }

    pub fn sizes_mib(&self) -> BTreeMap<StoreId, u64> {
        let mut sizes: BTreeMap<StoreId, u64> = self.up_stores().map(|s| (s, 0)).collect();
        for region in self.regions.values() {
            for peer in &region.report.meta.peers {
                *sizes.entry(peer.store).or_default() += (region.report.size_bytes >> 20).max(1);
            }
        }
        sizes
    }

    pub fn up_stores(&self) -> impl Iterator<Item = StoreId> + '_ {
        let is_up = |s: &SimStore| s.alive && matches!(s.state, NodeState::Serving | NodeState::Preparing);
        self.stores.iter().filter(move |(_, s)| is_up(s)).map(|(id, _)| *id)
    }

    /// Every region has exactly so many voters, on stores that are up, and nothing else.
    pub fn all_replicated(&self) -> bool {
        let wanted = self.planner.config().max_replicas;
        self.regions.values().all(|r| {
            let peers = &r.report.meta.peers;
            r.catching_up.is_empty()
                && peers.len() == wanted
                && peers.iter().all(|p| p.role == PeerRole::Voter)
                && peers.iter().all(|p| self.up_stores().any(|s| s == p.store))
        })
    }

    pub fn leaders_within_one(&self) -> bool {
        let up: BTreeSet<StoreId> = self.up_stores().collect();
        let leaders = self.leaders();
        let counts = || leaders.iter().filter(|(s, _)| up.contains(s)).map(|(_, n)| *n);
        leaders.keys().all(|s| up.contains(s)) && counts().max() <= counts().min().map(|least| least + 1)
    }

    /// No chain of transfers leads from a store to one that leads two fewer: nothing better can be reached while the
    /// replicas stay where they are.
    pub fn leaders_best(&self) -> bool {
        let leaders = self.leaders();
        self.up_stores().all(|source| {
            let mut reached = BTreeSet::from([source]);
            loop {
                let more: BTreeSet<StoreId> = self
                    .regions
                    .values()
                    .filter(|r| reached.contains(&r.report.leader.store))
                    .flat_map(|r| r.report.meta.peers.iter().map(|p| p.store))
                    .filter(|s| !reached.contains(s))
                    .collect();
                if more.is_empty() {
                    break;
                }
                reached.extend(more);
            }
            reached.iter().all(|s| leaders[s] + 1 >= leaders[&source])
        })
    }

    /// Every store's size is near its even share: within 3 % or the largest region.
    pub fn sizes_even(&self) -> bool {
        let sizes = self.sizes_mib();
        let up = self.up_stores().count() as u64;
        let target = sizes.values().sum::<u64>() / up.max(1);
        let largest = self.regions.values().map(|r| (r.report.size_bytes >> 20).max(1)).max().unwrap_or(0);
        sizes.values().all(|size| size.abs_diff(target) <= (target * 3 / 100).max(largest) + 1)
    }
}
