//! Regions: one by id or key, some by range or store, or all.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use http::{Response, StatusCode, Uri};
use scheduler::{PeerRole, RegionId, RegionView, StoreId};
use serde::Serialize;

use super::path::Path;
use super::query::{self, Query};
use super::region_list::{self, Pass, Select};
use super::{bootstrapped, json, region_checks, region_rank};
use crate::grpc::Gate;

/// The keyspace that everything falls into; no other exists yet.
const DEFAULT_KEYSPACE: u64 = 0;
/// Its borders, raw and transactional, as stores write keys.
const KEYSPACE_RANGES: [(&[u8], &[u8]); 2] =
    [(b"r\0\0\0\0\0\0\0\xfb", b"r\0\0\x01\0\0\0\0\xfb"), (b"x\0\0\0\0\0\0\0\xfb", b"x\0\0\x01\0\0\0\0\xfb")];

/// Its routes.
pub fn routes() -> Router<Gate> {
    Router::new()
        .route("/pd/api/v1/region/id/{id}", get(by_id))
        .route("/pd/api/v1/region/key/{key}", get(by_key))
        .route("/pd/api/v1/regions", get(all))
        .route("/pd/api/v1/regions/count", get(count))
        .route("/pd/api/v1/regions/key", get(from_key))
        .route("/pd/api/v1/regions/store/{id}", get(of_store))
        .route("/pd/api/v1/regions/keyspace/id/{id}", get(of_keyspace))
        .route("/pd/api/v1/regions/sibling/{id}", get(siblings))
        .route("/pd/api/v1/regions/range-holes", get(holes))
        .merge(region_checks::routes())
        .merge(region_rank::routes())
}

/// One Region by its id.
async fn by_id(State(gate): State<Gate>, Path(id): Path<String>) -> Response<Body> {
    match find(&gate, &id).await {
        Ok(view) => region_list::one(&view),
        Err(answer) => answer,
    }
}

/// The Region with the id that a path has, or the answer that says why not.
pub async fn find(gate: &Gate, id: &str) -> Result<RegionView, Response<Body>> {
    let id = query::id(id).map_err(|text| json::bad_request(&text))?;
    let (_, cluster) = bootstrapped(gate).await?;
    let missing = || {
        let text = format!("[PD:region:ErrRegionNotFound]region {id} not found");
        json::error(StatusCode::NOT_FOUND, &text)
    };
    cluster.regions().get_by_id(RegionId(id)).ok_or_else(missing)
}

/// The Region that holds a key. The key is the last part of the path: any bytes, escaped.
async fn by_key(State(gate): State<Gate>, uri: Uri, query: Query) -> Response<Body> {
    let last = uri.path().rsplit('/').next().unwrap_or_default();
    let key = query::decode(last).and_then(|given| query::read_key(&given, &query));
    let key = match key {
        Ok(key) => key,
        Err(text) => return json::bad_request(&text),
    };
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    match cluster.regions().get(&key) {
        Some(view) => region_list::one(&view),
        None => {
            let text =
                format!("[PD:region:ErrRegionNotFound]region of key {} not found", hex::encode_upper(&key));
            json::error(StatusCode::NOT_FOUND, &text)
        }
    }
}

/// All Regions, streamed.
async fn all(State(gate): State<Gate>) -> Response<Body> {
    match bootstrapped(&gate).await {
        Ok((_, cluster)) => region_list::all(cluster.regions()),
        Err(answer) => answer,
    }
}

#[derive(Serialize)]
struct Count {
    count: usize,
    regions: Option<()>,
}

/// How many Regions there are.
async fn count(State(gate): State<Gate>) -> Response<Body> {
    match bootstrapped(&gate).await {
        Ok((_, cluster)) => json::ok(&Count { count: cluster.regions().len(), regions: None }),
        Err(answer) => answer,
    }
}

/// Regions from one key up to another.
async fn from_key(State(gate): State<Gate>, query: Query) -> Response<Body> {
    let limit = match query.whole("limit", region_rank::LIMIT_DEFAULT) {
        // A limit of 0 or less is none: then ours holds.
        Ok(limit) if limit <= 0 => region_rank::LIMIT_MAX,
        Ok(limit) => usize::try_from(limit).unwrap_or(usize::MAX).min(region_rank::LIMIT_MAX),
        Err(text) => return json::bad_request(&text),
    };
    let (start, end) = match (query.key("key"), query.key("end_key")) {
        (Ok(start), Ok(end)) => (start, end),
        (Err(text), _) | (_, Err(text)) => return json::bad_request(&text),
    };
    match bootstrapped(&gate).await {
        Ok((_, cluster)) => region_list::whole(&cluster.regions().scan(&start, &end, limit)),
        Err(answer) => answer,
    }
}

