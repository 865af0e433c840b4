//! The cluster: what this member keeps and plans while it leads. The owner thread has the planner by value; handlers
//! send it requests, and read Regions and stores from what it publishes.

mod bootstrap;
mod buckets;
mod clock;
mod load;
mod min_resolved;
mod node_states;
mod operator_log;
pub(crate) mod operators;
mod owner;
mod requests;
mod routes;
mod store_writes;
mod stores;
mod streams;
mod tenure;
pub(crate) mod text;
mod version;
mod weights;
pub(crate) mod wire;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use prost::Message;
use proto::{metapb, pdpb};
use scheduler::{OperatorEvent, Planner, RegionEpoch, RegionId, SplitGrant, StoreId, StoreSummary, Time};
use semver::Version;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{error, info};

pub use bootstrap::BadBootstrap;
pub use buckets::{Buckets, Reported};
pub(crate) use clock::wall_clock_ns;
pub use load::{Depth, LoadView};
pub use min_resolved::MinResolvedView;
pub use operators::{OperatorRecord, OperatorStatus};
pub use requests::{
    AskOperator, AskSplit, CallError, HEARTBEATS_PER_BATCH_MAX, HeartbeatBatch, Reply, Request, StoreAnswer,
};
pub use routes::Routes;
pub use store_writes::{LabelChange, Wish};
pub use stores::{Liveness, StoreRecord, StoreRefusal, StoreTable};
pub use streams::Outbox;
pub use tenure::{Tenure, Tenures};
pub(crate) use version::parse as parse_version;
pub use version::{BadVersion, knows_batch_split};

use crate::config::Online;
use crate::keys::{self, Keys};
use crate::leadership::Term;
use crate::metrics::Metrics;
use crate::pd::Pd;
use crate::state::{KeyRange, KvError, Revision};
use load::OwnerLoad;
use min_resolved::MinResolved;
use owner::{Errands, Owner, Parts};
use stores::StoreBook;

/// The stores as published by the owner: one immutable version.
#[derive(Debug)]
pub struct Stores {
    /// All stores by id.
    pub table: Arc<StoreTable>,
    /// The least version of all stores that are not removed.
    pub cluster_version: Version,
}

impl Stores {
    /// This store is there and not removed.
    pub fn has(&self, id: u64) -> bool {
        self.table.get(&id).is_some_and(|record| record.meta.node_state() != metapb::NodeState::Removed)
    }

    /// The ids of the stores that are not removed.
    pub fn present(&self) -> Vec<u64> {
        self.table.keys().copied().filter(|id| self.has(*id)).collect()
    }

    /// The greatest version of all stores that are not removed.
    pub fn newest_version(&self) -> Option<Version> {
        let present = self.table.values().map(|record| &record.meta).filter(|meta| self.has(meta.id));
        present.filter_map(|meta| version::parse(&meta.version).ok()).max()
    }
}

/// The way to a running cluster owner. Its thread ends when this is dropped or the tenure is over.
pub struct Cluster {
    requests: mpsc::Sender<Request>,
    heartbeats: mpsc::Sender<HeartbeatBatch>,
    regions: Routes,
    stores: Arc<ArcSwap<Stores>>,
    online: Online,
    owner_load: Arc<OwnerLoad>,
    // One change of weights at a time, so that the planner learns them in their order.
    weighing: tokio::sync::Mutex<()>,
    _over: DropGuard,
}

impl Cluster {
    /// Loads what is kept of the cluster and starts its owner. `None` before it is bootstrapped.
    ///
    /// It reads the disk, so it is called on a thread that may wait, of a runtime. `over` ends it; if the owner dies of a defect, `over` is cancelled by it.
    fn start(
        pd: &Pd,
        term: Term,
        keys: &Keys,
        metrics: &Arc<Metrics>,
        over: &CancellationToken,
    ) -> Result<Option<Self>, KvError> {
        if pd.kv.get(&keys.cluster())?.is_none() {
            return Ok(None);
        }
        let stores = load_stores(pd, keys)?;
        let first = routes::first_region(&pd.kv, keys, &stores)?;
        let cluster_version = store_writes::read_cluster_version(&pd.kv, keys)?;
        let min_resolved = load_min_resolved(pd, keys)?;
        let seed = rand::random::<u64>();
        info!(term = term.0, seed, stores = stores.len(), %cluster_version, "cluster owner starts");
        // Before the settings are read: what changes meanwhile is told.
        let changes = pd.online.changes();
        let settings = pd.online.now();
        let weights = stores.iter().map(|meta| (StoreId(meta.id), weights::load(&pd.kv, keys, meta.id)));
        let weights = weights.collect();
        let planner = Planner::new(settings.planner_config(), seed, Time(0));
        let regions = Routes::new(planner.reader(), first);
        let book = StoreBook::new(stores, cluster_version.clone());
        let published = Stores { table: Arc::clone(book.table()), cluster_version };
        let stores = Arc::new(ArcSwap::from_pointee(published));
        let (requests, asked) = mpsc::channel(requests::REQUESTS_MAX);
        let (heartbeats, batches) = mpsc::channel(requests::BATCHES_MAX);
        let owner_load = Arc::new(OwnerLoad::default());
        let owner = Owner::new(Parts {
            planner,
            book,
            weights,
            min_resolved,
            stores: Arc::clone(&stores),
            errands: Errands {
                runtime: tokio::runtime::Handle::current(),
                kv: pd.kv.clone(),
                ids: pd.ids.clone(),
                online: pd.online.clone(),
                term,
                keys: keys.clone(),
                requests: requests.clone(),
            },
            metrics: Arc::clone(metrics),
            cluster_id: pd.cluster_id(),
            load: Arc::clone(&owner_load),
        });
        spawn_owner(owner, asked, batches, over.clone())?;
        tokio::spawn(over.clone().run_until_cancelled_owned(hand_over_changes(requests.clone(), changes)));
        Ok(Some(Self {
            requests,
            heartbeats,
            regions,
            stores,
            online: pd.online.clone(),
            owner_load,
            weighing: tokio::sync::Mutex::default(),
            _over: over.clone().drop_guard(),
        }))
    }

