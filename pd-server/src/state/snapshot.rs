//! A snapshot of the machine: every version up to one revision, read while entries go on being applied, with
//! compaction held off.
//!
//! Its file is a sequence of messages, each behind its length: a header, the versions in the order of their keys, and
//! a trailer with their number, without which the file is not whole. (The Raft core guards the bytes by checksums.)

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use raft_core::{Mark, SnapshotWriter};

use super::generation::sync_folder;
use super::layout::{self, MarkRecord, Position};
use super::model::Revision;
use super::tables::Tables;

/// The form of the file.
const FORMAT: u32 = 1;

/// Keys in one batch of an installation: two a version.
const BATCH_VERSIONS_MAX: usize = 240;

/// Longest message that is read: a value of the largest transaction and its key.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(uint32, tag = "1")]
    format: u32,
    #[prost(uint64, tag = "2")]
    revision: u64,
    #[prost(uint64, tag = "3")]
    compacted: u64,
}

/// One version, or with `trailer` set the end of the file.
#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(uint64, tag = "2")]
    revision: u64,
    #[prost(uint32, tag = "3")]
    sub: u32,
    #[prost(bytes = "bytes", tag = "4")]
    version: Bytes,
    /// In the last message: how many came before.
    #[prost(uint64, optional, tag = "5")]
    trailer: Option<u64>,
}

/// Keeps versions from being removed for as long as it lives.
struct Pin(Arc<Tables>);

impl Drop for Pin {
    fn drop(&mut self) {
        self.0.unpin();
    }
}

/// Begins a snapshot of the state as of now.
pub(super) fn writer(tables: Arc<Tables>, mark: Mark) -> SnapshotWriter {
    tables.pin();
    let (revision, compacted) = (tables.revision(), tables.compacted());
    let pin = Pin(tables);
    Box::new(move |out| {
        let mut out = io::BufWriter::new(out);
        let header = Header { format: FORMAT, revision: revision.0, compacted: compacted.0 };
        out.write_all(&header.encode_length_delimited_to_vec())?;
        let mut written = 0;
        for entry in pin.0.all_versions() {
            let (key, at, version) = entry.map_err(io::Error::other)?;
            if at.revision > revision {
                continue;
            }
            let entry = Entry { key, revision: at.revision.0, sub: at.sub, version, trailer: None };
            out.write_all(&entry.encode_length_delimited_to_vec())?;
            written += 1;
        }
        let trailer = Entry { trailer: Some(written), ..Entry::default() };
        out.write_all(&trailer.encode_length_delimited_to_vec())?;
        out.flush()?;
        Ok(mark)
    })
}

/// Writes a snapshot's state into a new database and syncs it.
pub(super) fn install(path: &Path, mark: &Mark, file: &mut dyn Read) -> io::Result<Tables> {
    let mut input = io::BufReader::new(file);
    let header: Header = read_message(&mut input)?;
    if header.format != FORMAT {
        return Err(invalid(format!("format {} of the snapshot is unknown, not {FORMAT}", header.format)));
    }
    let tables = Tables::open(path)?;
    let mut batch = sled::Batch::default();
    let mut read = 0u64;
    let mut in_batch = 0;
    loop {
        let entry: Entry = read_message(&mut input)?;
        if let Some(written) = entry.trailer {
            if written != read {
                return Err(invalid(format!("snapshot holds {read} versions, its trailer says {written}")));
            }
            break;
        }
        let at = Position { revision: Revision(entry.revision), sub: entry.sub };
        batch.insert(layout::data_key(&entry.key, at), entry.version.as_ref());
        // Also for versions at or before the start of the history: compaction finds what it may remove by it.
        batch.insert(layout::history_key(at), entry.key.as_ref());
        read += 1;
        in_batch += 1;
        if in_batch == BATCH_VERSIONS_MAX {
            tables.write(std::mem::take(&mut batch))?;
            in_batch = 0;
        }
    }
    let record = MarkRecord { index: mark.index, term: mark.term, conf_state: Some(mark.conf_state.clone()) };
    batch.insert(layout::REVISION, &header.revision.to_be_bytes());
    batch.insert(layout::COMPACTED, &header.compacted.to_be_bytes());
    batch.insert(layout::MARK, record.encode_to_vec());
    tables.write(batch)?;
    tables.publish(Revision(header.revision), Revision(header.compacted));
    tables.flush()?;
    sync_folder(path)?;
    Ok(tables)
}

fn read_message<M: Message + Default>(input: &mut impl Read) -> io::Result<M> {
    let length = read_length(input)?;
    if length > MESSAGE_BYTES_MAX {
        return Err(invalid(format!("a message of {length} bytes in a snapshot")));
    }
    let mut buffer = vec![0; length];
    input.read_exact(&mut buffer)?;
    Ok(M::decode(buffer.as_slice())?)
}

fn read_length(input: &mut impl Read) -> io::Result<usize> {
    let mut length = 0u64;
    for shift in (0..=28).step_by(7) {
        let mut byte = [0];
        input.read_exact(&mut byte)?;
        length |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            return usize::try_from(length).map_err(io::Error::other);
        }
    }
    Err(invalid("a broken length in a snapshot".into()))
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
