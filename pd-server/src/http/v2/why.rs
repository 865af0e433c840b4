//! "Why?": what the planner says of a Region or a Store.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use dashboard::answer;
use dashboard::model::{ApiError, Why};
use http::Response;
use scheduler::{RegionId, StoreId};

use super::admission::admitted;
use super::parameters::{self, Parameters};
use super::refused::Refused;
use crate::cluster::wall_clock_ns;
use crate::grpc::Gate;
use crate::verdict::why::{self, RegionFacts, StoreFacts};

/// Why a Region is as it is, and what happens to it or does not.
#[utoipa::path(
    get,
    path = "/pd/api/v2/why/region/{id}",
    tag = "why",
    params(("id" = u64, Path, minimum = 1, description = "The Region's id")),
    responses(
        (status = 200, description = "The planner's chain of reasons", body = Why),
        (status = 400, description = "Not an id", body = ApiError),
        (status = 404, description = "No such Region was heard of", body = ApiError),
        (status = 503, description = "No leader, or too many questions at once", body = ApiError),
    )
)]
pub async fn region(
    State(gate): State<Gate>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    answered(region_why(&gate, id, query.as_deref()).await)
}

/// Why a Store is as it is, why it gets nothing, or why its drain does not end.
#[utoipa::path(
    get,
    path = "/pd/api/v2/why/store/{id}",
    tag = "why",
    params(("id" = u64, Path, minimum = 1, description = "The Store's id")),
    responses(
        (status = 200, description = "The planner's chain of reasons", body = Why),
        (status = 400, description = "Not an id", body = ApiError),
        (status = 404, description = "No such Store", body = ApiError),
        (status = 503, description = "No leader, or too many questions at once", body = ApiError),
    )
)]
pub async fn store(
    State(gate): State<Gate>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    answered(store_why(&gate, id, query.as_deref()).await)
}

fn answered(why: Result<Why, Refused>) -> Response<Body> {
    match why {
        Ok(why) => answer::json(&why),
        Err(refused) => refused.response(),
    }
}

async fn region_why(
    gate: &Gate,
    id: Result<Path<String>, PathRejection>,
    query: Option<&str>,
) -> Result<Why, Refused> {
    Parameters::parse(query, &[])?;
    let id = parameters::id(id)?;
    admitted(gate, async |_, cluster| {
        let view = cluster.regions().get_by_id(RegionId(id));
        let view = view.ok_or_else(|| Refused::not_found("region", id, "pd-ctl region"))?;
        let asked = view.clone();
        let facts = cluster.plan(move |planner, now| RegionFacts::ask(planner, now, &asked)).await;
        let facts = facts.map_err(|_| Refused::no_leader(gate))?;
        let facts = facts.ok_or_else(|| Refused::not_found("region", id, "pd-ctl region"))?;
        Ok(why::region(facts, &view, now_ms()))
    })
    .await
}

async fn store_why(
    gate: &Gate,
    id: Result<Path<String>, PathRejection>,
    query: Option<&str>,
) -> Result<Why, Refused> {
    Parameters::parse(query, &[])?;
    let id = parameters::id(id)?;
    admitted(gate, async |_, cluster| {
        let facts = cluster.plan(move |planner, now| StoreFacts::ask(planner, now, StoreId(id))).await;
        let facts = facts.map_err(|_| Refused::no_leader(gate))?;
        let facts = facts.ok_or_else(|| Refused::not_found("store", id, "pd-ctl store"))?;
        Ok(why::store(facts, now_ms()))
    })
    .await
}

fn now_ms() -> u64 {
    u64::try_from(wall_clock_ns() / 1_000_000).unwrap_or(0)
}
