//! What is told of Stores.

use super::Planner;
use crate::model::{Liveness, NodeState, StoreId, StoreMeta, StoreState, StoreStats, StoreWeights, Time};
use crate::refusal::Refusal;
use crate::stores::Stream;

impl Planner {
    /// What was decided about a Store: new, changed, or gone.
    ///
    /// # Errors
    /// `Refusal::Full` when more Stores were ever named than the index can number.
    pub fn handle_store_meta(&mut self, now: Time, meta: StoreMeta) -> Result<(), Refusal> {
        self.cluster.index.store_slot(meta.id)?;
        let (id, state) = (meta.id, meta.node_state);
        let before = self.cluster.stores.put(meta, now);
        if before.map(NodeState::store_state) == Some(state.store_state()) {
            return Ok(());
        }
        match state.store_state() {
            // A new place for what found none.
            StoreState::Up => {}
            StoreState::Offline => self.queue_store(id),
            StoreState::Tombstone => {
                self.queue_store(id);
                self.cluster.index.forget_led_by(id);
                self.cluster.limits.forget(id);
                if let Some(gone) = self.cluster.stores.get_mut(id) {
                    gone.weights = StoreWeights::default();
                }
            }
        }
        self.drop_plan();
        self.upkeep_at = now;
        self.bury_at = now;
        Ok(())
    }

    /// How much a Store shall have compared with others.
    ///
    /// # Errors
    /// `Refusal::UnknownStore`.
    pub fn handle_store_weights(
        &mut self,
        now: Time,
        store: StoreId,
        weights: StoreWeights,
    ) -> Result<(), Refusal> {
        let known = self.cluster.stores.get_mut(store).ok_or(Refusal::UnknownStore(store))?;
        if known.weights != weights {
            known.weights = weights;
            self.drop_plan();
            self.upkeep_at = now;
        }
        Ok(())
    }

    /// One Store heartbeat.
    ///
    /// # Errors
    /// `Refusal::UnknownStore`, or `Refusal::StoreLeaves` for a Store that is gone for good.
    pub fn handle_store_heartbeat(&mut self, now: Time, stats: StoreStats) -> Result<(), Refusal> {
        let config = &self.cluster.config;
        let Some(store) = self.cluster.stores.get_mut(stats.store) else {
            let refusal = Refusal::UnknownStore(stats.store);
            self.notes.count(&refusal);
            return Err(refusal);
        };
        if store.meta.node_state == NodeState::Removed {
            let refusal = Refusal::StoreLeaves(stats.store);
            self.notes.count(&refusal);
            return Err(refusal);
        }
        let was_heard = store.liveness(now, config) == Liveness::Connected;
        store.stats = stats;
        store.last_heartbeat = Some(now);
        if store.stream == Stream::Closed {
            store.stream = Stream::Unknown;
        }
        if !was_heard {
            // It can take what found no place before.
            self.upkeep_at = now;
        }
        Ok(())
    }

    /// A Store's stream of Region heartbeats is there: commands can reach it.
    pub fn handle_stream_opened(&mut self, _now: Time, store: StoreId) {
        if let Some(store) = self.cluster.stores.get_mut(store) {
            store.stream = Stream::Open;
        }
    }

    /// A Store's stream is gone. Until the Store is heard again it gets neither leaders nor replicas.
    pub fn handle_stream_closed(&mut self, _now: Time, store: StoreId) {
        if let Some(store) = self.cluster.stores.get_mut(store) {
            store.stream = Stream::Closed;
        }
    }
}
