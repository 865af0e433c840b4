//! What is counted for each store. The cluster's owner counts, once a batch; who asks for metrics reads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use raft_core::Durations;

use super::exposition::{Exposition, Kind};
use crate::cluster::StoreTable;

/// Counts by store id. A store that is forgotten is shown no more, its counts stay: there are few stores.
#[derive(Default)]
pub struct PerStore {
    by_id: Mutex<BTreeMap<u64, Arc<Counts>>>,
}

#[derive(Default)]
struct Counts {
    plain: Mutex<Plain>,
    region_heartbeats_took: Durations,
    store_heartbeats_took: Durations,
}

#[derive(Clone, Copy, Default)]
struct Plain {
    heartbeats_taken: u64,
    heartbeats_refused: u64,
    binds: u64,
    commands_sent: u64,
    commands_dropped: u64,
    buckets_taken: u64,
    buckets_refused: u64,
}

impl PerStore {
    /// The planner has had a batch of Region heartbeats of this store in hand for so long.
    pub fn region_heartbeats(&self, store: u64, taken: u64, refused: u64, took: Duration) {
        let counts = self.of(store);
        {
            let mut plain = counts.plain.lock();
            plain.heartbeats_taken += taken;
            plain.heartbeats_refused += refused;
        }
        let all = u32::try_from(taken + refused).unwrap_or(u32::MAX).max(1);
        counts.region_heartbeats_took.record_time(took / all, u64::from(all));
    }

    /// A store heartbeat took so long.
    pub fn store_heartbeat(&self, store: u64, took: Duration) {
        self.of(store).store_heartbeats_took.record_time(took, 1);
    }

    /// A heartbeat stream was bound to the store.
    pub fn bound(&self, store: u64) {
        self.of(store).plain.lock().binds += 1;
    }

    /// A command for the store went out, or not.
    pub fn command(&self, store: u64, sent: bool) {
        let counts = self.of(store);
        let mut plain = counts.plain.lock();
        *(if sent { &mut plain.commands_sent } else { &mut plain.commands_dropped }) += 1;
    }

    /// The leader on this store reported the buckets of a Region; they were kept, or not.
    pub fn buckets(&self, store: u64, kept: bool) {
        let counts = self.of(store);
        let mut plain = counts.plain.lock();
        *(if kept { &mut plain.buckets_taken } else { &mut plain.buckets_refused }) += 1;
    }

    fn of(&self, store: u64) -> Arc<Counts> {
        Arc::clone(self.by_id.lock().entry(store).or_default())
    }

    /// Writes the counts of all stores of the table.
    pub fn write(&self, out: &mut Exposition, table: &StoreTable) {
        let by_id = self.by_id.lock().clone();
        let known = || {
            table.iter().map(|(id, record)| {
                let counts = by_id.get(id).cloned().unwrap_or_default();
                (id.to_string(), record.meta.address.as_str(), counts)
            })
        };
        let help = "Region heartbeats that the planner took (ok) or refused (err), and streams bound (bind).";
        let mut family = out.family("pd_scheduler_region_heartbeat", Kind::Counter, help);
        for (store, address, counts) in known() {
            let Plain { heartbeats_taken, heartbeats_refused, binds, .. } = *counts.plain.lock();
            for (status, count) in [("ok", heartbeats_taken), ("err", heartbeats_refused), ("bind", binds)] {
                let labels =
                    [("address", address), ("store", &store), ("type", "report"), ("status", status)];
                family.put(&labels, count as f64);
            }
        }
        let help = "Commands put on heartbeat streams (ok), and those that found no room or no stream (err).";
        let mut family = out.family("pd_hbstream_region_message", Kind::Counter, help);
        for (store, address, counts) in known() {
            let Plain { commands_sent, commands_dropped, .. } = *counts.plain.lock();
            for (status, count) in [("ok", commands_sent), ("err", commands_dropped)] {
                let labels = [("address", address), ("store", &store), ("type", "push"), ("status", status)];
                family.put(&labels, count as f64);
            }
        }
        let mut family = out.family("pd_server_bucket_report", Kind::Counter, "Reports of buckets.");
        for (store, address, counts) in known() {
            let Plain { buckets_taken, buckets_refused, .. } = *counts.plain.lock();
            for (status, count) in [("ok", buckets_taken), ("err", buckets_refused)] {
                let labels =
                    [("address", address), ("store", &store), ("type", "report"), ("status", status)];
                family.put(&labels, count as f64);
            }
        }
        let name = "pd_scheduler_handle_region_heartbeat_duration_seconds";
        let help = "Time in the planner for a Region heartbeat, as the mean of its batch.";
        let mut family = out.family(name, Kind::Histogram, help);
        for (store, address, counts) in known() {
            let took = counts.region_heartbeats_took.tally();
            family.tally(&[("address", address), ("store", &store)], &took, 1e-9);
        }
        let name = "pd_scheduler_handle_store_heartbeat_duration_seconds";
        let help = "Time in the cluster's owner for a store heartbeat.";
        let mut family = out.family(name, Kind::Histogram, help);
        for (store, address, counts) in known() {
            let took = counts.store_heartbeats_took.tally();
            family.tally(&[("address", address), ("store", &store)], &took, 1e-9);
        }
    }
}
