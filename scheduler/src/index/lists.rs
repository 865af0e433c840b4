//! For each Store and role: its Regions in buckets of size, each sorted by id. Sorted by id, because a plan must not
//! depend on the order in which things happened.

use std::collections::BTreeMap;

use super::columns::Slot;
use super::placement::ListRole;
use crate::model::RegionId;

/// Slots in a run; a run is cut in two when it is full. Bounds what an insertion moves.
const RUN_SLOTS_MAX: usize = 256;

/// Bucket of a weight: four an octave.
fn bucket_of(weight_kib: u64) -> u8 {
    let weight = weight_kib.max(4);
    let octave = weight.ilog2();
    (octave * 4 + (weight >> (octave - 2) & 3) as u32) as u8
}

/// Slots in the order of their Regions' ids.
#[derive(Debug, Default)]
struct Bucket {
    runs: Vec<Run>,
    len: usize,
}

/// A part of a bucket. Never empty. Ids stand as offsets in 32 bits, so that a search misses no line of the columns.
#[derive(Debug)]
struct Run {
    /// No id of the run is lower.
    first: RegionId,
    slots: Vec<(u32, Slot)>,
}

impl Run {
    fn of(id: RegionId, slot: Slot) -> Run {
        Run { first: id, slots: vec![(0, slot)] }
    }

    /// Takes the upper half off.
    fn cut(&mut self) -> Run {
        let mut slots = self.slots.split_off(self.slots.len() / 2);
        self.slots.shrink_to_fit();
        let base = slots[0].0;
        slots.iter_mut().for_each(|(offset, _)| *offset -= base);
        Run { first: RegionId(self.first.0 + u64::from(base)), slots }
    }

    /// Lets the run begin at a lower id. False when an offset would no longer fit.
    fn begin_at(&mut self, id: RegionId) -> bool {
        let last = self.slots.last().map_or(0, |(offset, _)| *offset);
        let Some(by) = offset(id, self.first).filter(|by| last.checked_add(*by).is_some()) else {
            return false;
        };
        self.slots.iter_mut().for_each(|(offset, _)| *offset += by);
        self.first = id;
        true
    }

    fn place_of(&self, offset: u32) -> usize {
        self.slots.partition_point(|(o, _)| *o < offset)
    }
}

/// How far `id` lies behind `first`, if that fits.
fn offset(first: RegionId, id: RegionId) -> Option<u32> {
    id.0.checked_sub(first.0).and_then(|by| u32::try_from(by).ok())
}

impl Bucket {
    fn run_of(&self, id: RegionId) -> usize {
        self.runs.partition_point(|r| r.first <= id).saturating_sub(1)
    }

    fn insert(&mut self, id: RegionId, slot: Slot) {
        self.len += 1;
        let mut at = self.run_of(id);
        if self.runs.get(at).is_some_and(|r| r.slots.len() == RUN_SLOTS_MAX) {
            let (upper, upper_at) = (self.runs[at].cut(), at + 1);
            at += usize::from(upper.first <= id);
            self.runs.insert(upper_at, upper);
        }
        let Some(run) = self.runs.get_mut(at) else {
            self.runs.push(Run::of(id, slot));
            return;
        };
        if id < run.first && !run.begin_at(id) {
            self.runs.insert(at, Run::of(id, slot));
            return;
        }
        match offset(run.first, id) {
            Some(offset) => run.slots.insert(run.place_of(offset), (offset, slot)),
            None => self.runs.insert(at + 1, Run::of(id, slot)),
        }
    }

    fn remove(&mut self, id: RegionId) {
        let at = self.run_of(id);
        let found = self.runs.get(at).and_then(|run| {
            let offset = offset(run.first, id)?;
            let place = run.place_of(offset);
            run.slots.get(place).filter(|(o, _)| *o == offset).map(|_| place)
        });
        let Some(place) = found else {
            debug_assert!(false, "region {id} stands in the bucket of its size");
            return;
        };
        self.runs[at].slots.remove(place);
        self.len -= 1;
        if self.runs[at].slots.is_empty() {
            self.runs.remove(at);
        }
    }

    /// All slots, from the `offset`-th on and round.
    fn iter_from(&self, offset: usize) -> impl Iterator<Item = Slot> + '_ {
        let mut skip = if self.len == 0 { 0 } else { offset % self.len };
        let start = self.runs.iter().position(|r| {
            let here = skip < r.slots.len();
            if !here {
                skip -= r.slots.len();
            }
            here
        });
        let start = start.unwrap_or(0);
        let head = self.runs.get(start).map_or(&[][..], |r| &r.slots[..skip.min(r.slots.len())]);
        let tail = self.runs.get(start).map_or(&[][..], |r| &r.slots[skip.min(r.slots.len())..]);
        let behind = self.runs.get(start + 1..).unwrap_or_default().iter().flat_map(|r| &r.slots);
        let before = self.runs.get(..start).unwrap_or_default().iter().flat_map(|r| &r.slots);
        tail.iter().chain(behind).chain(before).chain(head).map(|(_, slot)| *slot)
    }
}

/// The Regions of one Store in one role.
#[derive(Debug, Default)]
pub(crate) struct RoleList {
    buckets: BTreeMap<u8, Bucket>,
    /// How many.
    pub count: u64,
    /// Sum of their weights.
    pub weight_kib: u64,
}

