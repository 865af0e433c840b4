//! The state machine of one Region's group: applies entries to the engine, makes and installs snapshots.
//!
//! Each entry's effects and the Region's record (with the mark) go into one atomic batch, so that after any crash
//! the record says exactly which entries the data holds. Durable is what the Raft log is: the engine is synced only
//! before the log is cut.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use proto::eraftpb::{ConfChangeV2, ConfState};
use proto::errorpb;
use proto::metapb::Region;
use raft_core::{Committed, Mark, Outcome, SnapshotWriter, StateMachine};
use tracing::{info, warn};

use super::command::{self, Command, Mutation, PeerChange, Split, Write};
use super::snapshot::{read, writer};
use super::state::{RegionState, StateStage, conf_state, same_conf_state};
use super::{
    EpochCheck, Peer, Recorder, Scope, Stage, apply_changes, apply_split, epoch_of, leave_joint, peer_of,
};
use crate::engine::{Batch, Engine, MAX_BATCH_KEYS, clear};
use crate::{KeyRange, PeerId, RegionId, StoreCore, keys, region_error};

/// Applies one Region's log.
pub struct RegionMachine {
    core: Arc<StoreCore>,
    peer: Arc<Peer>,
    state: RegionState,
    recorders: Vec<Arc<Recorder>>,
}

/// Effects of entries that go into one batch, and the last of these entries.
#[derive(Default)]
struct Pending {
    writes: Vec<Mutation>,
    index: u64,
    term: u64,
}

impl RegionMachine {
    /// The machine of `peer`, whose record is `state`.
    pub fn new(core: Arc<StoreCore>, peer: Arc<Peer>, state: RegionState) -> Self {
        Self { core, peer, state, recorders: Vec::new() }
    }

    fn engine(&self) -> &dyn Engine {
        self.core.engine.as_ref()
    }

    fn apply_normal(&mut self, pending: &mut Pending, at: (u64, u64), data: Bytes) -> io::Result<Bytes> {
        if data.is_empty() {
            // A new leader's entry: only the mark moves.
            return Ok(Bytes::new());
        }
        match Command::decode(data).ok().and_then(|command| command.body) {
            Some(command::Body::Write(write)) => self.apply_write(pending, write),
            Some(command::Body::Split(split)) => self.apply_split(pending, at, split),
            None => Ok(output(&region_error::other("not a command"))),
        }
    }

    fn apply_write(&mut self, pending: &mut Pending, write: Write) -> io::Result<Bytes> {
        let region = self.peer.region();
        if EpochCheck::of(&region, &write.epoch.unwrap_or_default(), Scope::Data) == EpochCheck::Different {
            return Ok(output(&region_error::epoch_not_match(vec![region.as_ref().clone()])));
        }
        if pending.writes.len() + write.mutations.len() > Write::MAX_KEYS {
            // This entry belongs to the next batch, whole.
            let writes = std::mem::take(&mut pending.writes);
            self.commit(Pending { writes, index: pending.index, term: pending.term })?;
        }
        pending.writes.extend(write.mutations);
        Ok(Bytes::new())
    }

    fn apply_split(&mut self, pending: &mut Pending, at: (u64, u64), split: Split) -> io::Result<Bytes> {
        let region = self.peer.region();
        if EpochCheck::of(&region, &split.epoch.unwrap_or_default(), Scope::Admin) == EpochCheck::Different {
            return Ok(output(&region_error::epoch_not_match(vec![region.as_ref().clone()])));
        }
        let (made, rest) = match apply_split(&region, &split.parts) {
            Ok(parts) => parts,
            Err(refused) => {
                return Ok(output(&region_error::other(refused)));
            }
        };
        let writes = std::mem::take(&mut pending.writes);
        // What is pending belongs to the Region as it was; so it goes first, in a batch of its own.
        self.commit(Pending { writes, index: pending.index, term: pending.term })?;
        let mut batch = self.begin(&[], &Arc::new(rest.clone()), at.0, at.1);
        let mut states = Vec::with_capacity(made.len());
        for part in made {
            if let Some(state) = self.core.split_off(part, &region)? {
                state.put(&mut batch);
                states.push(state);
            }
        }
        self.engine().write(batch)?;
        info!(store = %self.core.id, region = region.id, parts = states.len(), version = epoch_of(&rest).version, "split");
        self.core.split_applied(&self.peer, rest, states);
        Ok(Bytes::new())
    }

