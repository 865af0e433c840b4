//! The routes: the page with its files, and what of the API is answered from snapshots.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::routing::get;
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use utoipa::OpenApi;

use crate::answer;
use crate::assets::Tree;
use crate::lists;
use crate::lookout::Lookout;
use crate::model::{ApiError, MemberList, MemberRow, OperatorList, Stats, StoreList, View};
use crate::page;
use crate::query::{BadParameter, Query};
use crate::snapshot::Snapshot;
use crate::source::{Depth, Source};
use crate::stream::{Streams, Wish};

/// How long a list waits for a look that is under way.
const LIST_PATIENCE: Duration = Duration::from_secs(1);
/// How long the page waits for one: it is to be seen at once, and looks again by itself.
const PAGE_PATIENCE: Duration = Duration::from_millis(150);

/// What handlers share.
pub struct Shared {
    /// The newest snapshot.
    pub lookout: Arc<Lookout>,
    /// The files.
    pub tree: Tree,
    /// The streams.
    pub streams: Streams,
    /// The server.
    pub source: Arc<dyn Source>,
    /// The version of the program.
    pub version: &'static str,
}

/// The routes of this crate as an OpenAPI document, to be merged into the whole one.
#[derive(OpenApi)]
#[openapi(paths(stores, operators, members, stats, stream, view, member))]
struct Document;

/// The routes of this crate as an OpenAPI document, to be merged into the whole one.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// The API.
pub fn api() -> Router<Arc<Shared>> {
    Router::new()
        .route("/pd/api/v2/stores", get(stores))
        .route("/pd/api/v2/operators", get(operators))
        .route("/pd/api/v2/members", get(members))
        .route("/pd/api/v2/stats", get(stats))
        .route("/pd/api/v2/stream", get(stream))
        .route("/pd/api/v2/view", get(view))
        .route("/pd/api/v2/member", get(member))
        .method_not_allowed_fallback(answer::only_get)
}

/// The page below `prefix`, which begins with a slash and does not end with one.
pub fn page(prefix: &str) -> Router<Arc<Shared>> {
    let last = prefix.rsplit('/').next().unwrap_or_default();
    // Relative, so that it is right behind a proxy with a path of its own.
    let with_slash = HeaderValue::from_str(&format!("{last}/")).ok();
    let to_folder = move || {
        let with_slash = with_slash.clone();
        async move {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
            response.headers_mut().extend(with_slash.map(|to| (LOCATION, to)));
            response
        }
    };
    Router::new()
        .route(prefix, get(to_folder))
        .route(&format!("{prefix}/"), get(shell))
        .route(&format!("{prefix}/assets/{{hash}}/{{*path}}"), get(file))
        .route(&format!("{prefix}/{{*path}}"), get(nothing))
        .nest(prefix, api())
}

async fn shell(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response<Body> {
    let snapshot = shared.lookout.fresh(PAGE_PATIENCE).await;
    let assets = shared.tree.look_again();
    page::render(&assets, &snapshot, shared.version, answer::takes_gzip(&headers))
}

async fn file(
    State(shared): State<Arc<Shared>>,
    Path((hash, path)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response<Body> {
    shared.tree.current().get(&hash, &path, answer::takes_gzip(&headers))
}

async fn nothing(Path(path): Path<String>) -> Response<Body> {
    let text = format!("there is no {path:?} here; the page's places stand behind a #");
    answer::error(StatusCode::NOT_FOUND, &ApiError::new("NOT_FOUND", text))
}

/// Stores, by id.
#[utoipa::path(
    get,
    path = "/pd/api/v2/stores",
    tag = "cluster",
    params(
        ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "Rows of a page, 1 to 1000; 100 by default"),
        ("cursor" = Option<String>, Query, description = "Where the page begins: `next` of the one before"),
        ("state" = Option<String>, Query, description = "Up, Offline or Tombstone"),
        ("liveness" = Option<String>, Query, description = "Connected, Disconnected, Down or Unknown"),
    ),
    responses(
        (status = 200, description = "A page of stores as the leader saw them at `as_of_ms`", body = StoreList),
        (status = 400, description = "A parameter is not right", body = ApiError),
        (status = 503, description = "No view yet, or too many requests", body = ApiError),
    )
)]
async fn stores(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    lists::stores(&*shared.lookout.fresh(LIST_PATIENCE).await, query.as_deref(), &headers)
}

/// Operators: running, waiting, then ended from the newest.
#[utoipa::path(
    get,
    path = "/pd/api/v2/operators",
    tag = "cluster",
    params(
        ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "Rows of a page, 1 to 1000; 100 by default"),
        ("cursor" = Option<String>, Query, description = "Where the page begins: `next` of the one before"),
        ("state" = Option<String>, Query, description = "running, waiting, finished, failed, cancelled or timeout"),
        ("kind" = Option<String>, Query, description = "admin, replica, region or leader"),
        ("store" = Option<usize>, Query, description = "Only those whose steps name this store"),
        ("region" = Option<usize>, Query, description = "Only those of this Region"),
    ),
    responses(
        (status = 200, description = "A page of operators as the leader saw them at `as_of_ms`", body = OperatorList),
        (status = 400, description = "A parameter is not right", body = ApiError),
        (status = 503, description = "No view yet, or too many requests", body = ApiError),
    )
)]
async fn operators(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    lists::operators(&*shared.lookout.fresh(LIST_PATIENCE).await, query.as_deref(), &headers)
}

