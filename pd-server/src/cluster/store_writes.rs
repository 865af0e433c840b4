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
/// And the limits of single stores, by id.
const STORE_LIMITS: [&str; 2] = ["schedule", "store-limit"];

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

    /// The store that is gone for good by this.
    fn goes(&self) -> Option<u64> {
        let meta = self.meta();
        (meta.node_state() == metapb::NodeState::Removed).then_some(meta.id)
    }

    /// Writes or deletes the record; the weights of a store that is gone go along.
    fn ops(&self, keys: &Keys) -> Vec<Op> {
        let record = match self {
            Self::Record(meta) => Op::put(keys.store(meta.id), Bytes::from(meta.encode_to_vec())),
            Self::Gone(meta) => Op::delete(keys.store(meta.id)),
        };
        let weights = self
            .goes()
            .map(|id| [keys.store_leader_weight(id), keys.store_region_weight(id)].map(Op::delete));
        [record].into_iter().chain(weights.into_iter().flatten()).collect()
    }
}

impl Proposal {
    /// Makes it durable; `false` when the configuration changed meanwhile.
    pub async fn write(self, kv: &Kv, term: Term, keys: Keys) -> Result<bool, KvError> {
        let Self { ops, raise, gone } = self;
        let mut txn = Txn::of(ops);
        if raise.is_some() || gone.is_some() {
            let change = move |kv: &Kv| with_configuration(txn, raise.as_ref(), gone, kv, &keys);
            txn = kv.off_thread(change).await?;
        }
        Ok(kv.txn(term, txn).await?.succeeded)
    }
}

/// A change that is durable now, and who waits to hear of it.
pub struct Written {
    /// The record, also where it is deleted.
    pub meta: metapb::Store,
    reply: Option<Reply<()>>,
}

impl Written {
    /// To be called once everybody can see the change.
    pub fn tell(self) {
        answer(self.reply, Ok(()));
    }
}

/// A change and who waits for it.
struct Decided {
    change: Change,
    reply: Option<Reply<()>>,
}

/// What is to be proposed.
pub struct Proposal {
    ops: Vec<Op>,
    /// The cluster version that comes with it, where it rises.
    raise: Option<Version>,
    /// The store whose limit goes with it.
    gone: Option<u64>,
}