    fn apply_change(
        &mut self,
        pending: Pending,
        change: &ConfChangeV2,
        next: &ConfState,
    ) -> io::Result<Outcome> {
        let region = self.peer.region();
        let changed = match changed_region(&region, change) {
            Ok(changed) if same_conf_state(&conf_state(&changed), next) => changed,
            Ok(_) => return self.refuse(pending, "raft and region disagree about the membership".into()),
            Err(text) => return self.refuse(pending, text),
        };
        let changed = Arc::new(changed);
        let batch = self.begin(&pending.writes, &changed, pending.index, pending.term);
        self.engine().write(batch)?;
        self.peer.set_region(changed.clone());
        info!(store = %self.core.id, region = changed.id, conf_ver = epoch_of(&changed).conf_ver,
            peers = ?changed.peers.iter().map(|peer| (peer.id, peer.store_id, peer.role())).collect::<Vec<_>>(),
            "peers changed");
        self.core.signals.changed.add(self.peer.region_id());
        if peer_of(&changed, self.peer.id()).is_none() {
            self.core.signals.doomed.add(self.peer.region_id());
        }
        Ok(Outcome::default())
    }

    fn refuse(&mut self, pending: Pending, text: String) -> io::Result<Outcome> {
        self.commit(pending)?;
        Ok(Outcome { output: text.into(), refused: true })
    }

    /// Writes what is pending, if anything moved.
    fn commit(&mut self, pending: Pending) -> io::Result<()> {
        if pending.index <= self.state.index {
            return Ok(());
        }
        let region = self.peer.region();
        let batch = self.begin(&pending.writes, &region, pending.index, pending.term);
        self.engine().write(batch)
    }

    /// Moves the mark, tells the recorders, counts, and returns the batch with the record in it.
    fn begin(&mut self, writes: &[Mutation], region: &Arc<Region>, index: u64, term: u64) -> Batch {
        self.recorders.retain(|recorder| Arc::strong_count(recorder) > 1);
        for recorder in &self.recorders {
            recorder.record(writes, region, index, term);
        }
        let mut batch = Batch::default();
        let mut bytes = 0;
        let mut added = 0;
        for write in writes {
            let key = keys::data_key(&write.key);
            bytes += write.size() as u64;
            match &write.value {
                Some(value) => {
                    added += 1;
                    batch.put(key, value.clone());
                }
                None => batch.delete(key),
            }
        }
        self.core.flow.wrote(writes.len() as u64, bytes);
        self.peer.flow.wrote(writes.len() as u64, bytes);
        self.peer.size.add(bytes, added);
        self.state.region = Some(region.as_ref().clone());
        (self.state.index, self.state.term) = (index, term);
        self.state.put(&mut batch);
        batch
    }
}

impl StateMachine for RegionMachine {
    fn bootstrap(&mut self, mark: Mark) -> io::Result<()> {
        // Regions are born with their record: see `StoreCore::split_off` and the boot of the first Region.
        warn!(store = %self.core.id, region = %self.peer.region_id(), index = mark.index, "bootstrapped without a record");
        (self.state.index, self.state.term) = (mark.index, mark.term);
        self.core.states.put_synced(&self.state)
    }

    fn mark(&self) -> Mark {
        self.state.mark()
    }

