//! The data folder: what makes a process this member of this group.
//!
//! ```text
//! LOCK         held by the process that uses the folder; holds its process id
//! member.json  who this member is, and with whom it has agreed to begin
//! raft/        the Raft log
//! state/       the replicated state
//! ```
//! The member's Raft id is drawn at random together with the folder's incarnation and never used for another folder:
//! a member whose folder was lost comes back as someone else, so that its old vote can never be cast again (rule 3).

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::MemberId;
use crate::state::sync_folder;

const LOCK: &str = "LOCK";
const RECORD: &str = "member.json";
const RECORD_DRAFT: &str = "member.json.draft";
/// The form of `member.json`.
const FORMAT: u32 = 1;

/// Why a data folder cannot be used. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be created, read or written.
    #[error("data folder {}: {reason}; the process needs a folder that it can write to", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Another process has it.
    #[error("data folder {} is in use by process {holder}; stop that one, or choose another --data-dir", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The other process.
        holder: String,
    },
    /// It holds what this program has not written.
    #[error("data folder {} holds {found} and no {RECORD}: it is not one of ours; choose an empty --data-dir", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// The first thing found.
        found: String,
    },
    /// Its record is broken.
    #[error(
        "{} is broken: {reason}; restore it from a copy, or replace this member: `pd-ctl member delete name NAME` on a living \
         one, then start it with an empty --data-dir and --join",
        path.display()
    )]
    Broken {
        /// The record's file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It belongs to a member of another name.
    #[error("data folder {} belongs to member {folder}, not to {asked}; start with --name {folder}, or choose another --data-dir", path.display())]
    OtherName {
        /// The folder.
        path: PathBuf,
        /// The name that it was made for.
        folder: String,
        /// The name that was asked for.
        asked: String,
    },
    /// Its member was removed from the group.
    #[error(
        "data folder {} belongs to member {name}, which was removed from its group for good; to add a member again, start it \
         with an empty --data-dir and --join",
        path.display()
    )]
    Removed {
        /// The folder.
        path: PathBuf,
        /// The member's name.
        name: String,
    },
    /// It has asked to join a group and does not know yet whether it was taken in.
    #[error(
        "data folder {} belongs to member {name}, which had begun to join a group; start it with --join again, or choose \
         another --data-dir",
        path.display()
    )]
    HalfJoined {
        /// The folder.
        path: PathBuf,
        /// The member's name.
        name: String,
    },
    /// The Raft log is gone although the member took part in its group.
    #[error(
        "the Raft log in {} is gone, but member {name} has voted in its group: starting without it could undo what was \
         acknowledged; on a living member run `pd-ctl member delete name {name}`, then start it with an empty --data-dir and --join",
        path.display()
    )]
    LogLost {
        /// Where the log should be.
        path: PathBuf,
        /// The member's name.
        name: String,
    },
}

/// What `member.json` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    format: u32,
    pub name: String,
    pub member_id: MemberId,
    /// Drawn with the folder: tells it from any other, in hexadecimal.
    pub incarnation: String,
    /// With whom the group was begun or joined; `None` until all have found each other.
    pub group: Option<Agreement>,
    /// It joins a group that runs already, instead of beginning one. Kept before the group is asked, so that an
    /// interrupted start can never begin a group of its own.
    #[serde(default, skip_serializing_if = "is_false")]
    pub joins: bool,
    /// It was removed from its group: it must never come back.
    #[serde(default, skip_serializing_if = "is_false")]
    pub removed: bool,
}

/// Absent from the record, which then has the form of the first version.
fn is_false(flag: &bool) -> bool {
    !flag
}

/// The members of the group as they were when this one came to it: all have agreed, or the leader has told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Agreement {
    /// By name.
    pub members: Vec<AgreedMember>,
    /// The group has begun here: there is a Raft log.
    pub started: bool,
}

/// One of those members. The incarnation is empty where it is not known: of those that were there before this one joined.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgreedMember {
    pub name: String,
    pub member_id: MemberId,
    pub incarnation: String,
    pub peer_urls: Vec<String>,
    pub client_urls: Vec<String>,
}

/// A data folder in use by this process.
pub(crate) struct DataFolder {
    path: PathBuf,
    record: Mutex<Record>,
    /// Unlocked when the process ends, however it ends.
    _lock: File,
}

