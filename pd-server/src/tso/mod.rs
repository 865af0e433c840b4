//! Timestamps that strictly rise over all leaders: physical milliseconds and 18 bits of a counter.
//!
//! One thread owns them. It drains what all streams have asked, checks the lease, allocates in memory below the bound
//! that is applied through Raft, and answers; it never waits for the disk. Raising the bound ahead is a task of its own.

use std::time::Duration;

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
    /// The bound could not be raised in time.
    #[error("timestamps are exhausted up to the saved bound; it could not be raised within 1 s")]
    BoundReached,
}

/// The way to the timestamp owner; cheap to clone.
#[derive(Clone)]
pub struct TsoHandle {}

/// The asking side of a stream. Dropping it ends the stream once all is answered.
pub struct TsoAsker {}

/// The answering side of a stream: replies come in the order of the requests.
pub struct TsoReplies {}

impl TsoHandle {
    /// One request, one reply: for calls that are not streams.
    pub async fn request(&self, count: u32) -> Result<Reply, TsoError> {
        let _ = count;
        todo!()
    }

    /// Opens a stream: many requests in flight, one wake-up for all replies that are ready.
    pub fn open(&self) -> (TsoAsker, TsoReplies) {
        todo!()
    }
}

impl TsoAsker {
    /// Asks; each count gets one reply. Waits while more than [`STREAM_PENDING_MAX`] are under way. Hand over all
    /// requests that have arrived in one call: it costs one lock.
    pub async fn ask(&mut self, counts: &[u32]) -> Result<(), TsoError> {
        let _ = counts;
        todo!()
    }
}

impl TsoReplies {
    /// Waits for replies and appends all that are ready; returns how many. `Ok(0)`: the asking side is gone and all
    /// is answered. After an error the stream is over. Dropping the future loses nothing.
    pub async fn receive(&mut self, into: &mut Vec<Reply>) -> Result<usize, TsoError> {
        let _ = into;
        todo!()
    }
}
