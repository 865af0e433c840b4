//! The client side: one bounded queue and one connection for each destination address, snapshots beside them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use proto::raftcore::Envelope;
use tokio::sync::Semaphore;

use super::Gatekeeper;
use super::line::Line;
use super::snapshot;
use crate::{Handle, Router, Transport};

/// Snapshots on their way out at once: more would share the same disk and wire, and all end later.
const SNAPSHOTS_AT_ONCE: usize = 4;

/// The transport over gRPC.
pub struct Peers {
    router: Arc<dyn Router>,
    gatekeeper: Arc<dyn Gatekeeper>,
    tokio: tokio::runtime::Handle,
    lines: Mutex<HashMap<String, Arc<Line>>>,
    snapshots: Arc<Semaphore>,
    reports: OnceLock<Handle>,
    me: Weak<Self>,
}

impl Peers {
    /// Makes a transport whose connections live on the given tokio runtime.
    pub fn new(
        router: Arc<dyn Router>,
        gatekeeper: Arc<dyn Gatekeeper>,
        tokio: tokio::runtime::Handle,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            router,
            gatekeeper,
            tokio,
            lines: Mutex::default(),
            snapshots: Arc::new(Semaphore::new(SNAPSHOTS_AT_ONCE)),
            reports: OnceLock::new(),
            me: me.clone(),
        })
    }

    /// Tells it whom to report unreachable peers and finished snapshots to. Until then it reports to no one; a second
    /// call changes nothing.
    pub fn attach(&self, handle: Handle) {
        let _ = self.reports.set(handle);
    }

    /// Finds the address and fills in the context, unless the envelope brings its own.
    fn address(&self, envelope: &mut Envelope) -> Option<String> {
        let to = envelope.message.as_ref()?.to;
        let destination = self.router.route(envelope.group_id, to)?;
        if envelope.context.is_empty() {
            envelope.context = destination.context;
        }
        Some(destination.address)
    }

    /// The line to an address; a new one begins to serve at once.
    fn queue(&self, address: String, envelope: Envelope) -> u64 {
        let mut lines = self.lines.lock();
        if let Some(line) = lines.get(&address) {
            return line.queue.push(envelope);
        }
        let line = Arc::new(Line::new(address.clone()));
        let dropped = line.queue.push(envelope);
        lines.insert(address, line.clone());
        drop(lines);
        let (me, gatekeeper) = (self.me.clone(), self.gatekeeper.clone());
        self.tokio.spawn(async move {
            let reports = || me.upgrade().and_then(|peers| peers.reports.get().cloned());
            loop {
                line.serve(&*gatekeeper, reports).await;
                // Between its last look and now something may have come.
                let Some(peers) = me.upgrade() else { return };
                let mut lines = peers.lines.lock();
                if line.queue.is_empty() {
                    lines.remove(&line.address);
                    return;
                }
            }
        });
        dropped
    }
}

impl Transport for Peers {
    fn send(&self, mut envelope: Envelope) {
        let Some(address) = self.address(&mut envelope) else { return };
        let dropped = self.queue(address, envelope);
        if dropped > 0
            && let Some(handle) = self.reports.get()
        {
            handle.counters().messages_dropped.fetch_add(dropped, Ordering::Relaxed);
        }
    }

    fn send_snapshot(&self, mut envelope: Envelope, file: PathBuf) {
        let (group, to) = (envelope.group_id, envelope.message.as_ref().map_or(0, |m| m.to));
        let address = self.address(&mut envelope);
        // Opened now: the runtime may remove its name at any time.
        let open = std::fs::File::open(&file);
        let (Some(address), Ok(open)) = (address, open) else {
            if let Some(handle) = self.reports.get() {
                handle.report_snapshot(group, to, false);
            }
            return;
        };
        let (me, gatekeeper, permits) = (self.me.clone(), self.gatekeeper.clone(), self.snapshots.clone());
        self.tokio.spawn(async move {
            let Ok(_permit) = permits.acquire_owned().await else { return };
            let sent = snapshot::send(&address, &*gatekeeper, envelope, open).await;
            if let Err(error) = &sent {
                tracing::warn!(group, to, address, %error, "a snapshot could not be sent");
            }
            let peers = me.upgrade();
            if let Some(handle) = peers.as_ref().and_then(|p| p.reports.get()) {
                handle.report_snapshot(group, to, sent.is_ok());
            }
        });
    }
}
