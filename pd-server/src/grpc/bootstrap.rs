//! The birth of a cluster and unique ids: what a store asks before it is one.

use std::sync::Arc;

use proto::pdpb as wire;

use super::header::Refusal;
use crate::cluster::Tenure;

/// The first store makes the cluster.
pub async fn bootstrap(
    tenure: Arc<Tenure>,
    request: wire::BootstrapRequest,
) -> Result<wire::BootstrapResponse, Refusal> {
    tenure.bootstrap(request).await?;
    Ok(wire::BootstrapResponse { replication_status: Some(Default::default()), ..Default::default() })
}

/// Whether there is a cluster.
pub async fn is_bootstrapped(
    tenure: Arc<Tenure>,
    _: wire::IsBootstrappedRequest,
) -> Result<wire::IsBootstrappedResponse, Refusal> {
    Ok(wire::IsBootstrappedResponse { bootstrapped: tenure.cluster().is_ok(), ..Default::default() })
}

/// Ids in a row; the answer names the last, and the count only when there is more than one.
pub async fn alloc_id(
    tenure: Arc<Tenure>,
    request: wire::AllocIdRequest,
) -> Result<wire::AllocIdResponse, Refusal> {
    let id = tenure.pd.ids.alloc(tenure.term, request.count).await?;
    let count = if request.count > 1 { request.count } else { 0 };
    Ok(wire::AllocIdResponse { id, count, ..Default::default() })
}
