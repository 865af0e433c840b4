//! The queues between a stream of requests and the owner: one lock and one wake-up for all that is there, not one each.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::owner::Inbox;
use super::{LOGICAL_END, Reply, STREAM_PENDING_MAX, TsoError};

/// What the two sides of a stream and the owner share.
#[derive(Default)]
pub(super) struct Stream {
    queues: Mutex<Queues>,
    /// Wakes the answering side.
    replied: Notify,
    /// Wakes the asking side when there is room again.
    room: Notify,
}

#[derive(Default)]
struct Queues {
    /// Counts that were asked and not yet taken by the owner.
    asks: Vec<u32>,
    /// When the first of them was asked.
    asked: Option<Instant>,
    replies: Vec<Reply>,
    /// Asked and not yet taken as replies.
    pending: usize,
    /// The owner knows that there are asks.
    listed: bool,
    asker_gone: bool,
    end: Option<TsoError>,
}

/// The asking side of a stream. Dropping it ends the stream once all is answered.
pub struct TsoAsker {
    stream: Arc<Stream>,
    inbox: Arc<Inbox>,
}

/// The answering side of a stream: replies come in the order of the requests.
pub struct TsoReplies {
    stream: Arc<Stream>,
}

pub(super) fn open(inbox: Arc<Inbox>) -> (TsoAsker, TsoReplies) {
    let stream = Arc::new(Stream::default());
    (TsoAsker { stream: Arc::clone(&stream), inbox }, TsoReplies { stream })
}

impl Stream {
    /// Takes what was asked, for the owner; tells when the first of it was.
    pub(super) fn take_asks(&self, into: &mut Vec<u32>) -> Option<Instant> {
        let mut queues = self.queues.lock();
        queues.listed = false;
        std::mem::swap(&mut queues.asks, into);
        queues.asked.take()
    }

    /// Gives replies, for the owner.
    pub(super) fn reply(&self, replies: &[Reply]) {
        self.queues.lock().replies.extend_from_slice(replies);
        self.replied.notify_one();
    }

    /// Ends the stream, for the owner: replies given before are still received.
    pub(super) fn end(&self, error: TsoError) {
        self.queues.lock().end.get_or_insert(error);
        self.replied.notify_one();
        self.room.notify_one();
    }
}

impl TsoAsker {
    /// Asks; each count gets one reply. Waits while more than [`STREAM_PENDING_MAX`] are under way. Hand over all
    /// requests that have arrived in one call: it costs one lock.
    ///
    /// # Errors
    /// [`TsoError::Count`] for a count that cannot be served (those before it are asked), or why the stream has ended.
    pub async fn ask(&mut self, counts: &[u32]) -> Result<(), TsoError> {
        let good =
            counts.iter().position(|count| *count == 0 || *count >= LOGICAL_END).unwrap_or(counts.len());
        let (mut rest, bad) = (&counts[..good], counts.get(good));
        while !rest.is_empty() {
            let asked = self.push(rest)?;
            rest = &rest[asked..];
            if !rest.is_empty() {
                self.stream.room.notified().await;
            }
        }
        bad.map_or(Ok(()), |count| Err(TsoError::Count(*count)))
    }

    /// Asks as many as there is room for.
    fn push(&self, counts: &[u32]) -> Result<usize, TsoError> {
        let mut queues = self.stream.queues.lock();
        if let Some(end) = &queues.end {
            return Err(end.clone());
        }
        let asked = counts.len().min(STREAM_PENDING_MAX.saturating_sub(queues.pending));
        queues.asks.extend_from_slice(&counts[..asked]);
        queues.pending += asked;
        let list = asked > 0 && !std::mem::replace(&mut queues.listed, true);
        if list {
            queues.asked = Some(Instant::now());
        }
        drop(queues);
        if list {
            self.inbox.list(Arc::clone(&self.stream));
        }
        Ok(asked)
    }
}

impl Drop for TsoAsker {
    fn drop(&mut self) {
        self.stream.queues.lock().asker_gone = true;
        self.stream.replied.notify_one();
    }
}

impl TsoReplies {
    /// Waits for replies and appends all that are ready; returns how many. `Ok(0)`: the asking side is gone and all
    /// is answered. After an error the stream is over. Dropping the future loses nothing.
    pub async fn receive(&mut self, into: &mut Vec<Reply>) -> Result<usize, TsoError> {
        loop {
            if let Some(received) = self.take(into)? {
                return Ok(received);
            }
            self.stream.replied.notified().await;
        }
    }

    /// What is ready; `None` if one has to wait.
    fn take(&self, into: &mut Vec<Reply>) -> Result<Option<usize>, TsoError> {
        let mut queues = self.stream.queues.lock();
        let received = queues.replies.len();
        if received > 0 {
            into.append(&mut queues.replies);
            queues.pending -= received;
            drop(queues);
            self.stream.room.notify_one();
            return Ok(Some(received));
        }
        if let Some(end) = &queues.end {
            return Err(end.clone());
        }
        Ok((queues.asker_gone && queues.pending == 0).then_some(0))
    }
}

impl Drop for TsoReplies {
    fn drop(&mut self) {
        self.stream.end(TsoError::Closed);
    }
}
