//! The Ready loop in its seven steps. Steps 1 to 4 gather what the round writes, for all groups; then comes the one
//! write and sync; steps 5 to 7 follow for each group.

use std::time::Duration;

use prost::Message as _;
use proto::raftcore::{Envelope, LogStart, Origin, SnapshotDescriptor};
use raft::Ready;
use raft::eraftpb::{Entry, Message, MessageType};

use super::Group;
use crate::apply::{Job, Waiter, entry_bytes};
use crate::env::Env;
use crate::inbox::Control;
use crate::log::SnapshotSlot;
use crate::{BootTime, Mark, convert};

/// Entries of one group that are on their way through the apply thread: beyond it the rest waits in the log.
const MAX_APPLYING_BYTES: usize = 32 << 20;
/// Entries are read back from the log for the apply thread in pieces of about this size.
const READ_BACK_BYTES: u64 = 4 << 20;
/// A snapshot that nobody asks for any more is removed.
const SNAPSHOT_KEPT: Duration = Duration::from_secs(60);

/// A Ready whose writes are gathered and not yet on disk.
pub(crate) struct Written {
    ready: Ready,
    entries: Vec<Entry>,
    snapshot: Option<Install>,
}

struct Install {
    start: LogStart,
    mark: Mark,
    file: std::path::PathBuf,
}

impl Group {
    /// Steps 1 to 4, if there is a Ready.
    pub fn begin_ready(&mut self, env: &mut Env) -> Option<Written> {
        if !self.raw.has_ready() {
            return None;
        }
        let mut ready = self.raw.ready();
        self.persist_hard_state(&ready, env);
        self.send_as_leader(&mut ready, env);
        let snapshot = self.store_snapshot(&ready, env);
        let entries = self.append_entries(&mut ready, env);
        Some(Written { ready, entries, snapshot })
    }

    /// Steps 5 to 7, once the round's write is durable.
    pub fn finish_ready(&mut self, written: Written, env: &mut Env) {
        let Written { mut ready, entries, snapshot } = written;
        self.send_after_persisting(&mut ready, env);
        self.apply_committed(&mut ready, entries, snapshot, env);
        self.advance(ready, env);
        self.begin_wanted_snapshot(env);
    }

    /// Step 1: persist hard state and vote.
    fn persist_hard_state(&mut self, ready: &Ready, env: &mut Env) {
        if let Some(hard_state) = ready.hs() {
            env.batch.hard_state(self.id, hard_state);
        }
        if ready.must_sync() {
            env.batch.must_sync();
        }
    }

    /// Step 2: a leader sends its messages first, while its own disk is still to write.
    fn send_as_leader(&mut self, ready: &mut Ready, env: &Env) {
        let messages = ready.take_messages();
        self.send(messages, env);
    }

    /// Step 3: store a snapshot: the log begins anew behind it, and its origin record makes sure that the machine
    /// gets the file even if we die before. It is applied aside, in step 6.
    fn store_snapshot(&mut self, ready: &Ready, env: &mut Env) -> Option<Install> {
        let snapshot = ready.snapshot();
        if snapshot.is_empty() {
            return None;
        }
        let metadata = convert::metadata_out(snapshot.get_metadata());
        let file = self.incoming.take().expect("a snapshot is stepped only with its file");
        let start = LogStart { index: metadata.index, term: metadata.term };
        let origin = Origin {
            metadata: Some(metadata.clone()),
            file: file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
            descriptor: SnapshotDescriptor::decode(snapshot.data.clone()).ok(),
        };
        env.batch.begin(self.id, start, &self.raw.raft.hard_state(), Some(&origin));
        let conf_state = metadata.conf_state.unwrap_or_default();
        Some(Install { start, mark: Mark { index: start.index, term: start.term, conf_state }, file })
    }

    /// Step 4: append entries to the log.
    fn append_entries(&mut self, ready: &mut Ready, env: &mut Env) -> Vec<Entry> {
        let entries = ready.take_entries();
        if !entries.is_empty() {
            env.batch.append(self.id, &entries);
        }
        entries
    }

