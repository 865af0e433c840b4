//! A Region's record on this Store: what it is, how far it is applied, and what of it survives its end.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use prost::Message;
use proto::eraftpb::ConfState;
use proto::metapb::{PeerRole, Region};
use raft_core::Mark;

use crate::engine::{Batch, Engine, Order};
use crate::{PeerId, RegionId, keys};

/// Written in the same batch as the data it speaks of.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RegionState {
    /// Range, epoch and peers. Of a tombstone: the last ones, the range only until its data is gone.
    #[prost(message, optional, tag = "1")]
    pub region: Option<Region>,
    /// Which part of its life it is in.
    #[prost(enumeration = "StateStage", tag = "2")]
    pub stage: i32,
    /// The peer of it that is, or was, here.
    #[prost(uint64, tag = "3")]
    pub peer_id: u64,
    /// Index of the last applied entry.
    #[prost(uint64, tag = "4")]
    pub index: u64,
    /// Term of that entry.
    #[prost(uint64, tag = "5")]
    pub term: u64,
}

/// Which part of its life a peer is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum StateStage {
    /// Holds its data.
    Normal = 0,
    /// Created by a message, waits for its first snapshot; `region` is what its leader said then.
    Empty = 1,
    /// A snapshot is replacing its data, which is incomplete.
    Applying = 2,
    /// Gone for good; its range may still hold data.
    Dying = 3,
    /// Gone for good, and its data too.
    Tombstone = 4,
}

impl RegionState {
    /// The mark for the Raft core. A peer whose data is incomplete is at the very beginning.
    pub fn mark(&self) -> Mark {
        match self.stage() {
            StateStage::Normal => Mark {
                index: self.index,
                term: self.term,
                conf_state: self.region.as_ref().map(conf_state).unwrap_or_default(),
            },
            StateStage::Empty | StateStage::Applying | StateStage::Dying | StateStage::Tombstone => {
                Mark::default()
            }
        }
    }

    /// Adds the record to a batch.
    pub fn put(&self, batch: &mut Batch) {
        let id = RegionId(self.region.as_ref().map_or(0, |region| region.id));
        batch.put(keys::state_key(id), self.encode_to_vec().into());
    }
}

/// The records of one Store.
#[derive(Clone)]
pub struct RegionStates {
    engine: Arc<dyn Engine>,
}

impl RegionStates {
    /// The records in `engine`.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine }
    }

    /// One Region's record, if it was ever here.
    pub fn get(&self, region: RegionId) -> io::Result<Option<RegionState>> {
        let Some(value) = self.engine.get(&keys::state_key(region))? else { return Ok(None) };
        decode(&value).map(Some)
    }

    /// All records, in the order of their ids.
    pub fn all(&self) -> io::Result<Vec<RegionState>> {
        let (start, end) = keys::state_bounds();
        let mut states = Vec::new();
        self.engine.scan(&start, &end, Order::Ascending, &mut |_, value| {
            states.push(decode(value));
            ControlFlow::Continue(())
        })?;
        states.into_iter().collect()
    }

    /// Writes one record and waits until it is durable.
    pub fn put_synced(&self, state: &RegionState) -> io::Result<()> {
        let mut batch = Batch::default();
        state.put(&mut batch);
        self.engine.write(batch)?;
        self.engine.sync()
    }
}

fn decode(value: &[u8]) -> io::Result<RegionState> {
    RegionState::decode(value).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The membership in raft's words.
pub fn conf_state(region: &Region) -> ConfState {
    let mut state = ConfState::default();
    let joint = is_joint(region);
    for peer in &region.peers {
        match peer.role() {
            PeerRole::Voter => {
                state.voters.push(peer.id);
                if joint {
                    state.voters_outgoing.push(peer.id);
                }
            }
            PeerRole::Learner => state.learners.push(peer.id),
            PeerRole::IncomingVoter => state.voters.push(peer.id),
            PeerRole::DemotingVoter => {
                state.voters_outgoing.push(peer.id);
                state.learners_next.push(peer.id);
            }
        }
    }
    state
}

/// Whether the Region is between entering and leaving a joint change.
pub fn is_joint(region: &Region) -> bool {
    region.peers.iter().any(|peer| match peer.role() {
        PeerRole::IncomingVoter | PeerRole::DemotingVoter => true,
        PeerRole::Voter | PeerRole::Learner => false,
    })
}

/// Whether two memberships are the same but for order.
pub fn same_conf_state(a: &ConfState, b: &ConfState) -> bool {
    let sorted = |ids: &Vec<u64>| {
        let mut ids = ids.clone();
        ids.sort_unstable();
        ids
    };
    sorted(&a.voters) == sorted(&b.voters)
        && sorted(&a.learners) == sorted(&b.learners)
        && sorted(&a.voters_outgoing) == sorted(&b.voters_outgoing)
        && sorted(&a.learners_next) == sorted(&b.learners_next)
}

/// The peer that a record speaks of.
impl RegionState {
    /// Its id.
    pub fn peer(&self) -> PeerId {
        PeerId(self.peer_id)
    }
}

#[cfg(test)]
mod tests {
    use proto::metapb::{Peer, RegionEpoch};

    use super::*;
    use crate::engine::SledEngine;

    fn state(id: u64, stage: StateStage) -> RegionState {
        let peers = vec![Peer { id: id + 1, store_id: 1, ..Peer::default() }];
        let region_epoch = Some(RegionEpoch { conf_ver: 1, version: 1 });
        let region = Region { id, region_epoch, peers, ..Region::default() };
        RegionState { region: Some(region), stage: stage.into(), peer_id: id + 1, index: 9, term: 3 }
    }

    #[test]
    fn records_are_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let states = RegionStates::new(Arc::new(SledEngine::open(dir.path()).unwrap()));
        states.put_synced(&state(300, StateStage::Normal)).unwrap();
        states.put_synced(&state(2, StateStage::Tombstone)).unwrap();
        assert_eq!(states.get(RegionId(300)).unwrap(), Some(state(300, StateStage::Normal)));
        assert_eq!(states.get(RegionId(301)).unwrap(), None);
        let ids: Vec<u64> = states.all().unwrap().iter().map(|s| s.peer_id).collect();
        assert_eq!(ids, [3, 301]);
    }

    /// What a Store of the first version wrote: must be read as long as there are such Stores.
    #[test]
    fn bytes_of_the_first_version_are_read() {
        let written = hex::decode("0A0E08022204080110012A0408031001180320092803").unwrap();
        assert_eq!(RegionState::decode(written.as_slice()).unwrap(), state(2, StateStage::Normal));
        assert_eq!(state(2, StateStage::Normal).encode_to_vec(), written);
    }

    #[test]
    fn only_a_whole_peer_has_a_mark() {
        let mark = state(2, StateStage::Normal).mark();
        assert_eq!((mark.index, mark.term, mark.conf_state.voters), (9, 3, vec![3]));
        for stage in [StateStage::Empty, StateStage::Applying, StateStage::Dying, StateStage::Tombstone] {
            assert_eq!(state(2, stage).mark(), Mark::default());
        }
    }
}
