//! The owner of the planner: one thread, one loop. Events go in through bounded channels, effects go out; it waits for
//! nothing but events, and errands (writes, reservations of ids) report back as events.

mod ids;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use proto::pdpb::{self, ErrorType, RegionHeartbeatResponse};
use scheduler::{Effect, OperatorView, Planner, Refusal, StoreEvent, StoreId, StoreWeights, Time};
use semver::Version;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::ids::Waiting;
use super::Stores;
use super::clock::wall_clock_ns;
use super::load::OwnerLoad;
use super::min_resolved::MinResolved;
use super::node_states::Fill;
use super::operator_log::OperatorLog;
use super::operators::{Epoch, OperatorRecord, OperatorStatus};
use super::requests::{CallError, HeartbeatBatch, Request, StoreAnswer};
use super::store_writes::{StoreWrites, Wish};
use super::stores::StoreBook;
use super::streams::{Sent, Streams};
use super::wire;
use crate::config::Online;
use crate::grpc::header;
use crate::ids::Ids;
use crate::keys::{self, Keys};
use crate::leadership::Term;
use crate::metrics::Metrics;
use crate::state::{Kv, Op, Txn};

/// Events handled before the loop looks at the other kinds again.
const ROUND_REQUESTS: usize = 256;
/// Batches of heartbeats a round; requests never wait for more than these.
const ROUND_BATCHES: usize = 8;
/// What is looked at each second: the minimum of resolved timestamps.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How often prepared stores are put into service.
const NODE_STATES: Duration = Duration::from_secs(10);

/// What an owner is made of.
pub(super) struct Parts {
    pub planner: Planner,
    pub book: StoreBook,
    /// The weights of the stores in the book.
    pub weights: Vec<(StoreId, StoreWeights)>,
    pub min_resolved: MinResolved,
    pub stores: Arc<ArcSwap<Stores>>,
    pub errands: Errands,
    pub metrics: Arc<Metrics>,
    pub cluster_id: u64,
    pub load: Arc<OwnerLoad>,
}

/// What the owner has others do.
pub(super) struct Errands {
    pub runtime: tokio::runtime::Handle,
    pub kv: Kv,
    pub ids: Ids,
    pub online: Online,
    pub term: Term,
    pub keys: Keys,
    /// The way back.
    pub requests: mpsc::Sender<Request>,
}

/// The owner.
pub(super) struct Owner {
    planner: Planner,
    book: StoreBook,
    writes: StoreWrites,
    streams: Streams,
    operators: OperatorLog,
    min_resolved: MinResolved,
    min_resolved_in_flight: bool,
    /// Wishes that wait for ids.
    waiting: VecDeque<Waiting>,
    ids_in_flight: bool,
    stores: Arc<ArcSwap<Stores>>,
    errands: Errands,
    metrics: Arc<Metrics>,
    cluster_id: u64,
    /// The cluster version that the configuration had when it was looked at last.
    configured_version: Version,
    load: Arc<OwnerLoad>,
    began: Instant,
}

