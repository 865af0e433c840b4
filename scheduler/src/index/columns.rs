//! The hot columns: one line of atomics for each Region, addressed by a dense slot. A heartbeat that changes only
//! counters ends here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::page::PageNo;
use crate::model::{DownPeer, Flow, PeerId, RegionId, RegionReport, Time};

/// Place of a Region in the columns; used again when the Region is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(pub u32);

impl Slot {
    /// Of a hole.
    pub const NONE: Slot = Slot(u32::MAX);
}

/// Lines that are allocated at once; their addresses never move.
const CHUNK_LINES: usize = 1024;
/// Lines that share one cell of the side table, so that a change there copies little.
const GROUP_LINES: usize = 64;

/// What is seldom there and therefore not in the line: Peers that are down or pending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ailing {
    pub down: Vec<DownPeer>,
    pub pending: Vec<PeerId>,
}

/// Bits of `Line::flags`; only the planner's thread uses them.
pub(crate) mod flag {
    /// The side table has an entry.
    pub const AILING: u32 = 1;
    /// It has an operator.
    pub const OPERATOR: u32 = 2;
}

/// The counters of one Region. Each field is true for itself; a reader that needs them to belong to one Region
/// checks `id` after reading.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub id: AtomicU64,
    /// Of range, epoch, Peers and leader as reported: equal means nothing but counters changed.
    pub fingerprint: AtomicU64,
    pub term: AtomicU64,
    /// Stores and roles of up to three Peers, see `placement`.
    pub placement: AtomicU64,
    /// At least 1 once known; what it holds, in KiB.
    pub size_kib: AtomicU32,
    pub page: AtomicU32,
    pub last_heartbeat: AtomicU64,
    pub flags: AtomicU32,
    /// 65,535 stands for more, as for `cpu_percent`.
    pub interval_s: AtomicU16,
    pub cpu_percent: AtomicU16,
    pub keys: AtomicU64,
    pub bytes_written: AtomicU64,
    pub keys_written: AtomicU64,
    pub bytes_read: AtomicU64,
    pub keys_read: AtomicU64,
}

impl Line {
    pub fn id(&self) -> RegionId {
        RegionId(self.id.load(Relaxed))
    }

    pub fn page(&self) -> PageNo {
        PageNo(self.page.load(Relaxed))
    }

    pub fn has(&self, flag: u32) -> bool {
        self.flags.load(Relaxed) & flag != 0
    }

    pub fn set(&self, flag: u32, on: bool) {
        let flags = self.flags.load(Relaxed);
        self.flags.store(if on { flags | flag } else { flags & !flag }, Relaxed);
    }

    /// Takes the counters of a heartbeat; `keys` are what is known of them now.
    pub fn set_counters(&self, report: &RegionReport, keys: u64, now: Time) {
        let flow = &report.flow;
        self.last_heartbeat.store(now.0, Relaxed);
        self.keys.store(keys, Relaxed);
        self.interval_s.store(narrow(report.interval_s), Relaxed);
        self.cpu_percent.store(narrow(report.cpu_percent), Relaxed);
        self.bytes_written.store(flow.bytes_written, Relaxed);
        self.keys_written.store(flow.keys_written, Relaxed);
        self.bytes_read.store(flow.bytes_read, Relaxed);
        self.keys_read.store(flow.keys_read, Relaxed);
    }

    pub fn flow(&self) -> Flow {
        Flow {
            bytes_written: self.bytes_written.load(Relaxed),
            keys_written: self.keys_written.load(Relaxed),
            bytes_read: self.bytes_read.load(Relaxed),
            keys_read: self.keys_read.load(Relaxed),
        }
    }
}

type Group = Vec<(Slot, Arc<Ailing>)>;

/// A run of lines and its part of the side table.
#[derive(Debug)]
struct Chunk {
    lines: Box<[Line]>,
    ailing: Box<[ArcSwapOption<Group>]>,
}

impl Chunk {
    fn new() -> Chunk {
        Chunk {
            lines: (0..CHUNK_LINES).map(|_| Line::default()).collect(),
            ailing: (0..CHUNK_LINES / GROUP_LINES).map(|_| ArcSwapOption::empty()).collect(),
        }
    }
}

