//! A peer of a Region on this Store, as all its users share it: state machine, raw service, heartbeats, splits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};
use proto::metapb::Region;
use raft_core::{GroupStatus, Handle, Role};
use tokio::sync::watch;

use crate::{KeyRange, PeerId, RegionId, StoreId};

/// Senders remembered whom the Region's own peers do not name; more are forgotten, oldest knowledge with them.
const MAX_SENDERS: usize = 16;

/// Which part of its life a peer is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Waits for its first snapshot.
    Empty,
    /// Holds its data.
    Normal,
    /// A snapshot is replacing its data.
    Applying,
    /// Is being removed: nothing may be written any more.
    Dying,
}

/// One peer of one Region.
pub struct Peer {
    region_id: RegionId,
    id: PeerId,
    region: ArcSwap<Region>,
    // Held by whoever writes the Region's data or record, so that nothing is written after it was set to `Dying`.
    stage: Mutex<Stage>,
    // Counts changes of the stage: a reader that finds it unchanged after reading has read whole data.
    generation: AtomicU64,
    // The stage for those who only look and must not wait for an install that holds it.
    seen_stage: AtomicU8,
    admin: AtomicBool,
    heir_until: Mutex<Option<Instant>>,
    senders: Mutex<HashMap<PeerId, StoreId>>,
    status: OnceLock<watch::Receiver<GroupStatus>>,
    /// What was read and written since the last heartbeat.
    pub flow: Flow,
    /// How large it is.
    pub size: Size,
}

/// One at a time may change a Region's range or peers; ends when dropped.
pub struct AdminTurn(Arc<Peer>);

impl Peer {
    /// A peer with its first stage.
    pub fn new(id: PeerId, region: Region, stage: Stage) -> Arc<Self> {
        Arc::new(Self {
            region_id: RegionId(region.id),
            id,
            region: ArcSwap::from_pointee(region),
            stage: Mutex::new(stage),
            generation: AtomicU64::new(0),
            seen_stage: AtomicU8::new(stage as u8),
            admin: AtomicBool::new(false),
            heir_until: Mutex::new(None),
            senders: Mutex::new(HashMap::new()),
            status: OnceLock::new(),
            flow: Flow::default(),
            size: Size::default(),
        })
    }

    /// The Region's id.
    pub fn region_id(&self) -> RegionId {
        self.region_id
    }

    /// This peer's id.
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// The Region as applied here; of an empty peer what its leader said.
    pub fn region(&self) -> Arc<Region> {
        self.region.load_full()
    }

    /// The Region's range as applied here.
    pub fn range(&self) -> KeyRange {
        KeyRange::of(&self.region.load())
    }

    /// Replaces the Region; only while [`Peer::stage`] is held.
    pub fn set_region(&self, region: Arc<Region>) {
        self.region.store(region);
    }

    /// Holds the stage, and with it the right to write the Region's data.
    pub fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock()
    }

    /// Changes the stage of whoever holds it.
    pub fn set_stage(&self, held: &mut MutexGuard<'_, Stage>, stage: Stage) {
        **held = stage;
        self.seen_stage.store(stage as u8, Ordering::SeqCst);
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Changes with each change of the stage; `None` while the data is not whole.
    pub fn generation(&self) -> Option<u64> {
        let generation = self.generation.load(Ordering::SeqCst);
        (self.stage_now() == Stage::Normal).then_some(generation)
    }

    /// The stage at this moment, without waiting for whoever holds it.
    pub fn stage_now(&self) -> Stage {
        let seen = self.seen_stage.load(Ordering::SeqCst);
        let all = [Stage::Empty, Stage::Normal, Stage::Applying, Stage::Dying];
        all.into_iter().find(|stage| *stage as u8 == seen).unwrap_or(Stage::Dying)
    }

    /// The right to change range or peers, if no one has it.
    pub fn admin_turn(self: &Arc<Self>) -> Option<AdminTurn> {
        let free = self.admin.compare_exchange(false, true, Ordering::AcqRel, Ordering::Acquire).is_ok();
        free.then(|| AdminTurn(self.clone()))
    }

    /// Remembers where a peer lives that the Region as applied here may not name yet.
    pub fn learn(&self, sender: PeerId, store: StoreId) {
        if self.region.load().peers.iter().any(|peer| peer.id == sender.0 && peer.store_id == store.0) {
            return;
        }
        let mut senders = self.senders.lock();
        if senders.len() >= MAX_SENDERS && !senders.contains_key(&sender) {
            senders.clear();
        }
        senders.insert(sender, store);
    }

    /// The Store of a peer of this Region.
    pub fn store_of(&self, peer: PeerId) -> Option<StoreId> {
        let region = self.region.load();
        let named = region.peers.iter().find(|there| there.id == peer.0).map(|there| StoreId(there.store_id));
        named.or_else(|| self.senders.lock().get(&peer).copied())
    }

    /// Looks at the group's status; `None` until the group runs.
    pub fn with_status<T>(&self, handle: &Handle, look: impl FnOnce(&GroupStatus) -> T) -> Option<T> {
        if self.status.get().is_none() {
            let status = handle.status(self.region_id.0)?;
            // Another thread may have been faster with the same.
            let _ = self.status.set(status);
        }
        self.status.get().map(|status| look(&status.borrow()))
    }

    /// Marks a peer that a split made on the Store that leads: it campaigns at once and should lead in a moment,
    /// at the latest at `until`.
    pub fn inherit_lead(&self, until: Instant) {
        *self.heir_until.lock() = Some(until);
    }

    /// Whether it is such a peer, and no leader has been seen since.
    pub fn is_heir(&self, status: Option<&GroupStatus>) -> bool {
        let mut until = self.heir_until.lock();
        if status.is_some_and(|status| status.leader != 0)
            || until.is_some_and(|until| until <= Instant::now())
        {
            *until = None;
        }
        until.is_some()
    }

    /// Whether this peer leads.
    pub fn leads(&self, handle: &Handle) -> bool {
        self.with_status(handle, |status| status.role == Role::Leader).unwrap_or(false)
    }
}

