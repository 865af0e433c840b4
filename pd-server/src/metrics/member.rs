//! What each member knows of itself: leading, Raft, lease, timestamps, writes, the process.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};

use raft_core::{BootTime, Counters};

use super::exposition::{Exposition, Kind};
use crate::PD_GROUP;
use crate::grpc::Gate;
use crate::keys::{self, Keys};
use crate::tso;
use crate::verdict::QUESTIONS_MAX;

/// Whose lease it is, in the words of boards.
const PURPOSE: (&str, &str) = ("purpose", "leader election");

/// Writes it all. `started`: when the process began to count.
pub fn write(out: &mut Exposition, gate: &Gate, started: SystemTime) {
    write_leading(out, gate);
    write_raft(out, gate);
    write_log(out, gate.pd.raft.counters());
    write_timestamps(out, gate.pd.tso.counters());
    write_state(out, gate);
    write_queues(out, gate);
    write_process(out, started);
}

fn write_leading(out: &mut Exposition, gate: &Gate) {
    let leads = if gate.pd.leadership.check().is_ok() { 1.0 } else { 0.0 };
    out.gauge("etcd_server_is_leader", "1 on the member that leads and may answer, else 0.", leads);
    out.family("service_member_role", Kind::Gauge, "1 on the leader, else 0.")
        .put(&[("service", "PD")], leads);
    let Some(lease) = gate.pd.raft.lease(PD_GROUP) else { return };
    let (left, age) = lease.age(BootTime::now()).unwrap_or_default();
    let help = "How long the leader's lease holds on if nothing renews it; 0 without one.";
    out.family("pd_lease_local_ttl_remaining_seconds", Kind::Gauge, help).put(&[PURPOSE], left.as_secs_f64());
    let help = "How long ago the lease was renewed last; 0 without one.";
    out.gauge("pd_raft_lease_age_seconds", help, age.as_secs_f64());
    let help = "How often the lease ran out while its holder led on: timestamps stood still meanwhile.";
    out.counter("pd_raft_lease_lapses_total", help, lease.lapses() as f64);
}

fn write_raft(out: &mut Exposition, gate: &Gate) {
    let Some(status) = gate.pd.raft.status(PD_GROUP) else { return };
    let status = status.borrow().clone();
    let help = "Term and indexes of the members' Raft group.";
    let mut family = out.family("pd_server_etcd_state", Kind::Gauge, help);
    for (name, value) in
        [("term", status.term), ("appliedIndex", status.applied), ("committedIndex", status.committed)]
    {
        family.put(&[("type", name)], value as f64);
    }
    let help = "Entries that are committed and not yet applied.";
    let lag = status.committed.saturating_sub(status.applied);
    out.gauge("pd_raft_apply_lag_entries", help, lag as f64);
    // Only the leader has a view of the others.
    let help = "On the leader: entries that a member lacks.";
    let mut behind = out.family("pd_member_lag_entries", Kind::Gauge, help);
    let name = |id: u64| gate.pd.members.get(crate::member::MemberId(id)).map_or(id.to_string(), |m| m.name);
    for other in &status.progress {
        behind.put(&[("To", &name(other.id))], status.last.saturating_sub(other.matched) as f64);
    }
    let help = "On the leader: time since a member was heard.";
    let mut heard = out.family("pd_member_heard_seconds", Kind::Gauge, help);
    for other in &status.progress {
        heard.put(&[("To", &name(other.id))], other.heard_ms as f64 / 1e3);
    }
}

fn write_log(out: &mut Exposition, counters: &Counters) {
    let help = "Time of a sync of the Raft log: no write is faster.";
    let took = counters.log_sync.tally();
    out.histogram("etcd_disk_wal_fsync_duration_seconds", help, &took, 1e-9);
    for (name, help, value) in [
        ("pd_raft_log_syncs_total", "Syncs of the Raft log.", &counters.log_syncs),
        ("pd_raft_entries_appended_total", "Entries appended to the Raft log.", &counters.entries_appended),
        ("pd_raft_messages_dropped_total", "Raft messages dropped, queue full.", &counters.messages_dropped),
    ] {
        out.counter(name, help, value.load(Relaxed) as f64);
    }
    let mut snapshots = out.family("pd_raft_snapshots_total", Kind::Counter, "Raft snapshots.");
    for (kind, count) in [("received", &counters.snapshots_received), ("made", &counters.snapshots_made)] {
        snapshots.put(&[("type", kind)], count.load(Relaxed) as f64);
    }
}

fn write_timestamps(out: &mut Exposition, counters: &tso::Counters) {
    let help = "Time from the question to the timestamp in the member that gives it, as an upper bound.";
    out.histogram("pd_server_handle_tso_duration_seconds", help, &counters.latency.tally(), 1e-9);
    let help = "Timestamps asked for by requests of one stream that were taken together.";
    out.histogram("pd_server_handle_tso_batch_size", help, &counters.batches.tally(), 1.0);
    let help = "Requests answered, timestamps given out, rounds of their owner, streams refused.";
    let mut events = out.family("pd_tso_events", Kind::Counter, help);
    for (name, value) in [
        ("requests", &counters.requests),
        ("timestamps", &counters.timestamps),
        ("rounds", &counters.rounds),
        ("not_leader", &counters.refused_not_leading),
        ("bound_reached", &counters.refused_bound),
    ] {
        events.put(&[("type", name), ("group", "0")], value.load(Relaxed) as f64);
    }
    let help = "Physical part of the last timestamp given out here, in milliseconds; 0 before the first.";
    let last = counters.physical_ms.load(Relaxed) as f64;
    out.family("pd_cluster_tso", Kind::Gauge, help).put(&[("type", "tso"), ("group", "0")], last);
}

