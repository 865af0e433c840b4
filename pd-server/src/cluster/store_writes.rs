//! Changes of stores on their way to the disk: one at a time, in order, so that each is judged by what is durable.
//!
//! The owner never waits: a change is proposed by a task, and its end comes back as a request.

use std::collections::VecDeque;

use bytes::Bytes;
use prost::Message;
use proto::metapb;
use semver::Version;
use serde_json::{Map, Value};

use super::requests::{CallError, Reply};
use super::stores::StoreBook;
use crate::keys::Keys;
use crate::state::{Compare, Kv, KvError, Op, Txn};

/// Changes that wait. A cluster has at most some thousands of stores and each registers once a start; beyond it the
/// caller is told to come back.
const WAITING_MAX: usize = 4_096;
/// Where the cluster version stands in the replicated configuration.
const CLUSTER_VERSION: &str = "cluster-version";

/// A change that is wanted.
pub enum Wish {
    /// A store registers.
    Put(metapb::Store, Reply<()>),
    /// A store is to leave.
    Remove {
        /// Which.
        id: u64,
        /// Its data is gone for good.
        destroyed: bool,
        /// Once it is durable.
        reply: Reply<()>,
    },
    /// A leaving store is empty.
    Bury(u64),
    /// A prepared store goes into service.
    Serve(u64),
    /// The time of its last heartbeat is to be kept.
    Heartbeat(u64),
}

/// A change that is being written.
struct InFlight {
    meta: metapb::Store,
    version: Version,
    reply: Option<Reply<()>>,
}

/// What is to be proposed.
pub struct Proposal {
    /// The transaction.
    pub txn: Txn,
}

/// The queue of changes.
#[derive(Default)]
pub struct StoreWrites {
    waiting: VecDeque<Wish>,
    in_flight: Option<InFlight>,
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
            Wish::Put(_, reply) | Wish::Remove { reply, .. } => {
                let _ = reply.send(Err(CallError::Busy(WAITING_MAX)));
            }
            Wish::Bury(_) | Wish::Serve(_) | Wish::Heartbeat(_) => {}
        }
    }

    /// The next proposal, if none is under way. Wishes that are refused, or that change nothing, are answered on the
    /// way.
    pub fn next(&mut self, book: &StoreBook, kv: &Kv, keys: &Keys, max_replicas: usize) -> Option<Proposal> {
        if self.in_flight.is_some() {
            return None;
        }
        while let Some(wish) = self.waiting.pop_front() {
            let (decided, reply) = match wish {
                Wish::Put(store, reply) => (book.put(&store).map(Some), Some(reply)),
                Wish::Remove { id, destroyed, reply } => {
                    (book.remove(id, destroyed, max_replicas), Some(reply))
                }
                Wish::Bury(id) => (Ok(book.bury(id)), None),
                Wish::Serve(id) => (Ok(book.serve(id)), None),
                Wish::Heartbeat(id) => (Ok(book.heartbeat_to_persist(id)), None),
            };
            let answer = match decided {
                Ok(Some(meta)) => {
                    let version = book.version_with(&meta);
                    match transaction(
                        &meta,
                        (version != *book.cluster_version()).then_some(&version),
                        kv,
                        keys,
                    ) {
                        Ok(txn) => {
                            self.in_flight = Some(InFlight { meta, version, reply });
                            return Some(Proposal { txn });
                        }
                        Err(error) => Err(error.into()),
                    }
                }
                Ok(None) => Ok(()),
                Err(refusal) => Err(refusal.into()),
            };
            if let Some(reply) = reply {
                let _ = reply.send(answer);
            }
        }
        None
    }

    /// The proposal under way has ended: answers who waits for it and gives back the record that is durable now.
    pub fn written(&mut self, result: Result<(), KvError>, book: &mut StoreBook) -> Option<metapb::Store> {
        let InFlight { meta, version, reply } = self.in_flight.take()?;
        let durable = result.is_ok();
        if durable {
            book.install(meta.clone(), version);
        }
        if let Some(reply) = reply {
            let _ = reply.send(result.map_err(CallError::from));
        }
        durable.then_some(meta)
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

/// Writes the record, and the cluster version with it where it changes. The rest of the configuration stays as it is.
fn transaction(
    meta: &metapb::Store,
    version: Option<&Version>,
    kv: &Kv,
    keys: &Keys,
) -> Result<Txn, KvError> {
    let mut txn = Txn::of(vec![Op::put(keys.store(meta.id), Bytes::from(meta.encode_to_vec()))]);
    if let Some(version) = version {
        let found = kv.get(&keys.config())?.map(|found| found.value);
        let mut config: Map<String, Value> = match &found {
            Some(value) => serde_json::from_slice(value)
                .map_err(|error| KvError::Storage(format!("replicated configuration: {error}")))?,
            None => Map::new(),
        };
        config.insert(CLUSTER_VERSION.to_owned(), Value::String(version.to_string()));
        txn = txn
            .when(Compare::unchanged(keys.config(), found))
            .then(Op::put(keys.config(), Value::Object(config).to_string()));
    }
    Ok(txn)
}
