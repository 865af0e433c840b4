//! The order of the seven steps, looked at from where it matters: what is on disk when a message leaves.

use std::sync::mpsc::{Receiver, channel};

use parking_lot::Mutex;
use proto::eraftpb::{Entry as WireEntry, Message as WireMessage, MessageType};
use proto::raftcore::Envelope;
use tempfile::TempDir;

use super::*;
use crate::apply::Job;
use crate::inbox::{AppliedReport, Inbox, Payload};
use crate::log::{Batch, Found, Log};
use crate::snapshots::FileJob;
use crate::{Counters, Mark, Start, Transport};

const GROUP: u64 = 3;

/// Notes for each message what the log holds at that moment.
struct Notary {
    log: Log,
    seen: Mutex<Vec<(MessageType, Found)>>,
}

impl Transport for Notary {
    fn send(&self, envelope: Envelope) {
        let kind = MessageType::try_from(envelope.message.unwrap().msg_type).unwrap();
        let found = self.log.find(GROUP).unwrap().unwrap();
        self.seen.lock().push((kind, found));
    }

    fn send_snapshot(&self, _envelope: Envelope, _file: PathBuf) {}
}

/// One member with a real log, and nobody at the other ends.
struct Rig {
    env: Env,
    group: Group,
    notary: Arc<Notary>,
    jobs: Receiver<Job>,
    _files: Receiver<FileJob>,
    _dir: TempDir,
}

impl Rig {
    fn new(voters: &[u64], config: GroupConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let counters = Arc::new(Counters::default());
        let log = Log::open(dir.path(), counters.clone()).unwrap();
        let notary = Arc::new(Notary { log: log.clone(), seen: Mutex::default() });
        let ((apply, jobs), (files, file_jobs)) = (channel(), channel());
        let mut env = Env {
            now: BootTime::now(),
            tick: std::time::Duration::from_millis(10),
            log,
            batch: Batch::default(),
            transport: notary.clone(),
            apply,
            files,
            inbox: Arc::new(Inbox::new(16)),
            counters,
            snapshot_dir: dir.path().into(),
        };
        let conf = ConfState { voters: voters.to_vec(), ..ConfState::default() };
        let start = Start::Bootstrap(conf);
        let plan = crate::start::plan(GROUP, &start, None, &Mark::default(), |_| None).unwrap();
        let group = Group::new(GROUP, config, &plan, &mut env).unwrap();
        env.batch.begin(GROUP, plan.log.start, &plan.log.hard_state, plan.log.origin.as_ref());
        env.log.write(&mut env.batch);
        Self { env, group, notary, jobs, _files: file_jobs, _dir: dir }
    }

    /// Rounds until there is nothing to do; what is given to the apply thread counts as applied.
    fn settle(&mut self) {
        loop {
            self.group.notice_office(&self.env);
            self.group.append_proposals(&self.env);
            let written = self.group.begin_ready(&mut self.env);
            self.env.log.write(&mut self.env.batch);
            if let Some(written) = written {
                self.group.finish_ready(written, &mut self.env);
            }
            let mut more = false;
            while let Ok(job) = self.jobs.try_recv() {
                if let Job::Entries { entries, .. } = job {
                    let last = entries.last().unwrap();
                    let (index, term) = (last.index, last.term);
                    let report = AppliedReport { group: GROUP, index, term, bytes: 0, changes: Vec::new() };
                    self.group.applied(report, &mut self.env);
                    more = true;
                }
            }
            if !more && !self.group.has_more() {
                break;
            }
        }
        self.env.log.write(&mut self.env.batch);
    }

    fn step(&mut self, message: WireMessage) {
        let message = WireMessage { to: 1, from: 2, term: 5, ..message };
        let envelope = Envelope { group_id: GROUP, message: Some(message), ..Envelope::default() };
        let stepped = self.group.step(envelope, None, &self.env);
        assert!(matches!(stepped, Stepped::Done));
    }

    fn on_disk(&self) -> Found {
        self.env.log.find(GROUP).unwrap().unwrap()
    }

    fn seen(&self, kind: MessageType) -> Option<Found> {
        self.notary.seen.lock().iter().find(|(k, _)| *k == kind).map(|(_, found)| found.clone())
    }

    fn propose(&mut self, data: &'static str) {
        let (reply, _) = tokio::sync::oneshot::channel();
        self.group.propose(Proposal { term: None, payload: Payload::Data(data.into()), reply });
    }
}

#[test]
fn a_vote_is_on_disk_before_it_is_given() {
    let mut rig = Rig::new(&[1, 2, 3], GroupConfig::pd(1));
    let ask = MessageType::MsgRequestVote as i32;
    rig.step(WireMessage { msg_type: ask, log_term: 1, index: 1, ..WireMessage::default() });
    rig.settle();
    let found = rig.seen(MessageType::MsgRequestVoteResponse).unwrap();
    assert_eq!((found.hard_state.term, found.hard_state.vote), (5, 2));
}

#[test]
fn a_followers_entries_are_on_disk_before_it_acknowledges_them() {
    let mut rig = Rig::new(&[1, 2, 3], GroupConfig::pd(1));
    let entries = (2..5).map(|index| WireEntry { term: 5, index, ..WireEntry::default() }).collect();
    let append = MessageType::MsgAppend as i32;
    rig.step(WireMessage {
        msg_type: append,
        log_term: 1,
        index: 1,
        commit: 3,
        entries,
        ..WireMessage::default()
    });
    rig.settle();
    let found = rig.seen(MessageType::MsgAppendResponse).unwrap();
    assert_eq!((found.last, found.hard_state.term, found.hard_state.commit), (4, 5, 3));
}

#[test]
fn a_leaders_messages_leave_before_its_own_disk_has_the_entries() {
    let mut rig = Rig::new(&[1, 2, 3], GroupConfig::region(1));
    rig.group.campaign();
    rig.settle();
    for (kind, term) in
        [(MessageType::MsgRequestPreVoteResponse, 2), (MessageType::MsgRequestVoteResponse, 2)]
    {
        let message = WireMessage { msg_type: kind as i32, to: 1, from: 2, term, ..WireMessage::default() };
        let envelope = Envelope { group_id: GROUP, message: Some(message), ..Envelope::default() };
        assert!(matches!(rig.group.step(envelope, None, &rig.env), Stepped::Done));
        rig.settle();
    }
    assert_eq!(rig.group.role(), Role::Leader);
    let asked = rig.seen(MessageType::MsgRequestVote).unwrap();
    assert_eq!((asked.hard_state.term, asked.hard_state.vote), (2, 1), "a candidate votes for itself first");
    let told = rig.seen(MessageType::MsgAppend).unwrap();
    assert_eq!(told.last, 1, "its first entry went out while its disk was still to write");
    assert_eq!(rig.on_disk().last, 2);
}

#[test]
fn a_commit_that_follows_from_the_write_itself_is_stored_with_the_next() {
    let mut rig = Rig::new(&[1], GroupConfig::pd(1));
    rig.settle();
    rig.propose("a");
    rig.settle();
    let found = rig.on_disk();
    assert_eq!((found.last, found.hard_state.commit), (3, 3));
}

#[test]
fn in_a_group_with_a_lease_nobody_campaigns_on_demand() {
    let mut rig = Rig::new(&[1, 2, 3], GroupConfig::pd(1));
    rig.group.campaign();
    assert_eq!(rig.group.role(), Role::Follower);
}
