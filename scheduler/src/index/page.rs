//! A page: up to 128 neighbouring entries of the key space, never changed once published. An entry is a Region or a
//! hole; it ends where the next one starts, so entries of a page tile its range by construction.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;

use super::columns::Slot;
use super::draft::Draft;
use super::placement::StoreSlot;
use crate::model::{Peer, PeerId, PeerRole, RegionEpoch, RegionId, RegionMeta, StoreId};

/// Entries that a page may have: more makes each change dearer, fewer makes more pages.
pub(crate) const PAGE_ENTRIES_MAX: usize = 128;
/// Peers that a Region may have, so that a page's Peers can be numbered in 16 bits.
pub(crate) const REGION_PEERS_MAX: usize = 64;

/// The number of a page; constant while it lives, used again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PageNo(pub u32);

/// One entry without its keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// 0 for a hole.
    pub id: RegionId,
    pub epoch: RegionEpoch,
    pub slot: Slot,
    pub(super) peers_start: u16,
    pub(super) peers_len: u8,
    pub(super) leader: u8,
}

impl Entry {
    pub fn is_hole(&self) -> bool {
        self.id.0 == 0
    }
}

/// Start keys with their common prefix taken out, and the end key of the page.
#[derive(Debug)]
pub(super) struct Keys {
    pub prefix: Box<[u8]>,
    pub suffixes: Box<[u8]>,
    pub suffix_ends: Box<[u32]>,
    pub end: Box<[u8]>,
}

/// See the top of the file.
#[derive(Debug)]
pub(crate) struct Page {
    pub(super) keys: Arc<Keys>,
    pub(super) entries: Box<[Entry]>,
    pub(super) peers: Box<[PeerId]>,
    /// Where each is; the names stand once for the whole index.
    pub(super) stores: Box<[StoreSlot]>,
    pub(super) roles: Box<[u8]>,
    /// The page to the right when this one was made: what was cut off this page is found there.
    pub next: Option<PageNo>,
    /// Set when this page has merged into another: look there.
    pub forward: Option<PageNo>,
}

impl Page {
    /// The whole key space as one hole.
    pub fn whole_space() -> Page {
        let mut draft = Draft::default();
        draft.push_hole(&[]);
        draft.build(0..1, &[], None)
    }

