//! The key space in columns: a bounded answer whatever the number of Regions. Quiet stretches share a column; a Region in
//! trouble gets one of its own as far as there is room, so each can be found.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;

use super::Survey;
use super::judge::TroubleKinds;
use super::sums::{PageSum, Totals, Troubled};
use crate::index::{Page, PageNo, StoreSlot, Walked};
use crate::model::{RegionId, StoreId};

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MapRequest {
    /// First key.
    pub start: Bytes,
    /// First key behind; empty for the end of the key space.
    pub end: Bytes,
    /// Columns at most, at least 1.
    pub cells: usize,
    /// What makes a column wide.
    pub by: By,
}

/// What columns have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// As many Regions.
    Regions,
    /// As many bytes.
    Bytes,
    /// As many keys.
    Keys,
}

/// Regions in trouble by kind; one may count in several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CellTrouble {
    /// With fewer voters than wanted.
    pub missing: u64,
    /// With a lost replica.
    pub down: u64,
    /// With a replica far behind.
    pub pending: u64,
    /// With a replica on a Store that is to go.
    pub offline: u64,
    /// With a learner, a surplus voter, an open change of membership.
    pub unplaced: u64,
    /// Stretches without a Region.
    pub holes: u64,
    /// Regions in any of these.
    pub regions: u64,
    /// The first of them.
    pub example: Option<RegionId>,
}

/// One column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    /// Its first key. It ends where the next one starts.
    pub start: Bytes,
    /// Regions that begin in it.
    pub regions: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Their keys.
    pub keys: u64,
    /// Bytes written a second.
    pub written: f64,
    /// Bytes read a second.
    pub read: f64,
    /// The Store that leads most of it; 0 when none is known.
    pub leader: StoreId,
    /// Its share, 0 to 1000.
    pub leader_permille: u16,
    /// Trouble; none when there is none.
    pub trouble: Option<CellTrouble>,
    /// Operators under way.
    pub operators: u64,
}

/// See the top of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyMap {
    /// The columns, in key order.
    pub cells: Vec<Cell>,
    /// Where the last one ends; empty for the end of the key space.
    pub end: Bytes,
}

/// A page or an entry on its way into a column.
#[derive(Debug, Default)]
struct Item {
    start: Bytes,
    regions: u64,
    totals: Totals,
    leaders: Vec<(StoreSlot, u16)>,
    trouble: CellTrouble,
    operators: u64,
}

impl Item {
    fn is_troubled(&self) -> bool {
        self.trouble.regions > 0 || self.trouble.holes > 0
    }

    fn weight(&self, by: By) -> u64 {
        match by {
            By::Regions => self.regions,
            By::Bytes => self.totals.kib,
            By::Keys => self.totals.keys,
        }
    }
}

impl Survey {
    /// The columns of a key range, as of the last refresh; what has changed since is looked at where it stands.
    #[must_use]
    pub fn key_map(&self, request: &MapRequest) -> KeyMap {
        let cells = request.cells.max(1);
        let mut walked = Vec::new();
        self.reader.walk(&request.start, &request.end, |page| {
            walked.push(page);
            ControlFlow::Continue(())
        });
        let operators = self.operators_by_page();
        // Few pages: each Region by itself. Many: only those pages that have trouble, while there is room for it.
        let all_open = walked.len() * 4 <= cells;
        let troubled = walked.iter().filter(|w| self.known(w).is_some_and(has_trouble)).count();
        let open_troubled = troubled * 4 <= cells;
        let mut items = Vec::with_capacity(walked.len());
        for (n, walked) in walked.iter().enumerate() {
            let is_edge = n == 0 && (walked.from > 0 || !request.start.is_empty());
            let is_last = !request.end.is_empty() && walked.page.ends_before_or_at(&request.end);
            let sum = self.known(walked);
            let ops = operators.get(&walked.no).map_or(&[][..], Vec::as_slice);
            let opened = all_open || is_edge || is_last || (open_troubled && sum.is_none_or(has_trouble));
            match sum {
                Some(sum) if !opened => items.push(whole(&walked.page, sum, ops)),
                sum => self.entries(walked, sum, ops, &request.end, &mut items),
            }
        }
        let end = match items.last() {
            None => request.start.clone(),
            Some(_) => walked.last().map(|w| Bytes::copy_from_slice(w.page.end_key())).unwrap_or_default(),
        };
        let end = if request.end.is_empty() || (!end.is_empty() && end < request.end) {
            end
        } else {
            request.end.clone()
        };
        KeyMap { cells: cut(&items, cells, request.by, &self.reader.store_names()), end }
    }

    /// What is known of this very page.
    fn known(&self, walked: &Walked) -> Option<&PageSum> {
        self.pages.get(&walked.no).filter(|sum| sum.is_of(&walked.page))
    }

    fn operators_by_page(&self) -> BTreeMap<PageNo, Vec<RegionId>> {
        let mut by_page: BTreeMap<PageNo, Vec<RegionId>> = BTreeMap::new();
        for region in &self.standing.operators {
            if let Some(no) = self.reader.page_of_region(*region) {
                by_page.entry(no).or_default().push(*region);
            }
        }
        by_page
    }

