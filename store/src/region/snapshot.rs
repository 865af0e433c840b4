//! The file of a Region's snapshot: frames of a 4-byte little-endian length and a message. First a header, then
//! writes (a scan, and over it what was written meanwhile), last a trailer with the Region and the point in the log.
//!
//! The file as a whole is guarded by the Raft core's checksums; a file without its trailer is refused here.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::Arc;

use prost::Message;
use proto::metapb::Region;
use raft_core::Mark;

use super::command::Mutation;
use super::{Recorder, conf_state};
use crate::engine::{Engine, Order};
use crate::{KeyRange, keys};
use bytes::Bytes;

/// Bytes of keys and values after which a frame is closed.
const FRAME_BYTES: usize = 1 << 20;
/// Largest frame that is read: one frame of [`FRAME_BYTES`] plus the largest value, with room.
const MAX_FRAME_BYTES: usize = 64 << 20;

#[derive(Clone, PartialEq, prost::Message)]
struct Frame {
    #[prost(oneof = "Body", tags = "1, 2, 3")]
    body: Option<Body>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Body {
    #[prost(message, tag = "1")]
    Header(Header),
    #[prost(message, tag = "2")]
    Writes(Writes),
    #[prost(message, tag = "3")]
    Trailer(Trailer),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Header {
    #[prost(uint64, tag = "1")]
    region_id: u64,
    #[prost(bytes = "bytes", tag = "2")]
    start_key: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    end_key: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Writes {
    #[prost(message, repeated, tag = "1")]
    writes: Vec<Mutation>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Trailer {
    #[prost(message, optional, tag = "1")]
    region: Option<Region>,
    #[prost(uint64, tag = "2")]
    index: u64,
    #[prost(uint64, tag = "3")]
    term: u64,
    #[prost(uint64, tag = "4")]
    writes: u64,
}

/// What a snapshot's file says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotSummary {
    /// The Region at the snapshot's point in the log.
    pub region: Region,
    /// Index of the last entry in it.
    pub index: u64,
    /// Term of that entry.
    pub term: u64,
}

/// Writes the file: the scan from what was applied when `recorder` began, then what it recorded. `intact` is asked
/// after the scan whether the data stayed in place meanwhile.
pub(super) fn write(
    engine: &dyn Engine,
    region: &Region,
    recorder: &Recorder,
    intact: impl FnOnce() -> bool,
    out: &mut dyn io::Write,
) -> io::Result<Mark> {
    let mut out = FrameWriter { out, writes: Vec::new(), bytes: 0, count: 0 };
    out.frame(Body::Header(Header {
        region_id: region.id,
        start_key: region.start_key.clone(),
        end_key: region.end_key.clone(),
    }))?;
    let (start, end) = keys::data_bounds(&KeyRange::of(region));
    let mut failed = None;
    engine.scan(&start, &end, Order::Ascending, &mut |key, value| {
        let key = Bytes::copy_from_slice(keys::user_key(key));
        match out.add(Mutation { key, value: Some(Bytes::copy_from_slice(value)) }) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    let recorded = recorder.close()?;
    if !intact() {
        return Err(io::Error::other("the region's data was removed while its snapshot was made"));
    }
    for write in recorded.writes {
        out.add(write)?;
    }
    out.flush()?;
    let trailer = Trailer {
        region: Some(recorded.region.as_ref().clone()),
        index: recorded.index,
        term: recorded.term,
        writes: out.count,
    };
    out.frame(Body::Trailer(trailer))?;
    Ok(Mark { index: recorded.index, term: recorded.term, conf_state: conf_state(&recorded.region) })
}

/// Reads a file to its end: its range first, then each frame of writes, then what it stands for.
pub(super) fn read(
    file: &mut dyn Read,
    mut range: impl FnMut(&KeyRange) -> io::Result<()>,
    mut writes: impl FnMut(Vec<Mutation>) -> io::Result<()>,
) -> io::Result<SnapshotSummary> {
    let Body::Header(header) = read_frame(file)? else {
        return Err(broken("it does not begin with a header"));
    };
    let within = KeyRange::new(header.start_key, header.end_key);
    range(&within)?;
    let mut count = 0;
    loop {
        match read_frame(file)? {
            Body::Header(_) => return Err(broken("a second header")),
            Body::Writes(part) => {
                count += part.writes.len() as u64;
                if part.writes.iter().any(|write| !within.contains(&write.key)) {
                    return Err(broken("a key outside its range"));
                }
                writes(part.writes)?;
            }
            Body::Trailer(trailer) => {
                let region = trailer.region.unwrap_or_default();
                if trailer.writes != count || region.id != header.region_id || KeyRange::of(&region) != within
                {
                    return Err(broken("trailer and content differ"));
                }
                return Ok(SnapshotSummary { region, index: trailer.index, term: trailer.term });
            }
        }
    }
}

/// Reads a received file through, changing nothing: whether it is whole, and what it stands for.
pub fn inspect(path: &std::path::Path) -> io::Result<SnapshotSummary> {
    let mut file = io::BufReader::new(std::fs::File::open(path)?);
    read(&mut file, |_| Ok(()), |_| Ok(()))
}

/// The writer of a snapshot as the Raft core wants it.
pub(super) fn writer(
    engine: Arc<dyn Engine>,
    region: Arc<Region>,
    recorder: Arc<Recorder>,
    intact: impl FnOnce() -> bool + Send + 'static,
) -> raft_core::SnapshotWriter {
    Box::new(move |out| write(engine.as_ref(), &region, &recorder, intact, out))
}

struct FrameWriter<'a> {
    out: &'a mut dyn io::Write,
    writes: Vec<Mutation>,
    bytes: usize,
    count: u64,
}

impl FrameWriter<'_> {
    fn add(&mut self, write: Mutation) -> io::Result<()> {
        self.bytes += write.size();
        self.count += 1;
        self.writes.push(write);
        if self.bytes >= FRAME_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.writes.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let writes = std::mem::take(&mut self.writes);
        self.frame(Body::Writes(Writes { writes }))
    }

    fn frame(&mut self, body: Body) -> io::Result<()> {
        let bytes = Frame { body: Some(body) }.encode_to_vec();
        let length = u32::try_from(bytes.len()).map_err(|_| broken("a frame above 4 GiB"))?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&bytes)
    }
}

fn read_frame(file: &mut dyn Read) -> io::Result<Body> {
    let mut length = [0; 4];
    file.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_FRAME_BYTES {
        return Err(broken("a frame is too large"));
    }
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes)?;
    let frame = Frame::decode(Bytes::from(bytes))
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    frame.body.ok_or_else(|| broken("an empty frame"))
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("region snapshot: {what}"))
}
