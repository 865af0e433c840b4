//! The stream of Region heartbeats, one a store: the hot path. What has arrived is decoded into compact values and
//! handed to the cluster owner in batches; commands and refusals come back on the same stream.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use proto::metapb::NodeState;
use proto::pdpb::{self, ErrorType, RegionHeartbeatRequest, RegionHeartbeatResponse};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::backlog::Backlog;
use super::gate::Gate;
use super::header::{self, Asked, NOT_BOOTSTRAPPED};
use crate::cluster::{
    Cluster, HEARTBEATS_PER_BATCH_MAX, HeartbeatBatch, Outbox, Request as Ask, Tenure, text, wire,
};

/// A quiet stream gets an empty message that often, so that both sides know that it lives.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// A stream claims its store again that often: of two streams of one store the living one wins.
const REBIND: Duration = Duration::from_secs(60);
/// Regions whose newest heartbeat a stream keeps while the owner is busy: about 1 MiB a stream. Beyond it the stream is
/// not read, and the rest stays in the store's own queue.
const BACKLOG_MAX: usize = 4_096;
/// How long a stream that ends waits for its last heartbeats to be handled.
const FINISH_LIMIT: Duration = Duration::from_secs(1);

/// Serves one stream until its store closes it, it is bad, or the lead is lost.
pub async fn serve(
    gate: &Gate,
    request: Request<Streaming<RegionHeartbeatRequest>>,
) -> Result<Response<BoxStream<RegionHeartbeatResponse>>, Status> {
    let tenure = gate.enter().await?;
    let (outbox, messages, broken) = Outbox::new();
    let reader = CancellationToken::new();
    let (verdict, ended) = oneshot::channel();
    let reading = Reader { tenure: Arc::clone(&tenure), outbox, bound: None, backlog: Backlog::default() };
    tokio::spawn(reading.run(request.into_inner(), verdict, reader.clone()));
    let answers = Answers {
        tenure,
        messages,
        broken,
        ended: Some(ended),
        verdict: None,
        keepalive: Instant::now() + KEEPALIVE,
        over: false,
        _reader: reader.drop_guard(),
    };
    Ok(Response::new(Box::pin(stream::unfold(answers, Answers::next))))
}

/// How the reading side ends the stream: well, or with a status.
type Verdict = Result<(), Status>;

/// The reading side.
struct Reader {
    tenure: Arc<Tenure>,
    outbox: Outbox,
    bound: Option<(u64, Instant)>,
    backlog: Backlog,
}

impl Reader {
    async fn run(
        mut self,
        mut messages: Streaming<RegionHeartbeatRequest>,
        verdict: oneshot::Sender<Verdict>,
        gone: CancellationToken,
    ) {
        let ended = tokio::select! {
            ended = self.read(&mut messages) => Some(ended),
            () = gone.cancelled() => None,
        };
        self.finish().await;
        if let Some((store, _)) = self.bound
            && let Ok(cluster) = self.tenure.cluster()
        {
            cluster.tell(Ask::StreamClosed { store, outbox: self.outbox.clone() }).await;
        }
        if let Some(ended) = ended {
            let _ = verdict.send(ended);
        }
    }

    async fn read(&mut self, messages: &mut Streaming<RegionHeartbeatRequest>) -> Verdict {
        loop {
            // Wait for a heartbeat; while some wait for the owner, also for room there.
            let first = if self.backlog.is_empty() {
                messages.next().await
            } else {
                let cluster = self.tenure.cluster().map_err(|_| header::not_leader())?;
                let full = self.backlog.len() >= BACKLOG_MAX;
                tokio::select! {
                    biased;
                    room = cluster.heartbeats().reserve() => {
                        let permit = room.map_err(|_| header::not_leader())?;
                        permit.send(self.batch(None));
                        continue;
                    }
                    first = messages.next(), if !full => first,
                }
            };
            let mut next = first;
            let ended = loop {
                // The store closed its side: told as it knows it. Or it broke off: nobody is there to be told.
                let Some(Ok(message)) = next else { break Some(Err(Status::unknown("EOF"))) };
                match self.take(message).await {
                    Ok(true) => {}
                    Ok(false) => break Some(Ok(())),
                    Err(status) => break Some(Err(status)),
                }
                if self.backlog.len() >= HEARTBEATS_PER_BATCH_MAX {
                    break None;
                }
                match messages.next().now_or_never() {
                    Some(more) => next = more,
                    None => break None,
                }
            };
            self.hand_over();
            if let Some(verdict) = ended {
                return verdict;
            }
        }
    }

    /// Judges one message and keeps it for the next batch. False: the stream ends well.
    async fn take(&mut self, message: RegionHeartbeatRequest) -> Result<bool, Status> {
        self.tenure.check_cluster_id(message.cluster_id())?;
        let Ok(cluster) = self.tenure.cluster() else {
            let header = header::refused(
                self.tenure.cluster_id,
                ErrorType::NotBootstrapped,
                NOT_BOOTSTRAPPED.to_owned(),
            );
            self.outbox.send(RegionHeartbeatResponse { header: Some(header), ..Default::default() }).await;
            return Ok(false);
        };
        let store = message.leader.as_ref().map_or(0, |leader| leader.store_id);
        if !self.knows(&cluster, store)? {
            return Ok(true);
        }
        self.bind(&cluster, store).await;
        if let Some(what) = malformed(&message) {
            self.refuse(what, &message).await;
            return Ok(true);
        }
        self.backlog.push(wire::report(message));
        Ok(true)
    }