/// The queue of changes.
#[derive(Default)]
pub struct StoreWrites {
    waiting: VecDeque<Wish>,
    in_flight: Option<Decided>,
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
            ops: decided.change.ops(keys),
            raise: (version != *book.cluster_version()).then_some(version),
            gone: decided.change.goes(),
        };
        self.in_flight = Some(decided);
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

    /// The proposal under way has ended. Gives back what is durable now; who waits for it is told by the caller once it is
    /// published. `false` means that the configuration changed meanwhile: it comes again.
    pub fn written(&mut self, result: Result<bool, KvError>, book: &mut StoreBook) -> Option<Written> {
        let decided = self.in_flight.take()?;
        match result {
            Ok(true) => {
                match &decided.change {
                    Change::Record(meta) => book.install(meta.clone()),
                    Change::Gone(meta) => book.forget(meta.id),
                }
                Some(Written { meta: decided.change.meta().clone(), reply: decided.reply })
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

/// Also raises the cluster version and takes away the limit of a store that is gone. The rest of the configuration stays
/// as it is, and so does all of it when nothing of that changes it.
fn with_configuration(
    txn: Txn,
    raise: Option<&Version>,
    gone: Option<u64>,
    kv: &Kv,
    keys: &Keys,
) -> Result<Txn, KvError> {
    let found = kv.get(&keys.config())?.map(|found| found.value);
    let mut config: Map<String, Value> = match &found {
        Some(value) => serde_json::from_slice(value)
            .map_err(|error| KvError::Storage(format!("replicated configuration: {error}")))?,
        None => Map::new(),
    };
    let raised = raise.is_some_and(|version| raise_version(&mut config, version));
    let forgotten = gone.is_some_and(|store| forget_limit(&mut config, store));
    let txn = txn.when(Compare::unchanged(keys.config(), found));
    if raised || forgotten {
        return Ok(txn.then(Op::put(keys.config(), Value::Object(config).to_string())));
    }
    Ok(txn)
}

/// Somebody may have set a higher one by hand since it was looked at.
fn raise_version(config: &mut Map<String, Value>, version: &Version) -> bool {
    let known =
        config.get(CLUSTER_VERSION).and_then(Value::as_str).and_then(|text| Version::parse(text).ok());
    let rises = known.is_none_or(|known| known < *version);
    if rises {
        config.insert(CLUSTER_VERSION.to_owned(), Value::String(version.to_string()));
    }
    rises
}

fn forget_limit(config: &mut Map<String, Value>, store: u64) -> bool {
    let [section, limits] = STORE_LIMITS;
    let limits = config.get_mut(section).and_then(|section| section.get_mut(limits));
    limits.and_then(Value::as_object_mut).is_some_and(|limits| limits.remove(&store.to_string()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("an object") };
        map
    }

    fn book() -> StoreBook {
        let store = metapb::Store { id: 1, version: "8.5.0".to_owned(), ..Default::default() };
        StoreBook::new(vec![store], Version::new(8, 5, 0))
    }

    /// Found by hand: a store's record that was under way put the cluster version of before into the book, for good.
    #[test]
    fn a_version_set_by_hand_outlives_a_record_under_way() {
        let (mut book, mut writes) = (book(), StoreWrites::default());
        let (reply, mut told) = tokio::sync::oneshot::channel();
        let change = LabelChange::Delete("none".to_owned());
        writes.push(Wish::Relabel { id: 1, change, strict: None, reply });
        assert!(writes.next(&book, &Keys::new(7), 3).is_none(), "refused");
        assert!(matches!(told.try_recv(), Ok(Err(CallError::Store(StoreRefusal::NoLabel { .. })))));
        let (reply, mut told) = tokio::sync::oneshot::channel();
        let label = metapb::StoreLabel { key: "zone".to_owned(), value: "z1".to_owned() };
        let change = LabelChange::Merge(vec![label]);
        writes.push(Wish::Relabel { id: 1, change, strict: None, reply });
        let proposal = writes.next(&book, &Keys::new(7), 3).unwrap();
        assert!(proposal.raise.is_none() && proposal.gone.is_none());
        book.set_cluster_version(Version::new(8, 6, 0));
        let written = writes.written(Ok(true), &mut book).unwrap();
        assert_eq!(*book.cluster_version(), Version::new(8, 6, 0));
        assert!(told.try_recv().is_err(), "not before others can see it");
        written.tell();
        assert!(matches!(told.try_recv(), Ok(Ok(()))));
    }

    #[test]
    fn the_cluster_version_only_rises_with_a_store() {
        let mut config = object(json!({"cluster-version": "8.6.0"}));
        assert!(!raise_version(&mut config, &Version::new(8, 5, 9)), "one by hand came first");
        assert!(raise_version(&mut config, &Version::new(8, 10, 0)));
        assert_eq!(config["cluster-version"], "8.10.0");
        assert!(raise_version(&mut Map::new(), &Version::new(0, 0, 1)));
    }

    #[test]
    fn weights_and_limit_go_with_a_store() {
        let keys = Keys::new(7);
        let mut gone = metapb::Store { id: 1, ..Default::default() };
        assert_eq!(Change::Record(gone.clone()).ops(&keys).len(), 1);
        assert_eq!(Change::Record(gone.clone()).goes(), None);
        gone.set_node_state(metapb::NodeState::Removed);
        for change in [Change::Record(gone.clone()), Change::Gone(gone)] {
            assert_eq!((change.ops(&keys).len(), change.goes()), (3, Some(1)));
        }
        let mut config = object(json!({"schedule": {"store-limit": {"1": {}, "2": {}}, "max-merge": 1}}));
        assert!(forget_limit(&mut config, 1) && !forget_limit(&mut config, 1));
        assert_eq!(Value::Object(config), json!({"schedule": {"store-limit": {"2": {}}, "max-merge": 1}}));
        assert!(!forget_limit(&mut Map::new(), 1));
    }
}
