//! Stores: registration, look-up, heartbeats.

use std::sync::Arc;

use proto::{metapb::NodeState, pdpb as wire};
use tonic::Status;

use super::header::Refusal;
use crate::cluster::{CallError, StoreRefusal, Tenure, text};

/// One store with its last heartbeat. The text of a miss contains "not found", which stores look for.
pub async fn get_store(
    tenure: Arc<Tenure>,
    request: wire::GetStoreRequest,
) -> Result<wire::GetStoreResponse, Refusal> {
    let stores = tenure.cluster()?.stores();
    let id = request.store_id;
    let found = stores.table.get(&id);
    let record = found.ok_or_else(|| Refusal::unknown(format!("invalid store ID {id}, not found")))?;
    Ok(wire::GetStoreResponse { header: None, store: Some(record.meta.clone()), stats: record.stats.clone() })
}

/// All stores, by id.
pub async fn get_all_stores(
    tenure: Arc<Tenure>,
    request: wire::GetAllStoresRequest,
) -> Result<wire::GetAllStoresResponse, Refusal> {
    let stores = tenure.cluster()?.stores();
    let shown = stores.table.values().map(|record| &record.meta);
    let shown =
        shown.filter(|meta| !(request.exclude_tombstone_stores && meta.node_state() == NodeState::Removed));
    Ok(wire::GetAllStoresResponse { header: None, stores: shown.cloned().collect() })
}

/// A store registers.
pub async fn put_store(
    tenure: Arc<Tenure>,
    request: wire::PutStoreRequest,
) -> Result<wire::PutStoreResponse, Refusal> {
    let cluster = tenure.cluster()?;
    cluster.put_store(request.store.unwrap_or_default()).await?;
    Ok(wire::PutStoreResponse { header: None, replication_status: Some(Default::default()) })
}

/// A store heartbeat. One without stats is no heartbeat.
pub async fn store_heartbeat(
    tenure: Arc<Tenure>,
    request: wire::StoreHeartbeatRequest,
) -> Result<wire::StoreHeartbeatResponse, Refusal> {
    let Some(stats) = request.stats else {
        let printed = text::Header(request.header.as_ref());
        return Err(Status::unknown(format!("invalid store heartbeat command, but {printed}")).into());
    };
    let cluster = tenure.cluster()?;
    let answer = cluster.store_heartbeat(stats).await.map_err(|error| match error {
        CallError::Store(StoreRefusal::NotFound(id)) => Refusal::unknown(format!("store {id} not found")),
        other => other.into(),
    })?;
    Ok(wire::StoreHeartbeatResponse {
        replication_status: Some(Default::default()),
        cluster_version: answer.cluster_version,
        state: answer.state.into(),
        ..Default::default()
    })
}
