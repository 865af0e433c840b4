//! From an event to its line.

use std::fmt;

use super::words::{epoch_text, hex, limit_text, node_state_name, off_names, peer_text, policy_name};
use crate::config::Config;
use crate::event::{Event, Input};
use crate::model::{PeerId, RegionReport, StoreId, StoreLabel, StoreStats, Time};
use crate::operator::{OperatorRequest, TargetRole};

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Line { f, at: self.at };
        match &self.input {
            Input::RegionHeartbeat(report) => line.region_heartbeat(report),
            Input::StoreMeta(meta) => {
                line.name("store-meta")?;
                line.number("store", meta.id.0)?;
                line.text("state", node_state_name(meta.node_state))?;
                let label = |l: &StoreLabel| format!("{}:{}", hex(l.key.as_bytes()), hex(l.value.as_bytes()));
                line.list("labels", meta.labels.iter().map(label))
            }
            Input::StoreHeartbeat(stats) => line.store_heartbeat(stats),
            Input::StreamOpened(store) => line.of_id("stream-opened", "store", store.0),
            Input::StreamClosed(store) => line.of_id("stream-closed", "store", store.0),
            Input::Config(config) => line.config(config),
            Input::Ids(ids) => {
                line.name("ids")?;
                line.number("first", ids.first)?;
                line.number("count", ids.count)
            }
            Input::SplitRequest { region, epoch, count } => {
                line.of_id("split-request", "region", region.0)?;
                line.text("epoch", &epoch_text(*epoch))?;
                line.number("count", *count)
            }
            Input::AddOperator(request) => line.add_operator(request),
            Input::CancelOperator(region) => line.of_id("cancel-operator", "region", region.0),
            Input::CancelAllOperators => line.name("cancel-all-operators"),
            Input::StoreWeights { store, weights } => {
                line.of_id("store-weights", "store", store.0)?;
                line.number("leader", weights.leader.0)?;
                line.number("region", weights.region.0)
            }
            Input::PauseScheduler { scheduler, for_ms } => {
                line.name("pause-scheduler")?;
                line.text("scheduler", scheduler.name())?;
                line.number("for", *for_ms)
            }
            Input::PauseChecker { checker, for_ms } => {
                line.name("pause-checker")?;
                line.text("checker", checker.name())?;
                line.number("for", *for_ms)
            }
            Input::Tick => line.name("tick"),
        }
    }
}

struct Line<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    at: Time,
}

impl Line<'_, '_> {
    fn name(&mut self, name: &str) -> fmt::Result {
        write!(self.f, "{} {name}", self.at.0)
    }

    fn of_id(&mut self, name: &str, field: &str, id: u64) -> fmt::Result {
        self.name(name)?;
        self.number(field, id)
    }

    fn number(&mut self, field: &str, value: u64) -> fmt::Result {
        if value == 0 { Ok(()) } else { write!(self.f, " {field}={value}") }
    }

    fn text(&mut self, field: &str, value: &str) -> fmt::Result {
        if value.is_empty() { Ok(()) } else { write!(self.f, " {field}={value}") }
    }

    fn list(&mut self, field: &str, values: impl Iterator<Item = String>) -> fmt::Result {
        let joined: Vec<String> = values.collect();
        self.text(field, &joined.join(","))
    }

    fn region_heartbeat(&mut self, report: &RegionReport) -> fmt::Result {
        let meta = &report.meta;
        self.of_id("region-heartbeat", "region", meta.id.0)?;
        self.text("start", &hex(&meta.start_key))?;
        self.text("end", &hex(&meta.end_key))?;
        self.text("epoch", &epoch_text(meta.epoch))?;
        self.list("peers", meta.peers.iter().map(peer_text))?;
        self.text("leader", &peer_text(&report.leader))?;
        self.number("term", report.term)?;
        self.list("down", report.down.iter().map(|d| format!("{}:{}", d.peer, d.seconds)))?;
        self.list("pending", report.pending.iter().map(PeerId::to_string))?;
        self.number("bytes-written", report.flow.bytes_written)?;
        self.number("keys-written", report.flow.keys_written)?;
        self.number("bytes-read", report.flow.bytes_read)?;
        self.number("keys-read", report.flow.keys_read)?;
        self.number("size", report.size_bytes)?;
        self.number("keys", report.keys)?;
        self.number("interval", report.interval_s)?;
        self.number("cpu", report.cpu_percent)
    }

