//! The timestamp stream: exactly one reply a request, in their order.
//!
//! A task reads requests and hands over all that have arrived in one go; the reply side is a stream that wakes once for
//! all replies that are ready.

use std::sync::{Arc, OnceLock};

use futures::{FutureExt, StreamExt, stream};
use proto::pdpb;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::gate::Gate;
use super::header::{self, Asked};
use crate::cluster::Tenure;
use crate::tso::{LOGICAL_END, Reply, TsoAsker, TsoError, TsoReplies};

/// Most requests taken from a stream in one go: large enough to make the hand-over cheap, small enough that the first
/// of them does not wait long.
const BATCH_MAX: usize = 512;

/// Serves one stream until its client closes it or the lead is lost.
pub async fn serve(
    gate: &Gate,
    request: Request<Streaming<pdpb::TsoRequest>>,
) -> Result<Response<BoxStream<pdpb::TsoResponse>>, Status> {
    let tenure = gate.enter().await?;
    let cluster_id = tenure.cluster_id;
    let (asker, replies) = gate.pd.tso.open();
    let reader = CancellationToken::new();
    let refusal = Arc::new(OnceLock::new());
    tokio::spawn(read(request.into_inner(), asker, tenure, Arc::clone(&refusal), reader.clone()));
    let answers = Answers {
        cluster_id,
        replies,
        batch: Vec::new(),
        next: 0,
        refusal,
        over: false,
        _reader: reader.drop_guard(),
    };
    Ok(Response::new(Box::pin(stream::unfold(answers, Answers::next))))
}

/// Reads requests until the client is done, a request is bad (its refusal ends the stream after the replies before
/// it), or nobody takes replies any more.
async fn read(
    mut requests: Streaming<pdpb::TsoRequest>,
    mut asker: TsoAsker,
    tenure: Arc<Tenure>,
    refusal: Arc<OnceLock<Status>>,
    gone: CancellationToken,
) {
    let work = async {
        let mut counts = Vec::with_capacity(BATCH_MAX);
        loop {
            counts.clear();
            let mut next = requests.next().await;
            let verdict = loop {
                match next {
                    Some(Ok(request)) => match check(&tenure, &request) {
                        Ok(count) => counts.push(count),
                        Err(status) => break Err(Some(status)),
                    },
                    // The client went away without a word: there is nobody to tell.
                    Some(Err(_)) | None => break Err(None),
                }
                if counts.len() >= BATCH_MAX {
                    break Ok(());
                }
                match requests.next().now_or_never() {
                    Some(more) => next = more,
                    None => break Ok(()),
                }
            };
            if !counts.is_empty() && asker.ask(&counts).await.is_err() {
                // The reply side has the same error.
                return;
            }
            if let Err(status) = verdict {
                if let Some(status) = status {
                    let _ = refusal.set(status);
                }
                return;
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = gone.cancelled() => {}
        // The reply side notices a lost lead by itself; here the whole member stops.
        () = tenure.ended() => {
            let _ = refusal.set(header::not_leader());
        }
    }
}

fn check(tenure: &Tenure, request: &pdpb::TsoRequest) -> Result<u32, Status> {
    tenure.check_cluster_id(request.cluster_id())?;
    match request.count {
        0 => Err(failed("tso count should be positive")),
        count if count >= LOGICAL_END => Err(failed("generate tso maximum number of retries exceeded")),
        count => Ok(count),
    }
}

/// The reply side of one stream.
struct Answers {
    cluster_id: u64,
    replies: TsoReplies,
    batch: Vec<Reply>,
    next: usize,
    refusal: Arc<OnceLock<Status>>,
    over: bool,
    _reader: DropGuard,
}

impl Answers {
    async fn next(mut self) -> Option<(Result<pdpb::TsoResponse, Status>, Self)> {
        if self.over {
            return None;
        }
        if self.next == self.batch.len() {
            self.batch.clear();
            self.next = 0;
            match self.replies.receive(&mut self.batch).await {
                Ok(0) => {
                    self.over = true;
                    let status = self.refusal.get().cloned()?;
                    return Some((Err(status), self));
                }
                Ok(_) => {}
                Err(error) => {
                    self.over = true;
                    return Some((Err(ended(&error)), self));
                }
            }
        }
        let reply = self.batch[self.next];
        self.next += 1;
        let answer = pdpb::TsoResponse {
            header: Some(header::header(self.cluster_id)),
            count: reply.count,
            timestamp: Some(pdpb::Timestamp {
                physical: reply.timestamp.physical_ms,
                logical: i64::from(reply.timestamp.logical),
                suffix_bits: 0,
            }),
        };
        Some((Ok(answer), self))
    }
}

fn ended(error: &TsoError) -> Status {
    match error {
        TsoError::NotLeader | TsoError::Closed => header::not_leader(),
        TsoError::Count(_) | TsoError::BoundReached => failed(&error.to_string()),
    }
}

fn failed(reason: &str) -> Status {
    Status::unknown(format!("[PD:tso:ErrGenerateTimestamp]generate timestamp failed, {reason}"))
}
