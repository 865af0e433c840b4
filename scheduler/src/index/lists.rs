//! For each Store and role: its Regions in buckets of size, each sorted by id. Sorted by id, because a plan must not
//! depend on the order in which things happened.

use std::collections::BTreeMap;

use super::columns::Slot;
use super::placement::ListRole;
use crate::model::RegionId;

/// Slots in a run; a run is cut in two when it is full. Bounds what an insertion moves.
const RUN_SLOTS_MAX: usize = 256;
/// Guesses by proportion before a search halves.
const GUESSES_MAX: usize = 4;

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

/// Never empty.
#[derive(Debug)]
struct Run {
    first: RegionId,
    slots: Vec<Slot>,
}

impl Run {
    /// The first slot whose Region's id is not below `id`. Each id asked for costs a miss of the cache and ids are drawn
    /// in a row, so the first guesses follow the proportion; then halving bounds the rest.
    fn place_of(&self, id: RegionId, behind: Option<RegionId>, id_of: &impl Fn(Slot) -> RegionId) -> usize {
        let (mut low, mut high) = (0, self.slots.len());
        let mut low_id = self.first.0;
        let mut high_id = behind.unwrap_or_else(|| RegionId(self.slots.last().map_or(0, |s| id_of(*s).0))).0;
        let mut guesses = 0;
        while low < high {
            let middle = if guesses < GUESSES_MAX && high_id > low_id {
                let part = u128::from(id.0.saturating_sub(low_id)) * (high - low) as u128;
                (low + (part / u128::from(high_id - low_id)) as usize).min(high - 1)
            } else {
                usize::midpoint(low, high)
            };
            guesses += 1;
            let found = id_of(self.slots[middle]);
            if found < id {
                (low, low_id) = (middle + 1, found.0);
            } else {
                (high, high_id) = (middle, found.0);
                if found == id {
                    return middle;
                }
            }
        }
        low
    }
}

impl Bucket {
    fn first_behind(&self, run: usize) -> Option<RegionId> {
        self.runs.get(run + 1).map(|r| r.first)
    }

    fn run_of(&self, id: RegionId) -> usize {
        self.runs.partition_point(|r| r.first <= id).saturating_sub(1)
    }

    fn insert(&mut self, id: RegionId, slot: Slot, id_of: &impl Fn(Slot) -> RegionId) {
        self.len += 1;
        if self.runs.is_empty() {
            self.runs.push(Run { first: id, slots: vec![slot] });
            return;
        }
        let mut at = self.run_of(id);
        if self.runs[at].slots.len() == RUN_SLOTS_MAX {
            let slots = self.runs[at].slots.split_off(RUN_SLOTS_MAX / 2);
            self.runs[at].slots.shrink_to_fit();
            let first = id_of(slots[0]);
            self.runs.insert(at + 1, Run { first, slots });
            at += usize::from(first <= id);
        }
        let behind = self.first_behind(at);
        let run = &mut self.runs[at];
        let place = run.place_of(id, behind, id_of);
        run.slots.insert(place, slot);
        run.first = run.first.min(id);
    }

    fn remove(&mut self, id: RegionId, id_of: &impl Fn(Slot) -> RegionId) {
        if self.runs.is_empty() {
            return;
        }
        let at = self.run_of(id);
        let behind = self.first_behind(at);
        let run = &mut self.runs[at];
        let place = run.place_of(id, behind, id_of);
        if run.slots.get(place).is_none_or(|s| id_of(*s) != id) {
            debug_assert!(false, "region {id} stands in the bucket of its size");
            return;
        }
        run.slots.remove(place);
        self.len -= 1;
        match run.slots.first() {
            Some(first) => run.first = id_of(*first),
            None => {
                self.runs.remove(at);
            }
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
        tail.iter().chain(behind).chain(before).chain(head).copied()
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
    fn insert(&mut self, id: RegionId, slot: Slot, weight_kib: u64, id_of: &impl Fn(Slot) -> RegionId) {
        self.buckets.entry(bucket_of(weight_kib)).or_default().insert(id, slot, id_of);
        self.count += 1;
        self.weight_kib += weight_kib;
    }

    fn remove(&mut self, id: RegionId, weight_kib: u64, id_of: &impl Fn(Slot) -> RegionId) {
        let bucket = bucket_of(weight_kib);
        if let Some(list) = self.buckets.get_mut(&bucket) {
            list.remove(id, id_of);
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

    pub fn insert(
        &mut self,
        role: ListRole,
        id: RegionId,
        slot: Slot,
        weight_kib: u64,
        id_of: &impl Fn(Slot) -> RegionId,
    ) {
        self.roles[role.place()].insert(id, slot, weight_kib, id_of);
    }

    pub fn remove(
        &mut self,
        role: ListRole,
        id: RegionId,
        weight_kib: u64,
        id_of: &impl Fn(Slot) -> RegionId,
    ) {
        self.roles[role.place()].remove(id, weight_kib, id_of);
    }

    /// Another weight of a Region that is there.
    pub fn reweigh(
        &mut self,
        role: ListRole,
        id: RegionId,
        slot: Slot,
        from_kib: u64,
        to_kib: u64,
        id_of: &impl Fn(Slot) -> RegionId,
    ) {
        let list = &mut self.roles[role.place()];
        if bucket_of(from_kib) == bucket_of(to_kib) {
            list.weight_kib = list.weight_kib - from_kib + to_kib;
        } else {
            list.remove(id, from_kib, id_of);
            list.insert(id, slot, to_kib, id_of);
        }
    }

    /// Bytes that the lists take on the heap.
    #[cfg(test)]
    pub fn heap_bytes(&self) -> usize {
        let buckets = self.roles.iter().flat_map(|r| r.buckets.values());
        buckets.flat_map(|b| &b.runs).map(|r| r.slots.capacity() * 4 + size_of::<Run>()).sum()
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
            list.insert(id_of(Slot(n)), Slot(n), 5000, &id_of);
        }
        for n in (0..2000).step_by(3) {
            list.remove(id_of(Slot(n)), 5000, &id_of);
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
                list.insert(id_of(Slot(n)), Slot(n), 5000, &id_of);
            } else {
                ids.remove(&id_of(Slot(n)));
                list.remove(id_of(Slot(n)), 5000, &id_of);
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
            list.insert(id_of(Slot(n)), Slot(n), weight, &id_of);
        }
        assert_eq!(list.up_to(10_000, 0).map(|s| s.0).collect::<Vec<_>>(), [2, 4, 1]);
    }
}