fn write_state(out: &mut Exposition, gate: &Gate) {
    let (applied, failed) = gate.pd.kv.write_times();
    let help = "Time of a write to the replicated state, from the proposal until it is applied here.";
    let mut writes = out.family("pd_txn_handle_txns_duration_seconds", Kind::Histogram, help);
    writes.tally(&[("result", "success")], &applied, 1e-9);
    writes.tally(&[("result", "failed")], &failed, 1e-9);
    let help = "Bytes of the replicated state on disk.";
    let bytes = folder_bytes(&gate.pd.config.data_dir.join("state"));
    out.gauge("etcd_mvcc_db_total_size_in_bytes", help, bytes as f64);
    let Some(cluster_id) = gate.pd.kv.cluster_id() else { return };
    let help = "The id of the cluster, as a label.";
    let label = format!("cluster{cluster_id}");
    out.family("pd_cluster_metadata", Kind::Gauge, help).put(&[("type", &label)], 0.0);
    let stored = gate.pd.kv.get(&Keys::new(cluster_id).alloc_id()).ok().flatten();
    let reserved = stored.and_then(|kv| keys::decode_be(&kv.value).ok()).unwrap_or(0);
    let help = "Ids reserved so far, a window at a time.";
    out.family("pd_cluster_id", Kind::Gauge, help).put(&[("type", "idalloc")], reserved as f64);
    let settings = gate.pd.online.now();
    let mut family = out.family("pd_config_status", Kind::Gauge, "Numbers of the shared configuration.");
    for item in CONFIG {
        let short = item.rsplit('.').next().unwrap_or(item);
        family.put(&[("type", short)], settings.number(item));
    }
}

/// Numbers of the configuration that boards show.
const CONFIG: [&str; 10] = [
    "schedule.leader-schedule-limit",
    "schedule.region-schedule-limit",
    "schedule.replica-schedule-limit",
    "schedule.merge-schedule-limit",
    "schedule.hot-region-schedule-limit",
    "schedule.max-snapshot-count",
    "schedule.max-pending-peer-count",
    "schedule.low-space-ratio",
    "schedule.high-space-ratio",
    "replication.max-replicas",
];

/// Queues that every member has; the cluster's stand in [`super::cluster`].
fn write_queues(out: &mut Exposition, gate: &Gate) {
    let (raft, raft_limit) = gate.pd.raft.inbox_depth();
    let questions = QUESTIONS_MAX - gate.verdicts.questions().available_permits().min(QUESTIONS_MAX);
    let load = gate.tenures.current().and_then(|tenure| tenure.cluster().ok()).map(|cluster| cluster.load());
    let mut queues = vec![("raft", raft, raft_limit), ("questions", questions, QUESTIONS_MAX)];
    if let Some(load) = load {
        queues.push(("cluster-requests", load.requests.waiting, load.requests.limit));
        queues.push((
            "region-heartbeat-batches",
            load.heartbeat_batches.waiting,
            load.heartbeat_batches.limit,
        ));
    }
    let mut waiting = out.family("pd_queue_waiting", Kind::Gauge, "What waits in a queue.");
    for (queue, depth, _) in &queues {
        waiting.put(&[("queue", queue)], *depth as f64);
    }
    let mut limits = out.family("pd_queue_limit", Kind::Gauge, "What may wait in a queue.");
    for (queue, _, limit) in &queues {
        limits.put(&[("queue", queue)], *limit as f64);
    }
}

fn write_process(out: &mut Exposition, started: SystemTime) {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    out.gauge("pd_service_maxprocs", "Processors that this process may use.", threads as f64);
    let help = "The versions of this program: its own, and the one that it speaks as.";
    let labels = [("version", crate::OWN_VERSION), ("speaks_as", crate::COMPATIBLE_VERSION)];
    out.family("pd_build_info", Kind::Gauge, help).put(&labels, 1.0);
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let used = used.tv_sec as f64 + used.tv_nsec as f64 / 1e9;
    out.counter("process_cpu_seconds_total", "Processor time used.", used);
    let help = "Start of this process, in seconds since the epoch.";
    let since = started.duration_since(UNIX_EPOCH).unwrap_or_default();
    out.gauge("process_start_time_seconds", help, since.as_secs_f64());
    // Linux only; elsewhere it is not shown.
    if let Ok(status) = std::fs::read_to_string("/proc/self/status")
        && let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))
        && let Some(kib) = line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok())
    {
        out.gauge("process_resident_memory_bytes", "Resident memory.", (kib * 1_024) as f64);
    }
}

/// The files of a folder, one level deep: the state has no more.
fn folder_bytes(folder: &Path) -> u64 {
    let bytes = |path: &Path| -> u64 {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.metadata().ok())
            .filter(std::fs::Metadata::is_file)
            .map(|m| m.len())
            .sum()
    };
    let folders = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let below: u64 = folders.filter(|e| e.path().is_dir()).map(|e| bytes(&e.path())).sum();
    bytes(folder) + below
}
