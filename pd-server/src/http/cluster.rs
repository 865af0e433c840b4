//! The cluster and this process in numbers.

use axum::Router;

use crate::grpc::Gate;

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new()
}
