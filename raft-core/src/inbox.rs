//! What reaches the Raft thread: one mailbox with two queues. Control calls and reports are never lost (their number
//! is bounded by those who wait for the answers); messages and requests are refused when theirs is full.

use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use proto::eraftpb::ConfChangeV2;
use proto::raftcore::Envelope;
use tokio::sync::oneshot;

use crate::log::MadeSnapshot;
use crate::{Applied, GroupConfig, ProposeError, Result, Start, StateMachine};

/// Bytes of entries that may wait in the inbox: what a stalled Raft thread may cost in memory at most.
const MAX_WAITING_BYTES: usize = 256 << 20;

/// Answers a proposal.
pub(crate) type Reply = oneshot::Sender<std::result::Result<Applied, ProposeError>>;
/// Answers a request that has no output.
pub(crate) type Done = oneshot::Sender<std::result::Result<(), ProposeError>>;

/// What is dropped or refused when the inbox is full.
pub(crate) enum Input {
    Message(Box<Envelope>),
    Propose { group: u64, proposal: Proposal },
    ReadIndex { group: u64, done: Done },
    Unreachable { group: u64, to: u64 },
}

/// A proposal on its way into the log.
pub(crate) struct Proposal {
    /// Append only as leader of exactly this term.
    pub term: Option<u64>,
    pub payload: Payload,
    pub reply: Reply,
}

/// What is proposed.
pub(crate) enum Payload {
    Data(Bytes),
    Change(ConfChangeV2),
}

/// What is never dropped.
pub(crate) enum Control {
    Create(Box<Create>),
    Destroy {
        group: u64,
        done: oneshot::Sender<Result<()>>,
    },
    Campaign {
        group: u64,
    },
    SetRemoved {
        group: u64,
        ids: Vec<u64>,
    },
    Transfer {
        group: u64,
        to: u64,
        done: Done,
    },
    /// A received snapshot, checked and synced.
    SnapshotTaken {
        envelope: Box<Envelope>,
        file: PathBuf,
    },
    /// The end of a snapshot's way to a member.
    SnapshotSent {
        group: u64,
        to: u64,
        ok: bool,
    },
    /// A snapshot for others is made, or could not be.
    SnapshotMade {
        group: u64,
        made: Option<MadeSnapshot>,
    },
    Applied(AppliedReport),
    Installed {
        group: u64,
        index: u64,
        term: u64,
        file: PathBuf,
    },
    Flushed {
        group: u64,
        index: u64,
    },
    /// The machine of a destroyed group is gone.
    Ended {
        group: u64,
    },
    /// Groups whose old entries keep log files alive.
    Purged(Vec<u64>),
    Stop,
}

/// A group to be brought into being.
pub(crate) struct Create {
    pub group: u64,
    pub config: GroupConfig,
    pub start: Start,
    pub machine: Box<dyn StateMachine>,
    pub done: oneshot::Sender<Result<()>>,
}

/// How far the apply thread came with one job.
pub(crate) struct AppliedReport {
    pub group: u64,
    pub index: u64,
    pub term: u64,
    pub bytes: usize,
    pub changes: Vec<ChangeOutcome>,
}

/// What became of a change of membership.
pub(crate) struct ChangeOutcome {
    pub index: u64,
    pub term: u64,
    /// `None` if it was refused.
    pub accepted: Option<ConfChangeV2>,
    pub output: Bytes,
}

/// Why something was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    Full,
    Stopped,
}

/// The mailbox.
pub(crate) struct Inbox {
    queues: Mutex<Queues>,
    wake: Condvar,
    bound: usize,
}

#[derive(Default)]
struct Queues {
    control: Vec<Control>,
    inputs: Vec<Input>,
    bytes: usize,
    closed: bool,
}

impl Inbox {
    /// Holds at most `bound` inputs.
    pub fn new(bound: usize) -> Self {
        Self { queues: Mutex::default(), wake: Condvar::new(), bound }
    }

    /// Inputs that wait, and how many may.
    pub fn depth(&self) -> (usize, usize) {
        (self.queues.lock().inputs.len(), self.bound)
    }

    /// Puts an input in, unless it is full.
    pub fn push(&self, input: Input) -> std::result::Result<(), NotTaken> {
        let bytes = input.bytes();
        let mut queues = self.queues.lock();
        if queues.closed {
            return Err(NotTaken::Stopped);
        }
        if queues.inputs.len() >= self.bound || queues.bytes + bytes > MAX_WAITING_BYTES && queues.bytes > 0 {
            return Err(NotTaken::Full);
        }
        queues.bytes += bytes;
        queues.inputs.push(input);
        drop(queues);
        self.wake.notify_one();
        Ok(())
    }

    /// Puts a control call in; after the end it is dropped, and with it the way to answer it.
    pub fn push_control(&self, control: Control) {
        let mut queues = self.queues.lock();
        if queues.closed {
            // Dropped outside the lock: a machine may do anything when it is dropped.
            drop(queues);
            return;
        }
        queues.control.push(control);
        drop(queues);
        self.wake.notify_one();
    }

    /// Takes all there is; waits for something until the deadline.
    pub fn take(&self, deadline: Instant) -> (Vec<Control>, Vec<Input>) {
        let mut queues = self.queues.lock();
        while queues.control.is_empty() && queues.inputs.is_empty() {
            if self.wake.wait_until(&mut queues, deadline).timed_out() {
                break;
            }
        }
        queues.bytes = 0;
        (std::mem::take(&mut queues.control), std::mem::take(&mut queues.inputs))
    }

    /// Takes nothing more.
    pub fn close(&self) {
        let left = {
            let mut queues = self.queues.lock();
            queues.closed = true;
            (std::mem::take(&mut queues.control), std::mem::take(&mut queues.inputs))
        };
        drop(left);
    }
}

impl Input {
    fn bytes(&self) -> usize {
        match self {
            Input::Message(envelope) => {
                envelope.message.iter().flat_map(|m| &m.entries).map(|e| e.data.len()).sum()
            }
            Input::Propose { proposal, .. } => match &proposal.payload {
                Payload::Data(data) => data.len(),
                Payload::Change(change) => change.context.len(),
            },
            Input::ReadIndex { .. } | Input::Unreachable { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn full_for_inputs_but_never_for_control() {
        let inbox = Inbox::new(2);
        for _ in 0..2 {
            inbox.push(Input::Unreachable { group: 1, to: 2 }).unwrap();
        }
        assert_eq!(inbox.push(Input::Unreachable { group: 1, to: 2 }).unwrap_err(), NotTaken::Full);
        inbox.push_control(Control::Campaign { group: 1 });
        let (control, inputs) = inbox.take(Instant::now() + Duration::from_secs(5));
        assert_eq!((control.len(), inputs.len()), (1, 2));
        inbox.push(Input::Unreachable { group: 1, to: 2 }).unwrap();
    }

    #[test]
    fn closed_it_takes_nothing_and_answers_no_one() {
        let inbox = Inbox::new(2);
        let (done, mut answer) = oneshot::channel();
        inbox.push_control(Control::Destroy { group: 1, done });
        inbox.close();
        assert!(answer.try_recv().is_err());
        assert_eq!(inbox.push(Input::Unreachable { group: 1, to: 2 }).unwrap_err(), NotTaken::Stopped);
    }
}
