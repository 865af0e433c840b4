//! Reads of the state on this member, and watches in its history.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::watch;

use super::layout::Position;
use super::model::{Event, EventKind, KeyRange, KeyValue, RangeResult, Revision};
use super::tables::Tables;
use super::{KvError, WATCH_EVENTS_MAX, WatchBatch};
use crate::keys;

/// Most writes of the history that a watch looks at in one go, before it lets other tasks of its thread run.
const WATCH_SCAN_MAX: usize = 5_000;

/// What the machine and its readers share.
pub(super) struct Shared {
    tables: ArcSwap<Tables>,
    /// Wakes watchers. What they read they take from the tables.
    changed: watch::Sender<Announced>,
    /// Counts the changes of what is kept of members: whoever follows those must not read at each write.
    members_changed: watch::Sender<u64>,
    /// The same of the replicated configuration.
    config_changed: watch::Sender<u64>,
    /// Once this member has it: it never changes, and is asked for again and again.
    cluster_id: OnceLock<u64>,
}

/// What was last announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Announced {
    /// The newest revision.
    pub revision: Revision,
    /// The first that can be read.
    pub compacted: Revision,
    /// Term of the last bound of timestamps that was applied here; 0 if none since the start.
    pub bound_term: u64,
}

/// Reads what this member has applied; cheap to clone.
#[derive(Clone)]
pub(crate) struct View {
    shared: Arc<Shared>,
}

/// A watch on a range: a cursor in the history. Costs no memory while it is slow.
pub struct Watch {
    view: View,
    changed: watch::Receiver<Announced>,
    range: KeyRange,
    next: Revision,
}

impl Shared {
    pub(super) fn new(tables: Arc<Tables>) -> Self {
        let shared = Self {
            tables: ArcSwap::new(tables),
            changed: watch::Sender::default(),
            members_changed: watch::Sender::default(),
            config_changed: watch::Sender::default(),
            cluster_id: OnceLock::new(),
        };
        shared.announce();
        shared
    }

    pub(super) fn replace(&self, tables: Arc<Tables>) {
        self.tables.store(tables);
    }

    /// What is kept of members has changed; call it once that is published.
    pub(super) fn tell_members_changed(&self) {
        self.members_changed.send_modify(|count| *count += 1);
    }

    /// The replicated configuration has changed; call it once that is published.
    pub(super) fn tell_config_changed(&self) {
        self.config_changed.send_modify(|count| *count += 1);
    }

    pub(super) fn announce(&self) {
        let tables = self.tables.load();
        let now = Announced {
            revision: tables.revision(),
            compacted: tables.compacted(),
            bound_term: tables.bound_term(),
        };
        self.changed.send_if_modified(|announced| std::mem::replace(announced, now) != now);
    }
}