impl DataFolder {
    /// Opens the folder for the member of this name, or makes it.
    pub(crate) fn open(path: &Path, name: &str) -> Result<Self, FolderError> {
        let unusable =
            |error: io::Error| FolderError::Unusable { path: path.to_path_buf(), reason: error.to_string() };
        fs::create_dir_all(path).map_err(unusable)?;
        let lock = lock(path)?;
        let record = match fs::read(path.join(RECORD)) {
            Ok(bytes) => parse(&path.join(RECORD), &bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                refuse_foreign(path)?;
                let record = draw(name);
                write(path, &record).map_err(unusable)?;
                record
            }
            Err(error) => return Err(unusable(error)),
        };
        if record.name != name {
            return Err(FolderError::OtherName {
                path: path.to_path_buf(),
                folder: record.name,
                asked: name.to_owned(),
            });
        }
        if record.removed {
            return Err(FolderError::Removed { path: path.to_path_buf(), name: record.name });
        }
        Ok(Self { path: path.to_path_buf(), record: Mutex::new(record), _lock: lock })
    }

    pub(crate) fn record(&self) -> Record {
        self.record.lock().clone()
    }

    /// Keeps what was agreed, durably.
    pub(crate) fn agree(&self, group: Agreement) -> io::Result<()> {
        self.keep(|record| record.group = Some(group))
    }

    /// Keeps that this member joins a running group, durably.
    pub(crate) fn begin_to_join(&self) -> io::Result<()> {
        self.keep(|record| record.joins = true)
    }

    /// Keeps that this member was removed, durably.
    pub(crate) fn mark_removed(&self) -> io::Result<()> {
        self.keep(|record| record.removed = true)
    }

    fn keep(&self, change: impl FnOnce(&mut Record)) -> io::Result<()> {
        let mut record = self.record.lock();
        let mut next = record.clone();
        change(&mut next);
        write(&self.path, &next)?;
        *record = next;
        Ok(())
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the Raft log lies.
    pub(crate) fn raft(&self) -> PathBuf {
        self.path.join("raft")
    }

    /// Where the replicated state lies.
    pub(crate) fn state(&self) -> PathBuf {
        self.path.join("state")
    }
}

fn lock(path: &Path) -> Result<File, FolderError> {
    let unusable =
        |error: io::Error| FolderError::Unusable { path: path.to_path_buf(), reason: error.to_string() };
    let mut options = File::options();
    let mut file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path.join(LOCK))
        .map_err(unusable)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            // The holder is only told for convenience; without it the refusal is the same.
            let _ = file.read_to_string(&mut holder);
            let holder = if holder.trim().is_empty() { "(unknown)" } else { holder.trim() };
            return Err(FolderError::InUse { path: path.to_path_buf(), holder: holder.to_owned() });
        }
        Err(error) => return Err(unusable(error.into())),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(unusable)?;
    Ok(file)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Record, FolderError> {
    let broken = |reason: String| FolderError::Broken { path: path.to_path_buf(), reason };
    let record: Record = serde_json::from_slice(bytes).map_err(|error| broken(error.to_string()))?;
    if record.format != FORMAT {
        return Err(broken(format!("its format is {}, this program knows {FORMAT}", record.format)));
    }
    if record.member_id.0 == 0 {
        return Err(broken("member_id is 0".into()));
    }
    Ok(record)
}

/// A folder without a record must be empty: whatever is there was not written by us, or has lost its record.
fn refuse_foreign(path: &Path) -> Result<(), FolderError> {
    let unusable =
        |error: io::Error| FolderError::Unusable { path: path.to_path_buf(), reason: error.to_string() };
    for entry in fs::read_dir(path).map_err(unusable)? {
        let name = entry.map_err(unusable)?.file_name();
        // A file system's own folder is found where one is mounted.
        if name != LOCK && name != RECORD_DRAFT && name != "lost+found" {
            let found = name.to_string_lossy().into_owned();
            return Err(FolderError::Foreign { path: path.to_path_buf(), found });
        }
    }
    Ok(())
}

