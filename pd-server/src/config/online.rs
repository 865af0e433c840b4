//! The replicated configuration, live: each member follows its own copy of the state; the leader changes it.
//!
//! It lies as JSON under tikv/pd's key, in tikv/pd's form, so that tools can read it; who changed what when lies under a
//! key of our own beside it. Both are written in one transaction, which fails if either has changed since it was read.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::draft::Draft;
use super::record::{Change, Record};
use super::setting::SettingError;
use super::settings::{Settings, Stated};
use crate::keys::Keys;
use crate::leadership::Term;
use crate::state::{Compare, KeyRange, KeyValue, Kv, KvError, Op, Relation, Revision, Target, Txn};

/// How often a change is tried when another one was quicker. Changes of one member wait for each other, and only the
/// leader writes; what is left are the cluster version of stores and a new leader.
const ATTEMPTS_MAX: usize = 16;
/// Pause before a state that cannot be read is read again.
const RETRY: Duration = Duration::from_millis(200);

/// The way to the replicated configuration; cheap to clone.
#[derive(Clone)]
pub struct Online {
    shared: Arc<Shared>,
}

struct Shared {
    kv: Kv,
    /// What this member's file says.
    stated: Stated,
    /// This member's name, for the record of what its file gave.
    member: String,
    current: ArcSwap<Settings>,
    changed: watch::Sender<Revision>,
    /// Held while the state is read and the result published, so that an older one never follows a newer.
    reading: Mutex<()>,
    /// One change at a time on this member.
    changing: tokio::sync::Mutex<()>,
}

