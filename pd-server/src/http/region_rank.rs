//! The largest Regions by one measure, and how many there are of each size. One pass, and no more memory than the answer.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use http::Response;
use scheduler::{Glance, RegionId};
use serde::Serialize;

use super::query::Query;
use super::region_list::{self, Pass};
use super::{bootstrapped, json};
use crate::grpc::Gate;

/// Regions listed when nobody says how many.
pub const LIMIT_DEFAULT: i64 = 16;
/// Regions listed at most.
pub const LIMIT_MAX: usize = 10_240;
/// Bars of a histogram: more are refused, since nobody could read them.
const BARS_MAX: usize = 65_536;
/// Width of a bar of sizes, in MiB, unless told.
const SIZE_BOUND: u64 = 1;
/// Width of a bar of keys, unless told.
const KEYS_BOUND: u64 = 1_000;

/// Its routes.
pub fn routes() -> Router<Gate> {
    let mut routes = Router::new();
    for measure in Measure::ALL {
        let path = format!("/pd/api/v1/regions/{}", measure.name());
        routes =
            routes.route(&path, get(move |gate: State<Gate>, query: Query| largest(gate, query, measure)));
    }
    routes
        .route("/pd/api/v1/regions/check/hist-size", get(sizes))
        .route("/pd/api/v1/regions/check/hist-keys", get(keys))
}

/// What Regions are ranked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    WriteFlow,
    ReadFlow,
    ConfVer,
    Version,
    Size,
    Keys,
    Cpu,
}

impl Measure {
    const ALL: [Measure; 7] = [
        Measure::WriteFlow,
        Measure::ReadFlow,
        Measure::ConfVer,
        Measure::Version,
        Measure::Size,
        Measure::Keys,
        Measure::Cpu,
    ];

    const fn name(self) -> &'static str {
        match self {
            Measure::WriteFlow => "writeflow",
            Measure::ReadFlow => "readflow",
            Measure::ConfVer => "confver",
            Measure::Version => "version",
            Measure::Size => "size",
            Measure::Keys => "keys",
            Measure::Cpu => "cpu",
        }
    }

    fn of(self, region: &Glance<'_>) -> u64 {
        match self {
            Measure::WriteFlow => region.flow().bytes_written,
            Measure::ReadFlow => region.flow().bytes_read,
            Measure::ConfVer => region.epoch().conf_ver,
            Measure::Version => region.epoch().version,
            Measure::Size => region.size_mib(),
            Measure::Keys => region.keys(),
            Measure::Cpu => region.cpu_percent(),
        }
    }
}

/// How many Regions a list may have, by its query.
///
/// # Errors
/// `limit` is no number.
pub fn limit(query: &Query) -> Result<usize, String> {
    let limit = query.whole("limit", LIMIT_DEFAULT)?;
    Ok(usize::try_from(limit).unwrap_or(0).min(LIMIT_MAX))
}

/// The largest first; of equal ones the one with the lowest id.
async fn largest(State(gate): State<Gate>, query: Query, measure: Measure) -> Response<Body> {
    let limit = match limit(&query) {
        Ok(limit) => limit,
        Err(text) => return json::bad_request(&text),
    };
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let routes = cluster.regions();
    // The least of those that are kept stands on top.
    let mut kept: BinaryHeap<Reverse<(u64, Reverse<RegionId>)>> = BinaryHeap::new();
    if limit > 0 {
        let mut pass = Pass::new(&[], &[]);
        pass.rest(routes.heard(), |region| {
            let score = (measure.of(region), Reverse(region.id()));
            if kept.len() < limit {
                kept.push(Reverse(score));
            } else if let Some(mut least) = kept.peek_mut()
                && score > least.0
            {
                *least = Reverse(score);
            }
            true
        })
        .await;
    }
    let ranked = kept.into_sorted_vec();
    let views: Vec<_> = ranked.iter().filter_map(|Reverse((_, Reverse(id)))| routes.get_by_id(*id)).collect();
    region_list::whole(&views)
}

#[derive(Serialize)]
struct Bar {
    start: u64,
    end: u64,
    count: u64,
}

/// How many Regions there are of each size in MiB.
async fn sizes(gate: State<Gate>, query: Query) -> Response<Body> {
    histogram(gate, query, SIZE_BOUND, Measure::Size).await
}

/// How many Regions there are of each number of keys.
async fn keys(gate: State<Gate>, query: Query) -> Response<Body> {
    histogram(gate, query, KEYS_BOUND, Measure::Keys).await
}

async fn histogram(
    State(gate): State<Gate>,
    query: Query,
    bound_min: u64,
    measure: Measure,
) -> Response<Body> {
    let bound = match query.whole("bound", 0) {
        Ok(bound) => u64::try_from(bound).unwrap_or(0).max(bound_min),
        Err(text) => return json::bad_request(&text),
    };
    let (_, cluster) = match bootstrapped(&gate).await {
        Ok(cluster) => cluster,
        Err(answer) => return answer,
    };
    let mut bars: BTreeMap<u64, u64> = BTreeMap::new();
    let mut pass = Pass::new(&[], &[]);
    pass.rest(cluster.regions().heard(), |region| {
        *bars.entry(measure.of(region) / bound).or_default() += 1;
        bars.len() <= BARS_MAX
    })
    .await;
    if bars.len() > BARS_MAX {
        return json::bad_request(&format!(
            "bound: {bound} gives more than {BARS_MAX} bars; ask with a larger one"
        ));
    }
    let bar = |(place, count): (u64, u64)| {
        let start = place * bound;
        Bar { start, end: start.saturating_add(bound - 1), count }
    };
    json::ok(&bars.into_iter().map(bar).collect::<Vec<_>>())
}
