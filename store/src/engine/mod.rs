//! Where data lies on disk, behind a small trait so that another engine can take sled's place.

mod sled;

use std::io;
use std::ops::ControlFlow;

use bytes::Bytes;

pub use self::sled::SledEngine;

/// Most keys of one batch. sled's memory grows without bound when batches do (thousands of keys a batch cost
/// gigabytes); a larger batch is refused, callers cut theirs before.
pub const MAX_BATCH_KEYS: usize = 500;

/// The direction of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// From the lowest key up.
    Ascending,
    /// From the highest key down.
    Descending,
}

/// Writes that become visible and durable together. Of two writes to one key the later holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    writes: Vec<(Vec<u8>, Option<Bytes>)>,
}

impl Batch {
    /// Sets a key.
    pub fn put(&mut self, key: Vec<u8>, value: Bytes) {
        self.writes.push((key, Some(value)));
    }

    /// Removes a key.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.writes.push((key, None));
    }

    /// How many writes it holds.
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}

/// Sees a key and its value; breaks to see no more.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// An ordered map of bytes on disk. There are no snapshots: a scan sees writes that are made meanwhile.
pub trait Engine: Send + Sync + 'static {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> io::Result<Option<Bytes>>;

    /// Applies a batch atomically; durable after the next [`Engine::sync`]. Refuses more than [`MAX_BATCH_KEYS`].
    fn write(&self, batch: Batch) -> io::Result<()>;

    /// Visits keys of `[start, end)` in order until the visitor breaks.
    fn scan(&self, start: &[u8], end: &[u8], order: Order, visit: &mut Visit<'_>) -> io::Result<()>;

    /// Makes everything written before durable, also over a loss of power.
    fn sync(&self) -> io::Result<()>;

    /// Bytes that the engine's files take.
    fn bytes_on_disk(&self) -> io::Result<u64>;
}

/// Removes all keys of `[start, end)`, batch by batch: not atomic, but can be done again.
pub fn clear(engine: &dyn Engine, start: &[u8], end: &[u8]) -> io::Result<()> {
    let mut from = start.to_vec();
    loop {
        let mut batch = Batch::default();
        engine.scan(&from, end, Order::Ascending, &mut |key, _| {
            batch.delete(key.to_vec());
            if batch.len() < MAX_BATCH_KEYS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        let Some((last, _)) = batch.writes.last() else { return Ok(()) };
        from.clone_from(last);
        engine.write(batch)?;
    }
}