impl View {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) fn revision(&self) -> Revision {
        self.shared.tables.load().revision()
    }

    pub(crate) fn compacted(&self) -> Revision {
        self.shared.tables.load().compacted()
    }

    pub(crate) fn announced(&self) -> watch::Receiver<Announced> {
        self.shared.changed.subscribe()
    }

    /// Tells of each change of what is kept of members.
    pub(crate) fn members_changed(&self) -> watch::Receiver<u64> {
        self.shared.members_changed.subscribe()
    }

    /// Tells of each change of the replicated configuration.
    pub(crate) fn config_changed(&self) -> watch::Receiver<u64> {
        self.shared.config_changed.subscribe()
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, KvError> {
        let key = Bytes::copy_from_slice(key);
        self.read(None, |tables, revision| tables.get_at(&key, revision)).map(|(kv, _)| kv)
    }

    pub(crate) fn range(
        &self,
        range: &KeyRange,
        limit: usize,
        revision: Option<Revision>,
    ) -> Result<RangeResult, KvError> {
        let (mut found, newest) =
            self.read(revision, |tables, revision| tables.range_at(range, limit, revision))?;
        found.revision = newest;
        Ok(found)
    }

    pub(crate) fn watch(&self, range: KeyRange, from: Option<Revision>) -> Result<Watch, KvError> {
        let tables = self.shared.tables.load();
        let next = from.unwrap_or_else(|| tables.revision().next());
        check_history(next, &tables)?;
        Ok(Watch { view: self.clone(), changed: self.announced(), range, next })
    }

    pub(crate) fn cluster_id(&self) -> Option<u64> {
        if let Some(id) = self.shared.cluster_id.get() {
            return Some(*id);
        }
        let kv = self.get(keys::CLUSTER_ID).ok()??;
        let id = keys::decode_be(&kv.value).ok()?;
        Some(*self.shared.cluster_id.get_or_init(|| id))
    }

    /// Reads at one revision, and makes sure that the history did not start after it meanwhile. Also gives the newest.
    fn read<T>(
        &self,
        at: Option<Revision>,
        read: impl Fn(&Tables, Revision) -> Result<T, KvError>,
    ) -> Result<(T, Revision), KvError> {
        loop {
            let tables = self.shared.tables.load_full();
            let newest = tables.revision();
            let revision = at.unwrap_or(newest);
            if revision > newest {
                return Err(KvError::Future { asked: revision, newest });
            }
            if revision < tables.compacted() {
                return Err(KvError::Compacted { asked: revision, compacted: tables.compacted() });
            }
            let found = read(&tables, revision)?;
            if revision >= tables.compacted() {
                return Ok((found, newest));
            }
            // Compacted while it was read: the newest revision is read again, an old one is refused above.
        }
    }

    /// The events of some whole revisions from `from` on, the revision to go on with, and whether there are more.
    fn events(&self, range: &KeyRange, from: Revision) -> Result<(Vec<Event>, Revision, bool), KvError> {
        let tables = self.shared.tables.load_full();
        let newest = tables.revision();
        let mut events = Vec::new();
        let mut next = newest.next().max(from);
        let mut more = false;
        let mut last = None;
        for (scanned, entry) in tables.history(from).enumerate() {
            let (at, key) = entry?;
            // Beyond the published revision stands only what is being written.
            if at.revision > newest {
                break;
            }
            let enough = events.len() >= WATCH_EVENTS_MAX || scanned >= WATCH_SCAN_MAX;
            if last != Some(at.revision) && enough {
                (next, more) = (at.revision, true);
                break;
            }
            last = Some(at.revision);
            if range.contains(&key) {
                events.push(event(&tables, key, at)?);
            }
        }
        check_history(from, &tables)?;
        Ok((events, next, more))
    }
}

impl Watch {
    /// Waits for the next events. Whole revisions: at most [`WATCH_EVENTS_MAX`] events, unless one revision has more.
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`KvError::Compacted`] when the watcher fell behind the history: the watch is over. [`KvError::Storage`] when
    /// the machine is gone or its files failed.
    pub async fn next(&mut self) -> Result<WatchBatch, KvError> {
        loop {
            self.changed.borrow_and_update();
            let (events, next, more) = self.view.events(&self.range, self.next)?;
            self.next = next;
            if !events.is_empty() {
                return Ok(WatchBatch { revision: Revision(next.0 - 1), events });
            }
            if more {
                tokio::task::yield_now().await;
            } else if self.changed.changed().await.is_err() {
                return Err(KvError::Storage("the state is closed".into()));
            }
        }
    }
}

fn check_history(from: Revision, tables: &Tables) -> Result<(), KvError> {
    let compacted = tables.compacted();
    // The writes of the compacted revision itself may be gone already.
    if from <= compacted && compacted > Revision(0) {
        return Err(KvError::Compacted { asked: from, compacted });
    }
    Ok(())
}

fn event(tables: &Tables, key: Bytes, at: Position) -> Result<Event, KvError> {
    let version = tables.version(&key, at)?.unwrap_or_default();
    let before = tables.version_before(&key, at)?.filter(|(_, version)| !version.is_deletion());
    let prev_kv = before.map(|(before, version)| version.into_key_value(key.clone(), before.revision));
    Ok(if version.is_deletion() {
        let kv = KeyValue { key, mod_revision: at.revision, ..KeyValue::default() };
        Event { kind: EventKind::Delete, kv, prev_kv }
    } else {
        Event { kind: EventKind::Put, kv: version.into_key_value(key, at.revision), prev_kv }
    })
}
