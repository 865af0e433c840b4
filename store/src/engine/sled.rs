//! The engine on sled.

use std::fs::File;
use std::io;
use std::path::Path;

use bytes::Bytes;

use super::{Batch, Engine, MAX_BATCH_KEYS, Order, Visit};

/// sled's cache. Its default of 1 GB is too much for several Stores a machine.
const CACHE_BYTES: u64 = 128 << 20;

/// One sled database, its default tree.
pub struct SledEngine {
    db: sled::Db,
    // sled's `flush` asks Linux only to start writing back; a real sync of its file needs a handle of our own.
    file: File,
}

impl SledEngine {
    /// Opens or creates the database in `dir`. Fails if another process has it.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let db = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).open().map_err(io::Error::from)?;
        let file = File::open(dir.join("db"))?;
        Ok(Self { db, file })
    }
}

impl Engine for SledEngine {
    fn get(&self, key: &[u8]) -> io::Result<Option<Bytes>> {
        Ok(self.db.get(key).map_err(io::Error::from)?.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn write(&self, batch: Batch) -> io::Result<()> {
        if batch.len() > MAX_BATCH_KEYS {
            let text = format!("a batch of {} keys; at most {MAX_BATCH_KEYS} are allowed", batch.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let mut writes = sled::Batch::default();
        for (key, value) in batch.writes {
            match value {
                Some(value) => writes.insert(key, value.as_ref()),
                None => writes.remove(key),
            }
        }
        self.db.apply_batch(writes).map_err(io::Error::from)
    }

    fn scan(&self, start: &[u8], end: &[u8], order: Order, visit: &mut Visit<'_>) -> io::Result<()> {
        if start >= end {
            return Ok(());
        }
        let mut range = self.db.range(start..end);
        loop {
            let next = match order {
                Order::Ascending => range.next(),
                Order::Descending => range.next_back(),
            };
            let Some(item) = next else { return Ok(()) };
            let (key, value) = item.map_err(io::Error::from)?;
            if visit(&key, &value).is_break() {
                return Ok(());
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.db.flush().map_err(io::Error::from)?;
        self.file.sync_data()
    }

    fn bytes_on_disk(&self) -> io::Result<u64> {
        self.db.size_on_disk().map_err(io::Error::from)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::super::clear;
    use super::*;

    fn collect(engine: &SledEngine, start: &[u8], end: &[u8], order: Order) -> Vec<String> {
        let mut keys = Vec::new();
        engine
            .scan(start, end, order, &mut |key, _| {
                keys.push(String::from_utf8_lossy(key).into_owned());
                ControlFlow::Continue(())
            })
            .unwrap();
        keys
    }

    #[test]
    fn a_batch_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let engine = SledEngine::open(dir.path()).unwrap();
        let mut batch = Batch::default();
        batch.put(b"a".to_vec(), Bytes::from_static(b"1"));
        batch.put(b"b".to_vec(), Bytes::from_static(b"2"));
        batch.put(b"a".to_vec(), Bytes::from_static(b"3"));
        batch.delete(b"b".to_vec());
        engine.write(batch).unwrap();
        engine.sync().unwrap();
        drop(engine);
        let engine = SledEngine::open(dir.path()).unwrap();
        assert_eq!(engine.get(b"a").unwrap(), Some(Bytes::from_static(b"3")), "the later write holds");
        assert_eq!(engine.get(b"b").unwrap(), None);
    }

    #[test]
    fn a_batch_above_the_bound_is_refused_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let engine = SledEngine::open(dir.path()).unwrap();
        let mut batch = Batch::default();
        for n in 0..=MAX_BATCH_KEYS {
            batch.put(n.to_be_bytes().to_vec(), Bytes::new());
        }
        assert_eq!(engine.write(batch).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(engine.get(&0usize.to_be_bytes()).unwrap(), None);
    }

    #[test]
    fn scans_go_both_ways_and_clear_stays_in_its_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let engine = SledEngine::open(dir.path()).unwrap();
        for n in 0..1_200 {
            let mut batch = Batch::default();
            batch.put(format!("k{n:04}").into_bytes(), Bytes::new());
            engine.write(batch).unwrap();
        }
        assert_eq!(collect(&engine, b"k0003", b"k0006", Order::Ascending), ["k0003", "k0004", "k0005"]);
        assert_eq!(collect(&engine, b"k0003", b"k0006", Order::Descending), ["k0005", "k0004", "k0003"]);
        assert!(collect(&engine, b"k0006", b"k0003", Order::Ascending).is_empty());
        clear(&engine, b"k0001", b"k1199").unwrap();
        assert_eq!(collect(&engine, b"k", b"l", Order::Ascending), ["k0000", "k1199"]);
    }

    #[test]
    fn a_second_opener_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let _engine = SledEngine::open(dir.path()).unwrap();
        assert!(SledEngine::open(dir.path()).is_err());
    }
}
