//! Placement rules as far as they exist, for tools that look.

use axum::Router;

use crate::grpc::Gate;

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new()
}
