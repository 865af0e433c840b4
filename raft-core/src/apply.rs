//! The apply thread: owns the state machines, takes committed entries in the order of the log, tells proposers and
//! the Raft thread what came of them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use bytes::Bytes;
use prost::Message as _;
use proto::eraftpb::{ConfChange, ConfChangeV2, ConfState};
use raft::eraftpb::{Entry, EntryType};

use crate::inbox::{AppliedReport, ChangeOutcome, Control, Inbox, Reply};
use crate::snapshots::FileJob;
use crate::{Applied, Committed, Mark, Outcome, ProposeError, StateMachine, membership};

/// Work for the apply thread. The Raft thread bounds what is under way for each group.
pub(crate) enum Job {
    /// A group begins with this machine, whose membership is `conf_state` after a possible `bootstrap`.
    Begin { group: u64, machine: Box<dyn StateMachine>, conf_state: ConfState, bootstrap: Option<Mark> },
    /// Committed entries, with those who wait for some of them.
    Entries { group: u64, entries: Vec<Entry>, waiters: Vec<Waiter> },
    /// A received snapshot takes the place of all state.
    Install { group: u64, mark: Mark, file: PathBuf },
    /// A member needs a snapshot.
    Snapshot { group: u64 },
    /// The log wants to cut what is durable in the machine.
    Flush { group: u64, index: u64 },
    /// The group ends.
    End { group: u64 },
}

/// Someone who waits for an entry of this position.
pub(crate) struct Waiter {
    pub index: u64,
    pub term: u64,
    pub reply: Reply,
}

/// The thread's state.
pub(crate) struct Apply {
    jobs: Receiver<Job>,
    inbox: Arc<Inbox>,
    files: Sender<FileJob>,
    groups: HashMap<u64, Machine>,
}

struct Machine {
    machine: Box<dyn StateMachine>,
    conf_state: ConfState,
}

impl Apply {
    pub fn new(jobs: Receiver<Job>, inbox: Arc<Inbox>, files: Sender<FileJob>) -> Self {
        Self { jobs, inbox, files, groups: HashMap::new() }
    }

    /// Works until the Raft thread is gone.
    pub fn run(mut self) {
        while let Ok(job) = self.jobs.recv() {
            self.work(job);
        }
    }

    fn work(&mut self, job: Job) {
        match job {
            Job::Begin { group, mut machine, conf_state, bootstrap } => {
                if let Some(mark) = bootstrap {
                    or_abort(group, "bootstrap", machine.bootstrap(mark));
                }
                self.groups.insert(group, Machine { machine, conf_state });
            }
            Job::Entries { group, entries, waiters } => self.apply(group, entries, waiters),
            Job::Install { group, mark, file } => self.install(group, mark, file),
            Job::Snapshot { group } => self.begin_snapshot(group),
            Job::Flush { group, index } => {
                let Some(machine) = self.groups.get_mut(&group) else { return };
                or_abort(group, "flush", machine.machine.flush());
                self.inbox.push_control(Control::Flushed { group, index });
            }
            Job::End { group } => {
                if let Some(machine) = self.groups.remove(&group) {
                    or_abort(group, "destroyed", machine.machine.destroyed());
                }
                self.inbox.push_control(Control::Ended { group });
            }
        }
    }

    /// Applies entries in runs that end with each change of membership, since the next run's membership depends on
    /// whether that one was accepted.
    fn apply(&mut self, group: u64, entries: Vec<Entry>, waiters: Vec<Waiter>) {
        let Some(machine) = self.groups.get_mut(&group) else { return };
        let Some(last) = entries.last() else { return };
        let mut report = AppliedReport {
            group,
            index: last.index,
            term: last.term,
            bytes: entries.iter().map(entry_bytes).sum(),
            changes: Vec::new(),
        };
        let mut waiters = waiters.into_iter().peekable();
        let mut run = Run::default();
        for entry in entries {
            let ends_run = run.push(entry, &machine.conf_state);
            if ends_run {
                machine.apply_run(group, std::mem::take(&mut run), &mut waiters, &mut report);
            }
        }
        machine.apply_run(group, run, &mut waiters, &mut report);
        self.inbox.push_control(Control::Applied(report));
    }

    fn install(&mut self, group: u64, mark: Mark, file: PathBuf) {
        let Some(machine) = self.groups.get_mut(&group) else { return };
        let (index, term) = (mark.index, mark.term);
        let conf_state = mark.conf_state.clone();
        let installed = File::open(&file)
            .and_then(|open| machine.machine.install(mark, &mut BufReader::with_capacity(1 << 20, open)));
        or_abort(group, "install", installed);
        machine.conf_state = conf_state;
        tracing::info!(group, index, "snapshot installed");
        self.inbox.push_control(Control::Installed { group, index, term, file });
    }