    fn store_heartbeat(&mut self, stats: &StoreStats) -> fmt::Result {
        self.of_id("store-heartbeat", "store", stats.store.0)?;
        self.number("capacity", stats.capacity_bytes)?;
        self.number("available", stats.available_bytes)?;
        self.number("used", stats.used_bytes)?;
        self.number("regions", stats.region_count)?;
        self.number("sending", stats.sending_snapshots)?;
        self.number("receiving", stats.receiving_snapshots)?;
        self.number("applying", stats.applying_snapshots)?;
        self.number("busy", u64::from(stats.is_busy))
    }

    fn config(&mut self, config: &Config) -> fmt::Result {
        self.name("config")?;
        self.number("max-replicas", config.max_replicas as u64)?;
        self.number("max-store-down-time", config.max_store_down_time_ms)?;
        self.number("halt", u64::from(config.halt_scheduling))?;
        self.number("leader-limit", config.leader_schedule_limit as u64)?;
        self.number("region-limit", config.region_schedule_limit as u64)?;
        self.number("replica-limit", config.replica_schedule_limit as u64)?;
        self.number("max-snapshots", config.max_snapshot_count)?;
        self.number("max-pending", config.max_pending_peer_count)?;
        self.number("low-space", config.low_space_per_mille)?;
        self.text("store-limit", &limit_text(&config.default_store_limit))?;
        let own = config.store_limits.iter();
        self.list("store-limits", own.map(|(store, limit)| format!("{store}:{}", limit_text(limit))))?;
        self.list("schedulers", config.schedulers.iter().map(|s| s.name().to_owned()))?;
        self.list("off", off_names(config).map(str::to_owned))
    }

    fn add_operator(&mut self, request: &OperatorRequest) -> fmt::Result {
        let (kind, fields): (&str, Vec<(&str, u64)>) = match request {
            OperatorRequest::AddPeer { store, .. } => ("add-peer", vec![("store", store.0)]),
            OperatorRequest::AddLearner { store, .. } => ("add-learner", vec![("store", store.0)]),
            OperatorRequest::RemovePeer { store, .. } => ("remove-peer", vec![("store", store.0)]),
            OperatorRequest::TransferPeer { from, to, .. } => {
                ("transfer-peer", vec![("from", from.0), ("to", to.0)])
            }
            OperatorRequest::TransferLeader { to, .. } => ("transfer-leader", vec![("to", to.0)]),
            OperatorRequest::TransferRegion { .. } => ("transfer-region", vec![]),
            OperatorRequest::Split { .. } => ("split", vec![]),
        };
        self.of_id("add-operator", "region", request.region().0)?;
        self.text("kind", kind)?;
        for (field, value) in fields {
            self.number(field, value)?;
        }
        match request {
            OperatorRequest::Split { policy, keys, .. } => {
                self.text("policy", policy_name(*policy))?;
                self.list("keys", keys.iter().map(|k| hex(k)))
            }
            OperatorRequest::TransferRegion { targets, .. } => {
                let target = |(store, role): &(StoreId, TargetRole)| format!("{store}:{}", role.name());
                self.list("targets", targets.iter().map(target))
            }
            OperatorRequest::AddPeer { .. }
            | OperatorRequest::AddLearner { .. }
            | OperatorRequest::RemovePeer { .. }
            | OperatorRequest::TransferPeer { .. }
            | OperatorRequest::TransferLeader { .. } => Ok(()),
        }
    }
}
