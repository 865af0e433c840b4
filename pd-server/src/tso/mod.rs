//! Timestamps that strictly rise over all leaders: physical milliseconds and 18 bits of a counter.
//!
//! One thread owns them. It drains what all streams have asked, checks the lease, allocates in memory below the bound
//! that is applied through Raft, and answers; it never waits for the disk. Raising the bound ahead is a task of its own.

mod allocator;
mod clock;
mod owner;
mod stream;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub use clock::WallClock;
pub use owner::Counters;
pub use stream::{TsoAsker, TsoReplies};

pub(crate) use allocator::Window;
pub(crate) use clock::Reading;
pub(crate) use owner::Standing;

use self::owner::{Inbox, Owner};

/// Bits of the logical part.
pub const LOGICAL_BITS: u32 = 18;

/// The logical part is below this; also the bound of one request's count.
pub const LOGICAL_END: u32 = 1 << LOGICAL_BITS;

/// Most requests of one stream that are asked and not yet taken as replies; a stream beyond it waits.
pub const STREAM_PENDING_MAX: usize = 4_096;

/// How long requests are held while this member leads but may not serve yet, or the bound is reached.
pub const HOLD_MAX: Duration = Duration::from_secs(1);

/// A reply: the highest of `count` timestamps; the others lie directly below it, in the same millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Milliseconds of wall time.
    pub physical_ms: i64,
    /// Below [`LOGICAL_END`].
    pub logical: u32,
}

/// What answers one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The highest timestamp.
    pub timestamp: Timestamp,
    /// As in the request.
    pub count: u32,
}

/// Why a stream of timestamps ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TsoError {
    /// This member does not lead, or lost the lead.
    #[error("not leader")]
    NotLeader,
    /// A count of 0, or one that no millisecond can hold.
    #[error("tso count must be between 1 and {}, not {count}", LOGICAL_END - 1, count = .0)]
    Count(u32),
    /// The answering side of the stream is gone.
    #[error("the stream is closed")]
    Closed,
    /// The bound could not be raised in time.
    #[error("timestamps are exhausted up to the saved bound; it could not be raised within 1 s")]
    BoundReached,
}

/// The way to the timestamp owner; cheap to clone.
#[derive(Clone)]
pub struct TsoHandle {
    inbox: Arc<Inbox>,
}

/// The running thread. Dropping it ends all streams and waits for the thread.
pub(crate) struct TsoThread {
    inbox: Arc<Inbox>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the thread. `lease_holds` tells whether this member's lease of a term holds at the time of the call.
pub(crate) fn start(
    clock: Arc<WallClock>,
    lease_holds: Box<dyn Fn(u64) -> bool + Send>,
) -> std::io::Result<(TsoHandle, TsoThread)> {
    let inbox = Arc::new(Inbox::default());
    let owner = Owner::new(Arc::clone(&inbox), clock, lease_holds);
    let thread = std::thread::Builder::new().name("tso".into()).spawn(move || owner.run())?;
    Ok((TsoHandle { inbox: Arc::clone(&inbox) }, TsoThread { inbox, thread: Some(thread) }))
}

impl TsoHandle {
    /// One request, one reply: for calls that are not streams.
    pub async fn request(&self, count: u32) -> Result<Reply, TsoError> {
        let (mut asker, mut replies) = self.open();
        asker.ask(&[count]).await?;
        let mut received = Vec::with_capacity(1);
        replies.receive(&mut received).await?;
        received.pop().ok_or(TsoError::Closed)
    }

    /// Opens a stream: many requests in flight, one wake-up for all replies that are ready.
    pub fn open(&self) -> (TsoAsker, TsoReplies) {
        stream::open(Arc::clone(&self.inbox))
    }

    /// What the owner counts.
    pub fn counters(&self) -> &Counters {
        &self.inbox.counters
    }

    /// Tells the owner what this member may do.
    pub(crate) fn set_standing(&self, standing: Standing) {
        self.inbox.set_standing(standing);
    }

    /// Resolves when the owner has used up its window.
    pub(crate) async fn bound_wanted(&self) {
        self.inbox.bound_wanted.notified().await;
    }
}

impl Drop for TsoThread {
    fn drop(&mut self) {
        self.inbox.stop();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by itself; there is nothing left to do for it.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