    fn apply(&mut self, entries: Vec<Committed>) -> io::Result<Vec<Outcome>> {
        let peer = self.peer.clone();
        let stage = peer.stage();
        match *stage {
            Stage::Normal => {}
            Stage::Dying => {
                let gone = output(&region_error::region_not_found(peer.region_id()));
                return Ok(entries.iter().map(|_| Outcome { output: gone.clone(), refused: true }).collect());
            }
            Stage::Empty | Stage::Applying => {
                return Err(io::Error::other(format!(
                    "region {} has entries before its data",
                    peer.region_id()
                )));
            }
        }
        let mut outcomes = Vec::with_capacity(entries.len());
        let mut pending = Pending { index: self.state.index, term: self.state.term, writes: Vec::new() };
        for entry in entries {
            match entry {
                Committed::Normal { index, term, data } => {
                    let output = self.apply_normal(&mut pending, (index, term), data)?;
                    (pending.index, pending.term) = (index, term);
                    outcomes.push(Outcome { output, refused: false });
                }
                Committed::ConfChange { index, term, change, next } => {
                    (pending.index, pending.term) = (index, term);
                    let now = std::mem::take(&mut pending);
                    outcomes.push(self.apply_change(now, &change, &next)?);
                    (pending.index, pending.term) = (index, term);
                }
            }
        }
        self.commit(pending)?;
        Ok(outcomes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.engine().sync()
    }

    fn snapshot(&mut self) -> io::Result<SnapshotWriter> {
        let generation = self.peer.generation();
        if generation.is_none() {
            return Err(io::Error::other(format!("region {} has no whole data", self.peer.region_id())));
        }
        let region = self.peer.region();
        let recorder = Arc::new(Recorder::new(region.clone(), self.state.index, self.state.term));
        self.recorders.push(recorder.clone());
        let peer = self.peer.clone();
        Ok(writer(self.core.engine.clone(), region, recorder, move || peer.generation() == generation))
    }

    fn install(&mut self, mark: Mark, file: &mut dyn io::Read) -> io::Result<()> {
        let peer = self.peer.clone();
        let mut stage = peer.stage();
        if *stage == Stage::Dying {
            return Ok(());
        }
        let engine = self.core.engine.clone();
        let empty = *stage == Stage::Empty;
        peer.set_stage(&mut stage, Stage::Applying);
        let before = peer.region();
        let core = self.core.clone();
        let mut applying = RegionState { stage: StateStage::Applying.into(), ..self.state.clone() };
        let mut bytes = 0;
        let mut count = 0;
        let summary = read(
            file,
            |range| {
                // Ranges only shrink, so the old one holds all that there is. An empty peer never had data: what
                // its leader once said to be its range may be another's by now.
                let mut region = before.as_ref().clone();
                if empty {
                    (region.start_key, region.end_key) = (range.start.clone(), range.end.clone());
                }
                let (start, end) = keys::data_bounds(&KeyRange::of(&region));
                applying.region = Some(region);
                core.states.put_synced(&applying)?;
                clear(engine.as_ref(), &start, &end)
            },
            |writes| {
                for part in writes.chunks(MAX_BATCH_KEYS) {
                    let mut batch = Batch::default();
                    for write in part {
                        let key = keys::data_key(&write.key);
                        match &write.value {
                            Some(value) => {
                                bytes += write.size() as u64;
                                count += 1;
                                batch.put(key, value.clone());
                            }
                            None => batch.delete(key),
                        }
                    }
                    engine.write(batch)?;
                }
                Ok(())
            },
        )?;
        if (summary.index, summary.term) != (mark.index, mark.term)
            || !same_conf_state(&conf_state(&summary.region), &mark.conf_state)
        {
            return Err(io::Error::other(format!(
                "snapshot of region {}: file and message differ",
                peer.region_id()
            )));
        }
        self.state = RegionState {
            region: Some(summary.region.clone()),
            stage: StateStage::Normal.into(),
            peer_id: peer.id().0,
            index: mark.index,
            term: mark.term,
        };
        self.core.states.put_synced(&self.state)?;
        peer.size.count((peer.size.bytes(), peer.size.keys()), bytes, count);
        info!(store = %self.core.id, region = %peer.region_id(), index = mark.index, keys = count, "snapshot installed");
        self.core.installed(&peer, summary.region);
        peer.set_stage(&mut stage, Stage::Normal);
        Ok(())
    }
}

/// The Region after a change of membership, or why it is refused.
fn changed_region(region: &Region, change: &ConfChangeV2) -> Result<Region, String> {
    if change.context.is_empty() {
        // The Raft core leaves a joint membership by itself after a change of leader.
        let leaves = change.changes.is_empty();
        return if leaves {
            leave_joint(region).map_err(|refused| refused.to_string())
        } else {
            Err("a change of membership without the peers it is about".into())
        };
    }
    let ours = PeerChange::decode(change.context.clone()).map_err(|error| error.to_string())?;
    if EpochCheck::of(region, &ours.epoch.unwrap_or_default(), Scope::Admin) == EpochCheck::Different {
        return Err(format!("the region's epoch is {:?}", epoch_of(region)));
    }
    if ours.changes.is_empty() { leave_joint(region) } else { apply_changes(region, &ours.changes) }
        .map_err(|refused| refused.to_string())
}

/// What the proposer hears: a region error, or nothing.
fn output(error: &errorpb::Error) -> Bytes {
    error.encode_to_vec().into()
}

/// The record with which a new Region begins here.
pub(crate) fn birth(region: Region, peer: PeerId) -> RegionState {
    RegionState {
        region: Some(region),
        stage: StateStage::Normal.into(),
        peer_id: peer.0,
        index: raft_core::BOOTSTRAP_INDEX,
        term: raft_core::BOOTSTRAP_INDEX,
    }
}

/// The Region's id of a record.
pub(crate) fn region_id(state: &RegionState) -> RegionId {
    RegionId(state.region.as_ref().map_or(0, |region| region.id))
}

#[cfg(test)]
mod tests;
