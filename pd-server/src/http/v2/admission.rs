//! The bounded class of questions that cost the planner time: few at once, each with an end.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use dashboard::answer;
use dashboard::model::ApiError;
use http::{Response, StatusCode};
use tokio::time::timeout;

use crate::cluster::{Cluster, Tenure};
use crate::grpc::Gate;
use crate::verdict::QUESTIONS_MAX;

/// Longest time for one.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// When to try again.
const RETRY_MS: u64 = 1_000;

/// Lets `work` run on the leader's cluster, within the bounds. The lead is checked again before the answer leaves.
pub async fn admitted<F, T>(
    gate: &Gate,
    work: impl FnOnce(Arc<Tenure>, Arc<Cluster>) -> F,
) -> Result<T, Response<Body>>
where
    F: Future<Output = Result<T, Response<Body>>>,
{
    let Ok(_place) = gate.verdicts.questions().try_acquire() else {
        return Err(busy(format!("{QUESTIONS_MAX} questions are being answered already")));
    };
    let tenure = gate.tenures.serve().await.map_err(|_| no_leader(gate))?;
    let cluster = tenure.cluster().map_err(|_| not_bootstrapped())?;
    let answered = timeout(ANSWER_MAX, work(Arc::clone(&tenure), cluster)).await;
    let answered = answered.map_err(|_| busy(format!("no answer within {} s", ANSWER_MAX.as_secs())))?;
    tenure.check_lead().await.map_err(|_| no_leader(gate))?;
    answered
}

fn busy(message: String) -> Response<Body> {
    unavailable("BUSY", message)
}

/// This member does not lead, or no longer.
pub fn no_leader(gate: &Gate) -> Response<Body> {
    let leader = gate.pd.leadership.state().leader.filter(|l| l.id != gate.pd.members.own().id);
    let text = match leader {
        Some(leader) => format!("this member does not lead, {} does: try again", leader.name),
        None => "there is no leader at the moment".to_owned(),
    };
    unavailable("NO_LEADER", text)
}

fn unavailable(code: &str, text: String) -> Response<Body> {
    let error = ApiError { retry_after_ms: Some(RETRY_MS), ..ApiError::new(code, text) };
    answer::error(StatusCode::SERVICE_UNAVAILABLE, &error)
}

fn not_bootstrapped() -> Response<Body> {
    let text = "no store has ever started here: start one with this member's client URL";
    answer::error(StatusCode::SERVICE_UNAVAILABLE, &ApiError::new("NOT_BOOTSTRAPPED", text))
}
