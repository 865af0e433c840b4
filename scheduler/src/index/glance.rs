//! A pass over all Regions that looks without copying: for lists by Store or kind, for the largest, for sums. A page is
//! held while its Regions are looked at, so that a million Regions cost neither memory nor the planner's time.

use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;

use super::columns::{Line, flag};
use super::page::{Entry, Page};
use super::reader::RegionReader;
use crate::model::{Flow, Peer, RegionEpoch, RegionId, RegionView, StoreId};

/// One Region, looked at where it stands.
#[derive(Clone, Copy)]
pub struct Glance<'a> {
    reader: &'a RegionReader,
    page: &'a Page,
    at: usize,
    names: &'a [StoreId],
}

impl<'a> Glance<'a> {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> RegionId {
        self.entry().id
    }

    /// Its epoch.
    #[must_use]
    pub fn epoch(&self) -> RegionEpoch {
        self.entry().epoch
    }

    /// First key of its range.
    #[must_use]
    pub fn start_key(&self) -> Bytes {
        self.page.start_key(self.at)
    }

    /// First key behind its range; empty for the end of the key space.
    #[must_use]
    pub fn end_key(&self) -> Bytes {
        self.page.end_key_of(self.at)
    }

    /// Its replicas, in the order in which it lists them itself.
    pub fn peers(&self) -> impl Iterator<Item = Peer> + 'a {
        self.page.peers(self.at, self.names)
    }

    /// The replica that leads.
    #[must_use]
    pub fn leader(&self) -> Peer {
        self.page.leader(self.at, self.names)
    }

    /// The replica on `store`.
    #[must_use]
    pub fn peer_on(&self, store: StoreId) -> Option<Peer> {
        self.peers().find(|peer| peer.store == store)
    }

    /// The size as tikv/pd counts it: MiB rounded up, at least 1.
    #[must_use]
    pub fn size_mib(&self) -> u64 {
        self.line(|line| u64::from(line.size_kib.load(Relaxed)).div_ceil(1 << 10)).max(1)
    }

    /// About how many keys it holds.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.line(|line| line.keys.load(Relaxed))
    }

    /// Traffic of its last heartbeat.
    #[must_use]
    pub fn flow(&self) -> Flow {
        self.line(Line::flow)
    }

    /// Processor time between its last two heartbeats, in percent of one core.
    #[must_use]
    pub fn cpu_percent(&self) -> u64 {
        self.line(|line| u64::from(line.cpu_percent.load(Relaxed)))
    }

    /// True when a replica is reported down or pending; [`Glance::view`] tells which.
    #[must_use]
    pub fn is_ailing(&self) -> bool {
        self.line(|line| line.has(flag::AILING))
    }

    /// A copy of all that is known of it.
    #[must_use]
    pub fn view(&self) -> RegionView {
        // A hole is never looked at, so there is always one.
        self.reader.view(self.page, self.at).unwrap_or_default()
    }

    fn entry(&self) -> &'a Entry {
        &self.page.entries()[self.at]
    }

    /// Reads the counters; the default when the Region is just leaving and its line is another's already.
    fn line<T: Default>(&self, read: impl FnOnce(&Line) -> T) -> T {
        let entry = self.entry();
        let columns = &self.reader.shared.columns;
        let found = columns.with_line(entry.slot, |line, _| {
            let value = read(line);
            (line.id() == entry.id).then_some(value)
        });
        found.flatten().unwrap_or_default()
    }
}

impl RegionReader {
    /// Looks at the Regions of one page (at most 128), in key order, from the one that holds `start_key` up to `end_key`
    /// (empty: to the end). Gives the key to go on from; none when all is seen.
    ///
    /// Between two pages Regions may merge: one that reaches back over `start_key` is shown again, larger. Who minds
    /// compares [`Glance::start_key`] with the key that it went on from.
    pub fn glance_page(
        &self,
        start_key: &[u8],
        end_key: &[u8],
        mut look: impl FnMut(&Glance<'_>),
    ) -> Option<Bytes> {
        let (page, from) = self.again(|| self.locate(start_key))?;
        let names = self.shared.store_ids.load();
        for at in from..page.len() {
            if !end_key.is_empty() && page.compare_start(at, end_key).is_ge() {
                return None;
            }
            if !page.entries()[at].is_hole() {
                look(&Glance { reader: self, page: &page, at, names: &names });
            }
        }
        let next = page.end_key();
        let is_end = next.is_empty() || !end_key.is_empty() && next >= end_key;
        (!is_end).then(|| Bytes::copy_from_slice(next))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::index::{Index, fingerprint, report};
    use crate::model::{StoreId, Time};

    #[test]
    fn a_pass_sees_each_region_once_and_in_key_order() {
        let mut index = Index::new();
        let key = |n: u64| if n == 0 || n == 1000 { String::new() } else { format!("{n:04}") };
        for n in 0..1000 {
            let report = report(n + 1, &key(n), &key(n + 1), (1, 1), &[1 + n % 3, 4]);
            index.put(&report, fingerprint(&report), Time(1)).unwrap();
        }
        let reader = index.reader();
        let pass = |start: &[u8], end: &[u8]| {
            let (mut seen, mut on_second, mut next) = (Vec::new(), 0, Some(Bytes::copy_from_slice(start)));
            while let Some(from) = next {
                next = reader.glance_page(&from, end, |region| {
                    seen.push(region.id().0);
                    on_second += u32::from(region.peer_on(StoreId(2)).is_some());
                    assert_eq!(region.view().meta.start_key, region.start_key());
                    assert_eq!(region.leader().store, region.peers().next().unwrap().store);
                });
            }
            (seen, on_second)
        };
        assert_eq!(pass(b"", b""), ((1..=1000).collect(), 333));
        assert_eq!(pass(b"0500", b"0510").0, (501..=510).collect::<Vec<_>>());
        assert_eq!(pass(b"0500", b"05005").0, [501]);
    }
}