    fn entries(
        &self,
        walked: &Walked,
        sum: Option<&PageSum>,
        operators: &[RegionId],
        end: &[u8],
        items: &mut Vec<Item>,
    ) {
        let page = &walked.page;
        for (at, entry) in page.entries().iter().enumerate().skip(walked.from) {
            if !end.is_empty() && page.compare_start(at, end).is_ge() {
                return;
            }
            let mut item = Item { start: page.start_key(at), ..Item::default() };
            if entry.is_hole() {
                item.trouble.holes = 1;
            } else {
                item.regions = 1;
                item.totals = self.reader.read_line(entry.slot, Totals::of).unwrap_or_default();
                item.leaders.extend(page.leader_slot(at).map(|slot| (slot, 1)));
                item.operators = u64::from(operators.contains(&entry.id));
                let known =
                    sum.and_then(|s| s.troubled.binary_search_by_key(&at, |t| t.at).ok().map(|i| (s, i)));
                if let Some((sum, i)) = known {
                    item.trouble.add(&sum.troubled[i]);
                }
            }
            items.push(item);
        }
    }
}

impl Page {
    /// True when `key` lies in the page or just behind it.
    fn ends_before_or_at(&self, key: &[u8]) -> bool {
        self.end_key().is_empty() || self.end_key() >= key
    }
}

impl CellTrouble {
    fn add(&mut self, troubled: &Troubled) {
        let kinds = troubled.kinds;
        self.missing += u64::from(kinds.has(TroubleKinds::MISSING));
        self.down += u64::from(kinds.has(TroubleKinds::DOWN));
        self.pending += u64::from(kinds.has(TroubleKinds::PENDING));
        self.offline += u64::from(kinds.has(TroubleKinds::OFFLINE));
        self.unplaced += u64::from(kinds.has(TroubleKinds::UNPLACED));
        self.regions += 1;
        self.example = self.example.or(Some(troubled.region));
    }

    fn join(&mut self, other: &CellTrouble) {
        self.missing += other.missing;
        self.down += other.down;
        self.pending += other.pending;
        self.offline += other.offline;
        self.unplaced += other.unplaced;
        self.holes += other.holes;
        self.regions += other.regions;
        self.example = self.example.or(other.example);
    }
}

fn has_trouble(sum: &PageSum) -> bool {
    !sum.troubled.is_empty() || sum.holes > 0
}

fn whole(page: &Page, sum: &PageSum, operators: &[RegionId]) -> Item {
    let mut trouble = CellTrouble { holes: u64::from(sum.holes), ..CellTrouble::default() };
    for troubled in &sum.troubled {
        trouble.add(troubled);
    }
    Item {
        start: page.start_key(0),
        regions: u64::from(sum.regions),
        totals: sum.totals,
        leaders: sum.leaders.to_vec(),
        trouble,
        operators: operators.len() as u64,
    }
}

/// A column under way.
#[derive(Default)]
struct Open {
    cell: Cell,
    totals: Totals,
    weight: u64,
    leaders: BTreeMap<StoreSlot, u64>,
    trouble: CellTrouble,
    items: usize,
}

/// Puts items side by side into columns of about the same weight. All trouble together weighs as much as all the rest, so
/// that it gets half of the room; an item that fills a column alone has one to itself.
fn cut(items: &[Item], cells: usize, by: By, names: &[StoreId]) -> Vec<Cell> {
    let total: u64 = items.iter().map(|item| item.weight(by).max(1)).sum();
    let troubled = items.iter().filter(|item| item.is_troubled()).count() as u64;
    // A column is closed when it is full, or early because the next item fills one alone. With trouble half of the columns
    // are kept for the second, so that there are never more than asked for.
    let (bonus, budget) = match total.checked_div(troubled) {
        Some(bonus) => (bonus, (total * 4).div_ceil(cells as u64)),
        None => (0, total.div_ceil(cells as u64)),
    };
    let budget = budget.max(1);
    let mut closed = Vec::with_capacity(cells.min(items.len()));
    let mut open = Open::default();
    for item in items {
        let weight = item.weight(by).max(1) + if item.is_troubled() { bonus } else { 0 };
        let stands_alone = item.is_troubled() && weight >= budget;
        if stands_alone && open.items > 0 && closed.len() + 2 < cells {
            closed.push(std::mem::take(&mut open).close(names));
        }
        open.take(item, weight);
        if open.weight >= budget && closed.len() + 1 < cells {
            closed.push(std::mem::take(&mut open).close(names));
        }
    }
    if open.items > 0 {
        closed.push(open.close(names));
    }
    closed
}

impl Open {
    fn take(&mut self, item: &Item, weight: u64) {
        if self.items == 0 {
            self.cell.start = item.start.clone();
        }
        self.items += 1;
        self.weight += weight;
        self.cell.regions += item.regions;
        self.cell.operators += item.operators;
        self.totals.add(&item.totals);
        self.trouble.join(&item.trouble);
        for (slot, count) in &item.leaders {
            *self.leaders.entry(*slot).or_default() += u64::from(*count);
        }
    }

    fn close(self, names: &[StoreId]) -> Cell {
        let most = self.leaders.iter().max_by_key(|(slot, count)| (**count, std::cmp::Reverse(**slot)));
        let (leader, count) = most.map_or((StoreId(0), 0), |(slot, count)| {
            (names.get(slot.0 as usize).copied().unwrap_or_default(), *count)
        });
        let permille = (count * 1000).checked_div(self.cell.regions).unwrap_or(0);
        let has_trouble = self.trouble.regions > 0 || self.trouble.holes > 0;
        Cell {
            bytes: self.totals.kib << 10,
            keys: self.totals.keys,
            written: self.totals.written,
            read: self.totals.read,
            leader,
            leader_permille: u16::try_from(permille).unwrap_or(1000),
            trouble: has_trouble.then_some(self.trouble),
            ..self.cell
        }
    }
}
