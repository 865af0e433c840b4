//! The bounded class of questions that cost the planner time: few at once, each with an end.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::refused::Refused;
use crate::cluster::{Cluster, Tenure};
use crate::grpc::Gate;
use crate::verdict::QUESTIONS_MAX;

/// Longest time for one.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Lets `work` run on the leader's cluster, within the bounds. The lead is checked again before the answer leaves.
pub async fn admitted<F, T>(
    gate: &Gate,
    work: impl FnOnce(Arc<Tenure>, Arc<Cluster>) -> F,
) -> Result<T, Refused>
where
    F: Future<Output = Result<T, Refused>>,
{
    let Ok(_place) = gate.verdicts.questions().try_acquire() else {
        return Err(Refused::busy(format!("{QUESTIONS_MAX} questions are being answered already")));
    };
    let tenure = gate.tenures.serve().await.map_err(|_| Refused::no_leader(gate))?;
    let cluster = tenure.cluster().map_err(|_| Refused::not_bootstrapped())?;
    let answered = timeout(ANSWER_MAX, work(Arc::clone(&tenure), cluster)).await;
    let answered =
        answered.map_err(|_| Refused::busy(format!("no answer within {} s", ANSWER_MAX.as_secs())))?;
    tenure.check_lead().await.map_err(|_| Refused::no_leader(gate))?;
    answered
}
