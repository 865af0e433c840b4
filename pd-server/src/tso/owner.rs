//! The thread that owns the timestamps.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use raft_core::{Durations, Sizes};
use tokio::sync::Notify;

use super::allocator::{Allocator, Window};
use super::stream::Stream;
use super::{HOLD_MAX, Reply, TsoError, WallClock};

/// How often requests are tried again while they are held: a lease that is earned again wakes nobody.
const RETRY: Duration = Duration::from_millis(2);

/// Emptied vectors that are kept for the next batch, instead of being allocated anew.
const SPARE_MAX: usize = 256;

/// Whether this member's lease of a term holds now.
pub(super) type LeaseCheck = Box<dyn Fn(u64) -> bool + Send>;

/// What this member may do with timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It does not lead: requests are refused at once.
    #[default]
    Following,
    /// It leads and its first bound is not yet applied: requests are held.
    Preparing,
    /// It may give timestamps of this window, within its lease.
    Serving(Window),
}

/// What others hand to the thread.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<InboxState>,
    wake: Condvar,
    /// Asks for a higher bound.
    pub(super) bound_wanted: Notify,
    pub(super) counters: Counters,
}

#[derive(Default)]
struct InboxState {
    /// Streams that have asks.
    listed: Vec<Arc<Stream>>,
    standing: Standing,
    /// The standing was set since the thread last looked.
    changed: bool,
    stopping: bool,
}

/// What the thread counts.
#[derive(Debug, Default)]
pub struct Counters {
    /// Requests answered.
    pub requests: AtomicU64,
    /// Timestamps given out.
    pub timestamps: AtomicU64,
    /// Rounds, each with one check of the lease.
    pub rounds: AtomicU64,
    /// Physical part of the last timestamp, in milliseconds.
    pub physical_ms: AtomicU64,
    /// From the moment when the first of the requests that were taken together was asked, for each of them: an upper bound.
    pub latency: Durations,
    /// Timestamps asked for by requests that were taken together.
    pub batches: Sizes,
    /// Streams refused because this member did not lead or its lease was over.
    pub refused_not_leading: AtomicU64,
    /// Streams refused because the bound could not be raised in time.
    pub refused_bound: AtomicU64,
}

impl Inbox {
    /// A stream has asks.
    pub(super) fn list(&self, stream: Arc<Stream>) {
        let mut state = self.state.lock();
        state.listed.push(stream);
        // With more than one listed the thread is awake already.
        let first = state.listed.len() == 1;
        drop(state);
        if first {
            self.wake.notify_one();
        }
    }

    pub(super) fn set_standing(&self, standing: Standing) {
        let mut state = self.state.lock();
        state.standing = standing;
        state.changed = true;
        drop(state);
        self.wake.notify_one();
    }

    pub(super) fn stop(&self) {
        self.state.lock().stopping = true;
        self.wake.notify_one();
    }
}

/// The requests of one stream that came in together.
struct Batch {
    stream: Arc<Stream>,
    asks: Vec<u32>,
    /// How many are answered.
    done: usize,
    /// When the first of them was asked.
    asked: Instant,
    deadline: Instant,
}

/// What the thread itself holds.
pub(super) struct Owner {
    inbox: Arc<Inbox>,
    clock: Arc<WallClock>,
    lease_holds: LeaseCheck,
    allocator: Allocator,
    /// Oldest first, all with the same time to wait: so the order of a stream is kept, and the first is due first.
    work: VecDeque<Batch>,
    spare: Vec<Vec<u32>>,
    replies: Vec<Reply>,
}

impl Owner {
    pub(super) fn new(inbox: Arc<Inbox>, clock: Arc<WallClock>, lease_holds: LeaseCheck) -> Self {
        Self {
            inbox,
            clock,
            lease_holds,
            allocator: Allocator::default(),
            work: VecDeque::new(),
            spare: Vec::new(),
            replies: Vec::new(),
        }
    }

