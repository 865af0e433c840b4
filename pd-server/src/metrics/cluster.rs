//! What is read off what the cluster's owner publishes, without asking it.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::metapb::{self, NodeState};

use super::exposition::{Exposition, Kind};
use super::planned::Planned;
use crate::cluster::{Cluster, Liveness, wall_clock_ns};
use crate::grpc::Gate;
use crate::verdict;

/// The verdict: how many things each check counts, 0 where nothing is wrong.
pub async fn write_health(out: &mut Exposition, gate: &Gate) {
    let health = verdict::health(gate).await;
    let help = "What each check of the verdict counts, as this member sees it; 0: nothing is wrong.";
    let mut family = out.family("pd_health_check", Kind::Gauge, help);
    for (code, severity, count) in verdict::counts(&health) {
        family.put(&[("code", code.word()), ("severity", severity.word())], count as f64);
    }
}

/// Stores by state, limits, the planner's time.
pub fn write(out: &mut Exposition, gate: &Gate, cluster: &Cluster, planned: Option<&Planned>) {
    write_states(out, cluster, planned);
    write_limits(out, gate, cluster);
    let load = cluster.load();
    let help = "Time that the planner has worked since this member leads.";
    out.counter("pd_planner_seconds_total", help, load.planner_time.as_secs_f64());
    let help = "Rounds of the cluster owner's loop since this member leads.";
    out.counter("pd_planner_rounds_total", help, load.rounds as f64);
    let help = "Regions that were heard of.";
    out.gauge("pd_regions", help, cluster.regions().len() as f64);
}

/// The kind of a store, as its labels say.
fn engine(store: &metapb::Store) -> &str {
    store.labels.iter().find(|label| label.key == "engine").map_or("tikv", |label| label.value.as_str())
}

/// A store that was silent for so long counts as unhealthy.
const UNHEALTHY_AFTER: Duration = Duration::from_secs(10 * 60);
/// From this score on a store counts as slow.
const SLOW_SCORE: u64 = 80;

fn write_states(out: &mut Exposition, cluster: &Cluster, planned: Option<&Planned>) {
    const STATES: [&str; 12] = [
        "store_up_count",
        "store_disconnected_count",
        "store_unhealth_count",
        "store_down_count",
        "store_offline_count",
        "store_tombstone_count",
        "store_preparing_count",
        "store_serving_count",
        "store_slow_count",
        "store_low_space_count",
        "storage_capacity",
        "storage_size",
    ];
    let stores = cluster.stores();
    let (now_ns, down_after) = (wall_clock_ns(), cluster.max_store_down_time());
    // Boards that ask for a number that nobody gives show nothing instead of 0.
    let mut numbers: BTreeMap<(&str, &str), f64> =
        STATES.iter().map(|state| ((*state, "tikv"), 0.0)).collect();
    for record in stores.table.values() {
        let engine = engine(&record.meta);
        let mut add = |state: &'static str, by: f64| *numbers.entry((state, engine)).or_default() += by;
        let liveness = record.liveness(now_ns, down_after);
        match record.meta.node_state() {
            NodeState::Removed => {
                add("store_tombstone_count", 1.0);
                continue;
            }
            NodeState::Removing => add("store_offline_count", 1.0),
            state @ (NodeState::Preparing | NodeState::Serving) => {
                let preparing = state == NodeState::Preparing;
                add(if preparing { "store_preparing_count" } else { "store_serving_count" }, 1.0);
                match liveness {
                    Liveness::Connected => add("store_up_count", 1.0),
                    Liveness::Disconnected if record.liveness(now_ns, UNHEALTHY_AFTER) == Liveness::Down => {
                        add("store_unhealth_count", 1.0);
                    }
                    Liveness::Disconnected => add("store_disconnected_count", 1.0),
                    Liveness::Down => add("store_down_count", 1.0),
                }
            }
        }
        if let Some(stats) = &record.stats {
            add("storage_capacity", stats.capacity as f64);
            add("storage_size", stats.used_size as f64);
            if stats.slow_score >= SLOW_SCORE {
                add("store_slow_count", 1.0);
            }
        }
        if let Some(known) = planned.and_then(|planned| planned.stores.get(&record.meta.id)) {
            add("region_count", known.summary.region_count as f64);
            add("leader_count", known.summary.leader_count as f64);
            add("store_low_space_count", if known.low_space { 1.0 } else { 0.0 });
        }
    }
    let mut family = out.family("pd_cluster_status", Kind::Gauge, "The cluster in numbers.");
    for ((state, engine), value) in numbers {
        family.put(&[("type", state), ("engine", engine)], value);
    }
}

fn write_limits(out: &mut Exposition, gate: &Gate, cluster: &Cluster) {
    let settings = gate.pd.online.now();
    let help = "Replicas that may come to a store and go from it in a minute.";
    let mut family = out.family("pd_cluster_store_limit", Kind::Gauge, help);
    for record in cluster.stores().table.values() {
        if record.meta.node_state() == NodeState::Removed {
            continue;
        }
        let (store, limit) = (record.meta.id.to_string(), settings.store_limit(record.meta.id));
        family.put(&[("store", &store), ("type", "add-peer")], limit.add_peer);
        family.put(&[("store", &store), ("type", "remove-peer")], limit.remove_peer);
    }
}
