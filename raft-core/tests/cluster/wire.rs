//! The transport of the tests: delivers within the process, and can be cut, watched and filtered.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use proto::eraftpb::MessageType;
use proto::raftcore::Envelope;
use raft_core::{Handle, Transport};

type Watcher = Box<dyn FnMut(&Envelope) -> bool + Send>;

#[derive(Default)]
pub struct Wire {
    plugs: Mutex<HashMap<u64, Handle>>,
    cuts: Mutex<HashSet<(u64, u64)>>,
    watcher: Mutex<Option<Watcher>>,
    orphans: Mutex<Vec<Envelope>>,
    files: AtomicU64,
    spoil_next_file: AtomicBool,
}

impl Wire {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn plug(&self, id: u64, handle: Handle) {
        self.plugs.lock().insert(id, handle);
    }

    pub fn unplug(&self, id: u64) {
        self.plugs.lock().remove(&id);
    }

    /// Cuts one direction.
    pub fn cut(&self, from: u64, to: u64) {
        self.cuts.lock().insert((from, to));
    }

    /// Cuts a member off from all of these, both ways.
    pub fn isolate(&self, id: u64, others: &[u64]) {
        for other in others {
            self.cut(id, *other);
            self.cut(*other, id);
        }
    }

    pub fn heal(&self) {
        self.cuts.lock().clear();
    }

    /// Shows every message before it is delivered; what the watcher answers `false` to is lost.
    pub fn watch(&self, watcher: impl FnMut(&Envelope) -> bool + Send + 'static) {
        *self.watcher.lock() = Some(Box::new(watcher));
    }

    /// The next snapshot arrives damaged.
    pub fn spoil_next_file(&self) {
        self.spoil_next_file.store(true, Ordering::Relaxed);
    }

    /// Whether the file to be damaged has passed.
    pub fn spoilt(&self) -> bool {
        !self.spoil_next_file.load(Ordering::Relaxed)
    }

    pub fn unwatch(&self) {
        *self.watcher.lock() = None;
    }

    /// Delivers a message as if it had come over the wire.
    pub fn deliver(&self, envelope: Envelope) {
        let to = envelope.message.as_ref().unwrap().to;
        let handle = self.plugs.lock().get(&to).cloned();
        if let Some(handle) = handle {
            handle.step(envelope);
        }
    }

    pub fn orphan(&self, envelope: Envelope) {
        self.orphans.lock().push(envelope);
    }

    pub fn orphans(&self) -> Vec<Envelope> {
        self.orphans.lock().clone()
    }

    fn passes(&self, envelope: &Envelope) -> bool {
        let message = envelope.message.as_ref().unwrap();
        let watched = self.watcher.lock().as_mut().is_none_or(|w| w(envelope));
        watched && !self.cuts.lock().contains(&(message.from, message.to))
    }
}

impl Transport for Wire {
    fn send(&self, envelope: Envelope) {
        if self.passes(&envelope) {
            self.deliver(envelope);
        }
    }

    fn send_snapshot(&self, envelope: Envelope, file: PathBuf) {
        let message = envelope.message.clone().unwrap();
        let (from, to, group) = (message.from, message.to, envelope.group_id);
        let target = self.plugs.lock().get(&to).cloned();
        let sent = self.passes(&envelope) && target.is_some();
        if let (true, Some(target)) = (sent, target) {
            let name = format!("wire-{}", self.files.fetch_add(1, Ordering::Relaxed));
            let copy = target.snapshot_dir().join(name);
            std::fs::copy(file, &copy).unwrap();
            if self.spoil_next_file.swap(false, Ordering::Relaxed) {
                std::fs::write(&copy, "nonsense").unwrap();
            }
            target.step_snapshot(envelope, copy);
        }
        let sender = self.plugs.lock().get(&from).cloned();
        if let Some(sender) = sender {
            sender.report_snapshot(group, to, sent);
        }
    }
}

/// The kind of an envelope's message.
pub fn kind(envelope: &Envelope) -> MessageType {
    MessageType::try_from(envelope.message.as_ref().unwrap().msg_type).unwrap()
}
