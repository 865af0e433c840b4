//! One group's member on the Raft thread: raft-rs's `RawNode` and what must be remembered beside it.
//!
//! Spread over files by duty: `stepping` (messages in), `ready` (the seven steps), `proposals`, `reads`, `transfer`,
//! `applied` (what comes back from the apply thread), `timing` (ticks, lease, probes).

mod applied;
mod proposals;
mod reads;
mod ready;
mod stepping;
mod timing;
mod transfer;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use proto::eraftpb::ConfState;
use raft::{RawNode, ReadOnlyOption, StateRole};
use tokio::sync::watch;

use crate::apply::Waiter;
use crate::env::Env;
use crate::inbox::{Done, Proposal};
use crate::log::GroupLog;
use crate::start::{Plan, Redo};
use crate::status::Progress;
use crate::tenure::{Tenure, surely};
use crate::{
    BootTime, Error, GroupConfig, GroupStatus, Lease, ProposeError, Result, Role, logger, membership,
};

use reads::Reads;
pub(crate) use ready::Written;
pub(crate) use stepping::Stepped;
use transfer::Transfer;

/// Bytes of entries that a leader has appended and not seen committed; beyond it proposals are refused as busy.
const MAX_UNCOMMITTED_BYTES: u64 = 64 << 20;
/// Bytes of committed entries that one Ready carries.
const MAX_COMMITTED_BYTES_PER_READY: u64 = 16 << 20;

/// What others see of a group without asking the Raft thread.
pub(crate) struct Face {
    pub status: watch::Sender<GroupStatus>,
    pub lease: Option<Arc<Lease>>,
    /// When this member last heard its leader (CLOCK_BOOTTIME in ns), 0 if never.
    pub leader_heard: AtomicU64,
}

pub(crate) struct Group {
    pub(crate) id: u64,
    raw: RawNode<GroupLog>,
    config: GroupConfig,
    face: Arc<Face>,
    /// Role and term as last noticed.
    office: (Role, u64),
    /// The membership in force.
    conf: ConfState,
    /// Members whose messages are not for Raft any more.
    removed: Vec<u64>,
    /// Ticks this group has lived.
    ticks: u64,
    /// Vote requests are dropped until then (rule 1, item 8).
    silent_until: Option<BootTime>,
    /// When the log last told that entries were lost here.
    loss_told: Option<BootTime>,
    /// When each member was last heard.
    heard: Vec<(u64, BootTime)>,
    /// What the leader of a term last sent, by its own clock (rule 1, item 3).
    leader_sent: LeaderSent,

    /// Proposals of this round.
    proposals: Vec<Proposal>,
    /// Proposed and not handed to the apply thread, by index; changes of membership are answered later.
    waiting: VecDeque<Waiter>,
    changes_waiting: Vec<Waiter>,
    reads: Reads,
    transfer: Option<Transfer>,
    /// No transfer before this (rule 11: one election timeout of rest).
    rest_until: BootTime,

    tenure: Option<Tenure>,
    /// The tick at which MsgTimeoutNow left in this term.
    handed_over_at: Option<u64>,
    /// This leader has not yet looked whether it inherited a joint membership.
    may_inherit_joint: bool,

    /// What the machine has applied.
    applied: (u64, u64),
    /// Last index that Raft called committed, and the last one handed to the apply thread.
    committed: u64,
    handed: u64,
    applying_bytes: usize,
    /// Changes of membership up to this index came with a snapshot.
    restored_at: u64,
    /// The file of a snapshot that is being stepped.
    incoming: Option<PathBuf>,
    flushing: bool,
    cut_hard: bool,
    /// Visited in the coming round already.
    pub(crate) queued: bool,
}

#[derive(Clone, Copy, Default)]
struct LeaderSent {
    term: u64,
    leader: u64,
    at: u64,
}

