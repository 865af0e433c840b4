//! Where each page is published: one swapped cell for each page number.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};

use super::page::{Page, PageNo};

/// Cells that are allocated at once; their addresses never move.
const CHUNK_CELLS: usize = 256;

type Chunk = Vec<ArcSwapOption<Page>>;

/// The readers' half.
#[derive(Debug, Default)]
pub(crate) struct SharedDirectory {
    chunks: ArcSwap<Vec<Arc<Chunk>>>,
}

impl SharedDirectory {
    pub fn page(&self, no: PageNo) -> Option<Arc<Page>> {
        let (chunk, at) = place(no);
        self.chunks.load().get(chunk)?[at].load_full()
    }
}

/// The writer's half: it knows the pages without asking the cells.
#[derive(Debug)]
pub(crate) struct Directory {
    shared: Arc<SharedDirectory>,
    chunks: Vec<Arc<Chunk>>,
    pages: Vec<Option<Arc<Page>>>,
    /// Numbers to be used again, the oldest first: a reader with an old fence table then seldom meets one.
    free: std::collections::VecDeque<PageNo>,
}

impl Directory {
    pub fn new(shared: Arc<SharedDirectory>) -> Directory {
        Directory { shared, chunks: Vec::new(), pages: Vec::new(), free: std::collections::VecDeque::new() }
    }

    pub fn page(&self, no: PageNo) -> &Arc<Page> {
        self.pages[no.0 as usize].as_ref().expect("the fence table names only live pages")
    }

    pub fn take_no(&mut self) -> PageNo {
        if let Some(no) = self.free.pop_front() {
            return no;
        }
        let no = PageNo(
            u32::try_from(self.pages.len()).expect("pages of a thousand million Regions fit in 32 bits"),
        );
        self.pages.push(None);
        if place(no).0 == self.chunks.len() {
            self.chunks.push(Arc::new((0..CHUNK_CELLS).map(|_| ArcSwapOption::empty()).collect()));
            self.shared.chunks.store(Arc::new(self.chunks.clone()));
        }
        no
    }

    pub fn publish(&mut self, no: PageNo, page: Arc<Page>) {
        let (chunk, at) = place(no);
        self.chunks[chunk][at].store(Some(Arc::clone(&page)));
        self.pages[no.0 as usize] = Some(page);
    }

    /// The page has merged into another; its number is free.
    pub fn retire(&mut self, no: PageNo, into: PageNo) {
        let (chunk, at) = place(no);
        self.chunks[chunk][at].store(Some(Arc::new(Page::merged(into))));
        self.pages[no.0 as usize] = None;
        self.free.push_back(no);
    }

    /// Bytes that pages and cells take on the heap.
    #[cfg(test)]
    pub fn heap_bytes(&self) -> usize {
        self.pages.iter().flatten().map(|p| p.heap_bytes() + 24).sum()
    }
}

fn place(no: PageNo) -> (usize, usize) {
    (no.0 as usize / CHUNK_CELLS, no.0 as usize % CHUNK_CELLS)
}
