//! The verdict. Any member answers: the leader knows all of it, another one, when there is no leader to ask, its own view.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use dashboard::answer;
use dashboard::model::{ApiError, Health};
use http::Response;

use super::parameters::Parameters;
use crate::grpc::Gate;
use crate::verdict;

/// How the cluster is: the verdict and each problem with its cause.
#[utoipa::path(
    get,
    path = "/pd/api/v2/health",
    tag = "health",
    responses(
        (status = 200, description = "The verdict; `by_leader` tells whose view it is", body = Health),
        (status = 400, description = "A parameter that does not exist", body = ApiError),
    )
)]
pub async fn health(State(gate): State<Gate>, RawQuery(query): RawQuery) -> Response<Body> {
    match Parameters::parse(query.as_deref(), &[]) {
        Ok(_) => answer::json(&verdict::health(&gate).await),
        Err(refused) => refused.response(),
    }
}
