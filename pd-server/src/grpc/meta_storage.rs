//! MetaStorage: the replicated keys as stores and clients read, write and watch them. Leader only; the cluster id is not
//! checked. The placement driver's own records can be read and watched here, not written: a wrong byte there would
//! stop timestamps or make ids repeat.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use proto::meta_storagepb::{self as wire, meta_storage_server::MetaStorage};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::gate::Gate;
use super::header::{self, Refusal};
use crate::cluster::Tenure;
use crate::state::{
    Event, EventKind, KeyRange, KeyValue, KvError, Op, OpResult, Revision, Txn, Watch, WatchBatch,
};

/// Most keys in one answer, so that it stays far below the largest message: a client reads on from the last key.
const RANGE_LIMIT_MAX: usize = 10_000;

/// The service.
pub struct Service(pub Gate);

#[tonic::async_trait]
impl MetaStorage for Service {
    async fn get(&self, request: Request<wire::GetRequest>) -> Result<Response<wire::GetResponse>, Status> {
        let tenure = self.0.enter().await?;
        let asked = request.into_inner();
        let range = range(asked.key, asked.range_end)?;
        let limit = match usize::try_from(asked.limit) {
            Ok(0) | Err(_) => RANGE_LIMIT_MAX,
            Ok(limit) => limit.min(RANGE_LIMIT_MAX),
        };
        let revision = (asked.revision > 0).then(|| Revision(asked.revision.unsigned_abs()));
        let read = self.0.pd.kv.off_thread(move |kv| kv.range(&range, limit, revision)).await;
        tenure.check_lead().await?;
        let answer = match read {
            Ok(found) => wire::GetResponse {
                header: Some(header_at(&tenure, found.revision)),
                kvs: found.kvs.into_iter().map(plain).collect(),
                count: signed(found.count),
                more: found.more,
            },
            Err(error) => wire::GetResponse { header: Some(refused(&tenure, &error)?), ..Default::default() },
        };
        Ok(Response::new(answer))
    }

    async fn put(&self, request: Request<wire::PutRequest>) -> Result<Response<wire::PutResponse>, Status> {
        let tenure = self.0.enter().await?;
        let asked = request.into_inner();
        check_write(&tenure, &asked.key)?;
        if asked.lease != 0 {
            let text = "requested lease not found: leases are not granted yet, write without one (lease 0)";
            return Err(Status::not_found(text));
        }
        let put = Op::Put { key: asked.key, value: asked.value, lease: 0, prev_kv: asked.prev_kv };
        let (revision, result) = write(&tenure, put).await?;
        let previous = match result {
            Some(OpResult::Put { previous }) => previous,
            Some(OpResult::Delete { .. } | OpResult::Range(_)) | None => None,
        };
        let answer =
            wire::PutResponse { header: Some(header_at(&tenure, revision)), prev_kv: previous.map(plain) };
        Ok(Response::new(answer))
    }

    /// Deletes exactly one key; an end of a range is ignored.
    async fn delete(
        &self,
        request: Request<wire::DeleteRequest>,
    ) -> Result<Response<wire::DeleteResponse>, Status> {
        let tenure = self.0.enter().await?;
        let asked = request.into_inner();
        check_write(&tenure, &asked.key)?;
        let delete = Op::Delete { range: KeyRange::single(asked.key), prev_kv: asked.prev_kv };
        let (revision, result) = write(&tenure, delete).await?;
        let previous = match result {
            Some(OpResult::Delete { previous, .. }) => previous,
            Some(OpResult::Put { .. } | OpResult::Range(_)) | None => Vec::new(),
        };
        let answer = wire::DeleteResponse {
            header: Some(header_at(&tenure, revision)),
            // tikv/pd leaves it out, and clients that know it count what came back.
            deleted: 0,
            prev_kvs: previous.into_iter().map(plain).collect(),
        };
        Ok(Response::new(answer))
    }

    async fn watch(
        &self,
        request: Request<wire::WatchRequest>,
    ) -> Result<Response<BoxStream<wire::WatchResponse>>, Status> {
        let tenure = self.0.enter().await?;
        let asked = request.into_inner();
        let range = range(asked.key, asked.range_end)?;
        let from = (asked.start_revision > 0).then(|| Revision(asked.start_revision.unsigned_abs()));
        let state = match self.0.pd.kv.watch(range, from) {
            Ok(watch) => Watching::Events { watch, tenure, prev_kv: asked.prev_kv },
            Err(error) => Watching::Failed { error, tenure },
        };
        Ok(Response::new(Box::pin(stream::unfold(state, Watching::next))))
    }
}

