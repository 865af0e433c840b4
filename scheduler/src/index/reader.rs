//! Reading the index from other threads.

use std::sync::Arc;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use arc_swap::ArcSwap;

use super::columns::SharedColumns;
use super::directory::SharedDirectory;
use super::fences::Fences;
use super::ids::SharedIds;
use super::page::{Page, PageNo};
use crate::model::{RegionId, RegionView, StoreId, Time};

/// How often a lookup starts again when the writer changes the very place under it. Each start again means that the
/// writer has moved on, so this many in a row do not happen; the bound is there because every loop has one.
const STARTS_MAX: usize = 1_000;
/// Pages that a lookup walks to the right or along merges before it starts again.
const HOPS_MAX: usize = 64;

/// What writer and readers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub fences: ArcSwap<Fences>,
    pub directory: Arc<SharedDirectory>,
    pub columns: Arc<SharedColumns>,
    pub ids: Arc<SharedIds>,
    /// The Stores' ids by their numbers; only ever grows.
    pub store_ids: ArcSwap<Vec<StoreId>>,
    pub len: AtomicUsize,
}

/// Looks Regions up while the planner changes them: never blocks it and is never blocked. Cheap to clone.
///
/// A Region's range, epoch, Peers and leader always belong together; its counters may be a little newer.
#[derive(Clone, Debug)]
pub struct RegionReader {
    pub(super) shared: Arc<Shared>,
}

impl RegionReader {
    pub(crate) fn new(shared: Arc<Shared>) -> RegionReader {
        RegionReader { shared }
    }

