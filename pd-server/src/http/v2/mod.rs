//! Our own routes, under `/pd/api/v2`: each is in the OpenAPI document.

use axum::Router;

use crate::grpc::Gate;

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new()
}
