//! What time brings: repetitions and deadlines, Stores that fall silent, the sweep, the balance.

use super::Planner;
use crate::checker;
use crate::effect::{Effect, StoreEvent};
use crate::index::{StoreLists, flag};
use crate::model::{Liveness, StoreId, StoreState, Time};
use crate::notes::Subject;
use crate::refusal::Refusal;

/// How often the planner looks after itself.
const UPKEEP_MS: u64 = 500;
/// Unhealthy Regions tried each time.
const TURN: usize = 256;
/// The slow sweep passes all Regions in this many upkeeps: 10 min. It only catches what no event told.
const SWEEP_UPKEEPS: usize = 1_200;
/// Regions looked at by one part of the sweep: at least, and at a hurry.
const SWEEP_MIN: usize = 64;
const SWEEP_HURRY: usize = 8_192;
/// How long the balance waits for complete routes.
const PREPARE_MS: u64 = 30_000;
/// A Store that can be buried is named again after this long.
const BURY_AGAIN_MS: u64 = 10_000;

impl Planner {
    /// Time passed: deadlines, repetitions, repairs, balance. To be called at `next_wakeup` or later.
    pub fn tick(&mut self, now: Time) {
        self.advance_due_operators(now);
        self.use_free_places(now);
        if now < self.upkeep_at {
            return;
        }
        self.upkeep_at = now.after_ms(UPKEEP_MS);
        self.effects.extend(self.ids.ask(now).map(Effect::NeedIds));
        self.watch_stores(now);
        self.sweep(now);
        self.repair_turn(now, TURN);
        self.prepare(now);
        self.balance(now);
    }

    pub(super) fn hurry_sweep(&mut self) {
        self.sweep_hurries = true;
        self.sweep_key = bytes::Bytes::new();
    }

    fn watch_stores(&mut self, now: Time) {
        let config = &self.cluster.config;
        let mut lost = Vec::new();
        for store in self.cluster.stores.iter_mut() {
            let is_down =
                store.liveness(now, config) == Liveness::Down && store.state() != StoreState::Tombstone;
            if is_down && !store.is_lost {
                lost.push(store.meta.id);
            }
            store.is_lost = is_down;
        }
        for store in lost {
            self.queue_store(store);
        }
        if now >= self.bury_at {
            let empty: Vec<StoreId> = self.buriable().collect();
            for store in empty {
                self.effects.push_back(Effect::Store(StoreEvent::Buried(store)));
                self.bury_at = now.after_ms(BURY_AGAIN_MS);
            }
        }
    }

    /// Removing Stores that hold nothing. Certain only when every key has its Region: one not heard of yet may have a
    /// replica there.
    fn buriable(&self) -> impl Iterator<Item = StoreId> + '_ {
        let index = &self.cluster.index;
        let is_empty = |id: &StoreId| {
            index.store(*id).map_or(0, StoreLists::count) == 0 && self.cluster.influence_on(*id).incoming == 0
        };
        let leaving =
            self.cluster.stores.iter().filter(|s| s.state() == StoreState::Offline).map(|s| s.meta.id);
        leaving.filter(move |id| index.is_complete() && is_empty(id))
    }

    fn sweep(&mut self, now: Time) {
        let slow = (self.cluster.index.len() / SWEEP_UPKEEPS).max(SWEEP_MIN);
        let part = if self.sweep_hurries { SWEEP_HURRY } else { slow };
        let mut looked = 0;
        while looked < part {
            let (slots, next) = self.cluster.index.page_from(&self.sweep_key);
            looked += slots.len().max(1);
            for slot in slots {
                if self.cluster.index.line(slot).has(flag::OPERATOR) {
                    continue;
                }
                let view = self.cluster.index.view(slot);
                if checker::wish(&view, &self.cluster, now).is_some() {
                    self.unhealthy.insert(view.meta.id);
                } else {
                    self.unhealthy.remove(&view.meta.id);
                }
            }
            let Some(next) = next else {
                self.sweep_key = bytes::Bytes::new();
                self.sweep_hurries = false;
                return;
            };
            self.sweep_key = next;
        }
    }

    /// The balance may run once each Store's replicas are known by the Regions' own heartbeats.
    fn prepare(&mut self, now: Time) {
        if self.is_prepared {
            return;
        }
        let up = self.cluster.stores.iter().filter(|s| s.state() == StoreState::Up);
        let missing = up
            .filter_map(|s| {
                let store = s.meta.id;
                if s.last_heartbeat.is_none() {
                    let liveness = s.liveness(now, &self.cluster.config);
                    return Some((
                        store,
                        Refusal::StoreSilent { store, liveness, silent_ms: s.silent_ms(now) },
                    ));
                }
                let (reported, known) =
                    (s.stats.region_count, self.cluster.index.store(store).map_or(0, StoreLists::count));
                (known < reported).then_some((store, Refusal::NotPrepared { store, reported, known }))
            })
            .next();
        let waited = now.ms_since(self.began) >= PREPARE_MS;
        match missing {
            Some((store, refusal)) if !waited => self.notes.refused(Subject::Store(store), refusal, now),
            Some(_) | None => self.is_prepared = waited || self.cluster.stores.iter().next().is_some(),
        }
    }
}