    /// Step 5: a follower sends after persisting, and so does a candidate.
    fn send_after_persisting(&mut self, ready: &mut Ready, env: &Env) {
        let messages = ready.take_persisted_messages();
        self.send(messages, env);
    }

    /// Step 6: apply committed entries, and the snapshot before them, on the apply thread.
    fn apply_committed(
        &mut self,
        ready: &mut Ready,
        entries: Vec<Entry>,
        snapshot: Option<Install>,
        env: &mut Env,
    ) {
        if let Some(Install { start, mark, file }) = snapshot {
            let store = self.raw.mut_store();
            store.restart_at(start);
            let old = store.set_snapshot(SnapshotSlot::None);
            super::remove_file_of(&old);
            self.conf = mark.conf_state.clone();
            self.restored_at = start.index;
            (self.committed, self.handed) = (start.index, start.index);
            env.apply(Job::Install { group: self.id, mark, file });
        }
        self.raw.mut_store().appended(entries);
        for read in ready.take_read_states() {
            self.reads.confirmed(&read.request_ctx, read.index);
        }
        let committed = ready.take_committed_entries();
        self.hand_over(committed, env);
    }

    /// Step 7: advance: what this write made possible (commits, the next messages) comes out at once.
    fn advance(&mut self, ready: Ready, env: &mut Env) {
        let restored = (!ready.snapshot().is_empty()).then_some(self.restored_at);
        let mut light = self.raw.advance_append(ready);
        if let Some(index) = restored {
            // Entries up to it will never be asked for: raft-rs may count them as applied, and must, since it reads
            // everything above `applied` before it campaigns. Reads wait for the machine (`self.applied`).
            self.raw.advance_apply_to(index);
        }
        if light.commit_index().is_some() {
            // raft-rs counts this commit as stored from now on and would never say it again. It need not be synced by
            // itself, but before the next entry is: a member that acknowledges a second change of membership must
            // remember after a power cut that the first was committed, or it would campaign under the one before.
            env.batch.hard_state(self.id, &self.raw.raft.hard_state());
        }
        let messages = light.take_messages();
        self.send(messages, env);
        let committed = light.take_committed_entries();
        self.hand_over(committed, env);
    }

    /// Hands committed entries to the apply thread, or leaves them in the log while it is busy.
    fn hand_over(&mut self, entries: Vec<Entry>, env: &mut Env) {
        let Some(last) = entries.last() else { return };
        let in_order = self.committed == self.handed;
        self.committed = last.index;
        if in_order && self.applying_bytes < MAX_APPLYING_BYTES {
            self.give(entries, env);
        }
    }

    /// Goes on handing over what was left in the log.
    pub(super) fn hand_over_rest(&mut self, env: &mut Env) {
        while self.handed < self.committed && self.applying_bytes < MAX_APPLYING_BYTES {
            let read = self.raw.store().read(self.handed + 1, self.committed + 1, READ_BACK_BYTES);
            match read {
                Ok(entries) if !entries.is_empty() => self.give(entries, env),
                Ok(_) | Err(_) => {
                    let (group, from, to) = (self.id, self.handed + 1, self.committed);
                    tracing::error!(
                        group,
                        from,
                        to,
                        "committed entries cannot be read back: the process ends"
                    );
                    std::process::abort();
                }
            }
        }
    }

    fn give(&mut self, entries: Vec<Entry>, env: &mut Env) {
        let Some(last) = entries.last().map(|e| e.index) else { return };
        self.handed = last;
        self.applying_bytes += entries.iter().map(entry_bytes).sum::<usize>();
        let waiting = self.waiting.partition_point(|w| w.index <= last);
        let waiters: Vec<Waiter> = self.waiting.drain(..waiting).collect();
        env.apply(Job::Entries { group: self.id, entries, waiters });
    }

