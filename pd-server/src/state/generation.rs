//! The machine's folder: each received snapshot is installed into a new generation, and the pointer to the one in
//! force is replaced in one step, so that a crash leaves either the old state or the new one, never a mixture.
//!
//! ```text
//! <folder>/current   number of the generation in force, as text
//! <folder>/<number>  a sled database
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const POINTER: &str = "current";
const POINTER_DRAFT: &str = "current.draft";

/// The folder that holds the generations.
#[derive(Clone, Debug)]
pub(super) struct Generations {
    folder: PathBuf,
}

impl Generations {
    /// Opens or creates the folder, tells which generation is in force, and removes what a crash left of others.
    pub(super) fn open(folder: PathBuf) -> io::Result<(Self, u64)> {
        fs::create_dir_all(&folder)?;
        let generations = Self { folder };
        let current = match fs::read_to_string(generations.folder.join(POINTER)) {
            Ok(text) => text.trim().parse().map_err(|_| generations.broken_pointer(&text))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                generations.put_in_force(1)?;
                1
            }
            Err(error) => return Err(error),
        };
        generations.remove_others(current)?;
        Ok((generations, current))
    }

    /// Where a generation lies.
    pub(super) fn path(&self, generation: u64) -> PathBuf {
        self.folder.join(generation.to_string())
    }

    /// Makes a generation, whose files are synced, the one in force.
    pub(super) fn put_in_force(&self, generation: u64) -> io::Result<()> {
        let draft = self.folder.join(POINTER_DRAFT);
        let mut file = File::create(&draft)?;
        writeln!(file, "{generation}")?;
        file.sync_all()?;
        fs::rename(&draft, self.folder.join(POINTER))?;
        sync_folder(&self.folder)
    }

    /// Removes a generation that is not in force. What cannot be removed now goes at the next start.
    pub(super) fn remove(&self, generation: u64) -> io::Result<()> {
        match fs::remove_dir_all(self.path(generation)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn remove_others(&self, current: u64) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let generation = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            if generation.is_some_and(|generation| generation != current) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    fn broken_pointer(&self, text: &str) -> io::Error {
        let path = self.folder.join(POINTER);
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} must hold the number of a generation, not {text:?}", path.display()),
        )
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_generation_in_force_survives_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let (generations, current) = Generations::open(dir.path().join("state")).unwrap();
        assert_eq!(current, 1);
        fs::create_dir(generations.path(1)).unwrap();
        fs::create_dir(generations.path(2)).unwrap();
        // A crash before the pointer moved.
        let (generations, current) = Generations::open(dir.path().join("state")).unwrap();
        assert_eq!((current, generations.path(1).exists(), generations.path(2).exists()), (1, true, false));
        // A crash after it.
        fs::create_dir(generations.path(2)).unwrap();
        generations.put_in_force(2).unwrap();
        let (generations, current) = Generations::open(dir.path().join("state")).unwrap();
        assert_eq!((current, generations.path(1).exists(), generations.path(2).exists()), (2, false, true));
    }

    #[test]
    fn a_broken_pointer_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(POINTER), "zwei").unwrap();
        let error = Generations::open(dir.path().to_path_buf()).unwrap_err().to_string();
        assert!(error.contains("current") && error.contains("zwei"), "{error}");
    }
}
