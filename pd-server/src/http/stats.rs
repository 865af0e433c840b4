//! Statistics over a range of Regions, bounded whatever their number.

use axum::Router;

use crate::grpc::Gate;

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new()
}