    /// Puts messages into envelopes and sends them.
    fn send(&mut self, messages: Vec<Message>, env: &Env) {
        if messages.is_empty() {
            return;
        }
        // Rule 1, item 7: the lease is over before the message that may elect another leaves.
        if messages.iter().any(|m| m.get_msg_type() == MessageType::MsgTimeoutNow) {
            self.hand_over_office();
        }
        // Rule 1, item 2: the leader's clock, read before sending.
        let now = BootTime::now();
        for message in messages {
            self.send_one(message, now, env);
        }
    }

    fn send_one(&mut self, message: Message, now: BootTime, env: &Env) {
        let kind = message.get_msg_type();
        let sent_at_ns = match kind {
            MessageType::MsgAppend | MessageType::MsgHeartbeat | MessageType::MsgSnapshot => now.0,
            _ => 0,
        };
        let echo_ns = self.echo(&message);
        let (to, index) = (message.to, message.get_snapshot().get_metadata().index);
        let (message, commit_term) = convert::message_out(message);
        let envelope = Envelope {
            group_id: self.id,
            message: Some(message),
            sent_at_ns,
            echo_ns,
            context: bytes::Bytes::new(),
            commit_term,
        };
        if kind != MessageType::MsgSnapshot {
            env.transport.send(envelope);
            return;
        }
        let file = self.raw.store().with_snapshot(|slot| match slot {
            SnapshotSlot::Ready(made) if made.metadata.index == index => Some(made.file.clone()),
            SnapshotSlot::Ready(_)
            | SnapshotSlot::None
            | SnapshotSlot::Wanted { .. }
            | SnapshotSlot::Making { .. } => None,
        });
        match file {
            Some(file) => env.transport.send_snapshot(envelope, file),
            // Replaced in the meantime. Raft must not be stepped within a Ready: it learns of it in the next round.
            None => env.inbox.push_control(Control::SnapshotSent { group: self.id, to, ok: false }),
        }
    }

    /// Asks the apply thread for the snapshot that Raft wants.
    fn begin_wanted_snapshot(&mut self, env: &Env) {
        let wanted = self.raw.store().with_snapshot(|slot| match slot {
            SnapshotSlot::Wanted { by } => Some(*by),
            SnapshotSlot::None | SnapshotSlot::Making { .. } | SnapshotSlot::Ready(_) => None,
        });
        if let Some(by) = wanted {
            self.raw.mut_store().set_snapshot(SnapshotSlot::Making { by });
            env.apply(Job::Snapshot { group: self.id });
        }
    }

    /// A snapshot for others is made: whoever waits for it gets it now.
    pub fn snapshot_made(&mut self, made: Option<crate::log::MadeSnapshot>) {
        let slot = made.map_or(SnapshotSlot::None, SnapshotSlot::Ready);
        let was = self.raw.mut_store().set_snapshot(slot);
        super::remove_file_of(&was);
        if let SnapshotSlot::Making { by } = was
            && self.leads()
            && self.raw.raft.prs().get(by).is_some()
        {
            self.raw.raft.send_append(by);
        }
    }

    /// The transport says how a snapshot's way ended.
    pub fn snapshot_sent(&mut self, to: u64, ok: bool) {
        let status = if ok { raft::SnapshotStatus::Finish } else { raft::SnapshotStatus::Failure };
        self.raw.report_snapshot(to, status);
    }

    /// Removes a made snapshot that has served its time.
    pub(super) fn drop_old_snapshot(&mut self, env: &Env) {
        let old = self.raw.store().with_snapshot(|slot| match slot {
            SnapshotSlot::Ready(made) => made.made_at + SNAPSHOT_KEPT < env.now,
            SnapshotSlot::None | SnapshotSlot::Wanted { .. } | SnapshotSlot::Making { .. } => false,
        });
        if old {
            let was = self.raw.mut_store().set_snapshot(SnapshotSlot::None);
            super::remove_file_of(&was);
        }
    }

    /// A peer could not be reached.
    pub fn unreachable(&mut self, to: u64) {
        self.raw.report_unreachable(to);
    }
}