impl Drop for AdminTurn {
    fn drop(&mut self) {
        self.0.admin.store(false, Ordering::Release);
    }
}

/// How large a Region is, about: exact after a scan, then counted up by what is written, so rather too large than too
/// small. After a start and after a split it is a guess until the leader has scanned.
#[derive(Debug, Default)]
pub struct Size {
    bytes: AtomicU64,
    keys: AtomicU64,
    counted: AtomicBool,
}

impl Size {
    /// Bytes of keys and values.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Keys.
    pub fn keys(&self) -> u64 {
        self.keys.load(Ordering::Relaxed)
    }

    /// Whether it rests on a scan.
    pub fn is_counted(&self) -> bool {
        self.counted.load(Ordering::Relaxed)
    }

    /// Adds what was written; overwritten keys count twice until the next scan.
    pub fn add(&self, bytes: u64, keys: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.keys.fetch_add(keys, Ordering::Relaxed);
    }

    /// Takes what a guess says, to be scanned.
    pub fn guess(&self, bytes: u64, keys: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.keys.store(keys, Ordering::Relaxed);
        self.counted.store(false, Ordering::Relaxed);
    }

    /// Takes what a scan counted that began when the size was `before`: what was added since stays on top.
    pub fn count(&self, before: (u64, u64), bytes: u64, keys: u64) {
        let added = (self.bytes().saturating_sub(before.0), self.keys().saturating_sub(before.1));
        self.bytes.store(bytes + added.0, Ordering::Relaxed);
        self.keys.store(keys + added.1, Ordering::Relaxed);
        self.counted.store(true, Ordering::Relaxed);
    }
}

/// Counters of reads and writes since the last heartbeat.
#[derive(Debug, Default)]
pub struct Flow {
    bytes_written: AtomicU64,
    keys_written: AtomicU64,
    bytes_read: AtomicU64,
    keys_read: AtomicU64,
}

/// What a [`Flow`] counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowTotals {
    /// Bytes of keys and values written.
    pub bytes_written: u64,
    /// Keys written or removed.
    pub keys_written: u64,
    /// Bytes of keys and values read.
    pub bytes_read: u64,
    /// Keys read.
    pub keys_read: u64,
}

impl Flow {
    /// Counts writes.
    pub fn wrote(&self, keys: u64, bytes: u64) {
        self.keys_written.fetch_add(keys, Ordering::Relaxed);
        self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts reads.
    pub fn read(&self, keys: u64, bytes: u64) {
        self.keys_read.fetch_add(keys, Ordering::Relaxed);
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What was counted since the last call.
    pub fn take(&self) -> FlowTotals {
        FlowTotals {
            bytes_written: self.bytes_written.swap(0, Ordering::Relaxed),
            keys_written: self.keys_written.swap(0, Ordering::Relaxed),
            bytes_read: self.bytes_read.swap(0, Ordering::Relaxed),
            keys_read: self.keys_read.swap(0, Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::metapb;

    use super::*;

    fn peer() -> Arc<Peer> {
        let peers = vec![metapb::Peer { id: 3, store_id: 1, ..metapb::Peer::default() }];
        Peer::new(PeerId(3), Region { id: 2, peers, ..Region::default() }, Stage::Normal)
    }

    #[test]
    fn one_admin_at_a_time() {
        let peer = peer();
        let turn = peer.admin_turn();
        assert!(turn.is_some() && peer.admin_turn().is_none());
        drop(turn);
        assert!(peer.admin_turn().is_some());
    }

    #[test]
    fn a_size_is_exact_after_a_scan_and_keeps_what_came_meanwhile() {
        let size = Size::default();
        assert!(!size.is_counted());
        size.add(100, 2);
        let before = (size.bytes(), size.keys());
        size.add(10, 1);
        size.count(before, 60, 1);
        assert_eq!((size.bytes(), size.keys(), size.is_counted()), (70, 2, true));
        size.guess(7, 1);
        assert!(!size.is_counted(), "a split makes it a guess");
    }

    #[test]
    fn a_reader_notices_that_data_was_taken_away() {
        let peer = peer();
        let before = peer.generation();
        assert!(before.is_some());
        let mut stage = peer.stage();
        peer.set_stage(&mut stage, Stage::Applying);
        assert_eq!(peer.generation(), None);
        peer.set_stage(&mut stage, Stage::Normal);
        assert!(peer.generation().is_some() && peer.generation() != before);
    }

    #[test]
    fn senders_are_learned_within_a_bound() {
        let peer = peer();
        assert_eq!(peer.store_of(PeerId(3)), Some(StoreId(1)));
        assert_eq!(peer.store_of(PeerId(9)), None);
        for id in 9..9 + MAX_SENDERS as u64 + 1 {
            peer.learn(PeerId(id), StoreId(id));
        }
        assert_eq!(peer.store_of(PeerId(9 + MAX_SENDERS as u64)), Some(StoreId(9 + MAX_SENDERS as u64)));
        assert!(peer.senders.lock().len() <= MAX_SENDERS);
    }
}
