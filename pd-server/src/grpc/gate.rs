//! The rules that hold for every call, in their order: forwarding, then the lead, then the cluster id.

use std::future::Future;
use std::sync::Arc;

use proto::pdpb;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::header::{self, Answer, Asked, Refusal};
use crate::cluster::{Tenure, Tenures};
use crate::metrics::Metrics;
use crate::pd::Pd;

/// Names the member to which a call is to be passed on.
const FORWARDED_HOST: &str = "pd-forwarded-host";

/// What every handler goes through; cheap to clone.
#[derive(Clone)]
pub struct Gate {
    /// This member.
    pub pd: Arc<Pd>,
    /// What this member has while it leads.
    pub tenures: Tenures,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Gate {
    /// A gate in front of `pd`.
    pub fn new(pd: Arc<Pd>, tenures: Tenures, metrics: Arc<Metrics>) -> Self {
        Self { pd, tenures, metrics }
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
        let tenure = self.enter(request.metadata()).await?;
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
    pub async fn enter(&self, metadata: &MetadataMap) -> Result<Arc<Tenure>, Status> {
        self.refuse_forwarding(metadata)?;
        self.tenures.serve().await
    }

    /// The cluster id, once this member has it.
    pub fn started(&self) -> Result<u64, Status> {
        match self.pd.cluster_id() {
            0 => Err(Status::unavailable("server not started")),
            id => Ok(id),
        }
    }

    /// A call may ask to be passed on to the leader. Meant for ourselves it is served; passing on is not there yet.
    fn refuse_forwarding(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let Some(host) = metadata.get(FORWARDED_HOST) else { return Ok(()) };
        let host = host.to_str().map_err(|_| Status::invalid_argument("pd-forwarded-host is not text"))?;
        if host.is_empty() || has_url(&self.pd.members.own().client_urls, host) {
            return Ok(());
        }
        match self.pd.leadership.state().leader {
            None => Err(header::not_leader()),
            Some(leader) if has_url(&leader.client_urls, host) => Err(header::not_leader()),
            Some(leader) => Err(Status::invalid_argument(format!(
                "pd-forwarded-host {host} is not leader; the leader is {} at {}",
                leader.name,
                leader.client_urls.join(",")
            ))),
        }
    }
}

/// Whether `host` is one of the URLs, whatever the scheme.
fn has_url(urls: &[String], host: &str) -> bool {
    urls.iter().any(|url| without_scheme(url) == without_scheme(host))
}

fn without_scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/')
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

#[cfg(test)]
mod tests {
    use super::has_url;

    #[test]
    fn a_forwarded_host_is_compared_without_its_scheme() {
        let urls = ["http://127.0.0.1:2379".to_owned()];
        for (host, ours) in [
            ("http://127.0.0.1:2379", true),
            ("https://127.0.0.1:2379/", true),
            ("127.0.0.1:2379", true),
            ("127.0.0.1:2380", false),
        ] {
            assert_eq!(has_url(&urls, host), ours, "{host}");
        }
    }
}