/// A watch on its way.
enum Watching {
    Events { watch: Watch, tenure: Arc<Tenure>, prev_kv: bool },
    Failed { error: KvError, tenure: Arc<Tenure> },
    Ending { status: Status },
    Over,
}

impl Watching {
    async fn next(self) -> Option<(Result<wire::WatchResponse, Status>, Self)> {
        match self {
            Self::Events { mut watch, tenure, prev_kv } => {
                let next = tokio::select! {
                    next = watch.next() => next,
                    () = tenure.ended() => return Some((Err(header::not_leader()), Self::Over)),
                };
                match next {
                    Ok(batch) => {
                        let answer = events(&tenure, batch, prev_kv);
                        Some((Ok(answer), Self::Events { watch, tenure, prev_kv }))
                    }
                    Err(error) => Some(failed(&error, &tenure)),
                }
            }
            Self::Failed { error, tenure } => Some(failed(&error, &tenure)),
            Self::Ending { status } => Some((Err(status), Self::Over)),
            Self::Over => None,
        }
    }
}

/// A watch from before the history is told so in a header, then ends: that is what clients restart on.
fn failed(error: &KvError, tenure: &Tenure) -> (Result<wire::WatchResponse, Status>, Watching) {
    let status = Status::unknown(error.to_string());
    match refused(tenure, error) {
        Ok(header) => {
            let compact_revision = match error {
                KvError::Compacted { compacted, .. } => signed(compacted.0),
                _ => 0,
            };
            let answer = wire::WatchResponse { header: Some(header), compact_revision, events: Vec::new() };
            (Ok(answer), Watching::Ending { status })
        }
        Err(status) => (Err(status), Watching::Over),
    }
}

fn check_write(tenure: &Tenure, key: &Bytes) -> Result<(), Status> {
    if key.is_empty() {
        return Err(Status::invalid_argument("key is not provided"));
    }
    if tenure.keys.is_own(key) {
        let key = String::from_utf8_lossy(key);
        let text =
            format!("{key} is a record of the placement driver's own; it is changed by its own calls only");
        return Err(Status::permission_denied(text));
    }
    Ok(())
}

/// Does one operation; returns the revision after it. The answer leaves only if this member still leads.
async fn write(tenure: &Tenure, op: Op) -> Result<(Revision, Option<OpResult>), Status> {
    let written = tenure.pd.kv.txn(tenure.term, Txn::of(vec![op])).await;
    tenure.check_lead().await?;
    match written {
        Ok(mut done) => Ok((done.revision, done.results.pop())),
        Err(error) => match Refusal::from(error) {
            Refusal::Status(status) => Err(status),
            Refusal::Header(_, text) => Err(Status::unknown(text)),
        },
    }
}

fn range(key: Bytes, end: Bytes) -> Result<KeyRange, Status> {
    if key.is_empty() && end.is_empty() {
        return Err(Status::invalid_argument("key is not provided"));
    }
    Ok(KeyRange::from_etcd(key, end))
}

fn header_at(tenure: &Tenure, revision: Revision) -> wire::ResponseHeader {
    wire::ResponseHeader { cluster_id: tenure.cluster_id, error: None, revision: signed(revision.0) }
}

/// Compacted history is told in the header, all else as a status.
fn refused(tenure: &Tenure, error: &KvError) -> Result<wire::ResponseHeader, Status> {
    let KvError::Compacted { .. } = error else { return Err(Status::unknown(error.to_string())) };
    let mut header = header_at(tenure, Revision(0));
    header.error =
        Some(wire::Error { r#type: wire::ErrorType::DataCompacted.into(), message: error.to_string() });
    Ok(header)
}

fn events(tenure: &Tenure, batch: WatchBatch, prev_kv: bool) -> wire::WatchResponse {
    let event = |event: Event| wire::Event {
        r#type: match event.kind {
            EventKind::Put => wire::event::EventType::Put,
            EventKind::Delete => wire::event::EventType::Delete,
        }
        .into(),
        kv: Some(full(event.kv)),
        prev_kv: event.prev_kv.filter(|_| prev_kv).map(plain),
    };
    wire::WatchResponse {
        header: Some(header_at(tenure, batch.revision)),
        compact_revision: 0,
        events: batch.events.into_iter().map(event).collect(),
    }
}

/// Reads carry keys and values only.
fn plain(kv: KeyValue) -> wire::KeyValue {
    wire::KeyValue { key: kv.key, value: kv.value, ..Default::default() }
}

fn full(kv: KeyValue) -> wire::KeyValue {
    wire::KeyValue {
        create_revision: signed(kv.create_revision.0),
        mod_revision: signed(kv.mod_revision.0),
        version: signed(kv.version),
        lease: signed(kv.lease),
        key: kv.key,
        value: kv.value,
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
