//! How a Store comes into its cluster, in the order in which a TiKV does it: its id, the cluster's first Region if
//! there is none, its announcement, the other Stores.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pd_client::Client;
use prost::Message;
use proto::metapb::{self, Region, RegionEpoch};
use proto::pdpb::ErrorType;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::engine::{Batch, Engine};
use crate::ident::{DataDir, FolderError};
use crate::region::{RegionState, RegionStates, birth, region_id};
use crate::{Ident, PeerId, RegionId, StoreId};

/// Where the first Region waits until PD has agreed to it.
const PREPARED: &[u8] = b"p";

/// How long PD may name no Region at all in a bootstrapped cluster: longer than a store needs to tell a new leader of PD of
/// its Regions (at once), or an unchanged one (each 60 s).
const FIRST_REGION_WAIT: Duration = Duration::from_secs(90);

/// Pause before PD is asked again.
const FIRST_REGION_PAUSE: Duration = Duration::from_millis(200);

/// Why a Store did not come up.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// Its folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// PD's refusal, in PD's words.
    #[error(transparent)]
    Pd(#[from] pd_client::Error),
    /// PD has a cluster and knows no Region of it.
    #[error(
        "the cluster is bootstrapped but the placement driver names no region, so whether region {0}, prepared here, is the \
         first one cannot be told: it is kept; start again once a store of the cluster runs"
    )]
    NoFirstRegion(RegionId),
    /// Its data cannot be read or written.
    #[error("store data: {0}")]
    Engine(#[from] io::Error),
}

/// The ident of the folder; a fresh folder gets an id from PD.
pub async fn ident(dir: &DataDir, pd: &Client) -> Result<Ident, BootError> {
    let cluster_id = pd.cluster_id();
    if let Some(ident) = dir.ident(cluster_id)? {
        info!(store = ident.store_id, dir = %dir.path().display(), "store found in its folder");
        return Ok(ident);
    }
    let ident = Ident { cluster_id, store_id: pd.alloc_id().await? };
    dir.write_ident(ident)?;
    info!(store = ident.store_id, dir = %dir.path().display(), "new store");
    Ok(ident)
}