    /// Whether heartbeats of this store count. One that is unknown ends the stream, one that is gone is not heard.
    fn knows(&self, cluster: &Cluster, store: u64) -> Result<bool, Status> {
        if self.bound.is_some_and(|(bound, until)| bound == store && Instant::now() < until) {
            return Ok(true);
        }
        let stores = cluster.stores();
        match stores.table.get(&store) {
            Some(record) => Ok(record.meta.node_state() != NodeState::Removed),
            None => Err(Status::unknown(format!("invalid store ID {store}, not found"))),
        }
    }

    async fn bind(&mut self, cluster: &Cluster, store: u64) {
        let now = Instant::now();
        if self.bound.is_some_and(|(bound, until)| bound == store && now < until) {
            return;
        }
        self.bound = Some((store, now + REBIND));
        cluster.tell(Ask::StreamBound { store, outbox: self.outbox.clone() }).await;
    }

    async fn refuse(&self, what: &str, message: &RegionHeartbeatRequest) {
        let printed = Printed(message);
        let text = format!("invalid request {what}, {printed}");
        self.outbox
            .send(RegionHeartbeatResponse {
                header: Some(header::refused(self.tenure.cluster_id, ErrorType::Unknown, text)),
                target_peer: message.leader,
                ..Default::default()
            })
            .await;
    }

    /// The last batch; returns once the owner has handled all, so that its refusals go out before the stream ends.
    async fn finish(&mut self) {
        let Ok(cluster) = self.tenure.cluster() else { return };
        let (handled, done) = oneshot::channel();
        let batch = self.batch(Some(handled));
        let all = async {
            if cluster.heartbeats().send(batch).await.is_ok() {
                let _ = done.await;
            }
        };
        let _ = tokio::time::timeout(FINISH_LIMIT, all).await;
    }

    fn batch(&mut self, handled: Option<oneshot::Sender<()>>) -> HeartbeatBatch {
        HeartbeatBatch { outbox: self.outbox.clone(), reports: self.backlog.take(), handled }
    }

    /// Hands the batch to the owner if there is room; else it stays, and newer heartbeats of a Region replace older.
    fn hand_over(&mut self) {
        if self.backlog.is_empty() {
            return;
        }
        if let Ok(cluster) = self.tenure.cluster()
            && let Ok(permit) = cluster.heartbeats().try_reserve()
        {
            permit.send(self.batch(None));
        } else {
            self.backlog.keep_newest();
        }
    }
}

/// What makes a message no heartbeat.
fn malformed(message: &RegionHeartbeatRequest) -> Option<&'static str> {
    if message.region.as_ref().is_none_or(|region| region.id == 0) {
        return Some("region");
    }
    if message.leader.as_ref().is_none_or(|leader| leader.id == 0) {
        return Some("leader");
    }
    None
}

/// A heartbeat as it is printed in errors.
struct Printed<'a>(&'a RegionHeartbeatRequest);

impl std::fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let empty = proto::metapb::Region::default();
        let region = self.0.region.as_ref().unwrap_or(&empty);
        write!(f, "{}region:<{}> ", text::Header(self.0.header.as_ref()), text::Region(region))?;
        match &self.0.leader {
            Some(leader) => write!(f, "leader:<{}> ", text::Peer(leader)),
            None => Ok(()),
        }
    }
}

/// The sending side.
struct Answers {
    tenure: Arc<Tenure>,
    messages: mpsc::Receiver<RegionHeartbeatResponse>,
    broken: CancellationToken,
    ended: Option<oneshot::Receiver<Verdict>>,
    verdict: Option<Verdict>,
    keepalive: Instant,
    over: bool,
    _reader: DropGuard,
}

impl Answers {
    async fn next(mut self) -> Option<(Result<RegionHeartbeatResponse, Status>, Self)> {
        if self.over {
            return None;
        }
        loop {
            // After the reading side has ended, what it left is still sent.
            if let Some(verdict) = &self.verdict {
                if let Ok(message) = self.messages.try_recv() {
                    return Some((Ok(message), self));
                }
                self.over = true;
                let verdict = verdict.clone();
                return verdict.err().map(|status| (Err(status), self));
            }
            let ended = async {
                match &mut self.ended {
                    Some(ended) => ended.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.tenure.ended() => {
                    self.over = true;
                    return Some((Err(header::not_leader()), self));
                }
                () = self.broken.cancelled() => {
                    self.over = true;
                    return Some((Err(Status::unavailable("the stream takes nothing: open a new one")), self));
                }
                verdict = ended => {
                    self.ended = None;
                    self.verdict = Some(verdict.unwrap_or(Ok(())));
                }
                // Without any sender left the verdict is on its way.
                Some(message) = self.messages.recv() => {
                    self.keepalive = Instant::now() + KEEPALIVE;
                    return Some((Ok(message), self));
                }
                () = tokio::time::sleep_until(self.keepalive) => {
                    self.keepalive = Instant::now() + KEEPALIVE;
                    let header = pdpb::ResponseHeader { cluster_id: self.tenure.cluster_id, error: None };
                    return Some((Ok(RegionHeartbeatResponse { header: Some(header), ..Default::default() }), self));
                }
            }
        }
    }
}
