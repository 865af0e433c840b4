//! The OpenAPI document and a page to browse it. Both come from the program itself: no network is needed.

use axum::Router;
use axum::body::Body;
use axum::extract::RawQuery;
use dashboard::answer;
use dashboard::model::ApiError;
use http::Response;
use utoipa::OpenApi;
use utoipa::openapi::Info;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::parameters::Parameters;
use crate::grpc::Gate;

/// Where it can be browsed.
const PAGE: &str = "/pd/api/v2/docs";

/// What the document says of itself.
#[derive(OpenApi)]
#[openapi()]
struct Head;

/// A document without routes.
pub fn head() -> utoipa::openapi::OpenApi {
    let mut head = Head::openapi();
    head.info = Info::new("Placement driver", crate::OWN_VERSION);
    head.info.description = Some(
        "The routes of our own. Those of tikv/pd, under /pd/api/v1, answer as tikv/pd does. Moments are milliseconds \
         since 1970; what is not known is null."
            .to_owned(),
    );
    head
}

/// This document.
#[utoipa::path(
    get,
    path = "/pd/api/v2/openapi.json",
    tag = "document",
    responses(
        (status = 200, description = "The OpenAPI document", body = serde_json::Value),
        (status = 400, description = "A parameter that does not exist", body = ApiError),
    )
)]
pub async fn openapi(RawQuery(query): RawQuery) -> Response<Body> {
    match Parameters::parse(query.as_deref(), &[]) {
        Ok(_) => answer::json(&super::described().1),
        Err(refused) => refused.response(),
    }
}

/// The page. It loads the document from its own server, by a relative path, so that a prefix or a tunnel works.
pub fn routes() -> Router<Gate> {
    let config = Config::from("../openapi.json").try_it_out_enabled(false);
    SwaggerUi::new(PAGE).config(config).into()
}
