//! The threads that work on snapshot files: make one for a member that needs it, check and sync one that came in;
//! and, because it writes files in bulk, too, purge the log.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use parking_lot::Mutex;
use prost::Message as _;
use proto::eraftpb::SnapshotMetadata;
use proto::raftcore::{Envelope, SnapshotDescriptor};

use crate::inbox::{Control, Inbox};
use crate::log::{Log, MadeSnapshot};
use crate::{BootTime, Counters, Mark, SnapshotWriter, convert};

/// Threads for files: one may be busy with a big snapshot while others come in.
pub(crate) const THREADS: usize = 2;

/// Work for them.
pub(crate) enum FileJob {
    /// Write a snapshot for others.
    Make { group: u64, writer: SnapshotWriter },
    /// Check and sync a received one.
    Check { envelope: Box<Envelope>, file: PathBuf },
    /// Drop log files that hold nothing needed.
    Purge,
}

/// One of the threads.
#[derive(Clone)]
pub(crate) struct Files {
    pub jobs: Arc<Mutex<Receiver<FileJob>>>,
    pub inbox: Arc<Inbox>,
    pub log: Log,
    pub counters: Arc<Counters>,
    pub dir: PathBuf,
}

impl Files {
    /// Works until nobody can send jobs any more.
    pub fn run(self) {
        loop {
            // The lock is held while waiting: the threads take turns.
            let job = self.jobs.lock().recv();
            match job {
                Ok(FileJob::Make { group, writer }) => self.make(group, writer),
                Ok(FileJob::Check { envelope, file }) => self.check(envelope, &file),
                Ok(FileJob::Purge) => {
                    let groups = self.log.purge();
                    self.inbox.push_control(Control::Purged(groups));
                }
                Err(_) => return,
            }
        }
    }

    fn make(&self, group: u64, writer: SnapshotWriter) {
        let file = self.dir.join(format!("{group}-{:016x}.made", rand::random::<u64>()));
        let made = match write_snapshot(&file, writer) {
            Ok((mark, descriptor)) => {
                self.counters.snapshots_made.fetch_add(1, Ordering::Relaxed);
                tracing::info!(group, index = mark.index, bytes = descriptor.bytes, "snapshot made");
                let metadata = SnapshotMetadata {
                    conf_state: Some(mark.conf_state),
                    index: mark.index,
                    term: mark.term,
                };
                let metadata = convert::metadata_in(&metadata);
                Some(MadeSnapshot { metadata, descriptor, file, made_at: BootTime::now() })
            }
            Err(error) => {
                tracing::warn!(group, %error, "a snapshot could not be made");
                let _ = std::fs::remove_file(&file);
                None
            }
        };
        self.inbox.push_control(Control::SnapshotMade { group, made });
    }

    fn check(&self, envelope: Box<Envelope>, file: &Path) {
        let group = envelope.group_id;
        match self.take(&envelope, file) {
            Ok(file) => self.inbox.push_control(Control::SnapshotTaken { envelope, file }),
            Err(error) => {
                tracing::warn!(group, file = %file.display(), %error, "a received snapshot is refused");
                let _ = std::fs::remove_file(file);
            }
        }
    }

    /// Compares the file with its descriptor, makes it durable and gives it a name of our own.
    fn take(&self, envelope: &Envelope, file: &Path) -> io::Result<PathBuf> {
        let snapshot = envelope.message.as_ref().and_then(|m| m.snapshot.as_ref());
        let snapshot = snapshot.ok_or_else(|| io::Error::other("its message holds no snapshot"))?;
        let promised = SnapshotDescriptor::decode(snapshot.data.clone()).map_err(io::Error::other)?;
        let open = File::open(file)?;
        let found = describe(&open)?;
        if found != promised {
            return Err(io::Error::other(format!("it should be {promised:?} but is {found:?}")));
        }
        open.sync_all()?;
        let index = snapshot.metadata.as_ref().map_or(0, |m| m.index);
        let group = envelope.group_id;
        let taken = self.dir.join(format!("{group}-{index}-{:016x}.taken", rand::random::<u64>()));
        std::fs::rename(file, &taken)?;
        File::open(&self.dir)?.sync_all()?;
        Ok(taken)
    }
}

fn write_snapshot(file: &Path, writer: SnapshotWriter) -> io::Result<(Mark, SnapshotDescriptor)> {
    let inner = BufWriter::with_capacity(1 << 20, File::create_new(file)?);
    let mut sum = Summing { inner, bytes: 0, crc: crc32fast::Hasher::new() };
    let mark = writer(&mut sum)?;
    sum.inner.flush()?;
    Ok((mark, SnapshotDescriptor { bytes: sum.bytes, crc32: sum.crc.finalize() }))
}

fn describe(mut file: &File) -> io::Result<SnapshotDescriptor> {
    let mut crc = crc32fast::Hasher::new();
    let mut bytes = 0;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(SnapshotDescriptor { bytes, crc32: crc.finalize() });
        }
        bytes += read as u64;
        crc.update(&buffer[..read]);
    }
}

/// Writes through and sums up what goes by.
struct Summing<W> {
    inner: W,
    bytes: u64,
    crc: crc32fast::Hasher,
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(data)?;
        self.bytes += written as u64;
        self.crc.update(&data[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
