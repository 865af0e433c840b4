//! The server side of `raftcore.Raft`.

use std::sync::Arc;

use proto::raftcore::raft_server::Raft;
use proto::raftcore::{Batch, BatchReceipt, Greeting, SnapshotChunk, SnapshotReceipt};
use tokio::sync::Semaphore;
use tonic::{Code, Request, Response, Status, Streaming};

use super::{Gatekeeper, IDENTITY, Inbound, snapshot};

/// Snapshots that come in at once; others are refused and sent again later.
const SNAPSHOTS_AT_ONCE: usize = 8;

pub(super) struct Service {
    inbound: Arc<dyn Inbound>,
    gatekeeper: Arc<dyn Gatekeeper>,
    snapshots: Arc<Semaphore>,
}

impl Service {
    pub fn new(inbound: Arc<dyn Inbound>, gatekeeper: Arc<dyn Gatekeeper>) -> Self {
        Self { inbound, gatekeeper, snapshots: Arc::new(Semaphore::new(SNAPSHOTS_AT_ONCE)) }
    }

    fn admit(&self, identity: &[u8]) -> Result<(), Status> {
        self.gatekeeper.admit(identity).map_err(|reason| {
            tracing::warn!(reason, "a raft peer is refused");
            Status::with_details(Code::FailedPrecondition, reason, self.gatekeeper.notice(identity))
        })
    }

    fn admit_stream<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let identity = request
            .metadata()
            .get_bin(IDENTITY)
            .and_then(|value| value.to_bytes().ok())
            .ok_or_else(|| Status::failed_precondition(format!("the caller gives no {IDENTITY}")))?;
        self.admit(&identity)
    }
}

#[tonic::async_trait]
impl Raft for Service {
    async fn greet(&self, request: Request<Greeting>) -> Result<Response<Greeting>, Status> {
        self.admit(&request.into_inner().identity)?;
        Ok(Response::new(Greeting { identity: self.gatekeeper.greeting() }))
    }

    async fn send(&self, request: Request<Streaming<Batch>>) -> Result<Response<BatchReceipt>, Status> {
        self.admit_stream(&request)?;
        let mut batches = request.into_inner();
        while let Some(batch) = batches.message().await? {
            for envelope in batch.envelopes {
                self.inbound.envelope(envelope);
            }
        }
        Ok(Response::new(BatchReceipt {}))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<SnapshotChunk>>,
    ) -> Result<Response<SnapshotReceipt>, Status> {
        self.admit_stream(&request)?;
        let _permit = self.snapshots.try_acquire().map_err(|_| {
            Status::resource_exhausted(format!("{SNAPSHOTS_AT_ONCE} snapshots are coming in"))
        })?;
        let (envelope, file) = snapshot::receive(request.into_inner(), &self.inbound.snapshot_dir()).await?;
        self.inbound.snapshot(envelope, file);
        Ok(Response::new(SnapshotReceipt {}))
    }
}