    /// What stands in for a page that has merged into `into`.
    pub fn merged(into: PageNo) -> Page {
        let mut page = Draft::default().build(0..0, &[], None);
        page.forward = Some(into);
        page
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// First key behind the page; empty for the end of the key space.
    pub fn end_key(&self) -> &[u8] {
        &self.keys.end
    }

    /// True when `key` lies behind the page.
    pub fn ends_before(&self, key: &[u8]) -> bool {
        !self.keys.end.is_empty() && key >= self.keys.end.as_ref()
    }

    /// The entry that holds `key`; none when the key lies before the page or the page is empty. A key behind the page
    /// gives the last entry: ask `ends_before` first.
    pub fn find(&self, key: &[u8]) -> Option<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.compare_start(middle, key) == Ordering::Greater {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low.checked_sub(1)
    }

    /// The entry of this Region.
    pub fn find_id(&self, id: RegionId) -> Option<usize> {
        self.entries.iter().position(|e| e.id == id)
    }

    pub(super) fn suffix(&self, at: usize) -> &[u8] {
        let keys = &self.keys;
        let start = if at == 0 { 0 } else { keys.suffix_ends[at - 1] as usize };
        &keys.suffixes[start..keys.suffix_ends[at] as usize]
    }

    /// Start key of the entry, compared with `key`.
    pub fn compare_start(&self, at: usize, key: &[u8]) -> Ordering {
        let prefix = &self.keys.prefix;
        let shared = prefix.len().min(key.len());
        prefix[..shared].cmp(&key[..shared]).then_with(|| {
            if key.len() < prefix.len() {
                Ordering::Greater
            } else {
                self.suffix(at).cmp(&key[prefix.len()..])
            }
        })
    }

    pub fn start_key(&self, at: usize) -> Bytes {
        let (prefix, suffix) = (&self.keys.prefix, self.suffix(at));
        let mut key = Vec::with_capacity(prefix.len() + suffix.len());
        key.extend_from_slice(prefix);
        key.extend_from_slice(suffix);
        Bytes::from(key)
    }

    pub fn end_key_of(&self, at: usize) -> Bytes {
        if at + 1 < self.len() { self.start_key(at + 1) } else { Bytes::copy_from_slice(&self.keys.end) }
    }

    /// True when the entry covers exactly `start..end`.
    pub fn has_range(&self, at: usize, start: &[u8], end: &[u8]) -> bool {
        self.compare_start(at, start) == Ordering::Equal
            && if at + 1 < self.len() {
                !end.is_empty() && self.compare_start(at + 1, end) == Ordering::Equal
            } else {
                end == self.keys.end.as_ref()
            }
    }

    pub(super) fn peer_range(&self, at: usize) -> std::ops::Range<usize> {
        let entry = &self.entries[at];
        let start = entry.peers_start as usize;
        start..start + entry.peers_len as usize
    }

    /// The numbers of the Stores that hold the Region, in the order of its Peers.
    pub fn stores(&self, at: usize) -> &[StoreSlot] {
        &self.stores[self.peer_range(at)]
    }

    /// The Peers; `names` are the Stores' ids by their numbers.
    pub fn peers<'a>(&'a self, at: usize, names: &'a [StoreId]) -> impl Iterator<Item = Peer> + 'a {
        self.peer_range(at).map(|i| {
            let (role, is_witness) = unpack_role(self.roles[i]);
            let store = names.get(self.stores[i].0 as usize).copied().unwrap_or_default();
            Peer { id: self.peers[i], store, role, is_witness }
        })
    }

    /// The leader; the default Peer for a hole.
    pub fn leader(&self, at: usize, names: &[StoreId]) -> Peer {
        let leader = self.entries[at].leader as usize;
        self.peers(at, names).nth(leader).unwrap_or_default()
    }

    pub fn meta(&self, at: usize, names: &[StoreId]) -> RegionMeta {
        let entry = &self.entries[at];
        RegionMeta {
            id: entry.id,
            start_key: self.start_key(at),
            end_key: self.end_key_of(at),
            epoch: entry.epoch,
            peers: self.peers(at, names).collect(),
        }
    }

    /// The same page with other Peers, epoch and leader of one Region; its range stays. `stores` are the numbers of the
    /// Peers' Stores.
    pub fn with_region(&self, at: usize, meta: &RegionMeta, stores: &[StoreSlot], leader: PeerId) -> Page {
        let old = self.entries[at];
        if meta.peers.len() == old.peers_len as usize {
            let mut page = Page {
                keys: Arc::clone(&self.keys),
                entries: self.entries.clone(),
                peers: self.peers.clone(),
                stores: self.stores.clone(),
                roles: self.roles.clone(),
                next: self.next,
                forward: None,
            };
            let start = old.peers_start as usize;
            for (i, peer) in meta.peers.iter().enumerate() {
                page.peers[start + i] = peer.id;
                page.stores[start + i] = stores[i];
                page.roles[start + i] = pack_role(peer);
            }
            page.entries[at].epoch = meta.epoch;
            page.entries[at].leader = leader_place(&meta.peers, leader);
            return page;
        }
        let mut draft = Draft::default();
        draft.push_region(meta, stores, leader, old.slot);
        self.spliced(at..at + 1, &draft).expect("its start key is the one that is there")
    }

    /// The same page with the drafted entries in the place of `range`, whose ends must be the same; none when a start key
    /// lacks the page's common prefix. Whole runs are copied: this is what a new Region costs.
    pub fn spliced(&self, range: std::ops::Range<usize>, draft: &Draft) -> Option<Page> {
        let keys = &self.keys;
        let prefix_len = keys.prefix.len();
        if !(0..draft.len()).all(|at| draft.start_key(at).starts_with(&keys.prefix)) {
            return None;
        }
        let byte_at = |at: usize| if at == 0 { 0 } else { keys.suffix_ends[at - 1] };
        let (head, tail) = (byte_at(range.start), byte_at(range.end));
        let mut suffixes = Vec::with_capacity(keys.suffixes.len() + draft.key_bytes.len());
        let mut suffix_ends = Vec::with_capacity(self.len() - range.len() + draft.len());
        suffixes.extend_from_slice(&keys.suffixes[..head as usize]);
        suffix_ends.extend_from_slice(&keys.suffix_ends[..range.start]);
        for at in 0..draft.len() {
            suffixes.extend_from_slice(&draft.start_key(at)[prefix_len..]);
            suffix_ends.push(offset(suffixes.len()));
        }
        let behind = offset(suffixes.len());
        suffixes.extend_from_slice(&keys.suffixes[tail as usize..]);
        suffix_ends.extend(keys.suffix_ends[range.end..].iter().map(|end| end - tail + behind));

        let peer_at = |at: usize| self.entries.get(at).map_or(self.peers.len(), |e| e.peers_start as usize);
        let (head, tail) = (peer_at(range.start), peer_at(range.end));
        let mut entries = Vec::with_capacity(suffix_ends.len());
        entries.extend_from_slice(&self.entries[..range.start]);
        for (entry, start) in draft.entries.iter().zip(&draft.peer_starts) {
            entries.push(Entry { peers_start: peer_offset(head + start), ..*entry });
        }
        let behind = head + draft.peers.len();
        for entry in &self.entries[range.end..] {
            let start = entry.peers_start as usize - tail + behind;
            entries.push(Entry { peers_start: peer_offset(start), ..*entry });
        }
        Some(Page {
            keys: Arc::new(Keys {
                prefix: keys.prefix.clone(),
                suffixes: suffixes.into_boxed_slice(),
                suffix_ends: suffix_ends.into_boxed_slice(),
                end: keys.end.clone(),
            }),
            entries: entries.into_boxed_slice(),
            peers: joined(&self.peers[..head], &draft.peers, &self.peers[tail..]),
            stores: joined(&self.stores[..head], &draft.stores, &self.stores[tail..]),
            roles: joined(&self.roles[..head], &draft.roles, &self.roles[tail..]),
            next: self.next,
            forward: None,
        })
    }

    /// Bytes that it takes on the heap, keys included.
    #[cfg(test)]
    pub fn heap_bytes(&self) -> usize {
        let keys = &self.keys;
        size_of::<Page>()
            + size_of::<Keys>()
            + keys.prefix.len()
            + keys.suffixes.len()
            + keys.suffix_ends.len() * 4
            + keys.end.len()
            + self.entries.len() * size_of::<Entry>()
            + self.peers.len() * 8
            + self.stores.len() * 2
            + self.roles.len()
    }
}

fn joined<T: Copy>(head: &[T], middle: &[T], tail: &[T]) -> Box<[T]> {
    let mut all = Vec::with_capacity(head.len() + middle.len() + tail.len());
    all.extend_from_slice(head);
    all.extend_from_slice(middle);
    all.extend_from_slice(tail);
    all.into_boxed_slice()
}

pub(super) fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("128 keys of a message each are below 4 GiB")
}

pub(super) fn peer_offset(peers: usize) -> u16 {
    u16::try_from(peers).expect("a page has at most 128 entries of at most 64 peers")
}

pub(super) fn leader_place(peers: &[Peer], leader: PeerId) -> u8 {
    let place = peers.iter().position(|p| p.id == leader).unwrap_or(usize::MAX);
    u8::try_from(place).unwrap_or(u8::MAX)
}

const WITNESS: u8 = 4;

pub(super) fn pack_role(peer: &Peer) -> u8 {
    let role = match peer.role {
        PeerRole::Voter => 0,
        PeerRole::Learner => 1,
        PeerRole::IncomingVoter => 2,
        PeerRole::DemotingVoter => 3,
    };
    if peer.is_witness { role | WITNESS } else { role }
}

fn unpack_role(packed: u8) -> (PeerRole, bool) {
    let role = match packed & 3 {
        0 => PeerRole::Voter,
        1 => PeerRole::Learner,
        2 => PeerRole::IncomingVoter,
        _ => PeerRole::DemotingVoter,
    };
    (role, packed & WITNESS != 0)
}
