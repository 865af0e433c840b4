//! The Raft thread: drains the inbox, ticks at most once, and takes every group that has something to do through one
//! round of Ready with one write for all.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::raftcore::Envelope;
use tokio::sync::oneshot;

use crate::apply::Job;
use crate::env::Env;
use crate::group::{Group, Stepped, Written};
use crate::handle::Shared;
use crate::inbox::{Control, Create, Input, NotTaken};
use crate::snapshots::FileJob;
use crate::start::{self, Redo};
use crate::{BootTime, Busy, Error, ProposeError, Result};

/// Old log files are looked for this often; it costs little when there are none.
const PURGE_EVERY: Duration = Duration::from_secs(10);

/// The thread's state.
pub(crate) struct Driver {
    env: Env,
    shared: Arc<Shared>,
    orphan: Box<dyn FnMut(Envelope) + Send>,
    groups: HashMap<u64, Group>,
    /// Groups to visit in this round; each is in it once.
    due: Vec<u64>,
    /// Destroyed groups whose machine is not gone yet, and who waits for it.
    ending: HashMap<u64, Vec<oneshot::Sender<Result<()>>>>,
    /// Answered once this round's write is durable.
    after_write: Vec<oneshot::Sender<Result<()>>>,
    next_tick: Instant,
    next_purge: Instant,
}

impl Driver {
    pub fn new(env: Env, shared: Arc<Shared>, orphan: Box<dyn FnMut(Envelope) + Send>) -> Self {
        let now = Instant::now();
        Self {
            next_tick: now + env.tick,
            next_purge: now + PURGE_EVERY,
            env,
            shared,
            orphan,
            groups: HashMap::new(),
            due: Vec::new(),
            ending: HashMap::new(),
            after_write: Vec::new(),
        }
    }

    /// Runs until it is told to stop.
    pub fn run(mut self) {
        loop {
            let deadline = if self.due.is_empty() { self.next_tick } else { Instant::now() };
            let (control, inputs) = self.env.inbox.take(deadline);
            self.env.now = BootTime::now();
            for call in control {
                if !self.control(call) {
                    self.stop();
                    return;
                }
            }
            for input in inputs {
                self.input(input);
            }
            self.tick();
            self.round();
        }
    }

    fn stop(&mut self) {
        self.shared.inbox.close();
        self.shared.groups.write().clear();
        for group in self.groups.values_mut() {
            group.end();
        }
    }

    /// One round: every group that is due, one write, one sync.
    fn round(&mut self) {
        let due = std::mem::take(&mut self.due);
        let mut written: Vec<(u64, Written)> = Vec::new();
        for id in &due {
            let Some(group) = self.groups.get_mut(id) else { continue };
            group.queued = false;
            group.notice_office(&self.env);
            group.drive_transfer(&self.env);
            group.append_proposals(&self.env);
            group.ask_reads();
            if let Some(gathered) = group.begin_ready(&mut self.env) {
                written.push((*id, gathered));
            }
        }
        self.env.log.write(&mut self.env.batch);
        for (id, gathered) in written {
            if let Some(group) = self.groups.get_mut(&id) {
                group.finish_ready(gathered, &mut self.env);
            }
        }
        for done in self.after_write.drain(..) {
            let _ = done.send(Ok(()));
        }
        for id in due {
            let Some(group) = self.groups.get_mut(&id) else { continue };
            group.notice_office(&self.env);
            group.answer_reads();
            group.renew_lease(&self.env);
            group.publish(&self.env);
            if group.has_more() {
                self.visit(id);
            }
        }
    }

    /// At most one tick a wake-up, however late it is, and a whole tick apart from the last: a burst, or two ticks
    /// close together, would cut short what followers promised their leader (rule 1, item 1).
    fn tick(&mut self) {
        let now = Instant::now();
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + self.env.tick;
        let mut due = Vec::new();
        for (id, group) in &mut self.groups {
            if group.tick(&mut self.env) && !group.queued {
                group.queued = true;
                due.push(*id);
            }
        }
        self.due.extend(due);
        if now >= self.next_purge {
            self.next_purge = now + PURGE_EVERY;
            self.env.files(FileJob::Purge);
        }
    }

    /// Takes a control call; false to stop.
    fn control(&mut self, call: Control) -> bool {
        match call {
            Control::Create(create) => self.create(*create),
            Control::Destroy { group, done } => self.destroy(group, done),
            Control::Campaign { group } => self.with(group, |g, _| g.campaign()),
            Control::SetRemoved { group, ids } => self.with(group, |g, _| g.set_removed(ids)),
            Control::Transfer { group, to, done } => match self.groups.get_mut(&group) {
                Some(g) => {
                    g.transfer(to, done, &self.env);
                    self.visit(group);
                }
                None => {
                    let _ = done.send(Err(ProposeError::NoGroup));
                }
            },
            Control::SnapshotTaken { envelope, file } => self.step(*envelope, Some(file)),
            Control::SnapshotSent { group, to, ok } => self.with(group, |g, _| g.snapshot_sent(to, ok)),
            Control::SnapshotMade { group, made } => {
                if let Some(made) = made.as_ref().filter(|_| !self.groups.contains_key(&group)) {
                    let _ = std::fs::remove_file(&made.file);
                }
                self.with(group, |g, _| g.snapshot_made(made));
            }
            Control::Applied(report) => self.with(report.group, |g, env| g.applied(report, env)),
            Control::Installed { group, index, term, file } => {
                let _ = std::fs::remove_file(file);
                self.with(group, |g, env| g.installed(index, term, env));
            }
            Control::Flushed { group, index } => self.with(group, |g, env| g.flushed(index, env)),
            Control::Ended { group } => {
                self.env.batch.end(group);
                self.after_write.extend(self.ending.remove(&group).unwrap_or_default());
            }
            Control::Purged(groups) => {
                for group in groups {
                    self.with(group, |g, env| g.cut_soon(env));
                }
            }
            Control::Stop => return false,
        }
        true
    }

