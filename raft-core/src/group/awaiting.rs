//! A member whose state machine was wiped while its log, once cut, does not reach back to the beginning (rule 3): it
//! votes and stores as before, is no candidate, applies nothing, and asks its leader for a snapshot.
//!
//! The log's own entries may be what a leader counted on to commit something: so the snapshot must reach up to the
//! last of them. Raft-rs asks for such a one, but only with a last entry of the current term; and a leader listens only
//! where it knows of nothing newer in this log. Hence the request waits until all that is here is of this term and
//! committed, and new entries are held back meanwhile.

use raft::INVALID_INDEX;
use raft::eraftpb::{Message, MessageType};

use super::Group;

impl Group {
    /// Asks the leader for a snapshot as soon as that is possible. True if the group must be visited in this round.
    pub(super) fn ask_for_snapshot(&mut self) -> bool {
        if !self.awaits_snapshot {
            return false;
        }
        let raft = &self.raw.raft;
        let settled =
            raft.raft_log.committed == raft.raft_log.last_index() && raft.leader_id != raft::INVALID_ID;
        let idle = raft.pending_request_snapshot == INVALID_INDEX && raft.snap().is_none();
        settled && idle && self.raw.request_snapshot().is_ok()
    }

    /// While a snapshot is awaited, a message of a new term ends the request to the old leader: the new one may not know
    /// that all of this log is committed, and could not send what was asked until this member stores its entries.
    pub(super) fn ask_anew(&mut self, message: &Message) {
        if self.awaits_snapshot && message.term > self.raw.raft.term {
            self.raw.raft.pending_request_snapshot = INVALID_INDEX;
        }
    }

    /// While a snapshot is awaited, entries behind the last one of this term stay outside: the leader sends them again.
    pub(super) fn hold_log(&self, mut message: Message) -> Message {
        if self.awaits_snapshot
            && message.get_msg_type() == MessageType::MsgAppend
            && message.term == self.raw.raft.term
            && self.log_is_of_this_term()
        {
            let last = self.raw.raft.raft_log.last_index();
            let mut entries = message.take_entries().to_vec();
            entries.retain(|e| e.index <= last);
            message.set_entries(entries.into());
        }
        message
    }

    fn log_is_of_this_term(&self) -> bool {
        self.raw.raft.raft_log.last_term() == self.raw.raft.term
    }
}
