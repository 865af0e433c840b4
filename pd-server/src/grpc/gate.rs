//! The rules that hold for every call, in their order: the lead, then the cluster id. (Passing on to the leader comes
//! before both: `forward`.)

use std::future::Future;
use std::sync::Arc;

use proto::pdpb;
use tonic::{Request, Response, Status};

use super::header::{self, Answer, Asked, Refusal};
use crate::cluster::{Tenure, Tenures};
use crate::metrics::Metrics;
use crate::pd::Pd;
use crate::verdict::Verdicts;

/// What every handler goes through; cheap to clone.
#[derive(Clone)]
pub struct Gate {
    /// This member.
    pub pd: Arc<Pd>,
    /// What this member has while it leads.
    pub tenures: Tenures,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// How the cluster is.
    pub verdicts: Arc<Verdicts>,
}

impl Gate {
    /// A gate in front of `pd`.
    pub fn new(pd: Arc<Pd>, tenures: Tenures, metrics: Arc<Metrics>) -> Self {
        Self { pd, tenures, metrics, verdicts: Arc::default() }
    }

    /// A call that only the leader answers: runs `work` after all checks.
    ///
    /// The lease is read again after the work (rule 1, item 10): an answer that was made from this
    /// member's state, a refusal as well ("not found" is taken for gone), leaves only if this member led, in the same
    /// term, after the state was read.
    pub async fn lead<Q, A, F>(
        &self,
        request: Request<Q>,
        work: impl FnOnce(Arc<Tenure>, Q) -> F + Send,
    ) -> Result<Response<A>, Status>
    where
        Q: Asked,
        A: Answer + Send,
        F: Future<Output = Result<A, Refusal>> + Send,
    {
        let tenure = self.enter().await?;
        let message = request.into_inner();
        tenure.check_cluster_id(message.cluster_id())?;
        let cluster_id = tenure.cluster_id;
        let result = work(Arc::clone(&tenure), message).await;
        tenure.check_lead().await?;
        header::answer(cluster_id, result)
    }

    /// A call that any member answers.
    pub fn any<A: Answer>(&self, result: Result<A, Refusal>) -> Result<Response<A>, Status> {
        header::answer(self.started()?, result)
    }

    /// The checks at the opening of a leader-only call or stream. Streams check each message with
    /// [`Tenure::check_cluster_id`] and end when the tenure does.
    pub async fn enter(&self) -> Result<Arc<Tenure>, Status> {
        self.tenures.serve().await
    }

    /// The cluster id, once this member has it.
    pub fn started(&self) -> Result<u64, Status> {
        match self.pd.cluster_id() {
            0 => Err(Status::unavailable("server not started")),
            id => Ok(id),
        }
    }
}

/// A member as clients see it. Only what stays the same as long as the membership does, so that answers are equal byte
/// by byte: a difference makes stores reconnect.
pub fn member_to_wire(member: &crate::member::Member) -> pdpb::Member {
    pdpb::Member {
        name: member.name.clone(),
        member_id: member.id.0,
        peer_urls: member.peer_urls.clone(),
        client_urls: member.client_urls.clone(),
        ..Default::default()
    }
}
