//! What is written to a Region while its snapshot is being made.
//!
//! The engine has no snapshots: a scan that starts at applied index i0 sees some of the writes made meanwhile and
//! not others. So these are recorded, and the file of a snapshot is the scan, then the writes of i0+1..i1 over it,
//! labelled i1. A record is made *before* its write goes into the engine: a write that the scan could see is
//! recorded, or comes after the recording was closed and so after the scan.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use proto::metapb::Region;

use super::command::Mutation;

/// Most bytes recorded for one snapshot. Above it the snapshot is given up and made anew later: a Region that is
/// written so fast is split before long.
const MAX_BYTES: usize = 64 << 20;

/// Shared by the state machine, which records, and the writer of the snapshot, which ends it.
pub struct Recorder {
    state: Mutex<State>,
}

enum State {
    Recording(Recorded),
    GivenUp(&'static str),
}

/// What was recorded, and the point in the log that it leads to.
pub struct Recorded {
    /// In the order of the log.
    pub writes: Vec<Mutation>,
    /// The Region at that point.
    pub region: Arc<Region>,
    /// Index of the last entry.
    pub index: u64,
    /// Term of that entry.
    pub term: u64,
    bytes: usize,
}

impl Recorder {
    /// Begins at what is applied now.
    pub fn new(region: Arc<Region>, index: u64, term: u64) -> Self {
        let recorded = Recorded { writes: Vec::new(), region, index, term, bytes: 0 };
        Self { state: Mutex::new(State::Recording(recorded)) }
    }

    /// Adds the effects of the entries up to `index`, which are about to be written.
    pub fn record(&self, writes: &[Mutation], region: &Arc<Region>, index: u64, term: u64) {
        let mut state = self.state.lock();
        let State::Recording(recorded) = &mut *state else { return };
        let before = recorded.region.region_epoch.unwrap_or_default().version;
        if region.region_epoch.unwrap_or_default().version != before {
            *state = State::GivenUp("the region was split while its snapshot was made");
            return;
        }
        recorded.bytes += writes.iter().map(Mutation::size).sum::<usize>();
        if recorded.bytes > MAX_BYTES {
            *state = State::GivenUp("too much was written while the snapshot was made");
            return;
        }
        recorded.writes.extend_from_slice(writes);
        recorded.region = region.clone();
        (recorded.index, recorded.term) = (index, term);
    }

    /// Ends it. An error if the snapshot cannot be used.
    pub fn close(&self) -> io::Result<Recorded> {
        match std::mem::replace(&mut *self.state.lock(), State::GivenUp("closed")) {
            State::Recording(recorded) => Ok(recorded),
            State::GivenUp(why) => Err(io::Error::other(why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proto::metapb::RegionEpoch;

    use super::*;

    fn region(conf_ver: u64, version: u64) -> Arc<Region> {
        Arc::new(Region { region_epoch: Some(RegionEpoch { conf_ver, version }), ..Region::default() })
    }

    fn write(bytes: usize) -> Mutation {
        Mutation { key: Bytes::from_static(b"k"), value: Some(vec![0; bytes].into()) }
    }

    #[test]
    fn the_label_is_the_last_record() {
        let recorder = Recorder::new(region(1, 1), 5, 1);
        recorder.record(&[write(1)], &region(1, 1), 6, 1);
        recorder.record(&[], &region(2, 1), 7, 2);
        let recorded = recorder.close().unwrap();
        assert_eq!((recorded.index, recorded.term, recorded.writes.len()), (7, 2, 1));
        assert_eq!(recorded.region, region(2, 1));
        assert!(recorder.close().is_err(), "it ends once");
    }

    #[test]
    fn a_split_or_too_much_gives_it_up() {
        let recorder = Recorder::new(region(1, 1), 5, 1);
        recorder.record(&[], &region(1, 2), 6, 1);
        assert!(recorder.close().is_err());
        let recorder = Recorder::new(region(1, 1), 5, 1);
        recorder.record(&[write(MAX_BYTES)], &region(1, 1), 6, 1);
        recorder.record(&[write(1)], &region(1, 1), 7, 1);
        assert!(recorder.close().is_err());
    }
}
