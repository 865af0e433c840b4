//! Stores in numbers, as boards draw them: what each says of itself, and what the planner has counted on it.

use std::collections::BTreeMap;

use proto::metapb::NodeState;
use proto::pdpb::StoreStats;
use scheduler::StoreSummary;

use super::exposition::{Exposition, Kind};
use super::planned::Known;
use crate::cluster::Cluster;
use crate::http::store_scores;

/// A number of a store, and under which name it is shown.
type Number = (&'static str, f64);

/// Writes the stores that are not gone.
pub fn write(out: &mut Exposition, cluster: &Cluster, planned: &BTreeMap<u64, Known>) {
    let stores = cluster.stores();
    let present = || {
        let present = stores.table.values().filter(|record| record.meta.node_state() != NodeState::Removed);
        present.filter_map(|record| Some((record, planned.get(&record.meta.id)?)))
    };
    let help = "A store in numbers: sizes of Regions in MiB, space and rates in bytes.";
    let mut family = out.family("pd_scheduler_store_status", Kind::Gauge, help);
    for (record, known) in present() {
        let id = record.meta.id.to_string();
        let stats = record.stats.clone().unwrap_or_default();
        for (kind, value) in counted(&stats, &known.summary).into_iter().chain(told(&stats)) {
            family.put(&[("address", &record.meta.address), ("store", &id), ("type", kind)], value);
        }
    }
    let help = "How often a store's limit was the reason to wait, since this member leads.";
    let mut family = out.family("pd_store_limit_refusals_total", Kind::Counter, help);
    for (record, known) in present() {
        for limit in &known.limits {
            let store = record.meta.id.to_string();
            family.put(&[("store", &store), ("type", limit.kind.name())], limit.refused as f64);
        }
    }
}

/// What the planner has counted.
fn counted(stats: &StoreStats, summary: &StoreSummary) -> Vec<Number> {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20) as f64;
    let scores = store_scores(stats, summary);
    vec![
        ("region_count", summary.region_count as f64),
        ("region_size", mib(summary.region_size_bytes)),
        ("region_score", scores.region),
        ("region_weight", summary.region_weight.as_f64()),
        ("leader_count", summary.leader_count as f64),
        ("leader_size", mib(summary.leader_size_bytes)),
        ("leader_score", scores.leader),
        ("leader_weight", summary.leader_weight.as_f64()),
        ("learner_count", summary.learner_count as f64),
        ("pending_peer_count", summary.pending_count as f64),
    ]
}

/// What the store said in its last heartbeat.
fn told(stats: &StoreStats) -> Vec<Number> {
    let seconds = stats.interval.as_ref().map_or(0, |i| i.end_timestamp.saturating_sub(i.start_timestamp));
    let rate = |count: u64| if seconds == 0 { 0.0 } else { count as f64 / seconds as f64 };
    let query = stats.query_stats.unwrap_or_default();
    let reads = query.get + query.scan + query.coprocessor;
    let writes = query.put
        + query.delete
        + query.delete_range
        + query.acquire_pessimistic_lock
        + query.commit
        + query.prewrite
        + query.rollback;
    let cpu: u64 = stats.cpu_usages.iter().map(|thread| thread.value).sum();
    let reading = stats.cpu_usages.iter().filter(|thread| thread.key.contains("unified-read"));
    vec![
        ("store_capacity", stats.capacity as f64),
        ("store_available", stats.available as f64),
        ("store_used", stats.used_size as f64),
        ("store_write_rate_bytes", rate(stats.bytes_written)),
        ("store_write_rate_keys", rate(stats.keys_written)),
        ("store_read_rate_bytes", rate(stats.bytes_read)),
        ("store_read_rate_keys", rate(stats.keys_read)),
        ("store_write_query_rate", rate(writes)),
        ("store_read_query_rate", rate(reads)),
        ("store_cpu_usage", cpu as f64),
        ("store_read_cpu_usage", reading.map(|thread| thread.value).sum::<u64>() as f64),
        ("store_slow_score", stats.slow_score as f64),
    ]
}
