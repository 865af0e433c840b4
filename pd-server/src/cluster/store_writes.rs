//! Changes of stores on their way to the disk: one at a time, in order, so that each is judged by what is durable.
//!
//! The owner never waits: a change is proposed by a task, and its end comes back as a request.

use std::collections::VecDeque;

use bytes::Bytes;
use prost::Message;
use proto::metapb;
use semver::Version;
use serde_json::{Map, Value};

use super::Cluster;
use super::min_resolved::MinResolvedView;
use super::requests::{CallError, Reply, Request};
pub use super::stores::LabelChange;
use super::stores::{StoreBook, StoreRefusal};
use crate::keys::Keys;
use crate::leadership::Term;
use crate::state::{Compare, Kv, KvError, Op, Txn};

/// Changes that wait. A cluster has at most some thousands of stores and each registers once a start; beyond it the
/// caller is told to come back.
const WAITING_MAX: usize = 4_096;
/// Where the cluster version stands in the replicated configuration.
const CLUSTER_VERSION: &str = "cluster-version";

/// A change that is wanted.
pub enum Wish {
    /// A store registers.
    Put {
        /// What it says of itself.
        store: metapb::Store,
        /// The labels that a store must have, with no others beside them.
        strict: Option<Vec<String>>,
        /// Once it is durable.
        reply: Reply<()>,
    },
    /// A store is to leave.
    Remove {
        /// Which.
        id: u64,
        /// Its data is gone for good.
        destroyed: bool,
        /// Once it is durable.
        reply: Reply<()>,
    },
    /// A leaving store is to stay.
    BackUp(u64, Reply<()>),
    /// Other labels.
    Relabel {
        /// Of which store.
        id: u64,
        /// What changes.
        change: LabelChange,
        /// The labels that a store must have, with no others beside them.
        strict: Option<Vec<String>>,
        /// Once it is durable.
        reply: Reply<()>,
    },
    /// The record of a store that is gone is to go as well.
    Purge(u64, Reply<()>),
    /// A leaving store is empty.
    Bury(u64),
    /// A prepared store goes into service.
    Serve(u64),
    /// The time of its last heartbeat is to be kept.
    Heartbeat(u64),
}

/// What a wish comes to.
enum Change {
    /// This record is written.
    Record(metapb::Store),
    /// This record is deleted.
    Gone(metapb::Store),
}

impl Change {
    fn meta(&self) -> &metapb::Store {
        match self {
            Change::Record(meta) | Change::Gone(meta) => meta,
        }
    }

    /// Writes or deletes the record.
    fn op(&self, keys: &Keys) -> Op {
        match self {
            Self::Record(meta) => Op::put(keys.store(meta.id), Bytes::from(meta.encode_to_vec())),
            Self::Gone(meta) => Op::delete(keys.store(meta.id)),
        }
    }
}

impl Proposal {
    /// Makes it durable; `false` when the configuration changed meanwhile.
    pub async fn write(self, kv: &Kv, term: Term, keys: Keys) -> Result<bool, KvError> {
        let mut txn = Txn::of(vec![self.op]);
        if let Some(version) = self.version {
            txn = kv.off_thread(move |kv| with_version(txn, &version, kv, &keys)).await?;
        }
        Ok(kv.txn(term, txn).await?.succeeded)
    }
}

/// A change and who waits for it.
struct Decided {
    change: Change,
    reply: Option<Reply<()>>,
}

/// A change that is being written.
struct InFlight {
    decided: Decided,
    version: Version,
}

/// What is to be proposed.
pub struct Proposal {
    op: Op,
    /// The cluster version that comes with it, where it changes.
    version: Option<Version>,
}

/// The queue of changes.
#[derive(Default)]
pub struct StoreWrites {
    waiting: VecDeque<Wish>,
    in_flight: Option<InFlight>,
    /// To be written again: the configuration changed while it was written.
    again: Option<Decided>,
}

