//! Unique ids: handed out from a window that is reserved through Raft, so that a write to the log is needed only once
//! a thousand ids, and no id is ever given out twice.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Mutex;

use crate::keys::{self, DecodeError, Keys};
use crate::leadership::Term;
use crate::state::{Compare, Kv, KvError, Op, Txn};

/// How many ids are reserved at once: one write to the log a thousand ids, as tikv/pd does.
pub const WINDOW: u64 = 1_000;

/// How often a reservation is tried again because someone else has moved the window (an administrator's call): more
/// than once in a row means that two leaders write, which the terms rule out.
const RESERVE_TRIES: usize = 3;

/// Gives out ids; cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Ids {
    kv: Kv,
    /// Held over a reservation: whoever comes meanwhile waits for it instead of reserving again.
    window: Arc<Mutex<Window>>,
}

/// Why no id was given out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The window could not be reserved.
    #[error(transparent)]
    Reserve(#[from] KvError),
    /// There are no ids left.
    #[error("ids are exhausted: {0} more do not fit into 64 bits")]
    Exhausted(u64),
    /// The stored end of the window is broken.
    #[error("alloc_id: {0}")]
    Broken(#[from] DecodeError),
    /// The window was moved by someone else again and again.
    #[error("alloc_id is being changed by someone else")]
    Contended,
}

/// What is left of the reserved ids: those above `last`, up to `end`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Window {
    term: Term,
    /// The last id given out.
    last: u64,
    /// The last id that may be given out.
    end: u64,
    /// What is stored, to be compared with at the next reservation.
    stored: Option<Bytes>,
}

impl Ids {
    pub(crate) fn new(kv: Kv) -> Self {
        Self { kv, window: Arc::default() }
    }

    /// Allocates `count` ids in a row (0 counts as 1) and returns the last. Only as leader of `term`.
    ///
    /// The first id of a fresh cluster is 1. A new leader skips what was left of the former's window.
    pub async fn alloc(&self, term: Term, count: u32) -> Result<u64, IdError> {
        let count = u64::from(count.max(1));
        let key = Keys::new(self.kv.cluster_id().unwrap_or(0)).alloc_id();
        let mut window = self.window.lock().await;
        if window.term != term {
            *window = self.load(term, key.clone()).await?;
        }
        for _ in 0..RESERVE_TRIES {
            if let Some(last) = window.take(count) {
                return Ok(last);
            }
            let end = window.end_for(count)?;
            let value = keys::encode_be(end);
            let reserve = Txn::of(vec![Op::put(key.clone(), value.clone())])
                .when(Compare::unchanged(key.clone(), window.stored.clone()));
            if self.kv.txn(term, reserve).await?.succeeded {
                window.end = end;
                window.stored = Some(value);
            } else {
                *window = self.load(term, key.clone()).await?;
            }
        }
        Err(IdError::Contended)
    }

    /// An empty window behind everything that was ever reserved.
    async fn load(&self, term: Term, key: Bytes) -> Result<Window, IdError> {
        let stored = self.kv.off_thread(move |kv| kv.get(&key)).await?.map(|kv| kv.value);
        let end = stored.as_deref().map_or(Ok(0), keys::decode_be)?;
        Ok(Window { term, last: end, end, stored })
    }
}

impl Window {
    /// Takes ids in a row; `None` if too few are left.
    fn take(&mut self, count: u64) -> Option<u64> {
        if self.end - self.last < count {
            return None;
        }
        self.last += count;
        Some(self.last)
    }

    /// The end of a window that has room for `count` more: it adjoins the present one, so that they stay in a row.
    fn end_for(&self, count: u64) -> Result<u64, IdError> {
        let needed = count.saturating_sub(self.end - self.last).max(WINDOW);
        self.end.checked_add(needed).ok_or(IdError::Exhausted(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_adjoin_and_large_requests_fit() {
        let mut window = Window::default();
        assert_eq!((window.take(1), window.end_for(1)), (None, Ok(1_000)));
        window.end = 1_000;
        assert_eq!((window.take(1), window.take(998)), (Some(1), Some(999)));
        assert_eq!((window.take(2), window.end_for(2)), (None, Ok(2_000)));
        window.end = 2_000;
        assert_eq!(window.take(2), Some(1_001), "in a row over the end of a window");
        assert_eq!(window.end_for(5_000), Ok(6_001));
        window.end = 6_001;
        assert_eq!((window.take(5_000), window.take(1)), (Some(6_001), None));
    }

    #[test]
    fn the_last_ids_are_not_given_twice() {
        let window = Window { last: u64::MAX - 3, end: u64::MAX - 3, ..Window::default() };
        assert_eq!(window.end_for(1), Err(IdError::Exhausted(1)));
    }
}
