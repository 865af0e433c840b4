//! Counters of one Store in Prometheus's text form. Built anew for each scrape from what the parts count themselves.

use std::sync::atomic::Ordering;

use axum::extract::State;
use http::StatusCode;
use prometheus::{IntCounter, IntGauge, Opts, Registry, TextEncoder};

use super::Pages;

pub async fn page(State(pages): State<Pages>) -> Result<String, (StatusCode, String)> {
    text(&pages).map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

fn text(pages: &Pages) -> prometheus::Result<String> {
    let core = &pages.core;
    let registry = Registry::new();
    let mut led = 0;
    let peers = core.regions.all();
    if let Some(handle) = core.handle() {
        led = peers.iter().filter(|peer| peer.leads(handle)).count();
        let c = handle.counters();
        let counters = [
            ("store_raft_log_syncs_total", "Syncs of the Raft log.", &c.log_syncs),
            ("store_raft_log_sync_nanoseconds_total", "Nanoseconds spent in them.", &c.log_sync_ns),
            ("store_raft_entries_appended_total", "Entries appended to the Raft log.", &c.entries_appended),
            ("store_snapshots_received_total", "Snapshots received and installed.", &c.snapshots_received),
            ("store_snapshots_made_total", "Snapshots made for others.", &c.snapshots_made),
            (
                "store_raft_messages_dropped_total",
                "Messages dropped because a queue was full.",
                &c.messages_dropped,
            ),
        ];
        for (name, help, value) in counters {
            counter(&registry, name, help, value.load(Ordering::Relaxed))?;
        }
    }
    gauge(&registry, "store_id", "The store's id.", core.id.0)?;
    gauge(&registry, "store_regions", "Peers here.", peers.len() as u64)?;
    gauge(&registry, "store_leaders", "Peers here that lead.", led as u64)?;
    let disk = core.engine.bytes_on_disk().unwrap_or(0);
    gauge(&registry, "store_engine_bytes", "Bytes that the engine's files take.", disk)?;
    TextEncoder::new().encode_to_string(&registry.gather())
}

fn counter(registry: &Registry, name: &str, help: &str, value: u64) -> prometheus::Result<()> {
    let counter = IntCounter::with_opts(Opts::new(name, help))?;
    counter.inc_by(value);
    registry.register(Box::new(counter))
}

fn gauge(registry: &Registry, name: &str, help: &str, value: u64) -> prometheus::Result<()> {
    let gauge = IntGauge::with_opts(Opts::new(name, help))?;
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    registry.register(Box::new(gauge))
}
