//! One process: a connection to PD and one or more Stores.

use std::time::Duration;

use pd_client::Client;
use tracing::warn;

use crate::store::{Prepared, StoreError};
use crate::{ConfigError, NodeConfig, Store};

/// Between two tries to find PD; it is waited for without end, as a TiKV waits.
const PD_PAUSE: Duration = Duration::from_millis(300);

/// Why a Node did not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Its configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// PD cannot be this Node's.
    #[error(transparent)]
    Pd(#[from] pd_client::Error),
    /// One of its Stores.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A running Node.
pub struct Node {
    stores: Vec<Store>,
}

impl Node {
    /// Takes folders and addresses, finds PD and brings all Stores up. If one fails, those already up are stopped again.
    pub async fn start(config: NodeConfig) -> Result<Self, NodeError> {
        config.validate()?;
        let mut prepared = Vec::with_capacity(config.stores.len());
        for store in config.stores {
            prepared.push(Prepared::new(store).await?);
        }
        let pd = find_pd(&config.pd_endpoints).await?;
        let mut node = Self { stores: Vec::with_capacity(prepared.len()) };
        for store in prepared {
            match Store::start(store, config.tuning.clone(), pd.clone()).await {
                Ok(store) => node.stores.push(store),
                Err(error) => {
                    node.stop().await;
                    return Err(error.into());
                }
            }
        }
        Ok(node)
    }

    /// Its Stores, in the order of the configuration.
    pub fn stores(&self) -> &[Store] {
        &self.stores
    }

    /// Stops all Stores side by side.
    pub async fn stop(self) {
        futures::future::join_all(self.stores.into_iter().map(Store::stop)).await;
    }
}

async fn find_pd(endpoints: &[String]) -> Result<Client, pd_client::Error> {
    loop {
        match Client::connect(endpoints).await {
            Err(error @ pd_client::Error::Deadline { .. }) => {
                warn!(%error, "PD is not there yet; going on trying");
                tokio::time::sleep(PD_PAUSE).await;
            }
            found => return found,
        }
    }
}
