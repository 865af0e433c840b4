//! Changes of key ranges: Regions come, go, and take each other's place.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;

use super::Index;
use super::columns::Slot;
use super::draft::Draft;
use super::fences::Fence;
use super::page::{Entry, PAGE_ENTRIES_MAX, Page, PageNo};
use super::placement::StoreSlot;
use crate::model::{RegionEpoch, RegionId, RegionReport};
use crate::refusal::Refusal;

/// A page with fewer entries than this takes its right neighbour in.
const MERGE_BELOW: usize = 24;

/// A Region whose range another one claims.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overlapped {
    id: RegionId,
    slot: Slot,
    epoch: RegionEpoch,
}

/// The place of a reported Region.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// The range is the one known.
    Same(Slot),
    /// The Region is new or its range is.
    Other { known: Option<Slot>, claim: Claim },
}

/// Where a reported Region's range lies, and whom it takes it from.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    window: Window,
    overlapped: Vec<Overlapped>,
}

/// The entries that a range touches: from `at` in the first page to `behind` in the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    first: PageNo,
    at: usize,
    last: PageNo,
    behind: usize,
}

impl Index {
    /// The rules by which an older picture is told from a newer one. Gives the place of a Region that is not older.
    ///
    /// # Errors
    /// `StaleEpoch` or `StaleTerm`.
    pub(super) fn judge(&self, report: &RegionReport) -> Result<Place, Refusal> {
        let meta = &report.meta;
        let is_whole_space = meta.start_key.is_empty() && meta.end_key.is_empty();
        // Unsafe recovery makes Regions anew, from epoch 1/1; a bootstrap makes the whole key space.
        let is_recreated = meta.epoch.version == 1 && meta.epoch.conf_ver == 1 && !is_whole_space;
        let stale = |known_region, known| Refusal::StaleEpoch {
            region: meta.id,
            given: meta.epoch,
            known_region,
            known,
        };
        let known = self.find(meta.id);
        if let Some(slot) = known {
            let (page, at) = self.page_of(slot);
            let epoch = page.entries()[at].epoch;
            let term = self.line(slot).term.load(Relaxed);
            if !is_recreated && meta.epoch.is_older_than(epoch) {
                return Err(stale(meta.id, epoch));
            }
            if !is_recreated && report.term > 0 && report.term < term {
                return Err(Refusal::StaleTerm { region: meta.id, given: report.term, known: term });
            }
            if page.has_range(at, &meta.start_key, &meta.end_key) {
                return Ok(Place::Same(slot));
            }
        }
        let mut overlapped = Vec::new();
        let window = self.window(&meta.start_key, &meta.end_key, |other| overlapped.push(other));
        let newer = |o: &&Overlapped| o.id != meta.id && meta.epoch.version < o.epoch.version;
        match overlapped.iter().find(newer) {
            Some(other) if !is_recreated => Err(stale(other.id, other.epoch)),
            Some(_) | None => Ok(Place::Other { known, claim: Claim { window, overlapped } }),
        }
    }

    /// Forgets the Regions that the reported one overlaps. Its own old range becomes a hole when the new one does not
    /// touch it; it has been taken off the lists before. Gives the window as it is then.
    pub(super) fn make_room(&mut self, known: Option<Slot>, report: &RegionReport, claim: Claim) -> Window {
        let mut window = claim.window;
        if let Some(slot) = known
            && claim.overlapped.iter().all(|o| o.slot != slot)
        {
            self.splice_out(slot);
            window = self.window(&report.meta.start_key, &report.meta.end_key, |_| {});
        }
        for other in claim.overlapped {
            if Some(other.slot) != known {
                self.drop_region(other.id, other.slot);
            }
        }
        window
    }

    /// Gives the Region its place. Its line is filled.
    pub(super) fn splice_in(
        &mut self,
        slot: Slot,
        report: &RegionReport,
        stores: &[StoreSlot],
        window: Window,
    ) {
        let meta = &report.meta;
        self.replace_range(window, &meta.start_key, &meta.end_key, |draft| {
            draft.push_region(meta, stores, report.leader.id, slot);
        });
    }

    /// Makes a hole of a Region's old range; the Region itself stays known.
    fn splice_out(&mut self, slot: Slot) {
        let (page, at) = self.page_of(slot);
        let (start, end) = (page.start_key(at), page.end_key_of(at));
        let window = self.window(&start, &end, |_| {});
        self.replace_range(window, &start, &end, |draft| draft.push_hole(&start));
    }

    /// Forgets a Region whose range another one takes now.
    fn drop_region(&mut self, id: RegionId, slot: Slot) {
        self.unlist(slot);
        self.ids.remove(id, slot);
        self.dropped.push(id);
        self.columns.give_back(slot);
    }

    /// The entries that `start..end` touches, and the Regions among them.
    fn window(&self, start: &[u8], end: &[u8], mut each: impl FnMut(Overlapped)) -> Window {
        let first = self.fences.page_of(start);
        let at = self.directory.page(first).find(start).unwrap_or(0);
        let (mut last, mut from) = (first, at);
        loop {
            let page = self.directory.page(last);
            for behind in from..page.len() {
                if !end.is_empty() && page.compare_start(behind, end).is_ge() {
                    return Window { first, at, last, behind };
                }
                let entry = page.entries()[behind];
                if !entry.is_hole() {
                    each(Overlapped { id: entry.id, slot: entry.slot, epoch: entry.epoch });
                }
            }
            let ends_here = !end.is_empty() && page.end_key() >= end;
            match page.next {
                Some(next) if !ends_here => (last, from) = (next, 0),
                Some(_) | None => return Window { first, at, last, behind: page.len() },
            }
        }
    }

