//! The face: a [`Runtime`] that owns the threads, and the [`Handle`] through which all others talk to it.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use proto::eraftpb::{ConfChangeV2, ConfState};
use proto::raftcore::Envelope;
use tokio::sync::watch;

use crate::{Counters, GroupConfig, GroupStatus, Lease, ProposeError, Result, RuntimeConfig, StateMachine, Transport};

/// Owns the threads of one Raft runtime. Dropping it stops them after the round under way.
pub struct Runtime {
    handle: Handle,
}

/// Talks to a runtime; cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Handle {}

/// How a group begins here.
#[derive(Clone, Debug)]
pub enum Start {
    /// The first members of a new group; every one of them starts with the same set. Where the log knows the group
    /// already (a split that is applied again after a crash), it goes on from there as `Restart` does.
    Bootstrap(ConfState),
    /// A peer without data that waits for its leader's snapshot or log.
    Empty,
    /// From what log and state machine hold.
    Restart,
}

/// A proposal that was applied on this member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its index.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// What the state machine answered.
    pub output: Bytes,
}

impl Runtime {
    /// Opens the log and starts the threads.
    ///
    /// `orphan` gets, on the Raft thread, messages that no group here takes: the group is not here, is here under
    /// another Raft id than the message's `to`, or has removed its `from` ([`Handle::set_removed`]). It never blocks;
    /// it may ask the owner to create the peer.
    pub fn start(
        config: RuntimeConfig,
        transport: Arc<dyn Transport>,
        orphan: Box<dyn FnMut(Envelope) + Send>,
    ) -> Result<Self> {
        let _ = (config, transport, orphan);
        todo!()
    }

    /// The way to talk to it.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Groups that the log knows (to be restarted by the owner).
    pub fn groups_on_disk(&self) -> Vec<u64> {
        todo!()
    }

    /// Stops after the round under way and joins the threads; the log folder is free afterwards.
    pub fn stop(self) {
        todo!()
    }
}

impl Handle {
    /// Brings a group into being. Returns once it ticks. May be called from a state machine's `apply` (a split):
    /// use [`Handle::create_soon`] there.
    pub async fn create(&self, group: u64, config: GroupConfig, start: Start, machine: Box<dyn StateMachine>) -> Result<()> {
        let _ = (group, config, start, machine);
        todo!()
    }

    /// As `create`, without waiting: for use inside `apply`. Before anything sent later through this handle.
    pub fn create_soon(&self, group: u64, config: GroupConfig, start: Start, machine: Box<dyn StateMachine>) {
        let _ = (group, config, start, machine);
        todo!()
    }

    /// Ends a group and removes its log. Returns once the log is gone and the machine dropped. The owner writes its
    /// tombstone before and removes the data between (rule 14).
    pub async fn destroy(&self, group: u64) -> Result<()> {
        let _ = group;
        todo!()
    }

    /// Campaigns at once, without waiting for the election timeout: for the first leader of a Region that was split
    /// off. Does nothing on a leader or a learner.
    pub fn campaign(&self, group: u64) {
        let _ = group;
        todo!()
    }

    /// Names the members that were removed from the group for good: their messages go to the orphan callback instead
    /// of into Raft (rule 13). Replaces what was set before.
    pub fn set_removed(&self, group: u64, ids: Vec<u64>) {
        let _ = (group, ids);
        todo!()
    }

    /// Proposes and waits until this member has applied it. With `term`, only as leader of exactly that term (rule 4).
    pub async fn propose(&self, group: u64, term: Option<u64>, data: Bytes) -> std::result::Result<Applied, ProposeError> {
        let _ = (group, term, data);
        todo!()
    }

    /// Proposes a change of membership, simple or joint, and waits until this member has applied it. An empty change
    /// leaves a joint one.
    pub async fn propose_conf_change(
        &self,
        group: u64,
        term: Option<u64>,
        change: ConfChangeV2,
    ) -> std::result::Result<Applied, ProposeError> {
        let _ = (group, term, change);
        todo!()
    }

    /// Returns once this leader has confirmed its lead with a quorum and applied everything that was committed then:
    /// a read of the state machine after it is linearisable.
    pub async fn read_index(&self, group: u64) -> std::result::Result<(), ProposeError> {
        let _ = group;
        todo!()
    }

    /// Hands the lead to a voter (rule 11) and waits until it leads or one election timeout has passed.
    pub async fn transfer_leader(&self, group: u64, to: u64) -> std::result::Result<(), ProposeError> {
        let _ = (group, to);
        todo!()
    }

    /// A message from the network. Never blocks: dropped and counted when the inbox is full.
    pub fn step(&self, envelope: Envelope) {
        let _ = envelope;
        todo!()
    }

    /// A received snapshot: its message and the file with its data, in [`Handle::snapshot_dir`], which the runtime
    /// takes: checked against the message's descriptor, synced, and removed once it is installed or refused.
    pub fn step_snapshot(&self, envelope: Envelope, file: PathBuf) {
        let _ = (envelope, file);
        todo!()
    }

    /// The end of a snapshot that the transport sent.
    pub fn report_snapshot(&self, group: u64, to: u64, ok: bool) {
        let _ = (group, to, ok);
        todo!()
    }

    /// A peer could not be reached.
    pub fn report_unreachable(&self, group: u64, to: u64) {
        let _ = (group, to);
        todo!()
    }

    /// The group's status, always the newest; `None` if it is not here.
    pub fn status(&self, group: u64) -> Option<watch::Receiver<GroupStatus>> {
        let _ = group;
        todo!()
    }

    /// The group's lease; `None` if it is not here or keeps none.
    pub fn lease(&self, group: u64) -> Option<Arc<Lease>> {
        let _ = group;
        todo!()
    }

    /// What this runtime counts.
    pub fn counters(&self) -> &Arc<Counters> {
        todo!()
    }

    /// Where received snapshot files are to be put (same file system as the log).
    pub fn snapshot_dir(&self) -> PathBuf {
        todo!()
    }
}