impl Group {
    /// Makes the member. What the plan wants written is in the batch of this round.
    pub fn new(id: u64, config: GroupConfig, plan: &Plan, env: &mut Env) -> Result<Self> {
        let wrong = |reason: String| Error::Inconsistent { group: id, reason };
        let conf = plan.mark.conf_state.clone();
        let log = env.log.group(id, &plan.log, crate::convert::conf_state_in(&conf));
        let raft_config = raft::Config {
            id: config.id,
            election_tick: config.election_tick,
            heartbeat_tick: config.heartbeat_tick,
            applied: plan.mark.index,
            max_size_per_msg: config.max_size_per_msg,
            max_inflight_msgs: config.max_inflight_msgs,
            check_quorum: true,
            pre_vote: true,
            // An unfit voter with a high priority would block every election: priority is done by transfer (rule 2).
            priority: 0,
            // raft-rs's own lease reads know no clock (rule 1).
            read_only_option: ReadOnlyOption::Safe,
            max_uncommitted_size: MAX_UNCOMMITTED_BYTES.max(config.max_size_per_msg),
            max_committed_size_per_ready: MAX_COMMITTED_BYTES_PER_READY,
            ..raft::Config::default()
        };
        raft_config.validate().map_err(|e| wrong(e.to_string()))?;
        let raw =
            RawNode::new(&raft_config, log, &logger::for_group(id)).map_err(|e| wrong(e.to_string()))?;
        let applied = (plan.mark.index, plan.mark.term);
        // While a snapshot is still to be installed, nothing of it can be read.
        let applied = match plan.redo {
            Redo::Nothing | Redo::Bootstrap => applied,
            Redo::Install(_) => (0, 0),
        };
        let election = env.tick.saturating_mul(u32::try_from(config.election_tick).unwrap_or(u32::MAX));
        let silent = config.lease && !plan.fresh;
        let face = Face {
            status: watch::Sender::new(GroupStatus::default()),
            lease: config.lease.then(Arc::default),
            leader_heard: AtomicU64::new(0),
        };
        let mut group = Self {
            id,
            office: (Role::Follower, raw.raft.term),
            face: Arc::new(face),
            removed: Vec::new(),
            ticks: 0,
            silent_until: silent.then(|| env.now + surely(election)),
            loss_told: None,
            heard: Vec::new(),
            leader_sent: LeaderSent::default(),
            proposals: Vec::new(),
            waiting: VecDeque::new(),
            changes_waiting: Vec::new(),
            reads: Reads::new(),
            transfer: None,
            rest_until: BootTime(0),
            tenure: config.lease.then(|| Tenure::new(config.election_tick, env.tick)),
            handed_over_at: None,
            may_inherit_joint: false,
            applied,
            committed: plan.mark.index,
            handed: plan.mark.index,
            applying_bytes: 0,
            restored_at: plan.mark.index,
            incoming: None,
            flushing: false,
            cut_hard: false,
            queued: false,
            raw,
            config,
            conf,
        };
        // A group of one has nobody to ask.
        group.campaign_if_alone();
        group.publish(env);
        Ok(group)
    }

    pub fn face(&self) -> &Arc<Face> {
        &self.face
    }

    /// See [`crate::Handle::campaign`].
    pub fn campaign(&mut self) {
        let alone = membership::is_sole_voter(&self.conf, self.config.id);
        if self.tenure.is_some() && !alone {
            // It would break what this member promised to the leader whose messages it answered (rule 1).
            tracing::warn!(group = self.id, "a member of a group with a lease does not campaign on demand");
            return;
        }
        if self.role() != Role::Leader && self.raw.raft.promotable() && self.campaign_is_cheap() {
            // It fails only when the storage does, which does not return.
            let _ = self.raw.campaign();
        }
    }

    /// See [`crate::Handle::set_removed`].
    pub fn set_removed(&mut self, ids: Vec<u64>) {
        self.removed = ids;
    }

    /// The group ends: no one who waits will hear of it otherwise.
    pub fn end(&mut self) {
        for waiter in self.waiting.drain(..).chain(self.changes_waiting.drain(..)) {
            let _ = waiter.reply.send(Err(ProposeError::NoGroup));
        }
        for proposal in self.proposals.drain(..) {
            let _ = proposal.reply.send(Err(ProposeError::NoGroup));
        }
        self.reads.fail(&ProposeError::NoGroup);
        if let Some(transfer) = self.transfer.take() {
            transfer.finish(Err(ProposeError::NoGroup));
        }
        if let Some(lease) = &self.face.lease {
            lease.void();
        }
        let made = self.raw.mut_store().set_snapshot(crate::log::SnapshotSlot::None);
        remove_file_of(&made);
    }

    /// Whether another round has work for it already.
    pub fn has_more(&self) -> bool {
        self.raw.has_ready()
    }

    fn role(&self) -> Role {
        match self.raw.raft.state {
            StateRole::Follower => Role::Follower,
            StateRole::PreCandidate => Role::PreCandidate,
            StateRole::Candidate => Role::Candidate,
            StateRole::Leader => Role::Leader,
        }
    }

    fn leads(&self) -> bool {
        self.raw.raft.state == StateRole::Leader
    }

    fn not_leader(&self) -> ProposeError {
        ProposeError::NotLeader { leader: self.raw.raft.leader_id }
    }

    fn campaign_if_alone(&mut self) {
        if membership::is_sole_voter(&self.conf, self.config.id) {
            self.campaign();
        }
    }

    /// Draws the consequences of a changed role or term. Called after input and ticks, before the Ready.
    pub fn notice_office(&mut self, env: &Env) {
        let office = (self.role(), self.raw.raft.term);
        if office == self.office {
            return;
        }
        let (was, is) = (self.office.0, office.0);
        self.office = office;
        self.handed_over_at = None;
        if was == Role::Leader {
            self.lose_lead();
        }
        match is {
            Role::Leader => self.take_lead(env),
            Role::Follower | Role::PreCandidate | Role::Candidate => {
                let (id, term) = (self.config.id, office.1);
                tracing::debug!(group = self.id, id, term, role = ?is, "role changed");
            }
        }
    }

