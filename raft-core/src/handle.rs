//! The face: a [`Runtime`] that owns the threads, and the [`Handle`] through which all others talk to it.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use proto::eraftpb::{ConfChangeV2, ConfState};
use proto::raftcore::Envelope;
use tokio::sync::{oneshot, watch};

use crate::apply::Apply;
use crate::driver::{self, Driver};
use crate::env::Env;
use crate::group::Face;
use crate::inbox::{Control, Create, Inbox, Input, Payload, Proposal};
use crate::log::{Batch, Log};
use crate::snapshots::{self, FileJob, Files};
use crate::{
    BootTime, Counters, Error, GroupConfig, GroupStatus, Lease, ProposeError, Result, RuntimeConfig,
    StateMachine, Transport,
};

/// Owns the threads of one Raft runtime. Dropping it stops them after the round under way.
pub struct Runtime {
    handle: Handle,
    log: Log,
    // In the order in which they end: the Raft thread, the apply thread, the threads for files.
    threads: Vec<JoinHandle<()>>,
}

/// Talks to a runtime; cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

/// What handles and threads share.
pub(crate) struct Shared {
    pub inbox: Arc<Inbox>,
    pub groups: RwLock<HashMap<u64, Arc<Face>>>,
    counters: Arc<Counters>,
    files: Mutex<mpsc::Sender<FileJob>>,
    snapshot_dir: PathBuf,
}

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
        let counters = Arc::new(Counters::default());
        let (log_dir, snapshot_dir) = (config.dir.join("log"), config.dir.join("snap"));
        for dir in [&log_dir, &snapshot_dir] {
            std::fs::create_dir_all(dir)
                .map_err(|e| Error::Folder { dir: dir.display().to_string(), reason: e.to_string() })?;
        }
        let log = Log::open(&log_dir, counters.clone())?;
        driver::clear_snapshots(&snapshot_dir, &log)?;
        let inbox = Arc::new(Inbox::new(config.inbox));
        let (apply_jobs, apply_queue) = mpsc::channel();
        let (file_jobs, file_queue) = mpsc::channel();
        let shared = Arc::new(Shared {
            inbox: inbox.clone(),
            groups: RwLock::default(),
            counters: counters.clone(),
            files: Mutex::new(file_jobs.clone()),
            snapshot_dir: snapshot_dir.clone(),
        });
        let env = Env {
            now: BootTime::now(),
            tick: config.tick,
            log: log.clone(),
            batch: Batch::default(),
            transport,
            apply: apply_jobs,
            files: file_jobs.clone(),
            inbox: inbox.clone(),
            counters: counters.clone(),
            snapshot_dir: snapshot_dir.clone(),
        };
        let name = |role: &str| format!("raft-{}-{role}", config.name);
        let apply = Apply::new(apply_queue, inbox.clone(), file_jobs);
        let files = Files {
            jobs: Arc::new(Mutex::new(file_queue)),
            inbox,
            log: log.clone(),
            counters,
            dir: snapshot_dir,
        };
        // raft-rs is not `Send` with our storage in it: the driver is made on its own thread.
        let driver_shared = shared.clone();
        let mut threads = vec![
            spawn(name("main"), move || Driver::new(env, driver_shared, orphan).run())?,
            spawn(name("apply"), move || apply.run())?,
        ];
        for n in 0..snapshots::THREADS {
            let files = files.clone();
            threads.push(spawn(name(&format!("files{n}")), move || files.run())?);
        }
        Ok(Self { handle: Handle { shared }, log, threads })
    }

    /// The way to talk to it.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Groups that the log knows (to be restarted by the owner).
    pub fn groups_on_disk(&self) -> Vec<u64> {
        self.log.groups()
    }

    /// Stops after the round under way and joins the threads; the log folder is free afterwards.
    pub fn stop(self) {
        // Dropping does it.
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.handle.shared.inbox.push_control(Control::Stop);
        // The threads for files end when nobody can send to them any more: not even a handle.
        let (nobody, _) = mpsc::channel();
        *self.handle.shared.files.lock() = nobody;
        for thread in self.threads.drain(..) {
            // A panic in one of them has ended the process.
            let _ = thread.join();
        }
    }
}

impl Handle {
    /// Brings a group into being. Returns once it ticks. May be called from a state machine's `apply` (a split):
    /// use [`Handle::create_soon`] there.
    pub async fn create(
        &self,
        group: u64,
        config: GroupConfig,
        start: Start,
        machine: Box<dyn StateMachine>,
    ) -> Result<()> {
        let answer = self.begin(group, config, start, machine);
        answer.await.map_err(|_| Error::Stopped)?
    }

    /// As `create`, without waiting: for use inside `apply`. Before anything sent later through this handle.
    pub fn create_soon(&self, group: u64, config: GroupConfig, start: Start, machine: Box<dyn StateMachine>) {
        // What goes wrong is logged by the Raft thread.
        drop(self.begin(group, config, start, machine));
    }

    /// Ends a group and removes its log. Returns once the log is gone and the machine dropped. The owner writes its
    /// tombstone before and removes the data between (rule 14).
    pub async fn destroy(&self, group: u64) -> Result<()> {
        let (done, answer) = oneshot::channel();
        self.shared.inbox.push_control(Control::Destroy { group, done });
        answer.await.map_err(|_| Error::Stopped)?
    }

    /// Campaigns at once, without waiting for the election timeout: for the first leader of a Region that was split
    /// off. Does nothing on a leader or a learner, nor in a group that keeps a lease.
    pub fn campaign(&self, group: u64) {
        self.shared.inbox.push_control(Control::Campaign { group });
    }