/// Why a change was not made. Nothing has changed, unless the write's own error says that this is not known.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ChangeError {
    /// The change is wrong.
    #[error(transparent)]
    Refused(#[from] SettingError),
    /// It could not be written.
    #[error("cannot write the configuration: {0}")]
    Write(#[from] KvError),
    /// Others were quicker again and again.
    #[error("the configuration is being changed by others; try again")]
    Contended,
}

/// Both keys as read at one revision.
#[derive(Default)]
struct Found {
    config: Option<KeyValue>,
    record: Option<KeyValue>,
}

impl Online {
    /// Reads what this member has of it.
    pub(crate) fn new(kv: Kv, member: &str, stated: Stated) -> Self {
        let first = Settings::first(&stated);
        let online = Self {
            shared: Arc::new(Shared {
                kv,
                stated,
                member: member.to_owned(),
                current: ArcSwap::from_pointee(first),
                changed: watch::Sender::default(),
                reading: Mutex::default(),
                changing: tokio::sync::Mutex::default(),
            }),
        };
        online.refresh_or_warn();
        online
    }

    /// The configuration as this member has applied it.
    pub fn now(&self) -> Arc<Settings> {
        self.shared.current.load_full()
    }

    /// The same, read anew: never older than what the caller knows to be applied here. Costs a read of the state.
    pub fn latest(&self) -> Arc<Settings> {
        self.refresh_or_warn();
        self.now()
    }

    /// What this member's file says, by names in JSON.
    pub fn stated(&self) -> &Stated {
        &self.shared.stated
    }

    /// Tells of each change, also when a temporary value is over.
    pub fn changes(&self) -> watch::Receiver<Revision> {
        self.shared.changed.subscribe()
    }

    /// Follows the state until `stop`.
    pub(crate) async fn follow(self, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            loop {
                if let Err(error) = self.follow_history().await {
                    // The history was cut before us, or the state was replaced by a snapshot: begin anew from now.
                    info!(%error, "the configuration is read anew");
                    tokio::time::sleep(RETRY).await;
                }
            }
        })
        .await;
    }

    async fn follow_history(&self) -> Result<(), KvError> {
        let kv = &self.shared.kv;
        let mut announced = kv.announced();
        let keys = loop {
            announced.borrow_and_update();
            match kv.cluster_id() {
                Some(id) => break Keys::new(id),
                None if announced.changed().await.is_err() => std::future::pending().await,
                None => {}
            }
        };
        let mut watch = kv.watch(range(&keys), None)?;
        loop {
            self.refresh_or_warn();
            let expiry =
                self.now().next_expiry_ms().map(|at| Duration::from_millis(at.saturating_sub(now_ms())));
            tokio::select! {
                events = watch.next() => { events?; }
                () = tokio::time::sleep(expiry.unwrap_or_default()), if expiry.is_some() => {}
            }
        }
    }

    /// Changes the configuration as leader of `term`. `edit` runs once more if another change was quicker. Returns once the
    /// change is applied here; if `edit` changes nothing, nothing is written.
    ///
    /// # Errors
    /// `edit` refuses, the result is not possible as a whole, or the write fails.
    pub async fn change(
        &self,
        term: Term,
        by: &str,
        edit: impl Fn(&mut Draft) -> Result<(), SettingError>,
    ) -> Result<Arc<Settings>, ChangeError> {
        let shared = &*self.shared;
        let _one = shared.changing.lock().await;
        let keys = self.keys()?;
        for _ in 0..ATTEMPTS_MAX {
            let found = self.find(&keys)?;
            let now_ms = now_ms();
            let mut draft = Draft::new(found.settings(&shared.stated, now_ms)?, by, now_ms);
            edit(&mut draft)?;
            draft.check()?;
            let touched: Vec<_> = draft.touched().collect();
            if touched.is_empty() {
                return Ok(self.now());
            }
            let settings = draft.into_settings();
            if self.write(term, &keys, &found, &settings.kept, &settings.record).await? {
                let shown = touched.iter().map(|name| match settings.record.temporary.get(*name) {
                    Some(temporary) => format!("{name} = {} for some time", temporary.value),
                    None => format!("{name} = {}", settings.kept(name).unwrap_or(&Value::Null)),
                });
                let items = shown.collect::<Vec<_>>().join(", ");
                info!(by, items, "configuration changed");
                self.refresh()?;
                return Ok(self.now());
            }
        }
        Err(ChangeError::Contended)
    }

    /// Writes what the group's configuration lacks, from this member's file and the defaults: all of it at the first
    /// start, later what a new version brings along.
    pub(crate) async fn seed(&self, term: Term) -> Result<(), ChangeError> {
        let shared = &*self.shared;
        let _one = shared.changing.lock().await;
        let keys = self.keys()?;
        for _ in 0..ATTEMPTS_MAX {
            let found = self.find(&keys)?;
            let lacking = Settings::lacking(&found.document()?);
            if lacking.is_empty() {
                return Ok(());
            }
            let now_ms = now_ms();
            let Settings { kept, mut record, .. } = found.settings(&shared.stated, now_ms)?;
            for name in lacking.iter().filter(|name| shared.stated.contains_key(*name)) {
                let change = Change { at_ms: now_ms, by: shared.member.clone(), from_file: true };
                record.changed.insert((*name).to_owned(), change);
            }
            if self.write(term, &keys, &found, &kept, &record).await? {
                info!(items = lacking.len(), "the group's configuration is written from file and defaults");
                self.refresh()?;
                return Ok(());
            }
        }
        Err(ChangeError::Contended)
    }

    /// The items that this member's file gives otherwise than the group has them: name, the file's value, the group's.
    pub fn differences(&self) -> Vec<(&'static str, Value, Value)> {
        let now = self.now();
        let differs = |(name, value): (&&'static str, &Value)| {
            let kept = now.kept(name)?;
            (kept != value).then(|| (*name, value.clone(), kept.clone()))
        };
        self.shared.stated.iter().filter_map(differs).collect()
    }

    async fn write(
        &self,
        term: Term,
        keys: &Keys,
        found: &Found,
        config: &Map<String, Value>,
        record: &Record,
    ) -> Result<bool, KvError> {
        let (config, record) = (to_text(config)?, to_text(record)?);
        let unchanged = |key: Bytes, found: &Option<KeyValue>| match found {
            Some(found) => {
                Compare { key, relation: Relation::Equal, target: Target::Mod(found.mod_revision) }
            }
            None => Compare::absent(key),
        };
        let txn = Txn::default()
            .when(unchanged(keys.config(), &found.config))
            .when(unchanged(keys.config_record(), &found.record))
            .then(Op::put(keys.config(), config))
            .then(Op::put(keys.config_record(), record));
        Ok(self.shared.kv.txn(term, txn).await?.succeeded)
    }

    fn keys(&self) -> Result<Keys, KvError> {
        let id = self.shared.kv.cluster_id();
        id.map(Keys::new).ok_or_else(|| KvError::Storage("the cluster's id is not known yet".to_owned()))
    }

    fn find(&self, keys: &Keys) -> Result<Found, KvError> {
        let mut found = Found::default();
        // One read, so that both are of one revision.
        for kv in self.shared.kv.range(&range(keys), 0, None)?.kvs {
            if kv.key == keys.config() {
                found.config = Some(kv);
            } else if kv.key == keys.config_record() {
                found.record = Some(kv);
            }
        }
        Ok(found)
    }

    fn refresh_or_warn(&self) {
        if let Err(error) = self.refresh() {
            warn!(%error, "the replicated configuration cannot be read; what was read last stays in force");
        }
    }

    /// Reads what is applied here and publishes it.
    fn refresh(&self) -> Result<(), KvError> {
        let shared = &*self.shared;
        let Some(id) = shared.kv.cluster_id() else { return Ok(()) };
        let _reading = shared.reading.lock();
        let found = self.find(&Keys::new(id))?;
        if found.config.is_none() {
            return Ok(());
        }
        let before = shared.current.load_full();
        let now_ms = now_ms();
        let settings = if found.revision() == before.revision {
            before.as_of(now_ms)
        } else {
            found.settings(&shared.stated, now_ms)?
        };
        if settings == *before {
            return Ok(());
        }
        let revision = settings.revision;
        shared.current.store(Arc::new(settings));
        if before.revision == Revision(0) {
            self.tell_differences();
        }
        // Also where the revision is the same: a temporary value is over.
        shared.changed.send_replace(revision);
        Ok(())
    }

    /// Once a start: the file counts only where the group has nothing, and nobody is to wonder.
    fn tell_differences(&self) {
        for (item, file, cluster) in self.differences() {
            warn!(
                item,
                %file,
                %cluster,
                "the configuration file differs from the cluster's configuration; the cluster's value wins"
            );
        }
    }
}

