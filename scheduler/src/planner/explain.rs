//! Answers to "why?".

use super::Planner;
use crate::checker;
use crate::explain::{RegionExplanation, StoreExplanation, StoreSummary};
use crate::index::ListRole;
use crate::model::{RegionId, StoreId, Time};
use crate::notes::Subject;
use crate::operator::OperatorKind;
use crate::producers::SchedulerName;
use crate::refusal::Refusal;

impl Planner {
    /// What happens to a Region and why; none when nothing is known of it.
    #[must_use]
    pub fn explain_region(&self, now: Time, region: RegionId) -> Option<RegionExplanation> {
        let notes = self.notes.about(Subject::Region(region));
        let slot = self.cluster.index.find(region);
        if slot.is_none() && notes.is_none() {
            return None;
        }
        let mut explanation = RegionExplanation {
            region,
            operator: self.operators.view(region),
            ended: notes.map_or_else(Vec::new, |n| n.ended.iter().cloned().collect()),
            kept: notes.map_or_else(Vec::new, |n| n.refusals.iter().cloned().collect()),
            ..RegionExplanation::default()
        };
        let Some(slot) = slot else {
            explanation.now.push(Refusal::UnknownRegion(region));
            return Some(explanation);
        };
        let view = self.cluster.index.view(slot);
        let Some(wish) = checker::wish(&view, &self.cluster, now) else {
            explanation.is_healthy = true;
            return Some(explanation);
        };
        if let Some(operator) = &explanation.operator {
            explanation.now.extend(operator.waits_for.clone());
            return Some(explanation);
        }
        explanation.now.extend(self.may_start(OperatorKind::Replica).err());
        explanation.now.extend(self.check_wish(wish, now).err());
        let mut stores = Vec::new();
        let steps = self.repair_steps(now, slot, &view, wish, &mut stores);
        let weight = self.cluster.weight_kib(slot);
        let limited = steps.as_ref().ok().and_then(|(_, s)| self.cluster.check_limits(s, weight, now).err());
        explanation.now.extend(limited);
        if let Err(refusal) = steps {
            explanation.now.extend(stores);
            explanation.now.push(refusal);
        } else if self.ids.available() == 0 {
            explanation.now.push(Refusal::IdsLacking { needed: 1, available: 0 });
        }
        Some(explanation)
    }

    /// What happens to a Store and why.
    #[must_use]
    pub fn explain_store(&self, now: Time, store: StoreId) -> Option<StoreExplanation> {
        let summary = self.store_summary(now, store)?;
        let known = self.cluster.stores.get(store)?;
        let notes = self.notes.about(Subject::Store(store));
        Some(StoreExplanation {
            summary,
            target_size_bytes: self.target_kib(store, now).filter(|_| self.is_prepared).map(|kib| kib << 10),
            limits: self.store_limits(now, store),
            refuses_balance: SchedulerName::ALL
                .into_iter()
                .filter_map(|name| self.check_scheduler(name, now).err())
                .collect(),
            refuses_peers: self.cluster.may_take(known, 0, now).err().into_iter().collect(),
            kept: notes.map_or_else(Vec::new, |n| n.refusals.iter().cloned().collect()),
        })
    }

    /// A Store's numbers.
    #[must_use]
    pub fn store_summary(&self, now: Time, store: StoreId) -> Option<StoreSummary> {
        let known = self.cluster.stores.get(store)?;
        let lists = self.cluster.index.store(store)?;
        let leaders = lists.role(ListRole::Leader);
        Some(StoreSummary {
            store,
            node_state: known.meta.node_state,
            liveness: known.liveness(now, &self.cluster.config),
            last_heartbeat: known.last_heartbeat,
            leader_weight: known.weights.leader,
            region_weight: known.weights.region,
            leader_count: leaders.count,
            region_count: lists.count(),
            learner_count: lists.role(ListRole::Learner).count,
            pending_count: lists.pending,
            leader_size_bytes: leaders.weight_kib << 10,
            region_size_bytes: lists.weight_kib() << 10,
        })
    }
}
