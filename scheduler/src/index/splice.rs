//! Changes of key ranges: Regions come, go, and take each other's place.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;

use super::Index;
use super::columns::Slot;
use super::fences::Fence;
use super::page::{Draft, Entry, PAGE_ENTRIES_MAX, Page, PageNo};
use super::placement::StoreSlot;
use crate::model::{RegionId, RegionReport};
use crate::refusal::Refusal;

/// A page with fewer entries than this takes its right neighbour in.
const MERGE_BELOW: usize = 24;

impl Index {
    /// The rules by which an older picture is told from a newer one.
    ///
    /// # Errors
    /// `StaleEpoch` or `StaleTerm`.
    pub fn check_stale(&self, report: &RegionReport) -> Result<(), Refusal> {
        let meta = &report.meta;
        let is_whole_space = meta.start_key.is_empty() && meta.end_key.is_empty();
        // Unsafe recovery makes Regions anew, from epoch 1/1; a bootstrap makes the whole key space.
        let is_recreated = meta.epoch.version == 1 && meta.epoch.conf_ver == 1 && !is_whole_space;
        let known = self.find(meta.id);
        if is_recreated {
            return Ok(());
        }
        if let Some(slot) = known {
            let (page, at) = self.page_of(slot);
            let epoch = page.entries()[at].epoch;
            if meta.epoch.is_older_than(epoch) {
                let region = meta.id;
                return Err(Refusal::StaleEpoch {
                    region,
                    given: meta.epoch,
                    known_region: region,
                    known: epoch,
                });
            }
            let term = self.line(slot).term.load(Relaxed);
            if report.term > 0 && report.term < term {
                return Err(Refusal::StaleTerm { region: meta.id, given: report.term, known: term });
            }
            if page.has_range(at, &meta.start_key, &meta.end_key) {
                return Ok(());
            }
        }
        let mut stale = Ok(());
        self.for_overlaps(&meta.start_key, &meta.end_key, |id, _, epoch| {
            if id != meta.id && meta.epoch.version < epoch.version && stale.is_ok() {
                stale = Err(Refusal::StaleEpoch {
                    region: meta.id,
                    given: meta.epoch,
                    known_region: id,
                    known: epoch,
                });
            }
        });
        stale
    }

    /// Forgets the Regions that the reported one overlaps. Its own old range becomes a hole when the new one does not
    /// touch it; it has been taken off the lists before.
    pub(super) fn make_room(&mut self, known: Option<Slot>, report: &RegionReport) {
        let meta = &report.meta;
        let mut overlapped = Vec::new();
        self.for_overlaps(&meta.start_key, &meta.end_key, |id, slot, _| overlapped.push((id, slot)));
        if let Some(slot) = known
            && overlapped.iter().all(|(_, s)| *s != slot)
        {
            self.splice_out(slot);
        }
        for (id, slot) in overlapped {
            if Some(slot) != known {
                self.drop_region(id, slot);
            }
        }
    }

    /// Gives the Region its place. Its line is filled.
    pub(super) fn splice_in(&mut self, slot: Slot, report: &RegionReport, stores: &[StoreSlot]) {
        let meta = &report.meta;
        self.replace_range(&meta.start_key, &meta.end_key, |draft| {
            draft.push_region(meta, stores, report.leader.id, slot);
        });
    }

    /// Makes a hole of a Region's old range; the Region itself stays known.
    fn splice_out(&mut self, slot: Slot) {
        let (page, at) = self.page_of(slot);
        let (start, end) = (page.start_key(at), page.end_key_of(at));
        self.replace_range(&start, &end, |draft| draft.push_hole(&start));
    }

    /// Forgets a Region whose range another one takes now.
    fn drop_region(&mut self, id: RegionId, slot: Slot) {
        self.unlist(slot);
        self.ids.remove(id, slot);
        self.dropped.push(id);
        self.columns.give_back(slot);
    }

    fn for_overlaps(
        &self,
        start: &[u8],
        end: &[u8],
        mut each: impl FnMut(RegionId, Slot, crate::model::RegionEpoch),
    ) {
        let mut no = self.fences.page_of(start);
        let mut from = self.directory.page(no).find(start).unwrap_or(0);
        loop {
            let page = self.directory.page(no);
            for at in from..page.len() {
                if !end.is_empty() && page.compare_start(at, end).is_ge() {
                    return;
                }
                let entry = page.entries()[at];
                if !entry.is_hole() {
                    each(entry.id, entry.slot, entry.epoch);
                }
            }
            let Some(next) = page.next else { return };
            no = next;
            from = 0;
        }
    }

    /// Puts what `fill` drafts in the place of `start..end`; what is left over of the entries at both ends becomes a
    /// hole.
    fn replace_range(&mut self, start: &[u8], end: &[u8], fill: impl FnOnce(&mut Draft)) {
        let first_no = self.fences.page_of(start);
        let first = Arc::clone(self.directory.page(first_no));
        let at = first.find(start).unwrap_or(0);
        let mut old = vec![first_no];
        let mut last = Arc::clone(&first);
        while !last.end_key().is_empty() && (end.is_empty() || last.end_key() < end) {
            let Some(next) = last.next else { break };
            old.push(next);
            last = Arc::clone(self.directory.page(next));
        }
        // The first entry that starts at or behind the end.
        let behind = if end.is_empty() { last.len() } else { last.first_from(end) };
        let mut draft = std::mem::take(&mut self.scratch);
        draft.clear();
        if first.compare_start(at, start).is_lt() {
            draft.push_hole(&first.start_key(at));
        }
        fill(&mut draft);
        let rest_end =
            if behind < last.len() { last.start_key(behind) } else { Bytes::copy_from_slice(last.end_key()) };
        if !end.is_empty() && rest_end.as_ref() != end {
            draft.push_hole(end);
        }
        if old.len() > 1 || !self.splice_page(first_no, &first, at..behind, &draft) {
            let middle = std::mem::take(&mut draft);
            self.rebuild(old, (&first, at), &middle, (&last, behind), &mut draft);
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
        mut old: Vec<PageNo>,
        (first, at): (&Page, usize),
        middle: &Draft,
        (last, behind): (&Page, usize),
        draft: &mut Draft,
    ) {
        let last_no = old[old.len() - 1];
        draft.push_entries(old[0], first, 0..at);
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
