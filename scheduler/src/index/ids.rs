//! From a Region's id to its slot: open addressing in 32 bits an entry. The id itself stands in the columns, so a hit is
//! verified there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Release};

use arc_swap::ArcSwap;

use super::columns::Slot;
use crate::model::RegionId;

const EMPTY: u32 = 0;
/// Where a Region was: a search goes on behind it.
const GONE: u32 = 1;
/// Slots are stored from here.
const FIRST: u32 = 2;
/// Places in the first table.
const CAPACITY_MIN: usize = 64;

/// The readers' half. A table is only ever added to or marked; a bigger one replaces it.
#[derive(Debug)]
pub(crate) struct SharedIds {
    table: ArcSwap<Vec<AtomicU32>>,
}

impl Default for SharedIds {
    fn default() -> Self {
        SharedIds { table: ArcSwap::from_pointee(new_table(CAPACITY_MIN)) }
    }
}

impl SharedIds {
    /// The slot of this Region; `is_it` tells whether a slot belongs to it.
    pub fn find(&self, id: RegionId, is_it: impl Fn(Slot) -> bool) -> Option<Slot> {
        find(&self.table.load(), id, is_it)
    }
}

/// The writer's half.
#[derive(Debug)]
pub(crate) struct Ids {
    shared: Arc<SharedIds>,
    table: Arc<Vec<AtomicU32>>,
    live: usize,
    gone: usize,
}

impl Ids {
    pub fn new(shared: Arc<SharedIds>) -> Ids {
        let table = shared.table.load_full();
        Ids { shared, table, live: 0, gone: 0 }
    }

    pub fn len(&self) -> usize {
        self.live
    }

    pub fn find(&self, id: RegionId, is_it: impl Fn(Slot) -> bool) -> Option<Slot> {
        find(&self.table, id, is_it)
    }

    /// Adds a Region that is not there. `id_of` gives the Region of each slot that is.
    pub fn insert(&mut self, id: RegionId, slot: Slot, id_of: impl Fn(Slot) -> RegionId) {
        // Two thirds full at most: longer searches cost more than the memory.
        if (self.live + self.gone + 1) * 3 > self.table.len() * 2 {
            self.rebuild(id_of);
        }
        put(&self.table, id, slot);
        self.live += 1;
    }

    pub fn remove(&mut self, id: RegionId, slot: Slot) {
        let mask = self.table.len() - 1;
        let mut at = home(id, self.table.len());
        loop {
            let cell = &self.table[at];
            match cell.load(Acquire) {
                EMPTY => return,
                found if found == slot.0 + FIRST => {
                    cell.store(GONE, Release);
                    self.live -= 1;
                    self.gone += 1;
                    return;
                }
                _ => at = (at + 1) & mask,
            }
        }
    }

    fn rebuild(&mut self, id_of: impl Fn(Slot) -> RegionId) {
        let wanted = ((self.live + 1) * 2).next_power_of_two().max(CAPACITY_MIN);
        let table = new_table(wanted);
        for cell in self.table.iter() {
            let found = cell.load(Acquire);
            if found >= FIRST {
                let slot = Slot(found - FIRST);
                put(&table, id_of(slot), slot);
            }
        }
        self.table = Arc::new(table);
        self.gone = 0;
        self.shared.table.store(Arc::clone(&self.table));
    }

    /// Bytes that the table takes on the heap.
    #[cfg(test)]
    pub fn heap_bytes(&self) -> usize {
        self.table.len() * 4
    }
}

fn new_table(capacity: usize) -> Vec<AtomicU32> {
    (0..capacity).map(|_| AtomicU32::new(EMPTY)).collect()
}

/// Fibonacci hashing: ids are drawn in a row, and neighbours must not share a home.
fn home(id: RegionId, capacity: usize) -> usize {
    let bits = capacity.trailing_zeros();
    (id.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - bits)) as usize
}

fn find(table: &[AtomicU32], id: RegionId, is_it: impl Fn(Slot) -> bool) -> Option<Slot> {
    let mask = table.len() - 1;
    let mut at = home(id, table.len());
    // A table always has empty places, so the bound is only for a reader's peace of mind.
    for _ in 0..table.len() {
        match table[at].load(Acquire) {
            EMPTY => return None,
            GONE => {}
            found => {
                let slot = Slot(found - FIRST);
                if is_it(slot) {
                    return Some(slot);
                }
            }
        }
        at = (at + 1) & mask;
    }
    None
}

fn put(table: &[AtomicU32], id: RegionId, slot: Slot) {
    let mask = table.len() - 1;
    let mut at = home(id, table.len());
    // A place marked GONE stays marked: `insert` counts it as taken, and rebuilding clears it.
    while table[at].load(Acquire) != EMPTY {
        at = (at + 1) & mask;
    }
    table[at].store(slot.0 + FIRST, Release);
}