    fn take_lead(&mut self, env: &Env) {
        let (group, id, term) = (self.id, self.config.id, self.office.1);
        tracing::info!(group, id, term, "leads");
        self.may_inherit_joint = true;
        self.heard.clear();
        self.meet_members(env);
        let first = self.raw.raft.raft_log.last_index();
        if let Some(tenure) = &mut self.tenure {
            tenure.begin(term, first, env.now);
        }
    }

    /// Remembers the members of now: the silence of one that was not heard yet counts from here, not from the boot of
    /// the machine, or a peer just added would be taken for one that is down.
    pub(super) fn meet_members(&mut self, env: &Env) {
        let prs = self.raw.raft.prs();
        self.heard.retain(|(id, _)| prs.get(*id).is_some());
        for (id, _) in prs.iter() {
            if !self.heard.iter().any(|(known, _)| known == id) {
                self.heard.push((*id, env.now));
            }
        }
    }

    fn lose_lead(&mut self) {
        tracing::info!(group = self.id, id = self.config.id, term = self.office.1, "leads no more");
        if let Some(tenure) = &mut self.tenure {
            tenure.end();
        }
        if let Some(lease) = &self.face.lease {
            lease.void();
        }
        for waiter in self.waiting.drain(..).chain(self.changes_waiting.drain(..)) {
            let _ = waiter.reply.send(Err(ProposeError::Unknown));
        }
        self.reads.fail(&self.not_leader());
    }

    /// Makes the status known, waking those who watch it if more than silences changed.
    pub fn publish(&mut self, env: &Env) {
        let status = self.status_now(env);
        self.face.status.send_if_modified(|old| {
            let news = !same_but_silences(old, &status);
            *old = status;
            news
        });
    }

    fn status_now(&self, env: &Env) -> GroupStatus {
        let raft = &self.raw.raft;
        GroupStatus {
            id: self.config.id,
            role: self.role(),
            term: raft.term,
            leader: raft.leader_id,
            committed: raft.raft_log.committed,
            applied: self.applied.0,
            applied_term: self.applied.1,
            last: raft.raft_log.last_index(),
            first: raft.raft_log.first_index(),
            conf_state: self.conf.clone(),
            progress: if self.leads() { self.progress(env) } else { Vec::new() },
        }
    }

    fn progress(&self, env: &Env) -> Vec<Progress> {
        let others = self.raw.raft.prs().iter().filter(|(id, _)| **id != self.config.id);
        let mut progress: Vec<Progress> = others
            .map(|(id, p)| Progress {
                id: *id,
                matched: p.matched,
                heard_ms: self.silence(*id, env).as_millis().try_into().unwrap_or(u64::MAX),
                answered: self.tenure.as_ref().map_or(BootTime(0), |tenure| tenure.acked_at(*id)),
                snapshot: p.state == raft::ProgressState::Snapshot,
            })
            .collect();
        progress.sort_unstable_by_key(|p| p.id);
        progress
    }

    fn silence(&self, member: u64, env: &Env) -> std::time::Duration {
        let heard = self.heard.iter().find(|(id, _)| *id == member).map_or(BootTime(0), |(_, at)| *at);
        std::time::Duration::from_nanos(env.now.0.saturating_sub(heard.0))
    }

    /// Takes a read in for this round.
    pub fn read_index(&mut self, done: Done) {
        self.reads.ask(done);
    }

    /// Takes a proposal in for this round.
    pub fn propose(&mut self, proposal: Proposal) {
        self.proposals.push(proposal);
    }
}

fn same_but_silences(a: &GroupStatus, b: &GroupStatus) -> bool {
    let of = |s: &GroupStatus| {
        (s.id, s.role, s.term, s.leader, s.committed, s.applied, s.applied_term, s.last, s.first)
    };
    let seen = |s: &Progress| (s.id, s.matched, s.snapshot);
    of(a) == of(b)
        && a.conf_state == b.conf_state
        && a.progress.iter().map(seen).eq(b.progress.iter().map(seen))
}

/// Removes the file of a snapshot that is not needed any more; whoever sends it has it open.
fn remove_file_of(slot: &crate::log::SnapshotSlot) {
    match slot {
        crate::log::SnapshotSlot::Ready(made) => {
            let _ = std::fs::remove_file(&made.file);
        }
        crate::log::SnapshotSlot::None
        | crate::log::SnapshotSlot::Wanted { .. }
        | crate::log::SnapshotSlot::Making { .. } => {}
    }
}

#[cfg(test)]
mod tests;
