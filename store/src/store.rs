//! One Store, from its folder to its last message.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use pd_client::Client;
use prost::Message;
use proto::metapb::{self, PeerRole};
use proto::tikvpb::tikv_server::TikvServer;
use raft_core::net::{self, Gatekeeper};
use raft_core::{Runtime, RuntimeConfig};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::address::{Addresses, RegionRouter};
use crate::boot::{self, BootError};
use crate::engine::{Engine, SledEngine};
use crate::heartbeat::{self, Disk, unix_seconds};
use crate::ident::DataDir;
use crate::inbound::Door;
use crate::raw::RawService;
use crate::status::{self, Pages};
use crate::{STORE_VERSION, StoreConfig, StoreCore, StoreId, Tuning, lifecycle, operator, server, splitter};

/// Largest request: several times the largest entry, so that a client hears of `RaftEntryTooLarge` and not of a
/// broken stream.
const MAX_REQUEST_BYTES: usize = 64 << 20;
/// How long a Store that stops tries to hand its leaders over. A transfer takes milliseconds where it is possible at
/// all; where the others stop, too, waiting longer helps no one.
const HAND_OVER: Duration = Duration::from_secs(1);
/// Leaders handed over side by side.
const HAND_OVER_WIDTH: usize = 32;

/// Why a Store did not start; the text names what is wrong.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It did not come into its cluster.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// Its Raft log.
    #[error(transparent)]
    Raft(#[from] raft_core::Error),
    /// An address that it cannot listen on.
    #[error("{0}")]
    Listen(std::io::Error),
    /// Its data cannot be read or written.
    #[error("store data: {0}")]
    Engine(#[from] std::io::Error),
    /// A thread of it ended before its time.
    #[error("a task ended early: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// A Store that has its folder and its addresses, and knows no PD yet: what is wrong with these is told before any
/// waiting.
pub struct Prepared {
    config: StoreConfig,
    dir: DataDir,
    listener: TcpListener,
    status: Option<TcpListener>,
    address: String,
    status_address: String,
}

/// A running Store.
pub struct Store {
    core: Arc<StoreCore>,
    runtime: Runtime,
    tasks: JoinSet<()>,
    stop: CancellationToken,
    address: String,
    status_address: String,
    // Held last: the folder is free once all else is gone.
    _dir: DataDir,
}

impl Prepared {
    /// Takes the folder and the addresses.
    pub async fn new(config: StoreConfig) -> Result<Self, StoreError> {
        let folder = config.data_dir.clone();
        let dir =
            tokio::task::spawn_blocking(move || DataDir::open(&folder)).await?.map_err(BootError::from)?;
        let (listener, bound) = server::bind("addr", &config.addr).await.map_err(StoreError::Listen)?;
        let status = match config.status_addr.as_str() {
            "" => None,
            address => Some(server::bind("status-addr", address).await.map_err(StoreError::Listen)?),
        };
        let address = with_port(&config.advertise_addr, bound.port());
        let status_address =
            status.as_ref().map_or(String::new(), |(_, at)| with_port(&config.status_addr, at.port()));
        let status = status.map(|(listener, _)| listener);
        Ok(Self { config, dir, listener, status, address, status_address })
    }
}

impl Store {
    /// Brings a Store up: returns once its Regions run and it serves.
    pub async fn start(prepared: Prepared, tuning: Tuning, pd: Client) -> Result<Self, StoreError> {
        let Prepared { config, dir, listener, status, address, status_address } = prepared;
        let ident = boot::ident(&dir, &pd).await?;
        let path = dir.engine();
        let engine = tokio::task::spawn_blocking(move || SledEngine::open(&path)).await??;
        let engine: Arc<dyn Engine> = Arc::new(engine);
        let meta = meta(ident.store(), &config, &address, &status_address);
        boot::bootstrap(&engine, &pd, &meta).await?;
        pd.put_store(meta).await.map_err(BootError::from)?;
        let addresses = Arc::new(Addresses::default());
        addresses.replace(pd.get_all_stores(false).await.map_err(BootError::from)?);

        let core = StoreCore::new(ident.cluster_id, ident.store(), engine, tuning);
        let gate: Arc<dyn Gatekeeper> = Arc::new(Gate { cluster_id: ident.cluster_id, store: ident.store() });
        let router = Arc::new(RegionRouter::new(core.clone(), addresses.clone()));
        let transport = net::Peers::new(router, gate.clone(), tokio::runtime::Handle::current());
        let mut raft = RuntimeConfig::store(dir.raft(), format!("store-{}", ident.store_id));
        raft.tick = core.tuning.tick;
        let sender = transport.clone();
        let started = move || Runtime::start(raft, sender, Box::new(|_| {}));
        let runtime = tokio::task::spawn_blocking(started).await??;
        let handle = runtime.handle().clone();
        transport.attach(handle.clone());
        core.attach(handle.clone(), runtime.groups_on_disk());
        lifecycle::restart(&core).await?;

        let (creations, to_create) = mpsc::channel(lifecycle::MAX_CREATIONS);
        let door = Arc::new(Door::new(core.clone(), handle, transport, creations));
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(server::serve(listener, grpc(&core, door, gate), stop.clone()));
        if let Some(listener) = status {
            let data_dir = config.data_dir.display().to_string();
            let pages = Pages { core: core.clone(), address: address.clone(), data_dir };
            tasks.spawn(server::serve(listener, status::router(pages), stop.clone()));
        }
        let disk = Disk { folder: config.data_dir.clone(), capacity_bytes: config.capacity_bytes };
        tasks.spawn(addresses.follow(pd.clone()));
        tasks.spawn(lifecycle::run(core.clone(), pd.clone(), to_create));
        tasks.spawn(splitter::run(core.clone(), pd.clone()));
        tasks.spawn(heartbeat::run_regions(core.clone(), pd.clone()));
        tasks.spawn(heartbeat::run_store(core.clone(), pd, disk));
        info!(store = %core.id, address, status = status_address, regions = core.regions.len(), "store serves");
        Ok(Self { core, runtime, tasks, stop, address, status_address, _dir: dir })
    }

    /// Its id.
    pub fn id(&self) -> StoreId {
        self.core.id
    }

    /// How others reach it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where it answers HTTP; empty if nowhere.
    pub fn status_address(&self) -> &str {
        &self.status_address
    }

    /// What its parts share.
    pub fn core(&self) -> &Arc<StoreCore> {
        &self.core
    }

    /// Hands its leaders over, as far as that goes within 1 s, and ends everything.
    pub async fn stop(mut self) {
        if tokio::time::timeout(HAND_OVER, hand_over(&self.core)).await.is_err() {
            warn!(store = %self.core.id, "not all leaders could be handed over in time");
        }
        self.stop.cancel();
        self.tasks.shutdown().await;
        let (core, runtime) = (self.core, self.runtime);
        let id = core.id;
        let ended = tokio::task::spawn_blocking(move || {
            runtime.stop();
            core.engine.sync()
        });
        match ended.await {
            Ok(Ok(())) => info!(store = %id, "store stopped"),
            Ok(Err(error)) => {
                warn!(store = %id, %error, "the engine could not be synced; the raft log has it all");
            }
            Err(error) => warn!(store = %id, %error, "the store did not stop cleanly"),
        }
    }
}

/// Moves every lead to another voter.
async fn hand_over(core: &Arc<StoreCore>) {
    let Some(handle) = core.handle() else { return };
    let led = core.regions.all().into_iter().filter(|peer| peer.leads(handle));
    let moves = led.map(|peer| async move {
        let mut others = peer.region().peers.clone();
        others.retain(|other| other.id != peer.id().0 && other.role() == PeerRole::Voter);
        if others.is_empty() {
            return;
        }
        if let Err(why) = operator::transfer_lead(core, &peer, others).await {
            info!(store = %core.id, region = %peer.region_id(), why, "lead not handed over");
        }
    });
    futures::stream::iter(moves).buffer_unordered(HAND_OVER_WIDTH).collect::<Vec<()>>().await;
}

fn grpc(core: &Arc<StoreCore>, door: Arc<Door>, gate: Arc<dyn Gatekeeper>) -> axum::Router {
    let raw = TikvServer::new(RawService::new(core.clone()))
        .max_decoding_message_size(MAX_REQUEST_BYTES)
        .max_encoding_message_size(MAX_REQUEST_BYTES * 2);
    let (_, health) = tonic_health::server::health_reporter();
    let routes = tonic::service::Routes::new(raw).add_service(net::service(door, gate)).add_service(health);
    server::grpc(routes)
}

/// What PD is told of a Store.
fn meta(id: StoreId, config: &StoreConfig, address: &str, status_address: &str) -> metapb::Store {
    let program = std::env::current_exe().ok();
    let deploy_path =
        program.as_deref().and_then(std::path::Path::parent).map(|path| path.display().to_string());
    metapb::Store {
        id: id.0,
        address: address.to_owned(),
        peer_address: address.to_owned(),
        status_address: status_address.to_owned(),
        labels: config.labels.clone(),
        version: STORE_VERSION.to_owned(),
        git_hash: "Unknown git hash".to_owned(),
        start_timestamp: i64::try_from(unix_seconds()).unwrap_or_default(),
        deploy_path: deploy_path.unwrap_or_default(),
        ..metapb::Store::default()
    }
}

/// An address whose port was left to the system gets the one that the system chose.
fn with_port(address: &str, port: u16) -> String {
    match address.strip_suffix(":0") {
        Some(host) => format!("{host}:{port}"),
        None => address.to_owned(),
    }
}

/// Who a Store is to other Stores.
#[derive(Clone, PartialEq, prost::Message)]
struct Identity {
    #[prost(uint64, tag = "1")]
    cluster_id: u64,
    #[prost(uint64, tag = "2")]
    store_id: u64,
}

/// Lets only Stores of the same cluster talk Raft.
struct Gate {
    cluster_id: u64,
    store: StoreId,
}

impl Gatekeeper for Gate {
    fn greeting(&self) -> Bytes {
        Identity { cluster_id: self.cluster_id, store_id: self.store.0 }.encode_to_vec().into()
    }

    fn admit(&self, theirs: &[u8]) -> Result<(), String> {
        let theirs = Identity::decode(theirs).map_err(|error| format!("not a store's greeting: {error}"))?;
        if theirs.cluster_id != self.cluster_id {
            let (ours, theirs) = (self.cluster_id, theirs.cluster_id);
            return Err(format!("this is a store of cluster {ours}, you are of cluster {theirs}"));
        }
        if theirs.store_id == 0 {
            return Err("a store has no id 0".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_of_another_cluster_are_refused() {
        let gate = |cluster_id| Gate { cluster_id, store: StoreId(4) };
        assert!(gate(7).admit(&gate(7).greeting()).is_ok());
        let text = gate(7).admit(&gate(8).greeting()).unwrap_err();
        assert!(text.contains("cluster 7") && text.contains("cluster 8"), "{text}");
        assert!(gate(7).admit(b"\xff\xff").is_err());
    }

    #[test]
    fn a_free_port_is_told_as_it_is() {
        assert_eq!(with_port("127.0.0.1:0", 4_711), "127.0.0.1:4711");
        assert_eq!(with_port("host:20160", 4_711), "host:20160");
    }
}
