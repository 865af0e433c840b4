//! What all parts of one Store share.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use proto::metapb::Region;
use raft_core::{GroupConfig, Handle, Start};
use tracing::error;

use crate::early_votes::EarlyVotes;
use crate::engine::Engine;
use crate::region::{
    Flow, Peer, RegionMachine, RegionState, RegionStates, Stage, StateStage, birth, peer_on, region_id,
};
use crate::{KeyRange, PeerId, RegionId, Regions, Signals, StoreId, Tuning};

/// One Store: its data, its Regions and its way to Raft.
pub struct StoreCore {
    /// The cluster's id.
    pub cluster_id: u64,
    /// The Store's id.
    pub id: StoreId,
    /// The data of all Regions.
    pub engine: Arc<dyn Engine>,
    /// The records of all Regions that are, or were, here.
    pub states: RegionStates,
    /// The peers here.
    pub regions: Regions,
    /// What is to be done about them.
    pub signals: Signals,
    /// How it is tuned.
    pub tuning: Tuning,
    /// What was read and written since the last heartbeat.
    pub flow: Flow,
    /// Votes asked of peers that a split is about to make here.
    pub early_votes: EarlyVotes,
    handle: OnceLock<Handle>,
    // Groups that the Raft log holds something of: one that is made again goes on from there.
    logged: Mutex<HashSet<RegionId>>,
}

impl StoreCore {
    /// A Store over its data, without Raft yet.
    pub fn new(cluster_id: u64, id: StoreId, engine: Arc<dyn Engine>, tuning: Tuning) -> Arc<Self> {
        Arc::new(Self {
            cluster_id,
            id,
            states: RegionStates::new(engine.clone()),
            engine,
            regions: Regions::default(),
            signals: Signals::default(),
            tuning,
            flow: Flow::default(),
            early_votes: EarlyVotes::default(),
            handle: OnceLock::new(),
            logged: Mutex::new(HashSet::new()),
        })
    }

    /// Joins it with its Raft runtime, which knows these groups from before. Once.
    pub fn attach(&self, handle: Handle, logged: impl IntoIterator<Item = u64>) {
        self.logged.lock().extend(logged.into_iter().map(RegionId));
        // A second call would be a second runtime over one log, which the log's lock forbids.
        let _ = self.handle.set(handle);
    }

    /// The Raft runtime; `None` before [`StoreCore::attach`].
    pub fn handle(&self) -> Option<&Handle> {
        self.handle.get()
    }

    /// How a Region's group is configured.
    pub fn group_config(&self, peer: PeerId) -> GroupConfig {
        GroupConfig {
            election_tick: self.tuning.election_ticks,
            heartbeat_tick: self.tuning.heartbeat_ticks,
            log_keep: self.tuning.log_keep,
            ..GroupConfig::region(peer.0)
        }
    }

    /// The shortest time without a leader after which a peer campaigns.
    pub fn election_timeout(&self) -> Duration {
        self.tuning.tick * u32::try_from(self.tuning.election_ticks).unwrap_or(u32::MAX)
    }

    /// How the group of a peer with this record begins.
    pub fn start_of(&self, state: &RegionState) -> Start {
        let logged = self.logged.lock().contains(&region_id(state));
        match state.stage() {
            StateStage::Normal if !logged && state.index == raft_core::BOOTSTRAP_INDEX => {
                Start::Bootstrap(state.mark().conf_state)
            }
            StateStage::Normal => Start::Restart,
            StateStage::Empty | StateStage::Applying | StateStage::Dying | StateStage::Tombstone => {
                Start::Empty
            }
        }
    }

    /// The Regions that the log holds something of.
    pub fn logged(&self) -> HashSet<RegionId> {
        self.logged.lock().clone()
    }

    /// Forgets that the log held something of a Region, once it is removed there.
    pub fn forget_log(&self, region: RegionId) {
        self.logged.lock().remove(&region);
    }

    /// The record of a new Region here, to be written with its parent's; `None` if it must not begin here.
    pub(crate) fn split_off(&self, part: Region, parent: &Region) -> io::Result<Option<RegionState>> {
        let Some(own) = peer_on(&part, self.id).map(|peer| PeerId(peer.id)) else {
            error!(store = %self.id, region = part.id, parent = parent.id, "a split gives this store no peer");
            return Ok(None);
        };
        if let Some(there) = self.states.get(RegionId(part.id))?
            && there.peer() >= own
            && matches!(there.stage(), StateStage::Dying | StateStage::Tombstone)
        {
            error!(store = %self.id, region = part.id, peer = %own, "a split would bring a removed peer back");
            return Ok(None);
        }
        Ok(Some(birth(part, own)))
    }

    /// After a split's batch: the parent shrinks and the new peers begin. The one that led the parent leads them.
    pub(crate) fn split_applied(
        self: &Arc<Self>,
        parent: &Arc<Peer>,
        rest: Region,
        states: Vec<RegionState>,
    ) {
        let share = states.len() as u64 + 1;
        let (bytes, keys) = (parent.size.bytes() / share, parent.size.keys() / share);
        let made: Vec<Arc<Peer>> = states
            .iter()
            .map(|state| Peer::new(state.peer(), state.region.clone().unwrap_or_default(), Stage::Normal))
            .collect();
        for part in made.iter().chain([parent]) {
            // The parts need not be alike: whoever leads them scans.
            part.size.guess(bytes, keys);
        }
        if let Err(held) = self.regions.split(parent.region_id(), KeyRange::of(&rest), &made) {
            error!(store = %self.id, region = %parent.region_id(), %held, "a split meets a region it should not");
        }
        parent.set_region(Arc::new(rest));
        if let Some(handle) = self.handle() {
            let led = parent.leads(handle);
            for (peer, state) in made.iter().zip(states) {
                let (config, start) = (self.group_config(peer.id()), self.start_of(&state));
                let machine = Box::new(RegionMachine::new(self.clone(), peer.clone(), state));
                handle.create_soon(peer.region_id().0, config, start, machine);
                if led {
                    peer.inherit_lead(Instant::now() + self.election_timeout());
                    handle.campaign(peer.region_id().0);
                }
                for vote in self.early_votes.take(peer.region_id(), peer.id()) {
                    handle.step(vote);
                }
            }
        }
        // Together: PD should not know of the smaller parent before it knows of the new Regions.
        self.signals.changed.add_all(made.iter().map(|peer| peer.region_id()).chain([parent.region_id()]));
    }

    /// A snapshot was installed: the peer has this Region's range now.
    pub(crate) fn installed(&self, peer: &Peer, region: Region) {
        if let Err(held) = self.regions.resize(peer.region_id(), KeyRange::of(&region)) {
            error!(store = %self.id, region = region.id, %held, "a snapshot meets a region it should not");
        }
        peer.set_region(Arc::new(region));
    }
}