    fn input(&mut self, input: Input) {
        match input {
            Input::Message(envelope) => self.step(*envelope, None),
            Input::Propose { group, proposal } => match self.groups.get_mut(&group) {
                Some(g) => {
                    g.propose(proposal);
                    self.visit(group);
                }
                None => {
                    let _ = proposal.reply.send(Err(ProposeError::NoGroup));
                }
            },
            Input::ReadIndex { group, done } => match self.groups.get_mut(&group) {
                Some(g) => {
                    g.read_index(done);
                    self.visit(group);
                }
                None => {
                    let _ = done.send(Err(ProposeError::NoGroup));
                }
            },
            Input::Unreachable { group, to } => self.with(group, |g, _| g.unreachable(to)),
        }
    }

    fn step(&mut self, envelope: Envelope, file: Option<std::path::PathBuf>) {
        let id = envelope.group_id;
        let Some(group) = self.groups.get_mut(&id) else {
            if let Some(file) = file {
                let _ = std::fs::remove_file(file);
            }
            (self.orphan)(envelope);
            return;
        };
        match group.step(envelope, file, &self.env) {
            Stepped::Done => self.visit(id),
            Stepped::Orphan(envelope) => (self.orphan)(*envelope),
        }
    }

    /// Does something to a group, if it is here, and visits it in this round.
    fn with(&mut self, id: u64, act: impl FnOnce(&mut Group, &mut Env)) {
        if let Some(group) = self.groups.get_mut(&id) {
            act(group, &mut self.env);
            self.visit(id);
        }
    }

    fn visit(&mut self, id: u64) {
        if let Some(group) = self.groups.get_mut(&id)
            && !group.queued
        {
            group.queued = true;
            self.due.push(id);
        }
    }

    fn create(&mut self, create: Create) {
        let id = create.group;
        match self.begin_group(create.group, create.config, &create.start, create.machine) {
            Ok(()) => {
                self.after_write.push(create.done);
                self.visit(id);
            }
            Err(error) => {
                tracing::warn!(group = id, %error, "a group cannot begin");
                let _ = create.done.send(Err(error));
            }
        }
    }

    fn begin_group(
        &mut self,
        id: u64,
        config: crate::GroupConfig,
        start: &crate::Start,
        machine: Box<dyn crate::StateMachine>,
    ) -> Result<()> {
        if self.groups.contains_key(&id) || self.ending.contains_key(&id) {
            return Err(Error::GroupExists(id));
        }
        let found = self.env.log.find(id)?;
        let log = found.as_ref().map(|f| self.env.log.group(id, f, raft::eraftpb::ConfState::default()));
        let term_at = |index| log.as_ref().and_then(|log| raft::Storage::term(log, index).ok());
        let plan = start::plan(id, start, found.clone(), &machine.mark(), term_at)?;
        if let Redo::Install(name) = &plan.redo
            && !self.env.snapshot_dir.join(name).exists()
        {
            let reason = format!("the snapshot {name} that its state comes from is gone: the state was lost");
            return Err(Error::Inconsistent { group: id, reason });
        }
        let group = Group::new(id, config, &plan, &mut self.env)?;
        if plan.write {
            self.env.batch.begin(id, plan.log.start, &plan.log.hard_state, plan.log.origin.as_ref());
        }
        let bootstrap = (plan.redo == Redo::Bootstrap).then(|| plan.mark.clone());
        let conf_state = plan.mark.conf_state.clone();
        self.env.apply(Job::Begin { group: id, machine, conf_state, bootstrap });
        if let Redo::Install(name) = plan.redo {
            let file = self.env.snapshot_dir.join(name);
            self.env.apply(Job::Install { group: id, mark: plan.mark, file });
        }
        self.shared.groups.write().insert(id, group.face().clone());
        self.groups.insert(id, group);
        Ok(())
    }

    fn destroy(&mut self, id: u64, done: oneshot::Sender<Result<()>>) {
        if let Some(mut group) = self.groups.remove(&id) {
            group.end();
            self.shared.groups.write().remove(&id);
            self.ending.insert(id, vec![done]);
            self.env.apply(Job::End { group: id });
        } else if let Some(waiting) = self.ending.get_mut(&id) {
            waiting.push(done);
        } else {
            match self.env.log.find(id) {
                // Known from an earlier life only.
                Ok(Some(_)) => {
                    self.env.batch.end(id);
                    self.after_write.push(done);
                }
                Ok(None) => {
                    let _ = done.send(Err(Error::NoGroup(id)));
                }
                Err(error) => {
                    let _ = done.send(Err(error));
                }
            }
        }
    }
}

/// Empties the snapshot folder but for files that a log still has to have installed.
pub(crate) fn clear_snapshots(dir: &Path, log: &crate::log::Log) -> Result<()> {
    let mut kept = HashSet::new();
    for group in log.groups() {
        let origin = log.find(group)?.and_then(|f| f.origin);
        kept.extend(origin.map(|o| o.file).filter(|name| !name.is_empty()));
    }
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if !kept.contains(&*entry.file_name().to_string_lossy()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// What a full or stopped inbox means to a proposer.
pub(crate) fn refusal(not_taken: NotTaken) -> ProposeError {
    match not_taken {
        NotTaken::Full => ProposeError::Busy(Busy::InboxFull),
        NotTaken::Stopped => ProposeError::NoGroup,
    }
}
