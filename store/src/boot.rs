//! How a Store comes into its cluster, in the order in which a TiKV does it: its id, the cluster's first Region if
//! there is none, its announcement, the other Stores.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use pd_client::Client;
use prost::Message;
use proto::metapb::{self, Region, RegionEpoch};
use proto::pdpb::ErrorType;
use tracing::{info, warn};

use crate::engine::{Batch, Engine};
use crate::ident::{DataDir, FolderError};
use crate::region::{RegionState, RegionStates, birth, region_id};
use crate::{Ident, PeerId, StoreId};

/// Where the first Region waits until PD has agreed to it.
const PREPARED: &[u8] = b"p";

/// Why a Store did not come up.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// Its folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// PD's refusal, in PD's words.
    #[error(transparent)]
    Pd(#[from] pd_client::Error),
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

/// The cluster has a first Region: ours, if PD has the one that we prepared.
async fn settle(engine: &Arc<dyn Engine>, pd: &Client, state: RegionState) -> Result<(), BootError> {
    let first = pd.get_region(Bytes::new()).await?;
    if first.is_some_and(|route| Some(&route.region) == state.region.as_ref()) {
        keep(engine, &state)?;
    } else {
        info!("another store was first to bootstrap the cluster");
        let mut batch = Batch::default();
        batch.delete(PREPARED.to_vec());
        engine.write(batch)?;
        engine.sync()?;
    }
    Ok(())
}

fn keep(engine: &Arc<dyn Engine>, state: &RegionState) -> io::Result<()> {
    let mut batch = Batch::default();
    batch.delete(PREPARED.to_vec());
    state.put(&mut batch);
    engine.write(batch)?;
    engine.sync()
}
