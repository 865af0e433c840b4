//! Entries on their way to one or more new pages: pushed in key order, then built page by page.

use std::sync::Arc;

use super::columns::Slot;
use super::page::{
    Entry, Keys, PAGE_ENTRIES_MAX, Page, PageNo, leader_place, offset, pack_role, peer_offset,
};
use super::placement::StoreSlot;
use crate::model::{PeerId, RegionEpoch, RegionId, RegionMeta};

/// Entries that a page gets when a full one is cut: room for growth on both sides.
const PAGE_ENTRIES_CUT: usize = 96;

/// See the top of the file.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// The page that each entry comes from; none for a new one.
    sources: Vec<Option<PageNo>>,
    pub(super) key_bytes: Vec<u8>,
    key_ends: Vec<usize>,
    pub(super) entries: Vec<Entry>,
    pub(super) peer_starts: Vec<usize>,
    pub(super) peers: Vec<PeerId>,
    pub(super) stores: Vec<StoreSlot>,
    pub(super) roles: Vec<u8>,
}

impl Draft {
    pub fn clear(&mut self) {
        self.sources.clear();
        self.key_bytes.clear();
        self.key_ends.clear();
        self.entries.clear();
        self.peer_starts.clear();
        self.peers.clear();
        self.stores.clear();
        self.roles.clear();
    }

    /// The page that the entry comes from; none for a new one.
    pub fn source(&self, at: usize) -> Option<PageNo> {
        self.sources[at]
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Entries of a page as they are; `no` is its number.
    pub fn push_entries(&mut self, no: PageNo, page: &Page, range: std::ops::Range<usize>) {
        for at in range {
            let entry = page.entries[at];
            if entry.is_hole() && self.ends_in_hole() {
                continue;
            }
            self.key_bytes.extend_from_slice(&page.keys.prefix);
            self.key_bytes.extend_from_slice(page.suffix(at));
            let peers = page.peer_range(at);
            self.push_entry(Some(no), entry);
            self.peers.extend_from_slice(&page.peers[peers.clone()]);
            self.stores.extend_from_slice(&page.stores[peers.clone()]);
            self.roles.extend_from_slice(&page.roles[peers]);
        }
    }

    /// The entries of another draft.
    pub fn push_draft(&mut self, other: &Draft) {
        for at in 0..other.len() {
            let entry = other.entries[at];
            if entry.is_hole() && self.ends_in_hole() {
                continue;
            }
            self.key_bytes.extend_from_slice(other.start_key(at));
            let start = other.peer_starts[at];
            let peers = start..start + entry.peers_len as usize;
            self.push_entry(other.sources[at], entry);
            self.peers.extend_from_slice(&other.peers[peers.clone()]);
            self.stores.extend_from_slice(&other.stores[peers.clone()]);
            self.roles.extend_from_slice(&other.roles[peers]);
        }
    }

    /// A Region as it is now; `stores` are the numbers of its Peers' Stores.
    pub fn push_region(&mut self, meta: &RegionMeta, stores: &[StoreSlot], leader: PeerId, slot: Slot) {
        self.key_bytes.extend_from_slice(&meta.start_key);
        self.push_entry(
            None,
            Entry {
                id: meta.id,
                epoch: meta.epoch,
                slot,
                peers_start: 0,
                peers_len: u8::try_from(meta.peers.len()).unwrap_or(u8::MAX),
                leader: leader_place(&meta.peers, leader),
            },
        );
        self.peers.extend(meta.peers.iter().map(|p| p.id));
        self.stores.extend_from_slice(stores);
        self.roles.extend(meta.peers.iter().map(pack_role));
    }

    /// A hole that starts here; nothing when a hole stands before it already.
    pub fn push_hole(&mut self, start: &[u8]) {
        if self.ends_in_hole() {
            return;
        }
        self.key_bytes.extend_from_slice(start);
        self.push_entry(
            None,
            Entry {
                id: RegionId(0),
                epoch: RegionEpoch::default(),
                slot: Slot::NONE,
                peers_start: 0,
                peers_len: 0,
                leader: 0,
            },
        );
    }

    fn ends_in_hole(&self) -> bool {
        self.entries.last().is_some_and(Entry::is_hole)
    }

    /// The key bytes stand already; the Peers follow.
    fn push_entry(&mut self, source: Option<PageNo>, entry: Entry) {
        self.sources.push(source);
        self.key_ends.push(self.key_bytes.len());
        self.peer_starts.push(self.peers.len());
        self.entries.push(entry);
    }

    /// Where to cut: ranges of entries, one for each page.
    pub fn cuts(&self) -> Vec<std::ops::Range<usize>> {
        let len = self.len();
        if len <= PAGE_ENTRIES_MAX {
            return std::iter::once(0..len).collect();
        }
        let pages = len.div_ceil(PAGE_ENTRIES_CUT);
        (0..pages).map(|i| i * len / pages..(i + 1) * len / pages).collect()
    }

    pub fn start_key(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.key_ends[at - 1] };
        &self.key_bytes[start..self.key_ends[at]]
    }

    /// One page of these entries; `end` is the first key behind it.
    pub fn build(&self, range: std::ops::Range<usize>, end: &[u8], next: Option<PageNo>) -> Page {
        let prefix_len = match (range.is_empty(), range.start, range.end) {
            (true, ..) => 0,
            // Keys are sorted: what first and last share, all share.
            (false, first, behind) => common_prefix(self.start_key(first), self.start_key(behind - 1)),
        };
        let prefix = range.clone().next().map_or(&[][..], |first| &self.start_key(first)[..prefix_len]);
        let mut suffixes = Vec::with_capacity(self.key_bytes.len());
        let mut suffix_ends = Vec::with_capacity(range.len());
        for at in range.clone() {
            suffixes.extend_from_slice(&self.start_key(at)[prefix_len..]);
            suffix_ends.push(offset(suffixes.len()));
        }
        let peers_start = self.peer_starts.get(range.start).copied().unwrap_or(self.peers.len());
        let peers_end = self.peer_starts.get(range.end).copied().unwrap_or(self.peers.len());
        let mut entries: Box<[Entry]> = self.entries[range.clone()].into();
        for (entry, at) in entries.iter_mut().zip(range) {
            entry.peers_start = peer_offset(self.peer_starts[at] - peers_start);
        }
        Page {
            keys: Arc::new(Keys {
                prefix: prefix.into(),
                suffixes: suffixes.into_boxed_slice(),
                suffix_ends: suffix_ends.into_boxed_slice(),
                end: end.into(),
            }),
            entries,
            peers: self.peers[peers_start..peers_end].into(),
            stores: self.stores[peers_start..peers_end].into(),
            roles: self.roles[peers_start..peers_end].into(),
            next,
            forward: None,
        }
    }
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}