    /// The Region whose range holds `key`; none where the key space has a hole.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<RegionView> {
        self.again(|| {
            let (page, at) = self.locate(key)?;
            Some(self.view(&page, at))
        })?
    }

    /// The Region just before the one that holds `key`; none when either is missing.
    #[must_use]
    pub fn get_prev(&self, key: &[u8]) -> Option<RegionView> {
        self.again(|| {
            let (page, at) = self.locate(key)?;
            if page.entries()[at].is_hole() {
                return Some(None);
            }
            if at > 0 {
                return Some(self.view(&page, at - 1));
            }
            let start = page.start_key(0);
            if start.is_empty() {
                return Some(None);
            }
            let before = self.page_ending_at(&start)?;
            let last = before.len().checked_sub(1)?;
            Some(self.view(&before, last))
        })?
    }

    /// The Region with this id.
    #[must_use]
    pub fn get_by_id(&self, id: RegionId) -> Option<RegionView> {
        if id.0 == 0 {
            return None;
        }
        self.again(|| {
            let columns = &self.shared.columns;
            let is_it = |slot| columns.with_line(slot, |line, _| line.id() == id).unwrap_or(false);
            let Some(slot) = self.shared.ids.find(id, is_it) else {
                return Some(None);
            };
            let mut no = columns.with_line(slot, |line, _| line.page())?;
            for _ in 0..HOPS_MAX {
                let page = self.page(no)?;
                if let Some(at) = page.find_id(id) {
                    return Some(self.view(&page, at));
                }
                no = page.forward.or(page.next)?;
            }
            None
        })?
    }

    /// Regions in key order, from the one that holds `start_key`, up to `end_key` (empty: to the end), at most
    /// `limit`. Holes are left out. The result may be a little stale, but never overlaps itself.
    #[must_use]
    pub fn scan(&self, start_key: &[u8], end_key: &[u8], limit: usize) -> Vec<RegionView> {
        let mut found = Vec::new();
        let mut key = bytes::Bytes::copy_from_slice(start_key);
        while found.len() < limit {
            let Some((page, from)) = self.again(|| self.locate(&key)) else { break };
            let start = page.start_key(from);
            // Regions merged between two pages of the scan: the newer picture replaces what it overlaps.
            while found
                .last()
                .is_some_and(|last: &RegionView| last.meta.end_key.is_empty() || last.meta.end_key > start)
            {
                found.pop();
            }
            for at in from..page.len() {
                let starts_behind = !end_key.is_empty() && page.compare_start(at, end_key).is_ge();
                if found.len() == limit || starts_behind {
                    return found;
                }
                found.extend(self.view(&page, at));
            }
            if page.end_key().is_empty() {
                break;
            }
            key = bytes::Bytes::copy_from_slice(page.end_key());
        }
        found
    }

    /// How many Regions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.len.load(Relaxed)
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tries until the picture is consistent.
    pub(super) fn again<T>(&self, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
        (0..STARTS_MAX).find_map(|_| {
            let found = attempt();
            if found.is_none() {
                std::hint::spin_loop();
            }
            found
        })
    }

    fn page(&self, no: PageNo) -> Option<Arc<Page>> {
        self.shared.directory.page(no)
    }

    /// Page and entry that hold `key`; none when the writer changed the place meanwhile.
    pub(super) fn locate(&self, key: &[u8]) -> Option<(Arc<Page>, usize)> {
        self.locate_numbered(key).map(|(_, page, at)| (page, at))
    }

    /// The same with the page's number.
    pub(super) fn locate_numbered(&self, key: &[u8]) -> Option<(PageNo, Arc<Page>, usize)> {
        let mut no = self.shared.fences.load().page_of(key);
        for _ in 0..HOPS_MAX {
            let page = self.page(no)?;
            if let Some(into) = page.forward {
                no = into;
            } else if page.ends_before(key) {
                no = page.next?;
            } else {
                let at = page.find(key)?;
                return Some((no, page, at));
            }
        }
        None
    }

    /// The page just left of the one that starts at `start`, also while that one is being cut off.
    fn page_ending_at(&self, start: &[u8]) -> Option<Arc<Page>> {
        let fences = self.shared.fences.load();
        let starts = [fences.page_before(start), Some(fences.page_of(start))];
        starts.into_iter().flatten().find_map(|no| {
            let mut page = self.page(no)?;
            for _ in 0..HOPS_MAX {
                if page.forward.is_none() && page.end_key() == start {
                    return Some(page);
                }
                if page.forward.is_none() && page.ends_before(start) || page.forward.is_some() {
                    page = self.page(page.forward.or(page.next)?)?;
                } else {
                    return None;
                }
            }
            None
        })
    }

    /// The Region at this entry; none for a hole. When its slot was used again meanwhile, the Region is just leaving: its
    /// counters are lost then, the rest is still a picture that was true.
    pub(super) fn view(&self, page: &Page, at: usize) -> Option<RegionView> {
        let entry = page.entries()[at];
        if entry.is_hole() {
            return None;
        }
        let names = self.shared.store_ids.load();
        let mut view = bare_view(page, at, &names);
        let is_same = self.shared.columns.with_line(entry.slot, |line, ailing| {
            fill_counters(&mut view, line, ailing.as_deref());
            line.id() == entry.id
        });
        if is_same == Some(true) { Some(view) } else { Some(bare_view(page, at, &names)) }
    }
}

pub(crate) fn bare_view(page: &Page, at: usize, names: &[StoreId]) -> RegionView {
    RegionView { meta: page.meta(at, names), leader: page.leader(at, names), ..RegionView::default() }
}

pub(crate) fn fill_counters(
    view: &mut RegionView,
    line: &super::columns::Line,
    ailing: Option<&super::columns::Ailing>,
) {
    view.term = line.term.load(Relaxed);
    view.flow = line.flow();
    view.interval_s = u64::from(line.interval_s.load(Relaxed));
    view.cpu_percent = u64::from(line.cpu_percent.load(Relaxed));
    view.size_bytes = u64::from(line.size_kib.load(Relaxed)) << 10;
    view.keys = line.keys.load(Relaxed);
    view.last_heartbeat = Time(line.last_heartbeat.load(Relaxed));
    if let Some(ailing) = ailing {
        view.down.clone_from(&ailing.down);
        view.pending.clone_from(&ailing.pending);
    }
}
