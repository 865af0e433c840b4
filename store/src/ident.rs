//! Whose a data folder is: its lock, and the file `ident` with the ids of cluster and Store.
//!
//! | in the folder | what it is |
//! |---|---|
//! | `LOCK` | held by the process that has the folder |
//! | `ident` | TOML: `cluster_id`, `store_id` |
//! | `data/` | the engine, with keys as in `keys.rs` |
//! | `raft/` | the Raft log of all Regions, and snapshots on their way |

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::StoreId;

/// What the file `ident` says. Written once, before the Store is known to PD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ident {
    /// The cluster.
    pub cluster_id: u64,
    /// The Store.
    pub store_id: u64,
}

impl Ident {
    /// The Store's id.
    pub fn store(&self) -> StoreId {
        StoreId(self.store_id)
    }
}

/// A data folder that this process has for itself as long as this lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why a folder cannot be used; the text names it.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be made, read or written.
    #[error("data folder {dir}: {error}")]
    Io {
        /// The folder.
        dir: String,
        /// What failed.
        error: io::Error,
    },
    /// Another process has it.
    #[error("data folder {0} is in use by another process")]
    InUse(String),
    /// It belongs to another cluster.
    #[error(
        "data folder {dir} belongs to cluster {theirs}, but PD is of cluster {ours}; \
         give the store another folder, or the addresses of its own PD"
    )]
    OtherCluster {
        /// The folder.
        dir: String,
        /// The folder's cluster.
        theirs: u64,
        /// PD's cluster.
        ours: u64,
    },
    /// There is data, but no ident.
    #[error("data folder {0} holds data but no file `ident`; it is not a store's folder, or was damaged")]
    NoIdent(String),
    /// The ident cannot be read.
    #[error("data folder {dir}: file `ident` is damaged: {error}")]
    BrokenIdent {
        /// The folder.
        dir: String,
        /// What is wrong.
        error: String,
    },
}

impl DataDir {
    /// Makes the folder if it is missing and takes it.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let io = |error| FolderError::Io { dir: path.display().to_string(), error };
        fs::create_dir_all(path).map_err(io)?;
        let lock = File::create(path.join("LOCK")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse(path.display().to_string())),
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }

    /// The folder of the engine.
    pub fn engine(&self) -> PathBuf {
        self.path.join("data")
    }

    /// The folder of the Raft log and its snapshots.
    pub fn raft(&self) -> PathBuf {
        self.path.join("raft")
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The ident of a folder that a Store had before; `None` in a fresh one.
    pub fn ident(&self, cluster_id: u64) -> Result<Option<Ident>, FolderError> {
        let dir = self.path.display().to_string();
        let text = match fs::read_to_string(self.path.join("ident")) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let data = self.engine().exists() || self.raft().exists();
                return if data { Err(FolderError::NoIdent(dir)) } else { Ok(None) };
            }
            Err(error) => return Err(FolderError::Io { dir, error }),
        };
        let ident: Ident = toml::from_str(&text).map_err(|error| FolderError::BrokenIdent {
            dir: dir.clone(),
            error: error.message().to_owned(),
        })?;
        if ident.cluster_id != cluster_id {
            return Err(FolderError::OtherCluster { dir, theirs: ident.cluster_id, ours: cluster_id });
        }
        Ok(Some(ident))
    }

    /// Writes the ident, durably and whole.
    pub fn write_ident(&self, ident: Ident) -> Result<(), FolderError> {
        let write = || -> io::Result<()> {
            let new = self.path.join("ident.new");
            let mut file = File::create(&new)?;
            file.write_all(toml::to_string(&ident).map_err(io::Error::other)?.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, self.path.join("ident"))?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|error| FolderError::Io { dir: self.path.display().to_string(), error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENT: Ident = Ident { cluster_id: 7, store_id: 4 };

    #[test]
    fn a_folder_remembers_whose_it_is() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(&temp.path().join("new/deep")).unwrap();
        assert_eq!(dir.ident(7).unwrap(), None);
        dir.write_ident(IDENT).unwrap();
        assert_eq!(dir.ident(7).unwrap(), Some(IDENT));
        let text = dir.ident(8).unwrap_err().to_string();
        assert!(text.contains("cluster 7") && text.contains("cluster 8"), "{text}");
    }

    #[test]
    fn one_process_has_it() {
        let temp = tempfile::tempdir().unwrap();
        let first = DataDir::open(temp.path()).unwrap();
        let text = DataDir::open(temp.path()).unwrap_err().to_string();
        assert!(text.contains("in use") && text.contains(temp.path().to_str().unwrap()), "{text}");
        drop(first);
        DataDir::open(temp.path()).unwrap();
    }

    #[test]
    fn a_damaged_folder_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        fs::write(temp.path().join("ident"), "cluster_id = 7").unwrap();
        assert!(matches!(dir.ident(7), Err(FolderError::BrokenIdent { .. })));
        fs::remove_file(temp.path().join("ident")).unwrap();
        fs::create_dir(dir.engine()).unwrap();
        assert!(matches!(dir.ident(7), Err(FolderError::NoIdent(_))));
        let file = temp.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(DataDir::open(&file), Err(FolderError::Io { .. })));
    }
}