fn draw(name: &str) -> Record {
    let member_id = MemberId(rand::random_range(1..=u64::MAX));
    let incarnation = format!("{:032x}", rand::random::<u128>());
    Record {
        format: FORMAT,
        name: name.to_owned(),
        member_id,
        incarnation,
        group: None,
        joins: false,
        removed: false,
    }
}

fn write(folder: &Path, record: &Record) -> io::Result<()> {
    let draft = folder.join(RECORD_DRAFT);
    let mut file = File::create(&draft)?;
    serde_json::to_writer_pretty(&mut file, record)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&draft, folder.join(RECORD))?;
    sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreement(started: bool) -> Agreement {
        let member = AgreedMember {
            name: "pd1".into(),
            member_id: MemberId(u64::MAX),
            incarnation: "00ff".into(),
            peer_urls: vec!["http://127.0.0.1:2380".into()],
            client_urls: vec!["http://127.0.0.1:2379".into()],
        };
        Agreement { members: vec![member], started }
    }

    #[test]
    fn a_folder_keeps_who_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let first = DataFolder::open(&path, "pd1").unwrap();
        let record = first.record();
        assert_ne!(record.member_id, MemberId(0));
        first.agree(agreement(true)).unwrap();
        drop(first);
        let again = DataFolder::open(&path, "pd1").unwrap().record();
        assert_eq!(again, Record { group: Some(agreement(true)), ..record.clone() });
        let other = DataFolder::open(&dir.path().join("c"), "pd1").unwrap().record();
        assert!(other.member_id != record.member_id && other.incarnation != record.incarnation);
    }

    #[test]
    fn a_folder_remembers_that_it_joins_and_that_it_was_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pd4");
        let folder = DataFolder::open(&path, "pd4").unwrap();
        let text = || fs::read_to_string(path.join(RECORD)).unwrap();
        assert!(!text().contains("joins") && !text().contains("removed"), "{}", text());
        folder.begin_to_join().unwrap();
        drop(folder);
        let folder = DataFolder::open(&path, "pd4").unwrap();
        assert!(folder.record().joins && !folder.record().removed);
        folder.mark_removed().unwrap();
        drop(folder);
        let refused = DataFolder::open(&path, "pd4").err().unwrap().to_string();
        assert!(refused.contains("was removed from its group") && refused.contains("--join"), "{refused}");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pd1");
        let held = DataFolder::open(&path, "pd1").unwrap();
        let refusal = |path: &Path, name: &str| DataFolder::open(path, name).err().unwrap().to_string();
        let in_use = refusal(&path, "pd1");
        let pid = std::process::id().to_string();
        assert!(
            in_use.contains("in use by process") && in_use.contains(&pid) && in_use.contains("pd1"),
            "{in_use}"
        );
        drop(held);
        let other = refusal(&path, "pd2");
        assert!(other.contains("belongs to member pd1, not to pd2"), "{other}");

        fs::write(path.join(RECORD), "{\"format\": 1, ").unwrap();
        let broken = refusal(&path, "pd1");
        assert!(broken.contains("member.json is broken"), "{broken}");
        fs::write(
            path.join(RECORD),
            r#"{"format":9,"name":"pd1","member_id":1,"incarnation":"","group":null}"#,
        )
        .unwrap();
        let newer = refusal(&path, "pd1");
        assert!(newer.contains("its format is 9"), "{newer}");

        let foreign = dir.path().join("foreign");
        fs::create_dir_all(foreign.join("member")).unwrap();
        let refused = refusal(&foreign, "pd1");
        assert!(refused.contains("holds member and no member.json"), "{refused}");

        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let unusable = refusal(&file.join("pd1"), "pd1");
        assert!(unusable.contains("file/pd1") && unusable.contains("can write to"), "{unusable}");
        let unwritable = refusal(Path::new("/proc/pd1"), "pd1");
        assert!(unwritable.contains("/proc/pd1"), "{unwritable}");
    }

    #[test]
    fn the_record_of_the_first_version_is_read() {
        let text = include_bytes!("member-v1.json");
        let record = parse(Path::new("member.json"), text).unwrap();
        assert_eq!((record.name.as_str(), record.member_id), ("pd1", MemberId(17_012_345_678_901_234_567)));
        let agreed = record.group.unwrap();
        assert_eq!((agreed.members.len(), agreed.started), (3, true));
    }
}