impl Owner {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { planner, book, weights, min_resolved, stores, errands, metrics, cluster_id, load } =
            parts;
        let mut owner = Self {
            planner,
            book,
            writes: StoreWrites::default(),
            streams: Streams::default(),
            operators: OperatorLog::new(Epoch { wall_ns: wall_clock_ns() }),
            min_resolved,
            min_resolved_in_flight: false,
            waiting: VecDeque::new(),
            ids_in_flight: false,
            stores,
            metrics,
            cluster_id,
            configured_version: errands.online.now().cluster_version(),
            errands,
            load,
            began: Instant::now(),
        };
        for record in owner.book.table().clone().values() {
            owner.tell_planner(&record.meta);
        }
        for (store, weights) in weights {
            if let Err(refusal) = owner.weigh(store, weights) {
                warn!(store = store.0, %refusal, "the planner cannot take this store's weights");
            }
        }
        owner
    }

    /// The loop; returns when the tenure is over.
    pub(super) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        mut heartbeats: mpsc::Receiver<HeartbeatBatch>,
        over: CancellationToken,
    ) {
        let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
        let mut node_states =
            tokio::time::interval_at(tokio::time::Instant::now() + NODE_STATES, NODE_STATES);
        let mut asked = Vec::with_capacity(ROUND_REQUESTS);
        let mut batches = Vec::with_capacity(ROUND_BATCHES);
        loop {
            let wake = self.began + Duration::from_millis(self.planner.next_wakeup().0);
            tokio::select! {
                biased;
                () = over.cancelled() => break,
                _ = requests.recv_many(&mut asked, ROUND_REQUESTS) => {}
                _ = heartbeats.recv_many(&mut batches, ROUND_BATCHES) => {}
                () = tokio::time::sleep_until(wake.into()) => {}
                _ = housekeeping.tick() => self.keep_min_resolved(),
                _ = node_states.tick() => self.judge_node_states(),
            }
            // Whatever woke us: heartbeats may have come meanwhile, and a flood of requests must not starve them.
            while batches.len() < ROUND_BATCHES
                && let Ok(batch) = heartbeats.try_recv()
            {
                batches.push(batch);
            }
            let began = Instant::now();
            for request in asked.drain(..) {
                self.handle(request);
            }
            for batch in batches.drain(..) {
                self.handle_heartbeats(batch);
            }
            let now = self.now();
            if now >= self.planner.next_wakeup() {
                self.planner.tick(now);
            }
            self.load.count(began.elapsed());
            self.carry_out();
            self.write_next();
        }
        debug!("cluster owner ends with its tenure");
    }

    fn now(&self) -> Time {
        Time(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn handle(&mut self, request: Request) {
        let now = self.now();
        match request {
            Request::Store(wish) => self.writes.push(wish),
            Request::MinResolved(reply) => {
                let _ = reply.send(self.min_resolved.view());
            }
            Request::StoreHeartbeat { stats, reply } => {
                let _ = reply.send(self.store_heartbeat(now, *stats));
            }
            Request::MinResolvedTs { store, ts, reply } => {
                let known = self.book.get(store).map(|_| ()).map_err(CallError::from);
                if known.is_ok() {
                    self.min_resolved.report(store, ts);
                }
                let _ = reply.send(known);
            }
            Request::StreamBound { store, outbox } => {
                if self.streams.bind(store, outbox) {
                    self.metrics.per_store().bound(store);
                    self.planner.handle_stream_opened(now, StoreId(store));
                }
                self.metrics.heartbeat_streams.store(self.streams.len(), Relaxed);
            }
            Request::StreamClosed { store, outbox } => {
                if self.streams.unbind(store, &outbox) {
                    self.planner.handle_stream_closed(now, StoreId(store));
                }
                self.metrics.heartbeat_streams.store(self.streams.len(), Relaxed);
            }
            Request::AskSplit(ask) => self.ask_split(ask),
            Request::AddOperator(ask) => self.add_operator(ask),
            Request::Operators(reply) => {
                let record = |view| self.running(view);
                let _ = reply.send(self.planner.operators().map(record).collect());
            }
            Request::OperatorOf { region, reply } => {
                let running = self.planner.operator(region).map(|view| self.running(view));
                let _ = reply.send(running.or_else(|| self.operators.record(region, now)));
            }
            Request::OperatorRecords(reply) => {
                let _ = reply.send(self.operators.records(now));
            }
            Request::Reconfigure(reply) => {
                self.reconfigure(now);
                if let Some(reply) = reply {
                    let _ = reply.send(());
                }
            }
            Request::StoreWeights { store, weights, reply } => {
                let _ = reply.send(self.weigh(StoreId(store), weights).map_err(CallError::from));
            }
            Request::Plan(work) => work(&mut self.planner, now),
            Request::Summaries(reply) => {
                let ids = self.book.table().keys();
                let _ =
                    reply.send(ids.filter_map(|id| self.planner.store_summary(now, StoreId(*id))).collect());
            }
            Request::OperatorLog(reply) => {
                let _ = reply.send(self.operators.lines());
            }
            Request::StoreWritten(result) => self.store_written(result),
            Request::MinResolvedWritten { ts, result } => {
                self.min_resolved_in_flight = false;
                match result {
                    Ok(()) => self.min_resolved.persisted(ts),
                    Err(error) => {
                        warn!(%error, ts, "minimum of resolved timestamps not written, tried again");
                    }
                }
            }
            Request::IdsReserved(result) => self.ids_reserved(now, result),
        }
    }

    fn handle_heartbeats(&mut self, batch: HeartbeatBatch) {
        let now = self.now();
        let began = Instant::now();
        let refused = self.planner.handle_region_heartbeats(now, &batch.reports);
        let (all, not_taken) = (batch.reports.len() as u64, refused.len() as u64);
        self.metrics.region_heartbeats.inc_by(all - not_taken);
        // All reports of a batch came on the stream of one store.
        if let Some(report) = batch.reports.first() {
            let (store, took) = (report.leader.store.0, began.elapsed());
            self.metrics.per_store().region_heartbeats(store, all - not_taken, not_taken, took);
        }
        for (place, refusal) in refused {
            let report = &batch.reports[place];
            debug!(region = report.meta.id.0, store = report.leader.store.0, %refusal, "region heartbeat refused");
            batch.outbox.offer(RegionHeartbeatResponse {
                header: Some(header::refused(self.cluster_id, ErrorType::Unknown, refusal.to_string())),
                target_peer: Some(wire::peer_to_wire(&report.leader)),
                ..Default::default()
            });
        }
        if let Some(handled) = batch.handled {
            let _ = handled.send(());
        }
    }

    fn store_heartbeat(&mut self, now: Time, stats: pdpb::StoreStats) -> Result<StoreAnswer, CallError> {
        let (id, began) = (stats.store_id, Instant::now());
        let told = wire::store_stats(&stats);
        let state = self.book.heartbeat(wall_clock_ns(), stats)?.meta.node_state();
        if let Err(refusal) = self.planner.handle_store_heartbeat(now, told) {
            warn!(store = id, %refusal, "planner and book disagree about a store");
        }
        if self.book.heartbeat_to_persist(id).is_some() {
            self.writes.push(Wish::Heartbeat(id));
        }
        self.publish();
        self.metrics.store_heartbeats.inc();
        self.metrics.per_store().store_heartbeat(id, began.elapsed());
        Ok(StoreAnswer { cluster_version: self.book.cluster_version().to_string(), state })
    }

    fn store_written(&mut self, result: Result<bool, crate::state::KvError>) {
        if let Err(error) = &result {
            warn!(%error, "a store's record was not written");
        }
        if let Some(written) = self.writes.written(result, &mut self.book) {
            self.tell_planner(&written.meta);
            self.follow_version();
            self.publish();
            written.tell();
        }
    }

    fn tell_planner(&mut self, meta: &proto::metapb::Store) {
        let now = self.now();
        if let Err(refusal) = self.planner.handle_store_meta(now, wire::store_meta(meta)) {
            warn!(store = meta.id, %refusal, "the planner cannot take this store");
        }
    }

    fn publish(&self) {
        self.stores.store(Arc::new(Stores {
            table: Arc::clone(self.book.table()),
            cluster_version: self.book.cluster_version().clone(),
        }));
    }

    fn running(&self, view: OperatorView) -> OperatorRecord {
        let epoch = self.operators.epoch();
        OperatorRecord { view, status: OperatorStatus::Running, finished: None, epoch }
    }

    /// Goes by the newest configuration that was read: who asks for this has seen to that.
    fn reconfigure(&mut self, now: Time) {
        let settings = self.errands.online.now();
        self.planner.handle_config(now, settings.planner_config());
        self.follow_version();
        self.publish();
    }

    /// The cluster version is what the configuration says, and only that: what a store's own record raised is there as
    /// well by now. One that was read before the book is older than the book.
    fn follow_version(&mut self) {
        let version = self.errands.online.now().cluster_version();
        if version != self.configured_version {
            self.configured_version = version.clone();
            self.book.set_cluster_version(version);
        }
    }

    fn weigh(&mut self, store: StoreId, weights: StoreWeights) -> Result<(), Refusal> {
        let now = self.now();
        self.planner.handle_store_weights(now, store, weights)
    }

    /// Carries out what the planner wants, in order.
    fn carry_out(&mut self) {
        while let Some(effect) = self.planner.poll_effect() {
            match effect {
                Effect::Command(command) => {
                    let message = wire::command(header::header(self.cluster_id), &command);
                    let sent = self.streams.send(command.store.0, message);
                    self.metrics.per_store().command(command.store.0, sent == Sent::Ok);
                    if sent != Sent::Ok {
                        debug!(store = command.store.0, region = command.region.0, ?sent, "command dropped");
                    }
                }
                Effect::NeedIds(count) => self.reserve_ids(count),
                Effect::Operator(event) => {
                    self.metrics.operator(&event);
                    self.operators.write(event);
                }
                Effect::Store(StoreEvent::Buried(store)) => self.writes.push(Wish::Bury(store.0)),
            }
        }
    }

    /// Proposes the next change of a store, if one waits and none is under way.
    fn write_next(&mut self) {
        let errands = &self.errands;
        let max_replicas = self.planner.config().max_replicas;
        let Some(next) = self.writes.next(&self.book, &errands.keys, max_replicas) else { return };
        let (kv, keys, term) = (errands.kv.clone(), errands.keys.clone(), errands.term);
        let (online, requests) = (errands.online.clone(), errands.requests.clone());
        errands.runtime.spawn(async move {
            let result = next.write(&kv, term, keys).await;
            // It may have raised the cluster version: whoever is answered afterwards is to see that.
            online.refreshed().await;
            let _ = requests.send(Request::StoreWritten(result)).await;
        });
    }

    fn keep_min_resolved(&mut self) {
        if self.min_resolved_in_flight {
            return;
        }
        let Some(ts) = self.min_resolved.grown(self.book.table()) else { return };
        self.min_resolved_in_flight = true;
        let errands = &self.errands;
        let (kv, term, requests) = (errands.kv.clone(), errands.term, errands.requests.clone());
        let txn = Txn::of(vec![Op::put(errands.keys.min_resolved_ts(), keys::encode_hex(ts))]);
        errands.runtime.spawn(async move {
            let result = kv.txn(term, txn).await.map(|_| ());
            let _ = requests.send(Request::MinResolvedWritten { ts, result }).await;
        });
    }

    /// Puts stores into service that are filled, or for which there is nothing to wait.
    fn judge_node_states(&mut self) {
        let now = self.now();
        let preparing = self.errands.online.now().duration("schedule.max-store-preparing-time");
        let fill = Fill {
            preparing_max_s: i64::try_from(preparing.as_secs()).unwrap_or(i64::MAX),
            regions: self.planner.reader().len(),
            is_prepared: self.planner.is_prepared(),
            size_of: |id| self.planner.store_summary(now, StoreId(id)).map_or(0, |s| s.region_size_bytes),
        };
        for id in fill.ready(&self.book, wall_clock_ns() / 1_000_000_000) {
            self.writes.push(Wish::Serve(id));
        }
    }
}