impl StoreWrites {
    /// Puts a wish into the queue; refuses a person's or store's when it is full, drops our own (they come again).
    pub fn push(&mut self, wish: Wish) {
        let own = |known: &Wish| match (known, &wish) {
            (Wish::Bury(a), Wish::Bury(b))
            | (Wish::Serve(a), Wish::Serve(b))
            | (Wish::Heartbeat(a), Wish::Heartbeat(b)) => a == b,
            _ => false,
        };
        if self.waiting.iter().any(own) {
            return;
        }
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(wish);
            return;
        }
        match wish {
            Wish::Put { reply, .. }
            | Wish::Remove { reply, .. }
            | Wish::BackUp(_, reply)
            | Wish::Relabel { reply, .. }
            | Wish::Purge(_, reply) => {
                let _ = reply.send(Err(CallError::Busy(WAITING_MAX)));
            }
            Wish::Bury(_) | Wish::Serve(_) | Wish::Heartbeat(_) => {}
        }
    }

    /// The next proposal, if none is under way. Wishes that are refused, or that change nothing, are answered on the
    /// way.
    pub fn next(&mut self, book: &StoreBook, keys: &Keys, max_replicas: usize) -> Option<Proposal> {
        if self.in_flight.is_some() {
            return None;
        }
        // No other change came in between: what was decided still holds.
        let decided = self.again.take().or_else(|| self.take_decided(book, max_replicas))?;
        let version = book.version_with(decided.change.meta());
        let proposal = Proposal {
            op: decided.change.op(keys),
            version: (version != *book.cluster_version()).then(|| version.clone()),
        };
        self.in_flight = Some(InFlight { decided, version });
        Some(proposal)
    }

    /// The next wish that comes to a change; answers the others on the way.
    fn take_decided(&mut self, book: &StoreBook, max_replicas: usize) -> Option<Decided> {
        while let Some(wish) = self.waiting.pop_front() {
            let (decided, reply) = decide(wish, book, max_replicas);
            match decided {
                Ok(Some(change)) => return Some(Decided { change, reply }),
                Ok(None) => answer(reply, Ok(())),
                Err(refusal) => answer(reply, Err(refusal.into())),
            }
        }
        None
    }

    /// The proposal under way has ended: answers who waits for it and gives back the record that is durable now, or that
    /// is deleted now. `false` means that the configuration changed meanwhile: it comes again.
    pub fn written(&mut self, result: Result<bool, KvError>, book: &mut StoreBook) -> Option<metapb::Store> {
        let InFlight { decided, version } = self.in_flight.take()?;
        match result {
            Ok(true) => {
                match &decided.change {
                    Change::Record(meta) => book.install(meta.clone(), version),
                    Change::Gone(meta) => book.forget(meta.id),
                }
                answer(decided.reply, Ok(()));
                Some(decided.change.meta().clone())
            }
            Ok(false) => {
                self.again = Some(decided);
                None
            }
            Err(error) => {
                answer(decided.reply, Err(error.into()));
                None
            }
        }
    }
}

impl Cluster {
    /// A store registers; returns once that is durable.
    pub async fn put_store(&self, store: metapb::Store) -> Result<(), CallError> {
        let strict = self.strict_labels();
        self.wish(|reply| Wish::Put { store, strict, reply }).await
    }

    /// Takes a store out: its replicas are moved away, then it is buried. Returns once that is durable.
    pub async fn remove_store(&self, id: u64, destroyed: bool) -> Result<(), CallError> {
        self.wish(|reply| Wish::Remove { id, destroyed, reply }).await
    }

    /// Takes a leaving store back into service. Returns once that is durable.
    pub async fn back_up_store(&self, id: u64) -> Result<(), CallError> {
        self.wish(|reply| Wish::BackUp(id, reply)).await
    }

    /// Changes a store's labels. Returns once that is durable.
    pub async fn relabel_store(&self, id: u64, change: LabelChange) -> Result<(), CallError> {
        let strict = self.strict_labels();
        self.wish(|reply| Wish::Relabel { id, change, strict, reply }).await
    }