/// The members of the placement driver, as this one sees them.
#[utoipa::path(
    get,
    path = "/pd/api/v2/members",
    tag = "members",
    responses(
        (status = 200, description = "All members, and who led", body = MemberList),
        (status = 400, description = "A parameter is not right", body = ApiError),
        (status = 503, description = "Nothing is known yet, or too many requests", body = ApiError),
    )
)]
async fn members(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    if let Err(bad) = Query::read(query.as_deref(), &[]) {
        return bad.response();
    }
    let snapshot = shared.lookout.fresh(LIST_PATIENCE).await;
    match &snapshot.members {
        Some(members) => answer::packed_json(members, &headers),
        None => no_view(),
    }
}

/// The figures of the Overview with their last hour.
#[utoipa::path(
    get,
    path = "/pd/api/v2/stats",
    tag = "cluster",
    params(("series" = Option<String>, Query, description = "Names of the figures wanted, with commas between them")),
    responses(
        (status = 200, description = "The figures as the leader saw them at `as_of_ms`", body = Stats),
        (status = 400, description = "A parameter is not right", body = ApiError),
        (status = 503, description = "No view yet, or too many requests", body = ApiError),
    )
)]
async fn stats(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    let query = match Query::read(query.as_deref(), &["series"]) {
        Ok(query) => query,
        Err(bad) => return bad.response(),
    };
    let snapshot = shared.lookout.fresh(LIST_PATIENCE).await;
    match chosen(&snapshot, query.text("series")) {
        Ok(Some(stats)) => answer::packed_json(&stats, &headers),
        Ok(None) => no_view(),
        Err(bad) => bad.response(),
    }
}

/// Server-sent events: an event a topic with everything, then with what changed, at most once a second.
#[utoipa::path(
    get,
    path = "/pd/api/v2/stream",
    tag = "cluster",
    params(
        ("topics" = Option<String>, Query, description = "health, stats, stores, operators, members; all by default"),
        ("last_event_id" = Option<String>, Query, description = "As the header Last-Event-ID: go on from there"),
    ),
    responses(
        (status = 200, description = "Events named by topic; `resync` says that what was told is void", content_type = "text/event-stream", body = String),
        (status = 400, description = "A parameter is not right", body = ApiError),
        (status = 503, description = "Too many streams, or too many requests", body = ApiError),
    )
)]
async fn stream(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    let mut response = match Wish::read(query.as_deref(), &headers) {
        Ok(wish) => shared.streams.begin(&shared.lookout, wish),
        Err(bad) => bad.response(),
    };
    if let Ok(hash) = HeaderValue::from_str(&shared.tree.current().hash) {
        response.headers_mut().insert(answer::HASH_HEADER, hash);
    }
    response
}

/// The leader's whole view, for other members.
#[utoipa::path(
    get,
    path = "/pd/api/v2/view",
    tag = "members",
    params(("rows" = Option<u8>, Query, minimum = 0, maximum = 1, description = "0 leaves stores and operators out")),
    responses(
        (status = 200, description = "The cluster as this member sees it, since it leads", body = View),
        (status = 400, description = "A parameter is not right", body = ApiError),
        (status = 503, description = "This member does not lead, or too many requests", body = ApiError),
    )
)]
async fn view(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    let rows = Query::read(query.as_deref(), &["rows"]).and_then(|query| query.number::<u8>("rows"));
    let depth = match rows {
        Ok(Some(0)) => Depth::Figures,
        Ok(Some(1) | None) => Depth::Rows,
        Ok(Some(_)) => return BadParameter::new("rows", "rows must be 0 or 1").response(),
        Err(bad) => return bad.response(),
    };
    match shared.source.lead_view(depth).await {
        Some(view) => answer::packed_json(&view, &headers),
        None => {
            let text = "this member does not lead, or cannot tell just now";
            answer::error(StatusCode::SERVICE_UNAVAILABLE, &ApiError::new("NOT_LEADER", text))
        }
    }
}

/// What this member says of itself, for other members.
#[utoipa::path(
    get,
    path = "/pd/api/v2/member",
    tag = "members",
    responses(
        (status = 200, description = "This member", body = MemberRow),
        (status = 400, description = "A parameter is not right", body = ApiError),
        (status = 503, description = "Too many requests", body = ApiError),
    )
)]
async fn member(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response<Body> {
    match Query::read(query.as_deref(), &[]) {
        Ok(_) => answer::json(&shared.source.own()),
        Err(bad) => bad.response(),
    }
}

/// The figures that were asked for.
fn chosen(snapshot: &Snapshot, names: Option<&str>) -> Result<Option<Stats>, BadParameter> {
    let Some(stats) = &snapshot.stats else { return Ok(None) };
    let mut stats = stats.clone();
    if let Some(names) = names {
        let names: Vec<&str> = names.split(',').filter(|name| !name.is_empty()).collect();
        if let Some(unknown) = names.iter().find(|name| stats.figures.iter().all(|f| f.name != **name)) {
            let all: Vec<_> = stats.figures.iter().map(|figure| figure.name.as_str()).collect();
            let text = format!("there is no figure {unknown:?}; figures are {}", all.join(", "));
            return Err(BadParameter::new("series", text));
        }
        stats.figures.retain(|figure| names.contains(&figure.name.as_str()));
    }
    Ok(Some(stats))
}

fn no_view() -> Response<Body> {
    let text = "this member has not looked yet, or has not had a leader's view yet";
    let error = ApiError::new("NO_VIEW", text).retry_after_ms(1_000);
    answer::error(StatusCode::SERVICE_UNAVAILABLE, &error)
}
