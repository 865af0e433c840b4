//! Proposals: refused at once or appended, and remembered until they are applied or the lead is lost.

use bytes::Bytes;
use prost::Message as _;
use proto::eraftpb::ConfChangeV2;
use raft::eraftpb::{Entry, EntryType, Message, MessageType};

use super::Group;
use crate::apply::Waiter;
use crate::env::Env;
use crate::inbox::{Payload, Proposal, Reply};
use crate::{Busy, ProposeError, membership};

/// A bigger entry would hold up the heartbeats behind it, and the network refuses messages of several of them.
const MAX_ENTRY_BYTES: usize = 16 << 20;
/// Entries appended and not applied: beyond it the state machine cannot keep up and more would only wait.
const MAX_UNAPPLIED: u64 = 65_536;

impl Group {
    /// Appends this round's proposals, as few messages as their sizes allow.
    pub fn append_proposals(&mut self, env: &Env) {
        if self.proposals.is_empty() {
            return;
        }
        let proposals = std::mem::take(&mut self.proposals);
        let mut run = Run::default();
        for proposal in proposals {
            if let Err(refusal) = self.may_propose(&proposal) {
                refuse(proposal.reply, refusal);
                continue;
            }
            match proposal.payload {
                Payload::Data(data) => {
                    if run.bytes + data.len() as u64 > self.config.max_size_per_msg {
                        self.append(std::mem::take(&mut run), env);
                    }
                    run.push(data, proposal.reply);
                }
                Payload::Change(change) => {
                    self.append(std::mem::take(&mut run), env);
                    self.append_change(change, Some(proposal.reply), env);
                }
            }
        }
        self.append(run, env);
    }

    /// Appends an entry without data: proof that this leader can still write.
    pub(super) fn append_probe(&mut self, env: &Env) {
        let mut run = Run::default();
        run.entries.push(Entry::default());
        self.append(run, env);
    }

    /// Appends the change that leaves a joint membership.
    pub(super) fn append_leave(&mut self, env: &Env) {
        self.append_change(ConfChangeV2::default(), None, env);
    }

    fn may_propose(&self, proposal: &Proposal) -> Result<(), ProposeError> {
        let raft = &self.raw.raft;
        if !self.leads() {
            return Err(self.not_leader());
        }
        if let Some(asked) = proposal.term
            && asked != raft.term
        {
            return Err(ProposeError::StaleTerm { asked, term: raft.term });
        }
        if self.transfer.is_some() || raft.lead_transferee.is_some() || self.handed_over_at.is_some() {
            return Err(ProposeError::Busy(Busy::Transferring));
        }
        if raft.raft_log.last_index().saturating_sub(self.applied.0) > MAX_UNAPPLIED {
            return Err(ProposeError::Busy(Busy::Unapplied));
        }
        match &proposal.payload {
            Payload::Data(data) if data.len() > MAX_ENTRY_BYTES => Err(ProposeError::Refused(format!(
                "an entry of {} bytes is larger than {MAX_ENTRY_BYTES}",
                data.len()
            ))),
            Payload::Data(_) => Ok(()),
            Payload::Change(change) => self.may_change(change),
        }
    }

    /// raft-rs turns a change that it refuses into an empty entry and says nothing: so it is asked before.
    fn may_change(&self, change: &ConfChangeV2) -> Result<(), ProposeError> {
        if self.raw.raft.has_pending_conf() {
            return Err(ProposeError::Busy(Busy::ChangingMembership));
        }
        let refused = |reason: &str| Err(ProposeError::Refused(reason.into()));
        match (membership::is_joint(&self.conf), change.changes.is_empty()) {
            (true, false) => return refused("the joint membership must be left first"),
            (false, true) => return refused("the membership is not joint: there is nothing to leave"),
            (true, true) | (false, false) => {}
        }
        let change = membership::explicit(change.clone());
        membership::next(&self.conf, &change).map(|_| ()).map_err(ProposeError::Refused)
    }

    fn append(&mut self, run: Run, env: &Env) {
        if run.entries.is_empty() {
            return;
        }
        let count = run.entries.len() as u64;
        if !self.step_propose(run.entries, env) {
            for reply in run.replies {
                refuse(reply, ProposeError::Busy(Busy::Uncommitted));
            }
            return;
        }
        let (last, term) = (self.raw.raft.raft_log.last_index(), self.raw.raft.term);
        let first = last + 1 - count;
        let waiters =
            run.replies.into_iter().zip(first..).map(|(reply, index)| Waiter { index, term, reply });
        self.waiting.extend(waiters);
    }

    fn append_change(&mut self, change: ConfChangeV2, reply: Option<Reply>, env: &Env) {
        let change = membership::explicit(change);
        let mut entry = Entry::default();
        entry.set_entry_type(EntryType::EntryConfChangeV2);
        entry.data = change.encode_to_vec().into();
        let appended = self.step_propose(vec![entry], env);
        let Some(reply) = reply else { return };
        if appended {
            let (index, term) = (self.raw.raft.raft_log.last_index(), self.raw.raft.term);
            self.changes_waiting.push(Waiter { index, term, reply });
        } else {
            refuse(reply, ProposeError::Busy(Busy::Uncommitted));
        }
    }

    /// Rule 4: only ever on a leader, so that nothing is forwarded.
    fn step_propose(&mut self, entries: Vec<Entry>, env: &Env) -> bool {
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.from = self.config.id;
        message.set_entries(entries.into());
        if !self.leads() || self.raw.raft.step(message).is_err() {
            return false;
        }
        let last = self.raw.raft.raft_log.last_index();
        if let Some(tenure) = &mut self.tenure {
            tenure.wrote(last, env.now);
        }
        true
    }
}

/// Proposals that go into one message.
#[derive(Default)]
struct Run {
    entries: Vec<Entry>,
    replies: Vec<Reply>,
    bytes: u64,
}

impl Run {
    fn push(&mut self, data: Bytes, reply: Reply) {
        self.bytes += data.len() as u64;
        self.entries.push(Entry { data, ..Entry::default() });
        self.replies.push(reply);
    }
}

fn refuse(reply: Reply, error: ProposeError) {
    // Whoever waited may have given up.
    let _ = reply.send(Err(error));
}