    /// Deletes the record of a store that is gone for good. Returns once that is durable.
    pub async fn purge_store(&self, id: u64) -> Result<(), CallError> {
        self.wish(|reply| Wish::Purge(id, reply)).await
    }

    /// What the stores reported of their smallest resolved timestamps.
    pub async fn min_resolved(&self) -> Result<MinResolvedView, CallError> {
        self.ask(Request::MinResolved).await
    }

    /// The location labels, if the configuration says that a store has these and no others.
    fn strict_labels(&self) -> Option<Vec<String>> {
        let settings = self.online.now();
        settings.flag("replication.strictly-match-label").then(|| settings.location_labels())
    }

    async fn wish(&self, wish: impl FnOnce(Reply<()>) -> Wish) -> Result<(), CallError> {
        self.call(|reply| Request::Store(wish(reply))).await
    }
}

/// Tells who waits; that nobody does any more is no error.
fn answer(reply: Option<Reply<()>>, answer: Result<(), CallError>) {
    if let Some(reply) = reply {
        let _ = reply.send(answer);
    }
}

/// What a wish comes to by what is durable now: a change, nothing, or a refusal; and who waits for it.
fn decide(
    wish: Wish,
    book: &StoreBook,
    max_replicas: usize,
) -> (Result<Option<Change>, StoreRefusal>, Option<Reply<()>>) {
    let record = |meta: Option<metapb::Store>| meta.map(Change::Record);
    match wish {
        Wish::Put { store, strict, reply } => {
            (book.put(&store, strict.as_deref()).map(Some).map(record), Some(reply))
        }
        Wish::Remove { id, destroyed, reply } => {
            (book.remove(id, destroyed, max_replicas).map(record), Some(reply))
        }
        Wish::BackUp(id, reply) => (book.back_up(id).map(record), Some(reply)),
        Wish::Relabel { id, change, strict, reply } => {
            (book.relabel(id, &change, strict.as_deref()).map(Some).map(record), Some(reply))
        }
        Wish::Purge(id, reply) => (book.purge(id).map(|meta| Some(Change::Gone(meta))), Some(reply)),
        Wish::Bury(id) => (Ok(record(book.bury(id))), None),
        Wish::Serve(id) => (Ok(record(book.serve(id))), None),
        Wish::Heartbeat(id) => (Ok(record(book.heartbeat_to_persist(id))), None),
    }
}

/// Reads the cluster version out of the replicated configuration; 0.0.0 before the first store has registered.
pub fn read_cluster_version(kv: &Kv, keys: &Keys) -> Result<Version, KvError> {
    let none = Version::new(0, 0, 0);
    let Some(found) = kv.get(&keys.config())? else { return Ok(none) };
    let config: Map<String, Value> = serde_json::from_slice(&found.value)
        .map_err(|error| KvError::Storage(format!("replicated configuration: {error}")))?;
    match config.get(CLUSTER_VERSION) {
        None => Ok(none),
        Some(value) => value.as_str().and_then(|text| Version::parse(text).ok()).ok_or_else(|| {
            KvError::Storage(format!("replicated configuration: cluster-version {value} is none"))
        }),
    }
}

/// Also writes the cluster version. The rest of the configuration stays as it is.
fn with_version(txn: Txn, version: &Version, kv: &Kv, keys: &Keys) -> Result<Txn, KvError> {
    let found = kv.get(&keys.config())?.map(|found| found.value);
    let mut config: Map<String, Value> = match &found {
        Some(value) => serde_json::from_slice(value)
            .map_err(|error| KvError::Storage(format!("replicated configuration: {error}")))?,
        None => Map::new(),
    };
    // A person may have set a greater one since this was decided.
    let set = config.get(CLUSTER_VERSION).and_then(Value::as_str).and_then(|text| Version::parse(text).ok());
    let version = set.map_or(version.clone(), |set| set.max(version.clone()));
    config.insert(CLUSTER_VERSION.to_owned(), Value::String(version.to_string()));
    Ok(txn
        .when(Compare::unchanged(keys.config(), found))
        .then(Op::put(keys.config(), Value::Object(config).to_string())))
}
