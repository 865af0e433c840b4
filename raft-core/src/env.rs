//! What the Raft thread's groups need of the world around them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::apply::Job;
use crate::inbox::Inbox;
use crate::log::{Batch, Log};
use crate::snapshots::FileJob;
use crate::{BootTime, Counters, Transport};

/// Lives on the Raft thread and is lent to one group at a time.
pub(crate) struct Env {
    /// The clock as read at the start of the round, after the inbox was drained.
    pub now: BootTime,
    pub tick: Duration,
    pub log: Log,
    /// What this round writes.
    pub batch: Batch,
    pub transport: Arc<dyn Transport>,
    pub apply: Sender<Job>,
    pub files: Sender<FileJob>,
    /// To ourselves, for what must wait until the Ready under way is done.
    pub inbox: Arc<Inbox>,
    pub counters: Arc<Counters>,
    pub snapshot_dir: PathBuf,
}

impl Env {
    /// Hands work to the apply thread. It ends only after this thread, or with the whole process.
    pub fn apply(&self, job: Job) {
        if self.apply.send(job).is_err() {
            tracing::error!("the apply thread is gone: the process ends");
            std::process::abort();
        }
    }

    /// Hands work to the threads for files.
    pub fn files(&self, job: FileJob) {
        if self.files.send(job).is_err() {
            tracing::error!("the snapshot threads are gone: the process ends");
            std::process::abort();
        }
    }
}
