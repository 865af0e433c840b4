//! A state machine that keeps a list of records: in memory at once, in a file when flushed.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message as _;
use proto::eraftpb::{ConfState, Entry, Message as Envelope, Snapshot, SnapshotMetadata};
use raft_core::{Committed, Mark, Outcome, SnapshotWriter, StateMachine};

/// What a ledger holds, shared with the test that looks at it.
pub struct Book {
    file: PathBuf,
    pages: Mutex<Pages>,
}

#[derive(Clone, Default)]
struct Pages {
    mark: Mark,
    records: Vec<(u64, u64, String)>,
    applied_twice: bool,
    destroyed: bool,
    /// Applying waits here while a test holds it.
    stalls: u64,
}

impl Book {
    /// As the file has it, empty without one.
    pub fn open(file: PathBuf) -> Arc<Self> {
        let pages = std::fs::read(&file).map(|bytes| decode(&bytes).unwrap()).unwrap_or_default();
        Arc::new(Self { file, pages: Mutex::new(pages) })
    }

    pub fn records(&self) -> Vec<String> {
        self.pages.lock().records.iter().map(|(_, _, r)| r.clone()).collect()
    }

    /// (index, term, record) of each.
    pub fn entries(&self) -> Vec<(u64, u64, String)> {
        self.pages.lock().records.clone()
    }

    pub fn mark(&self) -> Mark {
        self.pages.lock().mark.clone()
    }

    /// Whether an entry came at or below the mark, or out of order.
    pub fn applied_twice(&self) -> bool {
        self.pages.lock().applied_twice
    }

    pub fn destroyed(&self) -> bool {
        self.pages.lock().destroyed
    }

    /// Makes what is applied durable, as a flush does.
    pub fn save(&self) -> io::Result<()> {
        let bytes = encode(&self.pages.lock());
        let new = self.file.with_extension("new");
        std::fs::write(&new, bytes)?;
        std::fs::File::open(&new)?.sync_all()?;
        std::fs::rename(new, &self.file)
    }

    /// Makes apply calls wait until `release`.
    pub fn stall(&self) {
        self.pages.lock().stalls = 1;
    }

    pub fn release(&self) {
        self.pages.lock().stalls = 0;
    }
}

/// The state machine.
pub struct Ledger {
    book: Arc<Book>,
}

impl Ledger {
    pub fn new(book: Arc<Book>) -> Self {
        Self { book }
    }
}

impl StateMachine for Ledger {
    fn mark(&self) -> Mark {
        self.book.mark()
    }

    fn bootstrap(&mut self, mark: Mark) -> io::Result<()> {
        self.book.pages.lock().mark = mark;
        Ok(())
    }

    fn apply(&mut self, entries: Vec<Committed>) -> io::Result<Vec<Outcome>> {
        while self.book.pages.lock().stalls > 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let mut pages = self.book.pages.lock();
        Ok(entries.into_iter().map(|entry| apply_one(&mut pages, entry)).collect())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.book.save()
    }

    fn snapshot(&mut self) -> io::Result<SnapshotWriter> {
        let pages = self.book.pages.lock().clone();
        Ok(Box::new(move |out: &mut dyn Write| {
            out.write_all(&encode(&pages))?;
            Ok(pages.mark)
        }))
    }

    fn install(&mut self, mark: Mark, file: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut pages = decode(&bytes)?;
        assert_eq!((pages.mark.index, pages.mark.term), (mark.index, mark.term));
        pages.mark = mark;
        *self.book.pages.lock() = pages;
        self.flush()
    }

    fn destroyed(self: Box<Self>) -> io::Result<()> {
        self.book.pages.lock().destroyed = true;
        Ok(())
    }
}

fn apply_one(pages: &mut Pages, entry: Committed) -> Outcome {
    match entry {
        Committed::Normal { index, term, data } => {
            pages.applied_twice |= index != pages.mark.index + 1;
            (pages.mark.index, pages.mark.term) = (index, term);
            if !data.is_empty() {
                let record = String::from_utf8(data.to_vec()).unwrap();
                pages.records.push((index, term, record));
            }
            Outcome { output: Bytes::from(pages.records.len().to_string()), refused: false }
        }
        Committed::ConfChange { index, term, change, next } => {
            pages.applied_twice |= index != pages.mark.index + 1;
            (pages.mark.index, pages.mark.term) = (index, term);
            let refused = change.context == "refuse me";
            if !refused {
                pages.mark.conf_state = next;
            }
            Outcome { output: if refused { "not today".into() } else { Bytes::new() }, refused }
        }
    }
}

/// A prost message at hand serves as the file's form.
fn encode(pages: &Pages) -> Vec<u8> {
    let entries = pages
        .records
        .iter()
        .map(|(index, term, r)| Entry {
            index: *index,
            term: *term,
            data: r.clone().into(),
            ..Entry::default()
        })
        .collect();
    let metadata = SnapshotMetadata {
        conf_state: Some(pages.mark.conf_state.clone()),
        index: pages.mark.index,
        term: pages.mark.term,
    };
    let snapshot = Some(Snapshot { metadata: Some(metadata), ..Snapshot::default() });
    Envelope { entries, snapshot, ..Envelope::default() }.encode_to_vec()
}

fn decode(bytes: &[u8]) -> io::Result<Pages> {
    let stored = Envelope::decode(bytes).map_err(io::Error::other)?;
    let metadata = stored.snapshot.and_then(|s| s.metadata).unwrap_or_default();
    let conf_state: ConfState = metadata.conf_state.unwrap_or_default();
    let records = stored
        .entries
        .into_iter()
        .map(|e| (e.index, e.term, String::from_utf8(e.data.to_vec()).unwrap()))
        .collect();
    let mark = Mark { index: metadata.index, term: metadata.term, conf_state };
    Ok(Pages { mark, records, ..Pages::default() })
}
