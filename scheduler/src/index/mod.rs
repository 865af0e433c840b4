//! The Region index: hot columns and immutable pages. One writer, the planner; many readers that neither block it nor
//! are blocked.
//!
//! - The key space is tiled by pages, a page by entries; a hole is an entry of its own (`page`, `fences`).
//! - Counters stand in flat lines of atomics, addressed by slot (`columns`), found by id (`ids`).
//! - Each Store has its Regions by role and size (`lists`), derivable from the lines (`Index::check` recomputes them).
//! - Publishing: a Region that leaves is unpublished before anything is added; of a page that is cut, the right part
//!   comes before the left; the fence table comes last. Readers that meet a page in change walk right or start again.

mod columns;
mod directory;
mod draft;
mod fences;
mod fingerprint;
mod glance;
mod ids;
mod lists;
mod page;
mod placement;
mod reader;
mod splice;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use arc_swap::ArcSwap;

pub(crate) use columns::{Ailing, Line, Slot, flag};
pub(crate) use fingerprint::fingerprint;
pub use glance::Glance;
pub(crate) use lists::StoreLists;
pub(crate) use page::{Page, PageNo, REGION_PEERS_MAX};
pub(crate) use placement::{ListRole, Replicas, StoreSlot};
pub use reader::RegionReader;
#[cfg(test)]
pub(crate) use tests::report;
pub(crate) use walk::Walked;

use columns::{Columns, SharedColumns};
use directory::{Directory, SharedDirectory};
use draft::Draft;
use fences::Fences;
use ids::{Ids, SharedIds};
use reader::{Shared, bare_view, fill_counters};
use splice::Place;

use crate::model::{RegionId, RegionReport, RegionView, StoreId, Time};
use crate::refusal::Refusal;

/// What a Region weighs at least, in KiB: its Raft group costs even when it is empty. It is also what tikv/pd counts.
const WEIGHT_KIB_MIN: u64 = 1024;
/// Stores that the index can number.
const STORES_MAX: usize = u16::MAX as usize;
/// Regions that the index can number: far above what one cluster has, so that a slot fits in 32 bits.
const REGIONS_MAX: usize = 1 << 30;

/// What a heartbeat that changed more than counters did to the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Put {
    /// Where it stands.
    pub slot: Slot,
    /// Key ranges changed: Regions may have come or gone.
    pub range_changed: bool,
}

/// The writer's side of the index.
#[derive(Debug)]
pub(crate) struct Index {
    shared: Arc<Shared>,
    directory: Directory,
    fences: Arc<Fences>,
    columns: Columns,
    ids: Ids,
    store_ids: Vec<StoreId>,
    store_slots: BTreeMap<StoreId, StoreSlot>,
    lists: Vec<StoreLists>,
    /// Holes among the entries: 0 means that every key has its Region.
    holes: usize,
    total_weight_kib: u64,
    dropped: Vec<RegionId>,
    /// The last draft of a page, for its memory.
    scratch: Draft,
}

impl Index {
    pub fn new() -> Index {
        let columns = Arc::new(SharedColumns::default());
        let ids = Arc::new(SharedIds::default());
        let shared_directory = Arc::new(SharedDirectory::default());
        let mut directory = Directory::new(Arc::clone(&shared_directory));
        let first = directory.take_no();
        directory.publish(first, Arc::new(Page::whole_space()));
        let fences = Arc::new(Fences::new(first));
        let shared = Arc::new(Shared {
            fences: ArcSwap::new(Arc::clone(&fences)),
            directory: shared_directory,
            columns: Arc::clone(&columns),
            ids: Arc::clone(&ids),
            store_ids: ArcSwap::from_pointee(Vec::new()),
            len: AtomicUsize::new(0),
        });
        Index {
            shared,
            directory,
            fences,
            columns: Columns::new(columns),
            ids: Ids::new(ids),
            store_ids: Vec::new(),
            store_slots: BTreeMap::new(),
            lists: Vec::new(),
            holes: 1,
            total_weight_kib: 0,
            dropped: Vec::new(),
            scratch: Draft::default(),
        }
    }

