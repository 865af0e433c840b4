//! HTTP: thin routes over the same owners as gRPC, one module a resource. Any member answers: what only the leader knows is
//! passed on to it before a handler sees the request (`proxy`), so handlers decode, call an owner and encode.

mod admin;
mod body_limit;
mod checkers;
mod cluster;
mod config;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod hop;
mod json;
mod json_body;
mod labels;
mod leader;
mod members;
mod missing;
pub(crate) mod operator_text;
mod operators;
mod path;
mod proxy;
mod query;
mod readiness;
mod refusal;
mod region_checks;
mod region_labels;
mod region_list;
mod region_rank;
mod region_view;
mod regions;
mod rules;
mod scheduler_config;
mod schedulers;
mod stats;
mod store_limits;
mod store_view;
mod stores;
mod units;
mod v2;
mod v2_config;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::get;
use axum::{Router, middleware};
use dashboard::answer;
use dashboard::model::ApiError;
use http::{HeaderValue, Response, StatusCode, Uri};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde::Serialize;

pub(crate) use self::region_checks::count_kinds as count_region_kinds;
pub(crate) use self::store_view::scores as store_scores;

use crate::cluster::{Cluster, Tenure};
use crate::grpc::{self, Gate};

/// All routes but those under `/pd/api/v2`, which the dashboard guards.
pub fn routes(gate: &Gate) -> Router {
    let routes = Router::new()
        .route("/pd/api/v1/version", get(version))
        .route("/pd/api/v1/ping", get(ping))
        .route("/pd/ping", get(ping))
        .route("/metrics", get(metrics))
        .merge(admin::routes())
        .merge(checkers::routes())
        .merge(cluster::routes())
        .merge(config::routes())
        .merge(labels::routes())
        .merge(leader::routes())
        .merge(members::routes())
        .merge(operators::routes())
        .merge(readiness::routes())
        .merge(region_labels::routes())
        .merge(regions::routes())
        .merge(rules::routes())
        .merge(scheduler_config::routes())
        .merge(schedulers::routes())
        .merge(stats::routes())
        .merge(store_limits::routes())
        .merge(stores::routes());
    finished(gate, routes)
}

/// The routes under `/pd/api/v2`, but those of the dashboard itself.
pub fn v2_routes(gate: &Gate) -> Router {
    finished(gate, v2::routes())
}

fn finished(gate: &Gate, routes: Router<Gate>) -> Router {
    routes.layer(middleware::from_fn_with_state(gate.clone(), proxy::pass_on)).with_state(gate.clone())
}

/// Lets paths with doubled slashes find their routes in `app`, as tools write them that put addresses together from
/// pieces. What is found nowhere is answered as unknown.
pub fn forgive_slashes(app: Router) -> Router {
    let inner = TowerToHyperService::new(app.clone().fallback(unknown));
    app.fallback(move |mut request: Request| {
        let inner = inner.clone();
        async move {
            if let Some(uri) = single_slashes(request.uri()) {
                *request.uri_mut() = uri;
            }
            match inner.call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
    })
}

/// A path that leads nowhere: below our own API in its words, elsewhere in those of gRPC or tikv/pd.
async fn unknown(request: Request) -> Response<Body> {
    if !request.uri().path().starts_with("/pd/api/v2/") {
        return grpc::unknown_path(request).await;
    }
    let text = format!("there is no route {}; /pd/api/v2/docs has all", request.uri().path());
    let mut response = answer::error(StatusCode::NOT_FOUND, &ApiError::new("NOT_FOUND", text));
    answer::secure(response.headers_mut());
    response
}

/// The same address with single slashes; none if it has no doubled ones.
fn single_slashes(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    if !path.contains("//") {
        return None;
    }
    let mut single = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !single.ends_with('/') {
            single.push(c);
        }
    }
    if let Some(query) = uri.query() {
        single.push('?');
        single.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = single.parse().ok();
    Uri::from_parts(parts).ok()
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
    build_time: &'static str,
    hash: &'static str,
    branch: &'static str,
}

async fn version() -> Response<Body> {
    json::ok(&Version { version: crate::COMPATIBLE_VERSION, build_time: "", hash: "", branch: "" })
}

async fn ping() {}

async fn metrics(State(gate): State<Gate>) -> Response<Body> {
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    json::with_type(StatusCode::OK, kind, Body::from(gate.metrics.render(&gate).await))
}

/// The tenure and its cluster, or the answer that says why not.
async fn bootstrapped(gate: &Gate) -> Result<(Arc<Tenure>, Arc<Cluster>), Response<Body>> {
    let Ok(tenure) = gate.tenures.serve().await else { return Err(not_leader(gate)) };
    match tenure.cluster() {
        Ok(cluster) => Ok((tenure, cluster)),
        Err(_) => {
            let text =
                "[PD:cluster:ErrNotBootstrapped]TiKV cluster not bootstrapped, please start TiKV first";
            Err(json::error(StatusCode::INTERNAL_SERVER_ERROR, text))
        }
    }
}

/// A path that leads nowhere, in the words of tikv/pd's router.
fn not_found() -> Response<Body> {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    json::with_type(StatusCode::NOT_FOUND, kind, Body::from("404 page not found\n"))
}

/// The lead was lost between the proxy and the handler: the caller learns where to ask.
fn not_leader(gate: &Gate) -> Response<Body> {
    let leader = gate.pd.leadership.state().leader;
    let text = match leader.filter(|leader| leader.id != gate.pd.members.own().id) {
        Some(leader) => {
            format!("not leader: ask the leader {} at {}", leader.name, leader.client_urls.join(","))
        }
        None => "not leader: there is no leader at the moment, try again".to_owned(),
    };
    json::error(StatusCode::SERVICE_UNAVAILABLE, &text)
}

#[cfg(test)]
mod tests {
    use super::single_slashes;
    use http::Uri;

    #[test]
    fn doubled_slashes_become_one_and_the_rest_stays() {
        let single = |text: &str| single_slashes(&text.parse::<Uri>().unwrap()).map(|uri| uri.to_string());
        assert_eq!(single("//pd///api/v1/stores?state=//").unwrap(), "/pd/api/v1/stores?state=//");
        assert_eq!(single("/pd//api%2F%2Fx").unwrap(), "/pd/api%2F%2Fx");
        assert_eq!(single("/pd/api/v1/stores"), None);
    }
}
