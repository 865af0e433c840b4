//! What this member counts, under the names that dashboards and alerts of the ecosystem know.
//!
//! Hot paths count a batch at a time. What can be read off the state is computed when it is asked for.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::core::{AtomicU64, GenericCounter};
use prometheus::{Gauge, GaugeVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};
use proto::metapb::NodeState;
use scheduler::OperatorKind;

use crate::cluster::{Cluster, Liveness};
use crate::grpc::Gate;

type Counter = GenericCounter<AtomicU64>;

/// All metrics of this process.
pub struct Metrics {
    registry: Registry,
    /// Region heartbeats that the planner took.
    pub region_heartbeats: Counter,
    /// Region heartbeats that it refused.
    pub region_heartbeats_refused: Counter,
    /// Store heartbeats.
    pub store_heartbeats: Counter,
    /// Stores with an open heartbeat stream.
    pub heartbeat_streams: IntGauge,
    /// Reports of buckets.
    pub bucket_reports: Counter,
    /// Requests for tokens of resource groups.
    pub token_requests: Counter,
    commands: IntCounterVec,
    operators: IntCounterVec,
    tso: IntGaugeVec,
    last_timestamp: IntGaugeVec,
    is_leader: IntGauge,
    role: IntGaugeVec,
    raft: IntGaugeVec,
    cluster: GaugeVec,
    log_syncs: IntGauge,
    log_sync_seconds: Gauge,
    entries: IntGauge,
    snapshots: IntGaugeVec,
    messages_dropped: IntGauge,
    cpu_seconds: Gauge,
    resident_bytes: IntGauge,
}

