//! Where other Stores are, as PD says, and how Raft's messages find them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use prost::Message;
use raft_core::{Destination, Router};
use tokio::sync::Notify;
use tracing::{debug, warn};

use crate::inbound::EnvelopeContext;
use crate::{PeerId, RegionId, StoreCore, StoreId};

/// Between two looks at PD's list of Stores: addresses change only when a Store moves.
const REFRESH: Duration = Duration::from_secs(10);
/// Between two looks because a Store was not found.
const REFRESH_MISSING: Duration = Duration::from_millis(500);

/// The Stores' addresses.
#[derive(Default)]
pub struct Addresses {
    known: RwLock<HashMap<StoreId, String>>,
    missing: Notify,
}

impl Addresses {
    /// Where a Store is; an unknown one is asked for in the background.
    pub fn get(&self, store: StoreId) -> Option<String> {
        let found = self.known.read().get(&store).cloned();
        if found.is_none() {
            self.missing.notify_one();
        }
        found
    }

    /// Takes PD's list in place of the one before.
    pub fn replace(&self, stores: Vec<proto::metapb::Store>) {
        let list = stores.into_iter().map(|store| {
            let address = if store.peer_address.is_empty() { store.address } else { store.peer_address };
            (StoreId(store.id), address)
        });
        *self.known.write() = list.collect();
    }

    /// Keeps the list up to date until dropped.
    pub async fn follow(self: Arc<Self>, pd: pd_client::Client) {
        loop {
            tokio::select! {
                () = self.missing.notified() => tokio::time::sleep(REFRESH_MISSING).await,
                () = tokio::time::sleep(REFRESH) => {}
            }
            match pd.get_all_stores(false).await {
                Ok(stores) => self.replace(stores),
                Err(error) => warn!(%error, "no list of stores from PD; going on with the one at hand"),
            }
        }
    }
}

/// The address book of one Store's groups.
pub struct RegionRouter {
    core: Arc<StoreCore>,
    addresses: Arc<Addresses>,
}

impl RegionRouter {
    /// Routes for the Regions of `core`.
    pub fn new(core: Arc<StoreCore>, addresses: Arc<Addresses>) -> Self {
        Self { core, addresses }
    }
}

impl Router for RegionRouter {
    fn route(&self, group: u64, to: u64) -> Option<Destination> {
        let peer = self.core.regions.get(RegionId(group))?;
        let Some(store) = peer.store_of(PeerId(to)) else {
            debug!(store = %self.core.id, region = group, to, "no one knows where that peer lives; asking PD");
            self.core.signals.doubtful.add(RegionId(group));
            return None;
        };
        Some(Destination {
            address: self.addresses.get(store)?,
            context: context(&self.core, &peer, store, false),
        })
    }
}

/// What every envelope carries besides its Raft message.
pub fn context(core: &StoreCore, peer: &crate::region::Peer, to: StoreId, removed: bool) -> Bytes {
    // An empty peer knows its Region by hearsay only; saying it on would let it grow old.
    let region = (peer.generation().is_some()).then(|| peer.region().as_ref().clone());
    let context = EnvelopeContext { from_store: core.id.0, to_store: to.0, region, removed };
    context.encode_to_vec().into()
}
