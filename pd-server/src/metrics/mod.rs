//! What this member counts, under the names that boards and alerts of the ecosystem know; `docs/metrics.md` lists them.
//!
//! Hot paths count a batch at a time, without a lock. What can be read off the state is read when it is asked for, by one
//! file for each owner; the planner is asked one short question.

mod calls;
mod cluster;
mod exposition;
mod member;
mod number;
mod operators;
mod per_store;
mod planned;
mod region_kinds;
mod stores;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use dashboard::Dashboard;
use raft_core::Durations;
use scheduler::OperatorEvent;

use self::calls::Calls;
use self::exposition::Exposition;
use self::operators::Operators;
use self::per_store::PerStore;
use self::region_kinds::RegionKinds;
use crate::grpc::Gate;

pub use self::calls::count as count_calls;
pub use self::number::Counter;

/// All metrics of this process.
#[derive(Default)]
pub struct Metrics {
    /// Region heartbeats that the planner took.
    pub region_heartbeats: Counter,
    /// Store heartbeats.
    pub store_heartbeats: Counter,
    /// Stores with an open heartbeat stream.
    pub heartbeat_streams: AtomicUsize,
    /// Requests for tokens of resource groups.
    pub token_requests: Counter,
    /// Messages of batched look-ups of Regions: how long each took.
    pub query_region: Durations,
    /// Keys and ids looked up by them.
    pub looked_up: Counter,
    started: Started,
    calls: Arc<Calls>,
    per_store: PerStore,
    operators: Operators,
    region_kinds: RegionKinds,
    /// There once the page runs.
    dashboard: OnceLock<Dashboard>,
}

/// When this process began to count.
struct Started(SystemTime);

impl Default for Started {
    fn default() -> Self {
        Self(SystemTime::now())
    }
}

impl Metrics {
    /// gRPC calls, for the middleware that counts them.
    pub fn calls(&self) -> Arc<Calls> {
        Arc::clone(&self.calls)
    }

    /// What is counted for each store.
    pub fn per_store(&self) -> &PerStore {
        &self.per_store
    }

    /// Something happened to an operator.
    pub fn operator(&self, event: &OperatorEvent) {
        self.operators.event(event);
    }

    /// A tenure is over: what its planner had under way is gone with it.
    pub fn tenure_over(&self) {
        self.operators.forget_running();
        self.heartbeat_streams.store(0, Relaxed);
    }

    /// The page runs; its counts are shown from now on.
    pub fn follow_dashboard(&self, dashboard: Dashboard) {
        // There is one page in a process; a second one would stay uncounted.
        let _ = self.dashboard.set(dashboard);
    }

    /// Everything as text.
    pub async fn render(&self, gate: &Gate) -> String {
        let mut out = Exposition::default();
        member::write(&mut out, gate, self.started.0);
        self.write_counted(&mut out);
        cluster::write_health(&mut out, gate).await;
        if gate.pd.leadership.check().is_ok()
            && let Some(tenure) = gate.tenures.current()
            && let Ok(cluster) = tenure.cluster()
        {
            let planned = planned::ask(&cluster).await;
            cluster::write(&mut out, gate, &cluster, planned.as_ref());
            self.per_store.write(&mut out, &cluster.stores().table);
            self.region_kinds.write(&mut out, gate, &tenure, &cluster).await;
            if let Some(planned) = planned {
                stores::write(&mut out, &cluster, &planned.stores);
                planned.write(&mut out, gate);
            }
        }
        out.into_text()
    }

    fn write_counted(&self, out: &mut Exposition) {
        let streams = self.heartbeat_streams.load(Relaxed) as f64;
        out.gauge("pd_hbstream_stores", "Stores with an open heartbeat stream.", streams);
        for (name, help, counter) in [
            ("pd_scheduler_store_heartbeat_total", "Store heartbeats.", &self.store_heartbeats),
            ("pd_resource_manager_token_requests_total", "Requests for tokens.", &self.token_requests),
        ] {
            out.counter(name, help, counter.get() as f64);
        }
        let help = "Keys and ids looked up in batches.";
        let mut looked_up = out.family("pd_core_query_region_count", exposition::Kind::Counter, help);
        looked_up.put(&[("type", "all")], self.looked_up.get() as f64);
        let help = "Time for one message of batched look-ups.";
        out.histogram("pd_server_query_region_duration_seconds", help, &self.query_region.tally(), 1e-9);
        self.calls.write(out);
        self.operators.write(out);
        if let Some(dashboard) = self.dashboard.get() {
            let counts = dashboard.counts();
            out.gauge("pd_dashboard_streams", "Open streams of the web page.", counts.streams as f64);
            for (name, help, count) in [
                ("pd_dashboard_panics_total", "Requests of the web page that panicked.", counts.panics),
                (
                    "pd_dashboard_shed_total",
                    "Requests of the web page refused for their number.",
                    counts.shed,
                ),
                (
                    "pd_dashboard_failed_looks_total",
                    "Looks of the web page that failed.",
                    counts.looks_failed,
                ),
            ] {
                out.counter(name, help, count as f64);
            }
        }
    }
}