    /// Looks Regions up, without a hop to the owner.
    pub fn regions(&self) -> &Routes {
        &self.regions
    }

    /// The stores as of now.
    pub fn stores(&self) -> Arc<Stores> {
        self.stores.load_full()
    }

    /// No operator is made and no split granted.
    pub fn halted(&self) -> bool {
        self.online.now().halt_scheduling()
    }

    /// Silence after which a store counts as down.
    pub fn max_store_down_time(&self) -> Duration {
        self.online.now().max_store_down_time()
    }

    /// Returns once the owner plans by the configuration that was read last, or its tenure is over.
    pub async fn reconfigured(&self) {
        let (done, answer) = oneshot::channel();
        if self.requests.send(Request::Reconfigure(Some(done))).await.is_ok() {
            let _ = answer.await;
        }
    }

    /// Where batches of Region heartbeats go.
    pub fn heartbeats(&self) -> &mpsc::Sender<HeartbeatBatch> {
        &self.heartbeats
    }

    /// Tells the owner something that has no answer.
    pub async fn tell(&self, request: Request) {
        let _ = self.requests.send(request).await;
    }

    /// A store heartbeat.
    pub async fn store_heartbeat(&self, stats: pdpb::StoreStats) -> Result<StoreAnswer, CallError> {
        self.call(|reply| Request::StoreHeartbeat { stats: Box::new(stats), reply }).await
    }

    /// A store's smallest resolved timestamp.
    pub async fn report_min_resolved_ts(&self, store: u64, ts: u64) -> Result<(), CallError> {
        self.call(|reply| Request::MinResolvedTs { store, ts, reply }).await
    }

    /// Ids for the pieces of a split.
    pub async fn ask_split(
        &self,
        region: RegionId,
        epoch: RegionEpoch,
        count: u64,
    ) -> Result<SplitGrant, CallError> {
        self.call(|reply| Request::AskSplit(AskSplit { region, epoch, count, reply })).await
    }

    /// Has the owner do something with its planner, between two events: a question, or a wish of an administrator. The
    /// work is to be short: heartbeats wait for it.
    pub async fn plan<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Planner, Time) -> T + Send + 'static,
    ) -> Result<T, CallError> {
        self.ask(|reply| {
            Request::Plan(Box::new(move |planner, now| {
                // That nobody waits any more is no error.
                let _ = reply.send(work(planner, now));
            }))
        })
        .await
    }

    /// The numbers of all stores.
    pub async fn summaries(&self) -> Result<Vec<StoreSummary>, CallError> {
        self.ask(Request::Summaries).await
    }

    /// The newest lines of the operator log, oldest first.
    pub async fn operator_log(&self) -> Result<Vec<OperatorEvent>, CallError> {
        self.ask(Request::OperatorLog).await
    }

    async fn call<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, CallError> {
        self.ask(request).await?
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, CallError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| CallError::Over)?;
        answer.await.map_err(|_| CallError::Over)
    }
}

/// Tells the owner of each change of the configuration, also of temporary values that are over.
async fn hand_over_changes(requests: mpsc::Sender<Request>, mut changes: watch::Receiver<Revision>) {
    while changes.changed().await.is_ok() {
        if requests.send(Request::Reconfigure(None)).await.is_err() {
            return;
        }
    }
}

fn load_stores(pd: &Pd, keys: &Keys) -> Result<Vec<metapb::Store>, KvError> {
    let found = pd.kv.range(&KeyRange::between(keys.stores(), keys.stores_end()), 0, None)?;
    let decode = |kv: crate::state::KeyValue| {
        metapb::Store::decode(kv.value)
            .map_err(|error| KvError::Storage(format!("{}: {error}", String::from_utf8_lossy(&kv.key))))
    };
    found.kvs.into_iter().map(decode).collect()
}

fn load_min_resolved(pd: &Pd, keys: &Keys) -> Result<MinResolved, KvError> {
    let durable = match pd.kv.get(&keys.min_resolved_ts())? {
        Some(found) => keys::decode_hex(&found.value)
            .map_err(|error| KvError::Storage(format!("min_resolved_ts: {error}")))?,
        None => 0,
    };
    Ok(MinResolved::new(durable))
}

/// Starts the owner's thread. It has a small runtime of its own for waiting, so that no other work delays it.
fn spawn_owner(
    owner: Owner,
    requests: mpsc::Receiver<Request>,
    heartbeats: mpsc::Receiver<HeartbeatBatch>,
    over: CancellationToken,
) -> Result<(), KvError> {
    let failed = |error: std::io::Error| KvError::Storage(format!("cannot start the cluster owner: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
    let work = move || {
        // Whatever ends this thread ends the tenure: a member without an owner must not go on answering.
        let guard = over.clone().drop_guard();
        runtime.block_on(owner.run(requests, heartbeats, over));
        drop(guard);
    };
    std::thread::Builder::new().name("cluster".to_owned()).spawn(work).map(|_| ()).map_err(|error| {
        error!(%error, "no thread for the cluster owner");
        failed(error)
    })
}
