//! The heartbeat streams, one a store: where commands leave.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proto::pdpb::RegionHeartbeatResponse;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_util::sync::CancellationToken;

/// Messages that wait for a store to take them. A store runs far fewer operators at a time; commands that do not fit
/// are dropped, since the planner repeats them.
pub const OUTBOX_MAX: usize = 1_024;
/// A store that takes nothing for so long loses its stream; it opens a new one when it is well again.
pub const SEND_LIMIT: Duration = Duration::from_secs(5);

/// The way to the store at the other end of one stream; cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    id: u64,
    sender: mpsc::Sender<RegionHeartbeatResponse>,
    broken: CancellationToken,
}

impl Outbox {
    /// A fresh outbox, the messages put into it, and what tells that the stream is to end.
    pub fn new() -> (Self, mpsc::Receiver<RegionHeartbeatResponse>, CancellationToken) {
        static STREAMS: AtomicU64 = AtomicU64::new(1);
        let (sender, receiver) = mpsc::channel(OUTBOX_MAX);
        let broken = CancellationToken::new();
        let outbox = Self { id: STREAMS.fetch_add(1, Ordering::Relaxed), sender, broken: broken.clone() };
        (outbox, receiver, broken)
    }

    /// Waits for room, then hands over a message; for the stream's own task. False: nobody takes it any more.
    pub async fn send(&self, message: RegionHeartbeatResponse) -> bool {
        self.sender.send(message).await.is_ok()
    }

    /// Hands over a message if there is room; for the owner, which never waits.
    pub fn offer(&self, message: RegionHeartbeatResponse) -> Sent {
        match self.sender.try_send(message) {
            Ok(()) => Sent::Ok,
            Err(TrySendError::Full(_)) => Sent::Full,
            Err(TrySendError::Closed(_)) => Sent::Gone,
        }
    }
}

impl PartialEq for Outbox {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// On its way.
    Ok,
    /// Dropped: the store does not keep up.
    Full,
    /// Dropped: there is no stream.
    Gone,
}

/// All streams by the store that they are bound to.
#[derive(Default)]
pub struct Streams {
    by_store: BTreeMap<u64, Bound>,
}

struct Bound {
    outbox: Outbox,
    full_since: Option<Instant>,
}

impl Streams {
    /// Binds a stream to a store; true if the store had another one or none.
    pub fn bind(&mut self, store: u64, outbox: Outbox) -> bool {
        if self.by_store.get(&store).is_some_and(|bound| bound.outbox == outbox) {
            return false;
        }
        self.by_store.insert(store, Bound { outbox, full_since: None });
        true
    }

    /// Forgets a stream that is gone; true if the store is without one now.
    pub fn unbind(&mut self, store: u64, outbox: &Outbox) -> bool {
        let bound = self.by_store.get(&store).is_some_and(|bound| bound.outbox == *outbox);
        if bound {
            self.by_store.remove(&store);
        }
        bound
    }

    /// Sends to a store; [`Sent::Gone`] also when its stream was just given up.
    pub fn send(&mut self, store: u64, message: RegionHeartbeatResponse) -> Sent {
        let Some(bound) = self.by_store.get_mut(&store) else { return Sent::Gone };
        let sent = bound.outbox.offer(message);
        match sent {
            Sent::Ok => bound.full_since = None,
            Sent::Full => {
                let since = *bound.full_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= SEND_LIMIT {
                    bound.outbox.broken.cancel();
                    self.by_store.remove(&store);
                    return Sent::Gone;
                }
            }
            Sent::Gone => {
                self.by_store.remove(&store);
            }
        }
        sent
    }

    /// How many stores have a stream.
    pub fn len(&self) -> usize {
        self.by_store.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{OUTBOX_MAX, Outbox, Sent, Streams};
    use proto::pdpb::RegionHeartbeatResponse;

    #[test]
    fn the_newest_stream_of_a_store_gets_its_commands() {
        let mut streams = Streams::default();
        let (first, mut first_rx, _) = Outbox::new();
        let (second, mut second_rx, _) = Outbox::new();
        assert!(streams.bind(1, first.clone()));
        assert!(!streams.bind(1, first.clone()));
        assert!(streams.bind(1, second));
        assert!(!streams.unbind(1, &first), "an old stream that ends does not take the new one with it");
        assert_eq!(streams.send(1, RegionHeartbeatResponse::default()), Sent::Ok);
        assert!(second_rx.try_recv().is_ok());
        assert!(first_rx.try_recv().is_err());
        assert_eq!(streams.send(2, RegionHeartbeatResponse::default()), Sent::Gone);
    }

    #[test]
    fn a_full_outbox_drops_and_a_closed_one_is_forgotten() {
        let mut streams = Streams::default();
        let (outbox, receiver, _) = Outbox::new();
        streams.bind(1, outbox);
        for _ in 0..OUTBOX_MAX {
            assert_eq!(streams.send(1, RegionHeartbeatResponse::default()), Sent::Ok);
        }
        assert_eq!(streams.send(1, RegionHeartbeatResponse::default()), Sent::Full);
        drop(receiver);
        assert_eq!(streams.send(1, RegionHeartbeatResponse::default()), Sent::Gone);
        assert_eq!(streams.len(), 0);
    }
}