/// The readers' half.
#[derive(Debug, Default)]
pub(crate) struct SharedColumns {
    chunks: ArcSwap<Vec<Arc<Chunk>>>,
}

impl SharedColumns {
    /// Reads one line; none for a slot that does not exist yet.
    pub fn with_line<T>(&self, slot: Slot, read: impl FnOnce(&Line, Option<Arc<Ailing>>) -> T) -> Option<T> {
        let chunks = self.chunks.load();
        let (chunk, at) = place(slot);
        let chunk = chunks.get(chunk)?;
        let line = &chunk.lines[at];
        let ailing = if line.has(flag::AILING) { find_ailing(chunk, slot, at) } else { None };
        Some(read(line, ailing))
    }

    /// All entries of the side table.
    pub fn each_ailing(&self, mut each: impl FnMut(Slot, &Arc<Ailing>)) {
        for cell in self.chunks.load().iter().flat_map(|chunk| chunk.ailing.iter()) {
            for (slot, ailing) in cell.load().iter().flat_map(|group| group.iter()) {
                each(*slot, ailing);
            }
        }
    }
}

/// The writer's half.
#[derive(Debug)]
pub(crate) struct Columns {
    shared: Arc<SharedColumns>,
    chunks: Vec<Arc<Chunk>>,
    free: Vec<Slot>,
    next: u32,
}

impl Columns {
    pub fn new(shared: Arc<SharedColumns>) -> Columns {
        Columns { shared, chunks: Vec::new(), free: Vec::new(), next: 0 }
    }

    pub fn line(&self, slot: Slot) -> &Line {
        let (chunk, at) = place(slot);
        &self.chunks[chunk].lines[at]
    }

    pub fn take_slot(&mut self) -> Slot {
        if let Some(slot) = self.free.pop() {
            return slot;
        }
        let slot = Slot(self.next);
        self.next += 1;
        if place(slot).0 == self.chunks.len() {
            self.chunks.push(Arc::new(Chunk::new()));
            self.shared.chunks.store(Arc::new(self.chunks.clone()));
        }
        slot
    }

    pub fn give_back(&mut self, slot: Slot) {
        self.set_ailing(slot, None);
        let line = self.line(slot);
        line.id.store(0, Relaxed);
        line.fingerprint.store(0, Relaxed);
        line.flags.store(0, Relaxed);
        line.size_kib.store(0, Relaxed);
        line.term.store(0, Relaxed);
        line.keys.store(0, Relaxed);
        self.free.push(slot);
    }

    pub fn ailing(&self, slot: Slot) -> Option<Arc<Ailing>> {
        if !self.line(slot).has(flag::AILING) {
            return None;
        }
        let (chunk, at) = place(slot);
        find_ailing(&self.chunks[chunk], slot, at)
    }

    pub fn set_ailing(&mut self, slot: Slot, ailing: Option<Ailing>) {
        let (chunk, at) = place(slot);
        let chunk = &self.chunks[chunk];
        let line = &chunk.lines[at];
        if ailing.is_none() && !line.has(flag::AILING) {
            return;
        }
        let cell = &chunk.ailing[at / GROUP_LINES];
        let mut group: Group = cell.load_full().map_or_else(Vec::new, |g| g.as_ref().clone());
        group.retain(|(s, _)| *s != slot);
        line.set(flag::AILING, ailing.is_some());
        group.extend(ailing.map(|a| (slot, Arc::new(a))));
        cell.store((!group.is_empty()).then(|| Arc::new(group)));
    }

    /// Bytes that the lines take on the heap.
    #[cfg(test)]
    pub fn heap_bytes(&self) -> usize {
        self.chunks.len() * CHUNK_LINES * (size_of::<Line>() + 8 / GROUP_LINES)
    }
}

fn narrow(value: u64) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

fn place(slot: Slot) -> (usize, usize) {
    (slot.0 as usize / CHUNK_LINES, slot.0 as usize % CHUNK_LINES)
}

fn find_ailing(chunk: &Chunk, slot: Slot, at: usize) -> Option<Arc<Ailing>> {
    let group = chunk.ailing[at / GROUP_LINES].load();
    group.as_ref()?.iter().find(|(s, _)| *s == slot).map(|(_, ailing)| Arc::clone(ailing))
}