    pub fn reader(&self) -> RegionReader {
        RegionReader::new(Arc::clone(&self.shared))
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// True when every key has its Region.
    pub fn is_complete(&self) -> bool {
        self.holes == 0
    }

    /// Sum of the weights of all Regions, each counted once.
    pub fn total_weight_kib(&self) -> u64 {
        self.total_weight_kib
    }

    /// The number of this Store, given out now if it is new.
    ///
    /// # Errors
    /// `Refusal::Full` when no number is left.
    pub fn store_slot(&mut self, store: StoreId) -> Result<StoreSlot, Refusal> {
        if let Some(slot) = self.store_slots.get(&store) {
            return Ok(*slot);
        }
        if self.store_ids.len() >= STORES_MAX {
            let count = self.store_ids.len() as u64;
            return Err(Refusal::Full { what: "stores", count, limit: STORES_MAX as u64 });
        }
        let slot =
            StoreSlot(u16::try_from(self.store_ids.len()).expect("fewer than 65,535 stores, just checked"));
        self.store_ids.push(store);
        self.lists.push(StoreLists::default());
        // Before any page names it.
        self.shared.store_ids.store(Arc::new(self.store_ids.clone()));
        self.store_slots.insert(store, slot);
        Ok(slot)
    }

    /// What a Store holds; none for a Store never heard of.
    pub fn store(&self, store: StoreId) -> Option<&StoreLists> {
        self.store_slots.get(&store).map(|slot| &self.lists[slot.0 as usize])
    }

    pub fn store_id(&self, slot: StoreSlot) -> StoreId {
        self.store_ids[slot.0 as usize]
    }

    pub fn find(&self, id: RegionId) -> Option<Slot> {
        self.ids.find(id, |slot| self.columns.line(slot).id() == id)
    }

    pub fn line(&self, slot: Slot) -> &Line {
        self.columns.line(slot)
    }

    pub fn weight_kib(&self, slot: Slot) -> u64 {
        weight(self.line(slot).size_kib.load(Relaxed))
    }

    /// Whether the replica of this Region on this Store has a vote or leads; none when it holds none.
    pub fn role_on(&self, slot: Slot, store: StoreId) -> Option<ListRole> {
        let wanted = *self.store_slots.get(&store)?;
        match placement::unpack(self.line(slot).placement.load(Relaxed)) {
            Some(mut replicas) => replicas.find(|(s, _)| *s == wanted).map(|(_, role)| role),
            None => self.replicas(slot).into_iter().find(|(s, _)| *s == wanted).map(|(_, role)| role),
        }
    }

    /// Stores and roles of a Region's replicas.
    pub fn replicas(&self, slot: Slot) -> Replicas {
        if let Some(replicas) = placement::unpack(self.line(slot).placement.load(Relaxed)) {
            return replicas.collect();
        }
        let (page, at) = self.page_of(slot);
        roles_on(page, at, &self.store_ids).collect()
    }

    /// A copy of all that is known of a Region.
    pub fn view(&self, slot: Slot) -> RegionView {
        let (page, at) = self.page_of(slot);
        let mut view = bare_view(page, at, &self.store_ids);
        fill_counters(&mut view, self.line(slot), self.columns.ailing(slot).as_deref());
        view
    }

    /// Slots of the Regions in key order from `key` on: those of one page, and where to go on (none: at the end).
    pub fn page_from(&self, key: &[u8]) -> (Vec<Slot>, Option<bytes::Bytes>) {
        let page = self.directory.page(self.fences.page_of(key));
        let from = page.find(key).unwrap_or(0);
        let slots = page.entries()[from..].iter().filter(|e| !e.is_hole()).map(|e| e.slot).collect();
        let end = page.end_key();
        (slots, (!end.is_empty()).then(|| bytes::Bytes::copy_from_slice(end)))
    }

    /// Takes the counters of a heartbeat whose fingerprint is known already.
    pub fn put_counters(&mut self, slot: Slot, report: &RegionReport, now: Time) {
        let line = self.columns.line(slot);
        let keys = keys_after(line, report);
        line.set_counters(report, keys, now);
        if report.term > 0 {
            line.term.store(report.term, Relaxed);
        }
        let (old, new) = (line.size_kib.load(Relaxed), size_kib(report.size_bytes));
        if new != 0 && new != old {
            self.set_size(slot, old, new);
        }
    }

    /// Notes which Peers are down or pending. True when that changed anything but the seconds.
    pub fn put_ailing(&mut self, slot: Slot, report: &RegionReport) -> bool {
        let old = self.columns.ailing(slot);
        if old.is_none() && report.down.is_empty() && report.pending.is_empty() {
            return false;
        }
        let new = Ailing { down: report.down.clone(), pending: report.pending.clone() };
        let same_peers = old.as_ref().is_some_and(|old| {
            old.pending == new.pending && old.down.iter().map(|d| d.peer).eq(new.down.iter().map(|d| d.peer))
        });
        if old.as_deref() == Some(&new) {
            return false;
        }
        if !same_peers {
            self.count_pending(slot, false);
        }
        let is_empty = new.down.is_empty() && new.pending.is_empty();
        self.columns.set_ailing(slot, (!is_empty).then_some(new));
        if !same_peers {
            self.count_pending(slot, true);
        }
        !same_peers
    }

    /// Takes a heartbeat in full, unless it shows an older picture.
    ///
    /// # Errors
    /// `StaleEpoch`, `StaleTerm` or `Full`; no Region has changed then.
    pub fn put(&mut self, report: &RegionReport, print: u64, now: Time) -> Result<Put, Refusal> {
        let place = self.judge(report)?;
        if self.len() >= REGIONS_MAX && matches!(place, Place::Other { known: None, .. }) {
            let (count, limit) = (self.len() as u64, REGIONS_MAX as u64);
            return Err(Refusal::Full { what: "regions", count, limit });
        }
        let peers = &report.meta.peers;
        let stores = peers.iter().map(|p| self.store_slot(p.store)).collect::<Result<Vec<_>, _>>()?;
        let (known, claim) = match place {
            Place::Same(slot) => {
                self.put_in_place(slot, report, &stores, print, now);
                return Ok(Put { slot, range_changed: false });
            }
            Place::Other { known, claim } => (known, claim),
        };
        if let Some(slot) = known {
            self.unlist(slot);
        }
        let slot = known.unwrap_or_else(|| self.columns.take_slot());
        let window = self.make_room(known, report, claim);
        self.fill_line(slot, report, &stores, print, now);
        self.splice_in(slot, report, &stores, window);
        if known.is_none() {
            let columns = &self.columns;
            self.ids.insert(report.meta.id, slot, |slot| columns.line(slot).id());
        }
        self.list(slot);
        self.shared.len.store(self.ids.len(), Relaxed);
        Ok(Put { slot, range_changed: true })
    }

    /// Other Peers, another leader or epoch; the range stays, and most lists do.
    fn put_in_place(
        &mut self,
        slot: Slot,
        report: &RegionReport,
        stores: &[StoreSlot],
        print: u64,
        now: Time,
    ) {
        let before = self.replicas(slot);
        self.count_pending(slot, false);
        let (old, new) = (self.line(slot).size_kib.load(Relaxed), size_kib(report.size_bytes));
        if new != 0 && new != old {
            self.set_size(slot, old, new);
        }
        self.fill_line(slot, report, stores, print, now);
        let no = self.line(slot).page();
        let (page, at) = self.page_of(slot);
        let page = page.with_region(at, &report.meta, stores, report.leader.id);
        self.directory.publish(no, Arc::new(page));
        let after = self.replicas(slot);
        let (id, weight) = (report.meta.id, self.weight_kib(slot));
        for (store, role) in before.iter().filter(|r| !after.contains(r)) {
            self.lists[store.0 as usize].remove(*role, id, weight);
        }
        for (store, role) in after.iter().filter(|r| !before.contains(r)) {
            self.lists[store.0 as usize].insert(*role, id, slot, weight);
        }
        self.count_pending(slot, true);
    }

    /// Regions that left since the last call, because others took their range.
    pub fn take_dropped(&mut self) -> Vec<RegionId> {
        std::mem::take(&mut self.dropped)
    }

    /// Writes the whole line, before the page that names it is published.
    fn fill_line(&mut self, slot: Slot, report: &RegionReport, stores: &[StoreSlot], print: u64, now: Time) {
        let line = self.columns.line(slot);
        let leader = report.leader.id;
        let roles = report.meta.peers.iter().map(|p| ListRole::of(p, leader));
        let replicas: Replicas = stores.iter().copied().zip(roles).collect();
        line.placement.store(placement::pack(&replicas), Relaxed);
        line.fingerprint.store(print, Relaxed);
        if report.term > 0 {
            line.term.store(report.term, Relaxed);
        }
        let size = match (size_kib(report.size_bytes), line.size_kib.load(Relaxed)) {
            // Never computed: count it like an empty one.
            (0, 0) => WEIGHT_KIB_MIN as u32,
            (0, inherited) => inherited,
            (reported, _) => reported,
        };
        let keys = keys_after(line, report);
        line.size_kib.store(size, Relaxed);
        line.set_counters(report, keys, now);
        line.id.store(report.meta.id.0, Relaxed);
        let ailing = Ailing { down: report.down.clone(), pending: report.pending.clone() };
        let is_empty = ailing.down.is_empty() && ailing.pending.is_empty();
        self.columns.set_ailing(slot, (!is_empty).then_some(ailing));
    }

    /// The next heartbeat of each Region that this Store leads is looked at in full.
    pub fn forget_led_by(&mut self, store: StoreId) {
        let Some(lists) = self.store(store) else { return };
        for slot in lists.role(ListRole::Leader).all(0) {
            self.line(slot).fingerprint.store(0, Relaxed);
        }
    }

    fn page_of(&self, slot: Slot) -> (&Arc<Page>, usize) {
        page_of(&self.directory, &self.columns, slot)
    }

    fn set_size(&mut self, slot: Slot, old: u32, new: u32) {
        self.line(slot).size_kib.store(new, Relaxed);
        let (from, to) = (weight(old), weight(new));
        if from == to {
            return;
        }
        self.total_weight_kib = self.total_weight_kib - from + to;
        let id = self.line(slot).id();
        let lists = &mut self.lists;
        let mut reweigh =
            |(store, role): (StoreSlot, ListRole)| lists[store.0 as usize].reweigh(role, id, slot, from, to);
        match placement::unpack(self.columns.line(slot).placement.load(Relaxed)) {
            Some(replicas) => replicas.for_each(reweigh),
            None => {
                let (page, at) = page_of(&self.directory, &self.columns, slot);
                roles_on(page, at, &self.store_ids).for_each(&mut reweigh);
            }
        }
    }

    /// Enters the Region in the lists of its Stores.
    fn list(&mut self, slot: Slot) {
        let (id, weight) = (self.line(slot).id(), self.weight_kib(slot));
        for (store, role) in self.replicas(slot) {
            self.lists[store.0 as usize].insert(role, id, slot, weight);
        }
        self.total_weight_kib += weight;
        self.count_pending(slot, true);
    }

    /// Takes the Region out of the lists of its Stores.
    fn unlist(&mut self, slot: Slot) {
        self.count_pending(slot, false);
        let (id, weight) = (self.line(slot).id(), self.weight_kib(slot));
        for (store, role) in self.replicas(slot) {
            self.lists[store.0 as usize].remove(role, id, weight);
        }
        self.total_weight_kib -= weight;
    }

    fn count_pending(&mut self, slot: Slot, add: bool) {
        let Some(ailing) = self.columns.ailing(slot) else { return };
        if ailing.pending.is_empty() {
            return;
        }
        let (page, at) = self.page_of(slot);
        let pends = page.peers(at, &self.store_ids).map(|p| ailing.pending.contains(&p.id));
        let stores = page.stores(at).iter().zip(pends);
        let stores: Vec<StoreSlot> = stores.filter(|(_, pends)| *pends).map(|(store, _)| *store).collect();
        for store in stores {
            let pending = &mut self.lists[store.0 as usize].pending;
            *pending = if add { *pending + 1 } else { *pending - 1 };
        }
    }
}

fn page_of<'a>(directory: &'a Directory, columns: &Columns, slot: Slot) -> (&'a Arc<Page>, usize) {
    let line = columns.line(slot);
    let page = directory.page(line.page());
    let at = page.find_id(line.id()).expect("a line names the page that holds its Region");
    (page, at)
}

fn roles_on<'a>(
    page: &'a Page,
    at: usize,
    names: &'a [StoreId],
) -> impl Iterator<Item = (StoreSlot, ListRole)> + 'a {
    let leader = page.leader(at, names).id;
    let roles = page.peers(at, names).map(move |p| ListRole::of(&p, leader));
    page.stores(at).iter().copied().zip(roles)
}

/// The keys that a Region holds after this report: a leader that has not counted yet reports neither size nor keys, and
/// then what was known before stays.
fn keys_after(line: &Line, report: &RegionReport) -> u64 {
    let is_counted = report.size_bytes > 0 || report.keys > 0;
    if is_counted { report.keys } else { line.keys.load(Relaxed) }
}

fn weight(size_kib: u32) -> u64 {
    u64::from(size_kib).max(WEIGHT_KIB_MIN)
}

fn size_kib(size_bytes: u64) -> u32 {
    u32::try_from(size_bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}