    /// Names the members that were removed from the group for good: their messages go to the orphan callback instead
    /// of into Raft (rule 13). Replaces what was set before.
    pub fn set_removed(&self, group: u64, ids: Vec<u64>) {
        self.shared.inbox.push_control(Control::SetRemoved { group, ids });
    }

    /// Proposes and waits until this member has applied it. With `term`, only as leader of exactly that term (rule 4).
    pub async fn propose(
        &self,
        group: u64,
        term: Option<u64>,
        data: Bytes,
    ) -> std::result::Result<Applied, ProposeError> {
        self.propose_payload(group, term, Payload::Data(data)).await
    }

    /// Proposes a change of membership, simple or joint, and waits until this member has applied it. An empty change
    /// leaves a joint one.
    pub async fn propose_conf_change(
        &self,
        group: u64,
        term: Option<u64>,
        change: ConfChangeV2,
    ) -> std::result::Result<Applied, ProposeError> {
        self.propose_payload(group, term, Payload::Change(change)).await
    }

    /// Returns once this leader has confirmed its lead with a quorum and applied everything that was committed then:
    /// a read of the state machine after it is linearisable.
    pub async fn read_index(&self, group: u64) -> std::result::Result<(), ProposeError> {
        let (done, answer) = oneshot::channel();
        self.shared.inbox.push(Input::ReadIndex { group, done }).map_err(driver::refusal)?;
        answer.await.unwrap_or(Err(ProposeError::NoGroup))
    }

    /// Hands the lead to a voter (rule 11) and waits until it leads or one election timeout has passed.
    pub async fn transfer_leader(&self, group: u64, to: u64) -> std::result::Result<(), ProposeError> {
        let (done, answer) = oneshot::channel();
        self.shared.inbox.push_control(Control::Transfer { group, to, done });
        answer.await.unwrap_or(Err(ProposeError::NoGroup))
    }

    /// A message from the network. Never blocks: dropped and counted when the inbox is full.
    pub fn step(&self, envelope: Envelope) {
        self.count_dropped(Input::Message(Box::new(envelope)));
    }

    /// A received snapshot: its message and the file with its data, in [`Handle::snapshot_dir`], which the runtime
    /// takes: checked against the message's descriptor, synced, and removed once it is installed or refused.
    pub fn step_snapshot(&self, envelope: Envelope, file: PathBuf) {
        // Its threads are there as long as the runtime.
        let _ = self.shared.files.lock().send(FileJob::Check { envelope: Box::new(envelope), file });
    }

    /// The end of a snapshot that the transport sent.
    pub fn report_snapshot(&self, group: u64, to: u64, ok: bool) {
        self.shared.inbox.push_control(Control::SnapshotSent { group, to, ok });
    }

    /// A peer could not be reached.
    pub fn report_unreachable(&self, group: u64, to: u64) {
        self.count_dropped(Input::Unreachable { group, to });
    }

    /// The group's status, always the newest; `None` if it is not here.
    pub fn status(&self, group: u64) -> Option<watch::Receiver<GroupStatus>> {
        self.shared.groups.read().get(&group).map(|face| face.status.subscribe())
    }

    /// The group's lease; `None` if it is not here or keeps none.
    pub fn lease(&self, group: u64) -> Option<Arc<Lease>> {
        self.shared.groups.read().get(&group).and_then(|face| face.lease.clone())
    }

    /// What this runtime counts.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.shared.counters
    }

    /// Inputs that wait for the Raft thread, and how many may; beyond it proposals are refused and messages dropped.
    pub fn inbox_depth(&self) -> (usize, usize) {
        self.shared.inbox.depth()
    }

    /// Where received snapshot files are to be put (same file system as the log).
    pub fn snapshot_dir(&self) -> PathBuf {
        self.shared.snapshot_dir.clone()
    }

    /// When this member last heard its leader; now, on the leader itself; `None` if it is not here or never heard one.
    pub fn leader_heard(&self, group: u64) -> Option<BootTime> {
        let face = self.shared.groups.read().get(&group).cloned()?;
        if face.status.borrow().role == crate::Role::Leader {
            return Some(BootTime::now());
        }
        let heard = face.leader_heard.load(Ordering::Relaxed);
        (heard != 0).then_some(BootTime(heard))
    }

    fn begin(
        &self,
        group: u64,
        config: GroupConfig,
        start: Start,
        machine: Box<dyn StateMachine>,
    ) -> oneshot::Receiver<Result<()>> {
        let (done, answer) = oneshot::channel();
        self.shared.inbox.push_control(Control::Create(Box::new(Create {
            group,
            config,
            start,
            machine,
            done,
        })));
        answer
    }

    async fn propose_payload(
        &self,
        group: u64,
        term: Option<u64>,
        payload: Payload,
    ) -> std::result::Result<Applied, ProposeError> {
        let (reply, answer) = oneshot::channel();
        let proposal = Proposal { term, payload, reply };
        self.shared.inbox.push(Input::Propose { group, proposal }).map_err(driver::refusal)?;
        // Without an answer the runtime stopped in between.
        answer.await.unwrap_or(Err(ProposeError::Unknown))
    }

    fn count_dropped(&self, input: Input) {
        if self.shared.inbox.push(input).is_err() {
            self.shared.counters.messages_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A thread whose panic ends the process: half a Raft runtime keeps no promise.
fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let shown = name.clone();
    let guarded = move || {
        if std::panic::catch_unwind(AssertUnwindSafe(work)).is_err() {
            tracing::error!(thread = shown, "a thread of the raft runtime panicked: the process ends");
            std::process::abort();
        }
    };
    Ok(std::thread::Builder::new().name(name).spawn(guarded)?)
}
