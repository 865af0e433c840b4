//! Configuration: shown, and changed while everything runs.

use axum::Router;

use crate::grpc::Gate;

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new()
}