    /// Puts what `fill` drafts in the place of `start..end`; what is left over of the entries at both ends becomes a
    /// hole.
    fn replace_range(&mut self, window: Window, start: &[u8], end: &[u8], fill: impl FnOnce(&mut Draft)) {
        let Window { first: first_no, at, last: last_no, behind } = window;
        let first = Arc::clone(self.directory.page(first_no));
        let last = Arc::clone(self.directory.page(last_no));
        let mut draft = std::mem::take(&mut self.scratch);
        draft.clear();
        if first.compare_start(at, start).is_lt() {
            draft.push_hole(&first.start_key(at));
        }
        fill(&mut draft);
        let ends_there =
            if behind < last.len() { last.compare_start(behind, end).is_eq() } else { last.end_key() == end };
        if !end.is_empty() && !ends_there {
            draft.push_hole(end);
        }
        if first_no != last_no || !self.splice_page(first_no, &first, at..behind, &draft) {
            let middle = std::mem::take(&mut draft);
            self.rebuild((first_no, &first, at), &middle, (last_no, &last, behind), &mut draft);
            draft = middle;
        }
        self.scratch = draft;
    }

    /// The common case: the page keeps its bounds and stays within its size. False when it does not.
    fn splice_page(&mut self, no: PageNo, page: &Page, range: Range<usize>, draft: &Draft) -> bool {
        let entries = page.entries();
        let len = page.len() - range.len() + draft.len();
        let fits = len <= PAGE_ENTRIES_MAX && (len >= MERGE_BELOW || page.next.is_none());
        let is_hole = |entry: Option<&Entry>| entry.is_some_and(Entry::is_hole);
        // Two holes side by side become one: not here.
        let holes_meet = is_hole(draft.entries().first()) && is_hole(entries[..range.start].last())
            || is_hole(draft.entries().last()) && is_hole(entries.get(range.end));
        if !fits || holes_meet {
            return false;
        }
        let Some(spliced) = page.spliced(range.clone(), draft) else { return false };
        let holes = |entries: &[Entry]| entries.iter().filter(|e| e.is_hole()).count();
        self.holes = self.holes + holes(draft.entries()) - holes(&entries[range]);
        self.directory.publish(no, Arc::new(spliced));
        self.name_page(draft, 0..draft.len(), no);
        true
    }

    /// Makes the pages anew: what stands before in the first, the middle, what stands behind in the last.
    fn rebuild(
        &mut self,
        (first_no, first, at): (PageNo, &Page, usize),
        middle: &Draft,
        (last_no, last, behind): (PageNo, &Page, usize),
        draft: &mut Draft,
    ) {
        let mut old = vec![first_no];
        let mut no = first_no;
        while no != last_no {
            no = self.directory.page(no).next.expect("the window's last page lies to the right of its first");
            old.push(no);
        }
        draft.push_entries(first_no, first, 0..at);
        draft.push_draft(middle);
        draft.push_entries(last_no, last, behind..last.len());
        let mut next = last.next;
        let mut end_key = Bytes::copy_from_slice(last.end_key());
        if draft.len() < MERGE_BELOW
            && let Some(right_no) = next
        {
            let right = Arc::clone(self.directory.page(right_no));
            if draft.len() + right.len() <= PAGE_ENTRIES_MAX {
                draft.push_entries(right_no, &right, 0..right.len());
                old.push(right_no);
                next = right.next;
                end_key = Bytes::copy_from_slice(right.end_key());
            }
        }
        self.publish(&old, draft, &end_key, next);
    }

    /// Puts the draft in the place of the `old` pages. The first keeps its number and its start.
    fn publish(&mut self, old: &[PageNo], draft: &Draft, end_key: &[u8], next: Option<PageNo>) {
        let first_no = old[0];
        let holes_before: usize = old
            .iter()
            .map(|no| self.directory.page(*no).entries().iter().filter(|e| e.is_hole()).count())
            .sum();
        let holes_after = draft.entries().iter().filter(|e| e.is_hole()).count();
        self.holes = self.holes + holes_after - holes_before;
        let cuts = draft.cuts();
        let numbers: Vec<PageNo> =
            (0..cuts.len()).map(|i| if i == 0 { first_no } else { self.directory.take_no() }).collect();
        let mut right = next;
        let mut end: &[u8] = end_key;
        for (cut, no) in cuts.iter().zip(&numbers).rev() {
            let page = draft.build(cut.clone(), end, right);
            self.directory.publish(*no, Arc::new(page));
            right = Some(*no);
            end = draft.start_key(cut.start);
        }
        for no in &old[1..] {
            self.directory.retire(*no, first_no);
        }
        for (cut, no) in cuts.iter().zip(&numbers) {
            self.name_page(draft, cut.clone(), *no);
        }
        if old.len() > 1 || numbers.len() > 1 {
            let added = cuts.iter().zip(&numbers).skip(1);
            let added = added
                .map(|(cut, no)| Fence {
                    start: Bytes::copy_from_slice(draft.start_key(cut.start)),
                    page: *no,
                })
                .collect();
            self.fences = Arc::new(self.fences.replaced(draft.start_key(0), old.len() - 1, added));
            self.shared.fences.store(Arc::clone(&self.fences));
        }
    }

    fn name_page(&self, draft: &Draft, cut: Range<usize>, no: PageNo) {
        for at in cut {
            let entry = &draft.entries()[at];
            // Most stay in their page: their lines need not be touched.
            if !entry.is_hole() && draft.source(at) != Some(no) {
                self.columns.line(entry.slot).page.store(no.0, Relaxed);
            }
        }
    }
}