/// Creates the cluster's first Region here if the cluster has none.
///
/// It is written down before PD is asked: if the answer is lost, the same one is offered again, and if PD has it, it
/// is ours.
pub async fn bootstrap(
    engine: &Arc<dyn Engine>,
    pd: &Client,
    store: &metapb::Store,
) -> Result<(), BootError> {
    let states = RegionStates::new(engine.clone());
    let prepared = engine.get(PREPARED)?.map(RegionState::decode).transpose().map_err(io::Error::other)?;
    if pd.is_bootstrapped().await? {
        // The answer of a former run may be lost, or the run ended before it had taken the Region over.
        if let Some(state) = prepared {
            settle(engine, pd, state).await?;
        }
        return Ok(());
    }
    if !states.all()?.is_empty() {
        // PD will refuse the store's announcement, in its own words.
        warn!(store = store.id, "PD knows of no cluster, but the folder holds regions");
        return Ok(());
    }
    let state = match prepared {
        Some(state) => state,
        None => prepare(engine, pd, StoreId(store.id)).await?,
    };
    match pd.bootstrap(store.clone(), state.region.clone().unwrap_or_default()).await {
        Ok(()) => {
            keep(engine, &state)?;
            info!(store = store.id, region = region_id(&state).0, "cluster bootstrapped");
            Ok(())
        }
        Err(error) if error.header_kind() == Some(ErrorType::AlreadyBootstrapped) => {
            settle(engine, pd, state).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn prepare(engine: &Arc<dyn Engine>, pd: &Client, store: StoreId) -> Result<RegionState, BootError> {
    let region_id = pd.alloc_id().await?;
    let peer = metapb::Peer { id: pd.alloc_id().await?, store_id: store.0, ..metapb::Peer::default() };
    let region = Region {
        id: region_id,
        region_epoch: Some(RegionEpoch { conf_ver: 1, version: 1 }),
        peers: vec![peer],
        ..Region::default()
    };
    let state = birth(region, PeerId(peer.id));
    let mut batch = Batch::default();
    batch.put(PREPARED.to_vec(), state.encode_to_vec().into());
    engine.write(batch)?;
    engine.sync()?;
    Ok(state)
}

/// The cluster has a first Region: ours, if PD names the one that we prepared. Nobody else has that one, so it is given up
/// only for another that PD names. If PD names none, another store's Region lives but has not been heard of since PD's
/// leader changed (ours would be named, as it was stored): then PD is asked again.
async fn settle(engine: &Arc<dyn Engine>, pd: &Client, state: RegionState) -> Result<(), BootError> {
    let prepared = region_id(&state);
    let until = Instant::now() + FIRST_REGION_WAIT;
    let first = loop {
        match pd.get_region(Bytes::new()).await? {
            Some(route) => break RegionId(route.region.id),
            None if Instant::now() >= until => return Err(BootError::NoFirstRegion(prepared)),
            None => sleep(FIRST_REGION_PAUSE).await,
        }
    };
    if first == prepared {
        keep(engine, &state)?;
        info!(region = prepared.0, "this store had bootstrapped the cluster");
        return Ok(());
    }
    info!(region = first.0, "another store was first to bootstrap the cluster");
    let mut batch = Batch::default();
    batch.delete(PREPARED.to_vec());
    engine.write(batch)?;
    engine.sync()?;
    Ok(())
}

fn keep(engine: &Arc<dyn Engine>, state: &RegionState) -> io::Result<()> {
    let mut batch = Batch::default();
    batch.delete(PREPARED.to_vec());
    state.put(&mut batch);
    engine.write(batch)?;
    engine.sync()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::process::{Child, Command, Stdio};

    use tempfile::TempDir;

    use super::*;
    use crate::engine::SledEngine;

    /// A real placement driver, ended when dropped.
    struct Pd {
        process: Child,
        address: String,
        _folder: TempDir,
    }

    impl Pd {
        fn start() -> Self {
            let here = std::env::current_exe().unwrap();
            let program = here.ancestors().nth(2).unwrap().join("pd-server");
            assert!(program.is_file(), "{} is missing: run `cargo build -p pd-server`", program.display());
            let folder = tempfile::tempdir().unwrap();
            let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
            let [client, peer] = held.each_ref().map(|socket| socket.local_addr().unwrap().to_string());
            drop(held);
            let process = Command::new(program)
                .args(["--name", "pd1", "--initial-cluster", &format!("pd1=http://{peer}")])
                .arg("--data-dir")
                .arg(folder.path().join("data"))
                .args([
                    "--client-urls",
                    &format!("http://{client}"),
                    "--peer-urls",
                    &format!("http://{peer}"),
                ])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            Self { process, address: client, _folder: folder }
        }

        async fn client(&self) -> Client {
            let until = Instant::now() + Duration::from_secs(30);
            loop {
                match Client::connect([&self.address]).await {
                    Ok(client) => return client,
                    Err(error) => assert!(Instant::now() < until, "{error}"),
                }
            }
        }
    }

    impl Drop for Pd {
        fn drop(&mut self) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }

    fn engine() -> (TempDir, Arc<dyn Engine>) {
        let folder = tempfile::tempdir().unwrap();
        let engine = SledEngine::open(&folder.path().join("data")).unwrap();
        (folder, Arc::new(engine))
    }

    async fn store(pd: &Client) -> metapb::Store {
        let id = pd.alloc_id().await.unwrap();
        metapb::Store {
            id,
            address: format!("127.0.0.1:{id}"),
            version: crate::STORE_VERSION.into(),
            ..metapb::Store::default()
        }
    }

    fn regions(engine: &Arc<dyn Engine>) -> Vec<RegionId> {
        RegionStates::new(engine.clone()).all().unwrap().iter().map(region_id).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_lost_answer_to_bootstrap_does_not_lose_the_first_region() {
        let pd = Pd::start();
        let client = pd.client().await;
        let (_folder, engine) = engine();
        let store = store(&client).await;
        // PD has agreed, and the store does not come to know of it.
        let prepared = prepare(&engine, &client, StoreId(store.id)).await.unwrap();
        client.bootstrap(store.clone(), prepared.region.clone().unwrap()).await.unwrap();
        assert_eq!(regions(&engine), []);
        for _ in 0..2 {
            bootstrap(&engine, &client, &store).await.unwrap();
            assert_eq!(regions(&engine), [region_id(&prepared)]);
            assert_eq!(engine.get(PREPARED).unwrap(), None);
        }
        // Another store that had prepared a Region of its own gives that up.
        let (_other_folder, other_engine) = self::engine();
        let other = self::store(&client).await;
        prepare(&other_engine, &client, StoreId(other.id)).await.unwrap();
        bootstrap(&other_engine, &client, &other).await.unwrap();
        assert_eq!(regions(&other_engine), []);
        assert_eq!(other_engine.get(PREPARED).unwrap(), None);
    }
}
