//! Our own routes, under `/pd/api/v2`: each is in the OpenAPI document, which is made from the code.

mod admission;
mod document;
mod health;
mod map;
pub(super) mod parameters;
mod refused;
#[cfg(test)]
mod tests;
mod why;

use axum::Router;
use dashboard::answer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::grpc::Gate;

/// Its routes.
pub fn routes() -> Router<Gate> {
    described().0.merge(document::routes()).method_not_allowed_fallback(answer::only_get)
}

/// The routes with their document. The dashboard serves its own; the document has them too.
fn described() -> (Router<Gate>, utoipa::openapi::OpenApi) {
    let (router, mut paths) = OpenApiRouter::with_openapi(document::head())
        .routes(routes!(health::health))
        .routes(routes!(map::map))
        .routes(routes!(why::region))
        .routes(routes!(why::store))
        .routes(routes!(document::openapi))
        .merge(super::v2_config::routes())
        .split_for_parts();
    paths.merge(dashboard::openapi());
    (router, paths)
}