impl Found {
    fn revision(&self) -> Revision {
        let of = |found: &Option<KeyValue>| found.as_ref().map_or(Revision(0), |kv| kv.mod_revision);
        of(&self.config).max(of(&self.record))
    }

    fn document(&self) -> Result<Map<String, Value>, KvError> {
        self.config.as_ref().map_or(Ok(Map::new()), parse)
    }

    fn settings(&self, stated: &Stated, now_ms: u64) -> Result<Settings, KvError> {
        let record = self.record.as_ref().map_or(Ok(Record::default()), parse)?;
        Ok(Settings::read(&self.document()?, record, self.revision(), stated, now_ms))
    }
}

/// Holds the configuration, its record, and nothing else.
fn range(keys: &Keys) -> KeyRange {
    KeyRange::between(keys.config(), keys.config_end())
}

fn parse<T: serde::de::DeserializeOwned>(kv: &KeyValue) -> Result<T, KvError> {
    serde_json::from_slice(&kv.value)
        .map_err(|error| KvError::Storage(format!("{}: {error}", String::from_utf8_lossy(&kv.key))))
}

fn to_text(value: &impl serde::Serialize) -> Result<String, KvError> {
    serde_json::to_string(value).map_err(|error| KvError::Storage(format!("configuration: {error}")))
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
