//! ReadIndex: which reads wait for the lead to be confirmed, and which for the machine to catch up.

use super::Group;
use crate::inbox::Done;
use crate::{Busy, ProposeError};

/// Reads that wait in one group. A caller that finds it full is told so.
const MAX_WAITING: usize = 65_536;

/// The reads of one group on their way.
pub(super) struct Reads {
    /// Not yet asked of Raft: this round's, or all until an entry of the own term is committed.
    fresh: Vec<Done>,
    /// Asked of Raft, in order.
    asked: Vec<Asked>,
    /// Reads in all of `asked`.
    count: usize,
    /// Never repeats within this process, nor (being random at first) an answer meant for an earlier one.
    next: u64,
}

struct Asked {
    context: u64,
    /// Known once the lead is confirmed.
    index: Option<u64>,
    reads: Vec<Done>,
}

impl Reads {
    pub fn new() -> Self {
        Self { fresh: Vec::new(), asked: Vec::new(), count: 0, next: rand::random() }
    }

    /// Takes a read in.
    pub fn ask(&mut self, done: Done) {
        if self.fresh.len() + self.count >= MAX_WAITING {
            let _ = done.send(Err(ProposeError::Busy(Busy::ReadsFull)));
        } else {
            self.fresh.push(done);
        }
    }

    /// Puts all fresh reads under one context to ask Raft with, if there are any.
    fn open(&mut self) -> Option<u64> {
        if self.fresh.is_empty() {
            return None;
        }
        let reads = std::mem::take(&mut self.fresh);
        let context = self.next;
        self.next = self.next.wrapping_add(1);
        self.count += reads.len();
        self.asked.push(Asked { context, index: None, reads });
        Some(context)
    }

    /// Raft confirmed the lead for this context: its reads wait for `index`.
    pub fn confirmed(&mut self, context: &[u8], index: u64) {
        let Ok(context) = context.try_into().map(u64::from_be_bytes) else { return };
        if let Some(asked) = self.asked.iter_mut().find(|a| a.context == context) {
            asked.index = Some(index);
        }
    }

    /// Answers what the machine has caught up with.
    fn answer(&mut self, applied: u64) {
        for asked in self.asked.extract_if(.., |a| a.index.is_some_and(|index| index <= applied)) {
            self.count -= asked.reads.len();
            for read in asked.reads {
                let _ = read.send(Ok(()));
            }
        }
    }

    /// The lead is lost, or the group ends: nothing can be confirmed any more.
    pub fn fail(&mut self, error: &ProposeError) {
        self.count = 0;
        for read in self.fresh.drain(..).chain(self.asked.drain(..).flat_map(|a| a.reads)) {
            let _ = read.send(Err(error.clone()));
        }
    }
}

impl Group {
    /// Asks Raft for what came in; reads on a member that does not lead fail at once.
    pub fn ask_reads(&mut self) {
        if self.reads.fresh.is_empty() {
            return;
        }
        if !self.leads() {
            self.reads.fail(&self.not_leader());
        } else if self.raw.raft.commit_to_current_term()
            && let Some(context) = self.reads.open()
        {
            // (Before, raft-rs would drop the request without a word; the commit brings us here again.)
            self.raw.read_index(context.to_be_bytes().to_vec());
        }
    }

    /// Answers reads that the machine has caught up with.
    pub fn answer_reads(&mut self) {
        if !self.reads.asked.is_empty() {
            self.reads.answer(self.applied.0);
        }
    }
}
