//! The OpenAPI document and a page to browse it. Both come from the program itself: no network is needed.

use axum::Router;
use axum::body::Body;
use axum::extract::RawQuery;
use axum::middleware;
use dashboard::answer;
use dashboard::model::ApiError;
use http::header::{CONTENT_SECURITY_POLICY, Entry, LOCATION};
use http::{HeaderValue, Response};
use utoipa::OpenApi;
use utoipa::openapi::Info;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::parameters::Parameters;
use crate::grpc::Gate;

/// Where it can be browsed.
const PAGE: &str = "/pd/api/v2/docs";

/// What it may do: load from its own server, and set styles, as it cannot do without. Only what this program brings along
/// runs there; nothing that users chose is shown.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

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
    let routes: Router<Gate> = SwaggerUi::new(PAGE).config(config).into();
    routes.layer(middleware::map_response(finish))
}

/// The page's own policy; and its redirect leads to where it is asked for, which may be below another place.
async fn finish(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    if let Entry::Occupied(mut to) = response.headers_mut().entry(LOCATION) {
        to.insert(HeaderValue::from_static("docs/"));
    }
    response
}