impl RoleList {
    fn insert(&mut self, id: RegionId, slot: Slot, weight_kib: u64) {
        self.buckets.entry(bucket_of(weight_kib)).or_default().insert(id, slot);
        self.count += 1;
        self.weight_kib += weight_kib;
    }

    fn remove(&mut self, id: RegionId, weight_kib: u64) {
        let bucket = bucket_of(weight_kib);
        if let Some(list) = self.buckets.get_mut(&bucket) {
            list.remove(id);
            if list.len == 0 {
                self.buckets.remove(&bucket);
            }
        }
        self.count -= 1;
        self.weight_kib -= weight_kib;
    }

    /// Slots whose bucket may hold weights up to `weight_kib`: the heaviest bucket first, and in each from the
    /// `offset`-th on and round.
    pub fn up_to(&self, weight_kib: u64, offset: usize) -> impl Iterator<Item = Slot> + '_ {
        self.buckets.range(..=bucket_of(weight_kib)).rev().flat_map(move |(_, b)| b.iter_from(offset))
    }

    /// All slots: the lightest bucket first, and in each from the `offset`-th on and round.
    pub fn all(&self, offset: usize) -> impl Iterator<Item = Slot> + '_ {
        self.buckets.values().flat_map(move |b| b.iter_from(offset))
    }
}

/// The Regions of one Store.
#[derive(Debug, Default)]
pub(crate) struct StoreLists {
    roles: [RoleList; 3],
    /// Replicas on it that are pending.
    pub pending: u64,
}

impl StoreLists {
    pub fn role(&self, role: ListRole) -> &RoleList {
        &self.roles[role.place()]
    }

    /// Replicas in all roles.
    pub fn count(&self) -> u64 {
        self.roles.iter().map(|r| r.count).sum()
    }

    /// Their weights.
    pub fn weight_kib(&self) -> u64 {
        self.roles.iter().map(|r| r.weight_kib).sum()
    }

    pub fn insert(&mut self, role: ListRole, id: RegionId, slot: Slot, weight_kib: u64) {
        self.roles[role.place()].insert(id, slot, weight_kib);
    }

    pub fn remove(&mut self, role: ListRole, id: RegionId, weight_kib: u64) {
        self.roles[role.place()].remove(id, weight_kib);
    }

    /// Another weight of a Region that is there.
    pub fn reweigh(&mut self, role: ListRole, id: RegionId, slot: Slot, from_kib: u64, to_kib: u64) {
        let list = &mut self.roles[role.place()];
        if bucket_of(from_kib) == bucket_of(to_kib) {
            list.weight_kib = list.weight_kib - from_kib + to_kib;
        } else {
            list.remove(id, from_kib);
            list.insert(id, slot, to_kib);
        }
    }

    /// Bytes that the lists take on the heap.
    #[cfg(test)]
    pub fn heap_bytes(&self) -> usize {
        let buckets = self.roles.iter().flat_map(|r| r.buckets.values());
        buckets.flat_map(|b| &b.runs).map(|r| r.slots.capacity() * 8 + size_of::<Run>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(slot: Slot) -> RegionId {
        RegionId(u64::from(slot.0) * 10)
    }

    #[test]
    fn buckets_stay_sorted_through_cuts_and_removals() {
        let mut list = RoleList::default();
        for n in (0..2000).map(|n: u32| n * 7919 % 2000) {
            list.insert(id_of(Slot(n)), Slot(n), 5000);
        }
        for n in (0..2000).step_by(3) {
            list.remove(id_of(Slot(n)), 5000);
        }
        let left: Vec<u32> = list.all(0).map(|s| s.0).collect();
        assert_eq!(left, (0..2000).filter(|n| n % 3 != 0).collect::<Vec<u32>>());
        let mut turned: Vec<u32> = list.all(1234).map(|s| s.0).collect();
        assert_eq!(turned[0], left[1234 % left.len()]);
        turned.sort_unstable();
        assert_eq!(turned, left);
        assert_eq!((list.count, list.weight_kib), (1333, 1333 * 5000));
    }

    #[test]
    fn ids_far_apart_are_found_too() {
        let id_of = |slot: Slot| RegionId(1_u64 << (slot.0 % 64) | u64::from(slot.0 / 64) << 7);
        let mut list = RoleList::default();
        let mut ids: BTreeMap<RegionId, Slot> = BTreeMap::new();
        for n in (0..3000).map(|n: u32| n * 1777 % 3000) {
            if ids.insert(id_of(Slot(n)), Slot(n)).is_none() {
                list.insert(id_of(Slot(n)), Slot(n), 5000);
            } else {
                ids.remove(&id_of(Slot(n)));
                list.remove(id_of(Slot(n)), 5000);
            }
        }
        let listed: Vec<RegionId> = list.all(0).map(id_of).collect();
        assert_eq!(listed, ids.keys().copied().collect::<Vec<_>>());
        assert!(listed.len() > 1000);
    }

    #[test]
    fn heavy_ones_come_first_below_a_bound() {
        let mut list = RoleList::default();
        for (n, weight) in [(1, 1024), (2, 9000), (3, 70_000), (4, 8500)] {
            list.insert(id_of(Slot(n)), Slot(n), weight);
        }
        assert_eq!(list.up_to(10_000, 0).map(|s| s.0).collect::<Vec<_>>(), [2, 4, 1]);
    }
}