    fn begin_snapshot(&mut self, group: u64) {
        let Some(machine) = self.groups.get_mut(&group) else { return };
        match machine.machine.snapshot() {
            Ok(writer) => {
                // The thread that takes it ends after this one.
                let _ = self.files.send(FileJob::Make { group, writer });
            }
            Err(error) => {
                tracing::warn!(group, %error, "a snapshot could not be begun");
                self.inbox.push_control(Control::SnapshotMade { group, made: None });
            }
        }
    }
}

/// Entries that are applied in one call.
#[derive(Default)]
struct Run {
    committed: Vec<Committed>,
    // The last entry is a change of membership.
    change: Option<Change>,
}

enum Change {
    Possible { change: ConfChangeV2, next: ConfState },
    Impossible(String),
}

impl Run {
    /// Adds an entry; true if the run must end with it.
    fn push(&mut self, mut entry: Entry, conf_state: &ConfState) -> bool {
        let (index, term) = (entry.index, entry.term);
        // Leaving a joint membership is a change with EMPTY data: only a Normal entry without data is a no-op.
        let change = match entry.get_entry_type() {
            EntryType::EntryNormal => {
                self.committed.push(Committed::Normal { index, term, data: entry.take_data() });
                return false;
            }
            EntryType::EntryConfChange => ConfChange::decode(entry.take_data()).map(|v1| ConfChangeV2 {
                changes: vec![proto::eraftpb::ConfChangeSingle {
                    change_type: v1.change_type,
                    node_id: v1.node_id,
                }],
                context: v1.context,
                ..ConfChangeV2::default()
            }),
            EntryType::EntryConfChangeV2 => ConfChangeV2::decode(entry.take_data()),
        };
        let possible = change
            .map_err(|e| e.to_string())
            .and_then(|change| membership::next(conf_state, &change).map(|next| (change, next)));
        match possible {
            Ok((change, next)) => {
                let told = Committed::ConfChange { index, term, change: change.clone(), next: next.clone() };
                self.committed.push(told);
                self.change = Some(Change::Possible { change, next });
            }
            Err(reason) => {
                // All members come to the same end here: the machine only moves its mark.
                self.committed.push(Committed::Normal { index, term, data: Bytes::new() });
                self.change = Some(Change::Impossible(reason));
            }
        }
        true
    }
}

impl Machine {
    fn apply_run(
        &mut self,
        group: u64,
        run: Run,
        waiters: &mut std::iter::Peekable<std::vec::IntoIter<Waiter>>,
        report: &mut AppliedReport,
    ) {
        let positions: Vec<(u64, u64)> = run.committed.iter().map(position).collect();
        if positions.is_empty() {
            return;
        }
        let outcomes = or_abort(group, "apply", self.machine.apply(run.committed));
        if outcomes.len() != positions.len() {
            let (expected, got) = (positions.len(), outcomes.len());
            or_abort::<()>(
                group,
                "apply",
                Err(io::Error::other(format!("{got} outcomes for {expected} entries"))),
            );
        }
        let mut change = run.change;
        let last = positions.len() - 1;
        for (at, ((index, term), outcome)) in positions.into_iter().zip(outcomes).enumerate() {
            match change.take_if(|_| at == last) {
                Some(change) => report.changes.push(self.conclude(index, term, change, outcome)),
                None => answer(waiters, index, term, outcome.output),
            }
        }
    }

    /// Takes the next membership, unless the machine or Raft itself refuses it.
    fn conclude(&mut self, index: u64, term: u64, change: Change, outcome: Outcome) -> ChangeOutcome {
        match change {
            Change::Possible { change, next } if !outcome.refused => {
                self.conf_state = next;
                ChangeOutcome { index, term, accepted: Some(change), output: outcome.output }
            }
            Change::Possible { .. } => ChangeOutcome { index, term, accepted: None, output: outcome.output },
            Change::Impossible(reason) => {
                ChangeOutcome { index, term, accepted: None, output: reason.into() }
            }
        }
    }
}

fn position(committed: &Committed) -> (u64, u64) {
    match committed {
        Committed::Normal { index, term, .. } | Committed::ConfChange { index, term, .. } => (*index, *term),
    }
}

/// Tells whoever waits for this position; a waiter whose entry was overwritten learns that nothing is known.
fn answer(
    waiters: &mut std::iter::Peekable<std::vec::IntoIter<Waiter>>,
    index: u64,
    term: u64,
    output: Bytes,
) {
    while let Some(waiter) = waiters.next_if(|w| w.index <= index) {
        let result = if (waiter.index, waiter.term) == (index, term) {
            Ok(Applied { index, term, output: output.clone() })
        } else {
            Err(ProposeError::Unknown)
        };
        // Whoever waited may have given up.
        let _ = waiter.reply.send(result);
    }
}

/// What an entry weighs in memory on its way.
pub(crate) fn entry_bytes(entry: &Entry) -> usize {
    entry.data.len() + entry.context.len() + std::mem::size_of::<Entry>()
}

/// A member that skips an entry is worse than one that is down.
fn or_abort<T>(group: u64, what: &str, result: io::Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => {
            tracing::error!(group, what, %error, "the state machine failed: the process ends");
            std::process::abort();
        }
    }
}
