//! What is kept of one page between two refreshes.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

use super::condition::Conditions;
use super::finding::RegionCause;
use super::judge::{RegionTrouble, TroubleKinds, judge};
use crate::index::{Ailing, Line, Page, RegionReader, StoreSlot};
use crate::model::{RegionId, StoreId, Time};

/// A Region in trouble.
#[derive(Clone, Copy, Debug)]
pub(super) struct Troubled {
    pub region: RegionId,
    /// Its place in the page.
    pub at: usize,
    pub trouble: Option<RegionTrouble>,
    pub kinds: TroubleKinds,
    pub cause: Option<RegionCause>,
    pub also: Option<StoreId>,
    pub since: Time,
    /// Since when all living voters but one are far behind.
    pub thin_since: Option<Time>,
    pub kib: u64,
}

/// Totals of one or more Regions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Totals {
    pub kib: u64,
    pub keys: u64,
    /// Bytes a second.
    pub written: f64,
    pub read: f64,
}

impl Totals {
    pub fn add(&mut self, other: &Totals) {
        self.kib += other.kib;
        self.keys += other.keys;
        self.written += other.written;
        self.read += other.read;
    }

    pub fn of(line: &Line) -> Totals {
        let flow = line.flow();
        let seconds = f64::from(line.interval_s.load(Relaxed).max(1));
        Totals {
            kib: u64::from(line.size_kib.load(Relaxed)),
            keys: line.keys.load(Relaxed),
            written: flow.bytes_written as f64 / seconds,
            read: flow.bytes_read as f64 / seconds,
        }
    }
}

/// See the top of the file.
#[derive(Debug)]
pub(super) struct PageSum {
    /// Keeps the page's address from being used again, not the page.
    page: Weak<Page>,
    ailing_print: u64,
    pub regions: u16,
    pub holes: u16,
    /// How many Regions each Store leads here.
    pub leaders: Box<[(StoreSlot, u16)]>,
    pub totals: Totals,
    pub troubled: Vec<Troubled>,
    /// As they were before the page was judged anew, until they have given their times on.
    pub inherited: Vec<Troubled>,
}

impl PageSum {
    /// Judges the page. Totals are counted apart.
    pub fn of(
        page: &Arc<Page>,
        ails: &[(RegionId, Arc<Ailing>)],
        names: &[StoreId],
        conditions: &Conditions,
        reader: &RegionReader,
    ) -> PageSum {
        let (mut regions, mut holes) = (0, 0);
        let mut leaders: Vec<(StoreSlot, u16)> = Vec::new();
        let mut troubled = Vec::new();
        for (at, entry) in page.entries().iter().enumerate() {
            if entry.is_hole() {
                holes += 1;
                continue;
            }
            regions += 1;
            if let Some(leader) = page.leader_slot(at) {
                match leaders.iter_mut().find(|(slot, _)| *slot == leader) {
                    Some((_, count)) => *count += 1,
                    None => leaders.push((leader, 1)),
                }
            }
            let ailing = ails.binary_search_by_key(&entry.id, |(id, _)| *id).ok().map(|i| ails[i].1.as_ref());
            let peers = page.stores(at).iter().copied().zip(page.peers(at, names));
            let Some(judged) = judge(peers, ailing, conditions) else { continue };
            let kib =
                reader.read_line(entry.slot, |line| u64::from(line.size_kib.load(Relaxed))).unwrap_or(0);
            troubled.push(Troubled {
                region: entry.id,
                at,
                trouble: judged.trouble,
                kinds: judged.kinds,
                cause: judged.cause,
                also: judged.also,
                since: Time(0),
                thin_since: judged.is_thin.then_some(Time(0)),
                kib,
            });
        }
        PageSum {
            page: Arc::downgrade(page),
            ailing_print: print_of(ails),
            regions,
            holes,
            leaders: leaders.into(),
            totals: Totals::default(),
            troubled,
            inherited: Vec::new(),
        }
    }

    /// Reads the totals from the lines.
    pub fn count(&mut self, page: &Page, reader: &RegionReader) {
        let mut totals = Totals::default();
        for entry in page.entries().iter().filter(|e| !e.is_hole()) {
            if let Some(line) = reader.read_line(entry.slot, Totals::of) {
                totals.add(&line);
            }
        }
        self.totals = totals;
    }

    /// Takes over from the page of the same number as it was judged before.
    pub fn inherit(&mut self, before: PageSum) {
        self.totals = before.totals;
        self.inherited = before.troubled;
    }

    pub fn is_of(&self, page: &Arc<Page>) -> bool {
        std::ptr::eq(self.page.as_ptr(), Arc::as_ptr(page))
    }

    pub fn has_ailing(&self, ails: &[(RegionId, Arc<Ailing>)]) -> bool {
        self.ailing_print == print_of(ails)
    }
}

/// Which Peers ail; for how long does not matter here.
fn print_of(ails: &[(RegionId, Arc<Ailing>)]) -> u64 {
    // FNV-1a over whole words: only compared with itself.
    let mut print = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |word: u64| print = (print ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    for (id, ailing) in ails {
        take(id.0);
        ailing.down.iter().for_each(|down| take(down.peer.0 << 1));
        take(u64::MAX);
        ailing.pending.iter().for_each(|peer| take(peer.0 << 1 | 1));
    }
    print
}
