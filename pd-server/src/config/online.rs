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
/// Most bytes of a value in the log: a list may be long, and the whole of it is shown by `GET /pd/api/v1/config`.
const LOGGED_BYTES_MAX: usize = 200;

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
        // Nothing else runs yet; what fails here is told when it is followed.
        if let Err(error) = online.refresh() {
            warn!(%error, "the replicated configuration cannot be read yet");
        }
        online
    }

    /// The configuration as this member has applied it.
    pub fn now(&self) -> Arc<Settings> {
        self.shared.current.load_full()
    }

    /// Returns once [`Online::now`] is not older than what the caller knows to be applied here. Changes through
    /// [`Online::change`] and a new leader's [`Online::seed`] see to that themselves.
    pub(crate) async fn refreshed(&self) {
        if let Err(error) = self.read_anew().await {
            warn!(%error, "the replicated configuration cannot be read; what was read last stays in force");
        }
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
        let mut written = self.shared.kv.config_changed();
        let follow = async {
            loop {
                written.borrow_and_update();
                let pause = match self.read_anew().await {
                    Ok(()) => {
                        let expiry = self.now().next_expiry_ms();
                        expiry.map(|at| Duration::from_millis(at.saturating_sub(now_ms())))
                    }
                    Err(error) => {
                        warn!(%error, "the replicated configuration cannot be read; what was read last stays in force");
                        Some(RETRY)
                    }
                };
                tokio::select! {
                    changed = written.changed() => if changed.is_err() { return },
                    () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
                }
            }
        };
        stop.run_until_cancelled(follow).await;
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
        for _ in 0..ATTEMPTS_MAX {
            let (keys, found) = self.found().await?;
            let now_ms = now_ms();
            let mut draft = Draft::new(found.settings(&shared.stated, now_ms)?, by, now_ms);
            edit(&mut draft)?;
            draft.check()?;
            let touched: Vec<_> = draft.touched().collect();
            if touched.is_empty() {
                return Ok(self.now());
            }
            let settings = draft.into_settings();
            if self.write(term, &keys, &found, &settings).await? {
                let shown = touched.iter().map(|name| match settings.record.temporary.get(*name) {
                    Some(temporary) => format!("{name} = {} for some time", logged(&temporary.value)),
                    None => format!("{name} = {}", logged(settings.kept(name).unwrap_or(&Value::Null))),
                });
                let items = shown.collect::<Vec<_>>().join(", ");
                info!(by, items, "configuration changed");
                self.read_anew().await?;
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
        for _ in 0..ATTEMPTS_MAX {
            let (keys, found) = self.found().await?;
            let lacking = Settings::lacking(&found.document()?);
            if lacking.is_empty() {
                // What former leaders wrote is applied: from here on it is also read.
                return Ok(self.read_anew().await?);
            }
            let now_ms = now_ms();
            let mut settings = found.settings(&shared.stated, now_ms)?;
            for name in lacking.iter().filter(|name| shared.stated.contains_key(*name)) {
                let change = Change { at_ms: now_ms, by: shared.member.clone(), from_file: true };
                settings.record.changed.insert((*name).to_owned(), change);
            }
            if self.write(term, &keys, &found, &settings).await? {
                info!(items = lacking.len(), "the group's configuration is written from file and defaults");
                return Ok(self.read_anew().await?);
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
        settings: &Settings,
    ) -> Result<bool, KvError> {
        let (config, record) = (to_text(&settings.document())?, to_text(&settings.record)?);
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

    /// Both keys as they are now, and where they lie.
    async fn found(&self) -> Result<(Keys, Found), KvError> {
        let read = |kv: &Kv| {
            let unknown = || KvError::Storage("the cluster's id is not known yet".to_owned());
            let keys = Keys::new(kv.cluster_id().ok_or_else(unknown)?);
            let found = Found::read(kv, &keys)?;
            Ok((keys, found))
        };
        self.shared.kv.off_thread(read).await
    }

    async fn read_anew(&self) -> Result<(), KvError> {
        let online = self.clone();
        self.shared.kv.off_thread(move |_| online.refresh()).await
    }

    /// Reads what is applied here and publishes it. Waits for the disk.
    fn refresh(&self) -> Result<(), KvError> {
        let shared = &*self.shared;
        let Some(id) = shared.kv.cluster_id() else { return Ok(()) };
        let _reading = shared.reading.lock();
        let found = Found::read(&shared.kv, &Keys::new(id))?;
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
    fn read(kv: &Kv, keys: &Keys) -> Result<Self, KvError> {
        let mut found = Self::default();
        // One read, so that both are of one revision.
        for kv in kv.range(&range(keys), 0, None)?.kvs {
            if kv.key == keys.config() {
                found.config = Some(kv);
            } else if kv.key == keys.config_record() {
                found.record = Some(kv);
            }
        }
        Ok(found)
    }

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

/// A value as it is logged: its first bytes, where it is long.
fn logged(value: &Value) -> String {
    let mut text = value.to_string();
    if text.len() > LOGGED_BYTES_MAX {
        let whole = text.len();
        text.truncate(text.floor_char_boundary(LOGGED_BYTES_MAX));
        text.push_str(&format!("... ({whole} bytes)"));
    }
    text
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_logged_by_their_beginning() {
        assert_eq!(logged(&Value::from(7)), "7");
        let text = logged(&Value::from("é".repeat(1_000)));
        assert!(text.len() < LOGGED_BYTES_MAX + 30 && text.ends_with("... (2002 bytes)"), "{text}");
    }
}
