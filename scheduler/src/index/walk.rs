//! Walking all pages from another thread: what a survey of the whole cluster needs.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use super::columns::{Ailing, Line, Slot};
use super::page::{Page, PageNo};
use super::placement::StoreSlot;
use super::reader::RegionReader;
use crate::model::{RegionId, StoreId};

/// A page met on a walk.
#[derive(Clone, Debug)]
pub(crate) struct Walked {
    pub no: PageNo,
    pub page: Arc<Page>,
    /// Its first entry that belongs to the walk: those before were passed already.
    pub from: usize,
}

impl RegionReader {
    /// The pages in key order, from the one that holds `start` up to `end` (empty: to the end). Each key is passed once;
    /// what the writer changes meanwhile is seen before or after the change.
    pub(crate) fn walk(&self, start: &[u8], end: &[u8], mut each: impl FnMut(Walked) -> ControlFlow<()>) {
        let mut key = Bytes::copy_from_slice(start);
        let mut hint: Option<PageNo> = None;
        loop {
            let linked = hint.and_then(|no| self.page_starting_at(no, &key));
            let Some(walked) = linked.or_else(|| self.page_holding(&key)) else { return };
            hint = walked.page.next;
            let next = Bytes::copy_from_slice(walked.page.end_key());
            if each(walked).is_break() {
                return;
            }
            if next.is_empty() || (!end.is_empty() && next.as_ref() >= end) {
                return;
            }
            key = next;
        }
    }

    fn page_starting_at(&self, no: PageNo, key: &[u8]) -> Option<Walked> {
        let page = self.shared.directory.page(no)?;
        let starts = page.forward.is_none() && page.len() > 0 && page.compare_start(0, key).is_eq();
        starts.then_some(Walked { no, page, from: 0 })
    }

    fn page_holding(&self, key: &[u8]) -> Option<Walked> {
        self.again(|| self.locate_numbered(key)).map(|(no, page, from)| Walked { no, page, from })
    }

    /// The Stores' ids by their numbers.
    pub(crate) fn store_names(&self) -> Arc<Vec<StoreId>> {
        self.shared.store_ids.load_full()
    }

    /// Reads one line.
    pub(crate) fn read_line<T>(&self, slot: Slot, read: impl FnOnce(&Line) -> T) -> Option<T> {
        self.shared.columns.with_line(slot, |line, _| read(line))
    }

    /// All Regions with Peers that are down or pending.
    pub(crate) fn each_ailing(&self, each: impl FnMut(Slot, &Arc<Ailing>)) {
        self.shared.columns.each_ailing(each);
    }

    /// The page that holds this Region, as its line says.
    pub(crate) fn page_of_region(&self, id: RegionId) -> Option<PageNo> {
        let columns = &self.shared.columns;
        let is_it = |slot| columns.with_line(slot, |line, _| line.id() == id).unwrap_or(false);
        let slot = self.shared.ids.find(id, is_it)?;
        columns.with_line(slot, |line, _| line.page())
    }
}

impl Page {
    /// The number of the Store that leads this entry; none for a hole or an unknown leader.
    pub(crate) fn leader_slot(&self, at: usize) -> Option<StoreSlot> {
        self.stores(at).get(self.entries[at].leader as usize).copied()
    }
}
