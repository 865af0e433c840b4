//! ResourceManager, as far as stores need it to boot: the stream of token requests is accepted and counted. Granting
//! tokens comes with resource groups.

use futures::{StreamExt, stream};
use proto::resource_manager::{
    TokenBucketsRequest, TokenBucketsResponse, resource_manager_server::ResourceManager,
};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::gate::Gate;
use super::header;

/// The service.
pub struct Service(pub Gate);

#[tonic::async_trait]
impl ResourceManager for Service {
    async fn acquire_token_buckets(
        &self,
        request: Request<Streaming<TokenBucketsRequest>>,
    ) -> Result<Response<BoxStream<TokenBucketsResponse>>, Status> {
        let tenure = self.0.enter().await?;
        let state = (request.into_inner(), tenure, self.0.clone(), false);
        let answers = stream::unfold(state, |(mut requests, tenure, gate, over)| async move {
            if over {
                return None;
            }
            let next = tokio::select! {
                next = requests.next() => next,
                () = tenure.ended() => return Some((Err(header::not_leader()), (requests, tenure, gate, true))),
            };
            // A client that closes its side, or breaks off, is done.
            let Some(Ok(request)) = next else { return None };
            gate.metrics.token_requests.inc_by(request.requests.len() as u64);
            Some((Ok(TokenBucketsResponse::default()), (requests, tenure, gate, false)))
        });
        Ok(Response::new(Box::pin(answers)))
    }
}