    /// Runs until told to stop: drain the requests, check the lease, allocate, reply (rule 6).
    pub(super) fn run(mut self) {
        while let Some(standing) = self.drain() {
            match standing {
                Standing::Following => self.refuse_all(),
                // Everything in `work` was taken before this check; nothing is admitted after it (rule 1.10).
                Standing::Serving(window) if (self.lease_holds)(window.term) => self.answer(window),
                Standing::Serving(_) | Standing::Preparing => {}
            }
            self.refuse_overdue(standing);
        }
        self.refuse_all();
    }

    /// Waits for something to do and takes all requests that are there. `None`: stop.
    fn drain(&mut self) -> Option<Standing> {
        let inbox = Arc::clone(&self.inbox);
        let mut state = inbox.state.lock();
        while state.listed.is_empty() && !state.changed && !state.stopping {
            if self.work.is_empty() {
                inbox.wake.wait(&mut state);
            } else if inbox.wake.wait_for(&mut state, RETRY).timed_out() {
                break;
            }
        }
        if state.stopping {
            return None;
        }
        state.changed = false;
        let standing = state.standing;
        let listed = std::mem::take(&mut state.listed);
        drop(state);
        let now = Instant::now();
        let deadline = now + HOLD_MAX;
        for stream in listed {
            let mut asks = self.spare.pop().unwrap_or_default();
            let asked = stream.take_asks(&mut asks).unwrap_or(now);
            self.inbox.counters.batches.record(asks.iter().map(|count| u64::from(*count)).sum(), 1);
            self.work.push_back(Batch { stream, asks, done: 0, asked, deadline });
        }
        Some(standing)
    }

    /// Answers all requests in order, as far as the bound allows.
    fn answer(&mut self, window: Window) {
        let counters = &self.inbox.counters;
        let now_ms = self.clock.now_ms();
        let now = Instant::now();
        while let Some(batch) = self.work.front_mut() {
            self.replies.clear();
            let mut timestamps = 0;
            for &count in &batch.asks[batch.done..] {
                let Some(timestamp) = self.allocator.allocate(window, now_ms, count) else { break };
                self.replies.push(Reply { timestamp, count });
                timestamps += u64::from(count);
            }
            batch.done += self.replies.len();
            // Before they are handed out: whoever has a reply finds it counted.
            counters.requests.fetch_add(self.replies.len() as u64, Ordering::Relaxed);
            counters.timestamps.fetch_add(timestamps, Ordering::Relaxed);
            if !self.replies.is_empty() {
                let waited = now.saturating_duration_since(batch.asked);
                counters.latency.record_time(waited, self.replies.len() as u64);
                batch.stream.reply(&self.replies);
            }
            if batch.done < batch.asks.len() {
                self.inbox.bound_wanted.notify_one();
                break;
            }
            let Some(Batch { mut asks, .. }) = self.work.pop_front() else { break };
            if self.spare.len() < SPARE_MAX {
                asks.clear();
                self.spare.push(asks);
            }
        }
        counters.rounds.fetch_add(1, Ordering::Relaxed);
        let physical_ms = u64::try_from(self.allocator.last().physical_ms).unwrap_or(0);
        counters.physical_ms.store(physical_ms, Ordering::Relaxed);
    }

    /// Ends the streams whose requests were held as long as may be.
    fn refuse_overdue(&mut self, standing: Standing) {
        if self.work.is_empty() {
            return;
        }
        let now = Instant::now();
        let error = match standing {
            Standing::Serving(window) if (self.lease_holds)(window.term) => TsoError::BoundReached,
            Standing::Serving(_) | Standing::Preparing | Standing::Following => TsoError::NotLeader,
        };
        while self.work.front().is_some_and(|batch| batch.deadline <= now) {
            if let Some(batch) = self.work.pop_front() {
                self.count_refused(&error);
                batch.stream.end(error.clone());
            }
        }
    }

    fn refuse_all(&mut self) {
        for batch in self.work.drain(..) {
            self.inbox.counters.refused_not_leading.fetch_add(1, Ordering::Relaxed);
            batch.stream.end(TsoError::NotLeader);
        }
    }

    fn count_refused(&self, error: &TsoError) {
        let counters = &self.inbox.counters;
        match error {
            TsoError::BoundReached => counters.refused_bound.fetch_add(1, Ordering::Relaxed),
            TsoError::NotLeader | TsoError::Count(_) | TsoError::Closed => {
                counters.refused_not_leading.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}
