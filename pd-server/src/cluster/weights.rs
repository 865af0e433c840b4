//! Weights of stores: how much each shall have compared with others. Kept as decimal text, as tikv/pd does.

use bytes::Bytes;
use scheduler::{StoreWeights, Weight};
use tracing::warn;

use super::requests::{CallError, Request};
use super::{Cluster, Tenure};
use crate::keys::Keys;
use crate::state::{Kv, KvError, Op, Txn};

impl Cluster {
    /// Gives a store other weights. Returns once they are durable and the planner goes by them.
    pub async fn weigh_store(
        &self,
        tenure: &Tenure,
        store: u64,
        leader: f64,
        region: f64,
    ) -> Result<(), CallError> {
        // Told in the order in which they are written.
        let _one = self.weighing.lock().await;
        // Rust prints the shortest decimal form without an exponent: what tikv/pd writes.
        let txn = Txn::of(vec![
            Op::put(tenure.keys.store_leader_weight(store), leader.to_string()),
            Op::put(tenure.keys.store_region_weight(store), region.to_string()),
        ]);
        tenure.pd.kv.txn(tenure.term, txn).await?;
        let weights = StoreWeights { leader: Weight::from_f64(leader), region: Weight::from_f64(region) };
        self.call(|reply| Request::StoreWeights { store, weights, reply }).await
    }
}

/// The weights of a store as they are kept. Those that cannot be read count as 1, and the log says so.
pub(super) fn load(kv: &Kv, keys: &Keys, store: u64) -> StoreWeights {
    let weight = |key: Bytes| -> Result<Weight, KvError> {
        let Some(found) = kv.get(&key)? else { return Ok(Weight::default()) };
        let text = String::from_utf8_lossy(&found.value).into_owned();
        let weight =
            text.parse().map_err(|_| KvError::Storage(format!("the weight {text:?} is no number")))?;
        Ok(Weight::from_f64(weight))
    };
    let read = || -> Result<StoreWeights, KvError> {
        let leader = weight(keys.store_leader_weight(store))?;
        Ok(StoreWeights { leader, region: weight(keys.store_region_weight(store))? })
    };
    read().unwrap_or_else(|error| {
        warn!(store, %error, "the store's weights cannot be read: they count as 1");
        StoreWeights::default()
    })
}
