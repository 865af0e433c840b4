//! Messages in: what raft-rs must not see is held back here, each case with its reason.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use proto::raftcore::Envelope;
use raft::INVALID_INDEX;
use raft::eraftpb::{Message, MessageType};

use super::{Group, LeaderSent};
use crate::env::Env;
use crate::{BootTime, convert};

/// How often the log repeats that entries were lost: every heartbeat shows it.
const LOSS_PAUSE: Duration = Duration::from_secs(10);

/// What became of a message.
pub(crate) enum Stepped {
    Done,
    /// Not for this member: the owner should look at it.
    Orphan(Box<Envelope>),
}

impl Group {
    /// Steps a message; `file` comes with a snapshot.
    pub fn step(&mut self, envelope: Envelope, file: Option<PathBuf>, env: &Env) -> Stepped {
        let (to, from) = envelope.message.as_ref().map_or((0, 0), |m| (m.to, m.from));
        if to != self.config.id || self.removed.contains(&from) {
            discard(file);
            return Stepped::Orphan(Box::new(envelope));
        }
        let Some(message) = envelope.message else { return Stepped::Done };
        let message = match convert::message_in(message, envelope.commit_term) {
            Ok(message) => message,
            Err(error) => {
                tracing::warn!(group = self.id, from, %error, "a message is refused");
                discard(file);
                return Stepped::Done;
            }
        };
        if let Err(reason) = self.admit(&message, file.is_some(), env) {
            tracing::debug!(group = self.id, from, kind = ?message.get_msg_type(), reason, "a message is dropped");
            discard(file);
            return Stepped::Done;
        }
        let (kind, term) = (message.get_msg_type(), message.term);
        let before = self.pending_snapshot();
        // Errors mean that the message is not for us (an unknown responder), which is no news to anyone.
        let _ = self.raw.step(message);
        if self.pending_snapshot() == before {
            discard(file);
        } else {
            // Raft took it, and with it leave of one that was not stored yet.
            discard(std::mem::replace(&mut self.incoming, file));
        }
        self.hear(from, kind, term, envelope.sent_at_ns, envelope.echo_ns, env);
        Stepped::Done
    }

    /// Index of the snapshot that Raft took and the next Ready stores.
    fn pending_snapshot(&self) -> Option<u64> {
        self.raw.snap().map(|s| s.get_metadata().index)
    }

    /// Why a message must not reach raft-rs.
    fn admit(&mut self, m: &Message, has_file: bool, env: &Env) -> Result<(), &'static str> {
        let raft = &self.raw.raft;
        // raft-rs takes a message without a term for one of its own making.
        if m.from == raft::INVALID_ID || m.from == self.config.id || m.term == 0 {
            return Err("it names no sender or no term");
        }
        match m.get_msg_type() {
            // Rule 4: proposals are never forwarded; reads and transfers are asked of the leader by its own process.
            MessageType::MsgPropose
            | MessageType::MsgReadIndex
            | MessageType::MsgReadIndexResp
            | MessageType::MsgTransferLeader
            | MessageType::MsgHup
            | MessageType::MsgBeat
            | MessageType::MsgUnreachable
            | MessageType::MsgSnapStatus
            | MessageType::MsgCheckQuorum => Err("it is not for the network"),
            // Rule 1, item 8: what this member promised before its restart may still be trusted by a leader.
            MessageType::MsgRequestVote | MessageType::MsgRequestPreVote
                if self.silent_until.is_some_and(|until| env.now < until) =>
            {
                Err("no votes right after a start")
            }
            // It would scan all that is unapplied (rule 13).
            MessageType::MsgTimeoutNow if !self.campaign_is_cheap() => {
                Err("too much is unapplied to campaign")
            }
            MessageType::MsgSnapshot if !has_file => Err("a snapshot comes with a file"),
            // raft-rs panics on it (rule 3): this member's log lost what it had acknowledged.
            MessageType::MsgHeartbeat if m.term >= raft.term && m.commit > raft.raft_log.last_index() => {
                if self.loss_told.is_none_or(|at| env.now >= at + LOSS_PAUSE) {
                    tracing::error!(
                        group = self.id,
                        id = self.config.id,
                        commit = m.commit,
                        last = raft.raft_log.last_index(),
                        "the leader counts on entries that this log does not hold: were they lost?"
                    );
                    self.loss_told = Some(env.now);
                }
                Err("it commits what is not here")
            }
            MessageType::MsgAppend if !is_run(m) => Err("its entries do not follow on each other"),
            // raft-rs 0.7 would let next_idx fall to what is matched and probe for ever (rule 13).
            MessageType::MsgAppendResponse
                if m.reject
                    && m.request_snapshot == INVALID_INDEX
                    && raft.prs().get(m.from).is_some_and(|p| m.reject_hint < p.matched) =>
            {
                Err("it rejects what was matched")
            }
            MessageType::MsgRequestVote
            | MessageType::MsgRequestPreVote
            | MessageType::MsgTimeoutNow
            | MessageType::MsgSnapshot
            | MessageType::MsgHeartbeat
            | MessageType::MsgAppend
            | MessageType::MsgAppendResponse
            | MessageType::MsgRequestVoteResponse
            | MessageType::MsgRequestPreVoteResponse
            | MessageType::MsgHeartbeatResponse => Ok(()),
        }
    }

    /// Remembers who was heard when, and what it says about the leader's clock.
    fn hear(&mut self, from: u64, kind: MessageType, term: u64, sent_at: u64, echo: u64, env: &Env) {
        if self.leads() {
            match self.heard.iter_mut().find(|(id, _)| *id == from) {
                Some((_, at)) => *at = env.now,
                // Bounded by the membership: strangers are not remembered.
                None if self.raw.raft.prs().get(from).is_some() => self.heard.push((from, env.now)),
                None => {}
            }
        }
        let raft = &self.raw.raft;
        match kind {
            MessageType::MsgAppend | MessageType::MsgHeartbeat | MessageType::MsgSnapshot
                if raft.term == term && raft.leader_id == from =>
            {
                self.face.leader_heard.store(env.now.0, Ordering::Relaxed);
                let known = LeaderSent { term, leader: from, at: sent_at };
                let same = (self.leader_sent.term, self.leader_sent.leader) == (term, from);
                if !same || self.leader_sent.at < sent_at {
                    self.leader_sent = known;
                }
            }
            MessageType::MsgAppendResponse | MessageType::MsgHeartbeatResponse if raft.term == term => {
                if let Some(tenure) = &mut self.tenure {
                    tenure.acked(from, BootTime(echo), env.now);
                }
            }
            _ => {}
        }
    }

    /// What a response to the leader of this term echoes.
    pub(super) fn echo(&self, m: &Message) -> u64 {
        match m.get_msg_type() {
            MessageType::MsgAppendResponse | MessageType::MsgHeartbeatResponse
                if (self.leader_sent.term, self.leader_sent.leader) == (m.term, m.to) =>
            {
                self.leader_sent.at
            }
            _ => 0,
        }
    }
}

/// Whether the entries of an append follow on its index and on each other.
fn is_run(m: &Message) -> bool {
    let mut next = m.index;
    m.entries.iter().all(|e| {
        next += 1;
        e.index == next && e.term <= m.term
    })
}

fn discard(file: Option<PathBuf>) {
    if let Some(file) = file {
        let _ = std::fs::remove_file(file);
    }
}