impl Metrics {
    /// A fresh registry with everything in it.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let started = Gauge::new("process_start_time_seconds", "Start time, seconds since the epoch.")?;
        started.set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        let heartbeats = IntCounterVec::new(
            Opts::new("pd_scheduler_region_heartbeat", "Region heartbeats by outcome."),
            &["type", "status"],
        )?;
        let metrics = Self {
            region_heartbeats: convert(&heartbeats, &["report", "ok"]),
            region_heartbeats_refused: convert(&heartbeats, &["report", "err"]),
            store_heartbeats: counter(&registry, "pd_scheduler_store_heartbeat_total", "Store heartbeats.")?,
            heartbeat_streams: IntGauge::new("pd_hbstream_stores", "Stores with an open heartbeat stream.")?,
            bucket_reports: counter(&registry, "pd_server_bucket_report", "Reports of buckets.")?,
            token_requests: counter(
                &registry,
                "pd_resource_manager_token_requests_total",
                "Requests for tokens.",
            )?,
            commands: IntCounterVec::new(
                Opts::new("pd_hbstream_region_message", "Commands put on heartbeat streams."),
                &["type", "status"],
            )?,
            operators: IntCounterVec::new(
                Opts::new("pd_schedule_operators_count", "Operator events by kind."),
                &["type", "event"],
            )?,
            tso: IntGaugeVec::new(
                Opts::new("pd_tso_events", "Requests answered, timestamps given out, rounds of the owner."),
                &["type"],
            )?,
            last_timestamp: IntGaugeVec::new(
                Opts::new("pd_cluster_tso", "Physical part of the last timestamp, in milliseconds."),
                &["type"],
            )?,
            is_leader: IntGauge::new("etcd_server_is_leader", "1 on the member that leads, else 0.")?,
            role: IntGaugeVec::new(
                Opts::new("service_member_role", "1 on the leader, else 0."),
                &["service"],
            )?,
            raft: IntGaugeVec::new(
                Opts::new("pd_server_etcd_state", "Term and indexes of the members' Raft group."),
                &["type"],
            )?,
            cluster: GaugeVec::new(Opts::new("pd_cluster_status", "The cluster in numbers."), &["type"])?,
            log_syncs: IntGauge::new("pd_raft_log_syncs_total", "Syncs of the Raft log.")?,
            log_sync_seconds: Gauge::new(
                "pd_raft_log_sync_seconds_total",
                "Time spent in syncs of the Raft log.",
            )?,
            entries: IntGauge::new("pd_raft_entries_appended_total", "Entries appended to the Raft log.")?,
            snapshots: IntGaugeVec::new(Opts::new("pd_raft_snapshots_total", "Raft snapshots."), &["type"])?,
            messages_dropped: IntGauge::new(
                "pd_raft_messages_dropped_total",
                "Raft messages dropped, queue full.",
            )?,
            cpu_seconds: Gauge::new("process_cpu_seconds_total", "Processor time used.")?,
            resident_bytes: IntGauge::new("process_resident_memory_bytes", "Resident memory.")?,
            registry,
        };
        let registry = &metrics.registry;
        registry.register(Box::new(started))?;
        registry.register(Box::new(heartbeats))?;
        registry.register(Box::new(metrics.heartbeat_streams.clone()))?;
        registry.register(Box::new(metrics.commands.clone()))?;
        registry.register(Box::new(metrics.operators.clone()))?;
        registry.register(Box::new(metrics.tso.clone()))?;
        registry.register(Box::new(metrics.last_timestamp.clone()))?;
        registry.register(Box::new(metrics.is_leader.clone()))?;
        registry.register(Box::new(metrics.role.clone()))?;
        registry.register(Box::new(metrics.raft.clone()))?;
        registry.register(Box::new(metrics.cluster.clone()))?;
        registry.register(Box::new(metrics.log_syncs.clone()))?;
        registry.register(Box::new(metrics.log_sync_seconds.clone()))?;
        registry.register(Box::new(metrics.entries.clone()))?;
        registry.register(Box::new(metrics.snapshots.clone()))?;
        registry.register(Box::new(metrics.messages_dropped.clone()))?;
        registry.register(Box::new(metrics.cpu_seconds.clone()))?;
        registry.register(Box::new(metrics.resident_bytes.clone()))?;
        Ok(metrics)
    }

    /// A command was put on a heartbeat stream, or not.
    pub fn command(&self, sent: bool) {
        self.commands.with_label_values(&["push", if sent { "ok" } else { "err" }]).inc();
    }

    /// Something happened to an operator.
    pub fn operator(&self, kind: OperatorKind, event: &str) {
        let kind = match kind {
            OperatorKind::Admin => "admin",
            OperatorKind::Replica => "replica",
            OperatorKind::Region => "region",
            OperatorKind::Leader => "leader",
        };
        self.operators.with_label_values(&[kind, event]).inc();
    }

    /// Everything as text, after what is read off the state was read.
    pub fn render(&self, gate: &Gate) -> Result<String, prometheus::Error> {
        self.read_owners(gate);
        self.read_process();
        self.cluster.reset();
        if let Some(tenure) = gate.tenures.current()
            && let Ok(cluster) = tenure.cluster()
        {
            self.read_cluster(&cluster);
        }
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    fn read_owners(&self, gate: &Gate) {
        use std::sync::atomic::Ordering::Relaxed;
        let leads = i64::from(gate.pd.leadership.check().is_ok());
        self.is_leader.set(leads);
        self.role.with_label_values(&["PD"]).set(leads);
        if let Some(status) = gate.pd.raft.status(crate::PD_GROUP) {
            let status = status.borrow().clone();
            for (name, value) in [
                ("term", status.term),
                ("appliedIndex", status.applied),
                ("committedIndex", status.committed),
            ] {
                self.raft.with_label_values(&[name]).set(signed(value));
            }
        }
        let tso = gate.pd.tso.counters();
        for (name, value) in
            [("requests", &tso.requests), ("timestamps", &tso.timestamps), ("rounds", &tso.rounds)]
        {
            self.tso.with_label_values(&[name]).set(signed(value.load(Relaxed)));
        }
        self.last_timestamp.with_label_values(&["tso"]).set(signed(tso.physical_ms.load(Relaxed)));
        let counters = gate.pd.raft.counters();
        self.log_syncs.set(signed(counters.log_syncs.load(Relaxed)));
        self.log_sync_seconds.set(counters.log_sync_ns.load(Relaxed) as f64 / 1e9);
        self.entries.set(signed(counters.entries_appended.load(Relaxed)));
        self.snapshots
            .with_label_values(&["received"])
            .set(signed(counters.snapshots_received.load(Relaxed)));
        self.snapshots.with_label_values(&["made"]).set(signed(counters.snapshots_made.load(Relaxed)));
        self.messages_dropped.set(signed(counters.messages_dropped.load(Relaxed)));
    }

    fn read_cluster(&self, cluster: &Cluster) {
        let stores = cluster.stores();
        let now_ns = crate::cluster::wall_clock_ns();
        let mut numbers = [
            ("store_up_count", 0.0),
            ("store_disconnected_count", 0.0),
            ("store_down_count", 0.0),
            ("store_offline_count", 0.0),
            ("store_tombstone_count", 0.0),
            ("storage_capacity", 0.0),
            ("storage_size", 0.0),
            ("region_count", cluster.regions().len() as f64),
        ];
        let [up, disconnected, down, offline, tombstone, capacity, size, _] = &mut numbers;
        for record in stores.table.values() {
            match record.meta.node_state() {
                NodeState::Removed => {
                    tombstone.1 += 1.0;
                    continue;
                }
                NodeState::Removing => offline.1 += 1.0,
                NodeState::Preparing | NodeState::Serving => {
                    match record.liveness(now_ns, cluster.max_store_down_time) {
                        Liveness::Connected => up.1 += 1.0,
                        Liveness::Disconnected => disconnected.1 += 1.0,
                        Liveness::Down => down.1 += 1.0,
                    }
                }
            }
            if let Some(stats) = &record.stats {
                capacity.1 += stats.capacity as f64;
                size.1 += stats.used_size as f64;
            }
        }
        for (name, value) in numbers {
            self.cluster.with_label_values(&[name]).set(value);
        }
    }

    fn read_process(&self) {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        self.cpu_seconds.set(used.tv_sec as f64 + used.tv_nsec as f64 / 1e9);
        // Linux only; elsewhere it stays 0.
        if let Ok(status) = std::fs::read_to_string("/proc/self/status")
            && let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))
            && let Some(kib) = line.split_whitespace().next().and_then(|kib| kib.parse::<i64>().ok())
        {
            self.resident_bytes.set(kib.saturating_mul(1024));
        }
    }
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<Counter, prometheus::Error> {
    let counter = Counter::new(name, help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

fn convert(counters: &IntCounterVec, labels: &[&str]) -> Counter {
    counters.with_label_values(labels)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