/// Regions with a replica on a store, in a role if `type` says so; all of them unless `limit` says less.
async fn of_store(State(gate): State<Gate>, Path(id): Path<String>, query: Query) -> Response<Body> {
    let id = match query::whole(&id).map(u64::try_from) {
        Ok(Ok(id)) => StoreId(id),
        Ok(Err(_)) => return json::bad_request(&format!("invalid store id {id}")),
        Err(text) => return json::bad_request(&text),
    };
    let select: Select = match query.text("type").as_ref() {
        "" | "all" => Arc::new(move |region| region.peer_on(id).is_some()),
        "leader" => Arc::new(move |region| region.leader().store == id),
        "follower" => Arc::new(move |region| {
            let votes = region.peer_on(id).is_some_and(|peer| peer.role != PeerRole::Learner);
            votes && region.leader().store != id
        }),
        "learner" => Arc::new(move |region| region.peer_on(id).is_some_and(|p| p.role == PeerRole::Learner)),
        "witness" => Arc::new(move |region| region.peer_on(id).is_some_and(|peer| peer.is_witness)),
        "pending" => Arc::new(move |region| {
            let Some(peer) = region.peer_on(id) else { return false };
            region.is_ailing() && region.view().pending.contains(&peer.id)
        }),
        other => {
            let text = format!("type: {other:?} is none of all, leader, follower, learner, witness, pending");
            return json::bad_request(&text);
        }
    };
    let limit = match query.whole("limit", 0) {
        Ok(limit) if limit <= 0 => usize::MAX,
        Ok(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
        Err(text) => return json::bad_request(&text),
    };
    match bootstrapped(&gate).await {
        Ok((_, cluster)) => region_list::select(cluster.regions(), limit, select).await,
        Err(answer) => answer,
    }
}

/// Regions that hold keys of a keyspace.
async fn of_keyspace(State(gate): State<Gate>, Path(id): Path<String>, query: Query) -> Response<Body> {
    let id = match query::id(&id) {
        Ok(id) => id,
        Err(text) => return json::bad_request(&text),
    };
    let limit = match region_rank::limit(&query) {
        Ok(limit) => limit,
        Err(text) => return json::bad_request(&text),
    };
    if id != DEFAULT_KEYSPACE {
        return json::bad_request(&format!(
            "keyspace {id} does not exist: only DEFAULT, with the id 0, does"
        ));
    }
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let mut views: Vec<RegionView> = Vec::new();
    for (start, end) in KEYSPACE_RANGES {
        for view in cluster.regions().scan(start, end, limit - views.len()) {
            if views.iter().all(|seen| seen.meta.id != view.meta.id) {
                views.push(view);
            }
        }
    }
    region_list::whole(&views)
}

/// The neighbours of a Region.
async fn siblings(State(gate): State<Gate>, Path(id): Path<String>) -> Response<Body> {
    let view = match find(&gate, &id).await {
        Ok(view) => view,
        Err(answer) => return answer,
    };
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let routes = cluster.regions();
    let right = if view.meta.end_key.is_empty() { None } else { routes.get(&view.meta.end_key) };
    let both: Vec<_> = routes.get_prev(&view.meta.start_key).into_iter().chain(right).collect();
    region_list::whole(&both)
}

/// Parts of the key space that no Region covers, as far as was heard: pairs of keys in hex.
async fn holes(State(gate): State<Gate>) -> Response<Body> {
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let hex = |key: &[u8]| hex::encode_upper(key);
    let (mut holes, mut covered, mut to_the_end) = (Vec::new(), bytes::Bytes::new(), false);
    let mut pass = Pass::new(&[], &[]);
    pass.rest(cluster.regions().heard(), |region| {
        let start = region.start_key();
        if start != covered {
            holes.push([hex(&covered), hex(&start)]);
        }
        covered = region.end_key();
        to_the_end = covered.is_empty();
        holes.len() < region_rank::LIMIT_MAX
    })
    .await;
    if !to_the_end && holes.len() < region_rank::LIMIT_MAX {
        holes.push([hex(&covered), String::new()]);
    }
    json::ok(&holes)
}
