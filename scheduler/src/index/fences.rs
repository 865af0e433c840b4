//! The fence table: which page starts where. Never changed once published; two levels, so that a change copies little.

use std::sync::Arc;

use bytes::Bytes;

use super::page::PageNo;

/// Fences in a part: a change copies one part and the list of parts.
const PART_FENCES_MAX: usize = 256;

/// A page and its first key.
#[derive(Clone, Debug)]
pub(crate) struct Fence {
    pub start: Bytes,
    pub page: PageNo,
}

/// All fences in key order. The first starts at the empty key, so every key has one.
#[derive(Clone, Debug)]
pub(crate) struct Fences {
    parts: Vec<Arc<Vec<Fence>>>,
}

impl Fences {
    pub fn new(first: PageNo) -> Fences {
        Fences { parts: vec![Arc::new(vec![Fence { start: Bytes::new(), page: first }])] }
    }

    /// The page whose range holds `key`.
    pub fn page_of(&self, key: &[u8]) -> PageNo {
        let (part, at) = self.place_of(key);
        self.parts[part][at].page
    }

    /// The page before the one that starts at `start`.
    pub fn page_before(&self, start: &[u8]) -> Option<PageNo> {
        let (part, at) = self.place_of(start);
        match (part, at) {
            (0, 0) => None,
            (part, 0) => self.parts[part - 1].last().map(|f| f.page),
            (part, at) => Some(self.parts[part][at - 1].page),
        }
    }

    /// A copy where the page that starts at `start` is followed by `added`, and the `removed` fences behind it are gone.
    pub fn replaced(&self, start: &[u8], removed: usize, added: Vec<Fence>) -> Fences {
        let (part, at) = self.place_of(start);
        let mut parts = self.parts.clone();
        let mut left = removed;
        let mut first = parts[part].as_ref().clone();
        let here = left.min(first.len() - at - 1);
        first.splice(at + 1..at + 1 + here, added);
        left -= here;
        while left > 0 && part + 1 < parts.len() {
            let other = &parts[part + 1];
            if other.len() <= left {
                left -= other.len();
                parts.remove(part + 1);
            } else {
                parts[part + 1] = Arc::new(other[left..].to_vec());
                left = 0;
            }
        }
        if first.len() > PART_FENCES_MAX {
            let tail = first.split_off(first.len() / 2);
            parts.insert(part + 1, Arc::new(tail));
        }
        parts[part] = Arc::new(first);
        Fences { parts }
    }

    fn place_of(&self, key: &[u8]) -> (usize, usize) {
        let part = self.parts.partition_point(|p| p[0].start.as_ref() <= key).saturating_sub(1);
        let at = self.parts[part].partition_point(|f| f.start.as_ref() <= key).saturating_sub(1);
        (part, at)
    }
}
