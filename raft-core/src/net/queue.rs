//! The bounded queue of one destination: when full the oldest message goes, since Raft repeats itself and the newest
//! says most.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use prost::Message as _;
use proto::raftcore::{Batch, Envelope};
use tokio::sync::Notify;

/// Messages that wait for one destination at most: a second of a busy store's heartbeats.
const MAX_MESSAGES: usize = 8_192;
/// And their bytes: what a stopped peer may cost in memory.
const MAX_BYTES: usize = 64 << 20;
/// One write to the peer carries about this much.
const BATCH_BYTES: usize = 1 << 20;

/// Messages on their way to one address.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Default)]
struct Waiting {
    envelopes: VecDeque<(usize, Envelope)>,
    bytes: usize,
}

impl Queue {
    /// Puts a message in; returns how many old ones it cost.
    pub fn push(&self, envelope: Envelope) -> u64 {
        let size = envelope.encoded_len();
        let mut dropped = 0;
        let mut waiting = self.waiting.lock();
        waiting.bytes += size;
        waiting.envelopes.push_back((size, envelope));
        while waiting.envelopes.len() > MAX_MESSAGES
            || waiting.bytes > MAX_BYTES && waiting.envelopes.len() > 1
        {
            if let Some((size, _)) = waiting.envelopes.pop_front() {
                waiting.bytes -= size;
            }
            dropped += 1;
        }
        drop(waiting);
        self.filled.notify_one();
        dropped
    }

    /// The next batch; `None` if nothing came for `patience`.
    pub async fn next(&self, patience: Duration) -> Option<Batch> {
        self.filled(patience).await.then(|| self.take_batch())
    }

    /// Waits until there is something; false if nothing came for `patience`.
    pub async fn filled(&self, patience: Duration) -> bool {
        let filled = async {
            while self.is_empty() {
                self.filled.notified().await;
            }
        };
        tokio::time::timeout(patience, filled).await.is_ok()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.lock().envelopes.is_empty()
    }

    /// Takes all of it, to be given up.
    pub fn take_all(&self) -> Vec<Envelope> {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.envelopes.into_iter().map(|(_, e)| e).collect()
    }

    fn take_batch(&self) -> Batch {
        let mut batch = Batch::default();
        let mut bytes = 0;
        let mut waiting = self.waiting.lock();
        while let Some((size, envelope)) = waiting.envelopes.pop_front() {
            if bytes > 0 && bytes + size > BATCH_BYTES {
                waiting.envelopes.push_front((size, envelope));
                break;
            }
            bytes += size;
            waiting.bytes -= size;
            batch.envelopes.push(envelope);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(group_id: u64, bytes: usize) -> Envelope {
        Envelope { group_id, context: vec![0; bytes].into(), ..Envelope::default() }
    }

    #[tokio::test]
    async fn the_newest_are_kept_in_order() {
        let queue = Queue::default();
        let extra = 10;
        let dropped: u64 = (0..(MAX_MESSAGES + extra) as u64).map(|n| queue.push(envelope(n, 0))).sum();
        assert_eq!(dropped, extra as u64);
        let batch = queue.next(Duration::from_secs(5)).await.unwrap();
        assert_eq!(batch.envelopes.first().unwrap().group_id, extra as u64);
        assert!(batch.envelopes.is_sorted_by_key(|e| e.group_id));
    }

    #[tokio::test]
    async fn bytes_are_bounded_and_one_big_message_always_fits() {
        let queue = Queue::default();
        assert_eq!(queue.push(envelope(1, MAX_BYTES + 1)), 0);
        assert_eq!(queue.push(envelope(2, 10)), 1);
        assert_eq!(queue.next(Duration::from_secs(5)).await.unwrap().envelopes.len(), 1);
        for n in 0..4 {
            queue.push(envelope(n, BATCH_BYTES / 2));
        }
        assert_eq!(queue.next(Duration::from_secs(5)).await.unwrap().envelopes.len(), 1);
        assert_eq!(queue.take_all().len(), 3);
        assert!(!queue.filled(Duration::from_millis(1)).await);
    }
}
