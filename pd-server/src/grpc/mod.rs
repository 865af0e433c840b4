//! gRPC: handlers decode, call an owner and encode. They hold no lock and know no rule.

mod backlog;
mod bootstrap;
mod buckets;
mod forward;
mod gate;
pub(crate) mod header;
mod keyspace;
mod members;
mod meta_storage;
mod pd;
mod region_heartbeat;
mod region_queries;
mod regions;
mod resource_manager;
mod safe_points;
mod served;
mod splits;
mod stores;
mod tso;

use std::sync::Arc;

use crate::metrics;
use axum::Router;
use proto::keyspacepb::keyspace_server::KeyspaceServer;
use proto::meta_storagepb::meta_storage_server::MetaStorageServer;
use proto::pdpb::pd_server::PdServer;
use proto::resource_manager::resource_manager_server::ResourceManagerServer;
use tonic::service::Routes;

pub use gate::Gate;
pub use header::Refusal;
pub(crate) use served::SERVED;
pub use served::unknown_path;

/// Largest message taken: a store's report for an unsafe recovery may exceed 150 MiB.
const DECODED_BYTES_MAX: usize = 256 << 20;

/// All services, as routes by path.
pub fn routes(gate: &Gate) -> Router {
    let pd = PdServer::new(pd::Service(gate.clone()))
        .max_decoding_message_size(DECODED_BYTES_MAX)
        .max_encoding_message_size(usize::MAX);
    let meta_storage =
        MetaStorageServer::new(meta_storage::Service(gate.clone())).max_encoding_message_size(usize::MAX);
    let resource_manager = ResourceManagerServer::new(resource_manager::Service(gate.clone()));
    // Every member is healthy as long as it answers: clients take anything else for a broken network. The reporter says
    // "serving" of the whole server from the start, and may be dropped.
    let (_, health) = tonic_health::server::health_reporter();
    let forwarder = forward::Forwarder::new(Arc::clone(&gate.pd));
    Routes::new(pd)
        .add_service(KeyspaceServer::new(keyspace::Service(gate.clone())))
        .add_service(meta_storage)
        .add_service(resource_manager)
        .add_service(gate.pd.cluster_service.clone().server())
        .add_service(health)
        .into_axum_router()
        .reset_fallback()
        .route_layer(axum::middleware::from_fn_with_state(forwarder, forward::forward))
        .route_layer(axum::middleware::from_fn(served::refuse_unserved))
        .route_layer(axum::middleware::from_fn_with_state(gate.metrics.calls(), metrics::count_calls))
}
