//! How much a member's data folder holds: measured beside the runtime, and seldom.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::debug;

/// Between two measurements.
const APART: Duration = Duration::from_secs(60);

/// The folder, as it was measured last.
pub struct Folder {
    path: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    bytes: Option<u64>,
    /// When a measurement was begun last.
    begun: Option<Instant>,
}

impl Folder {
    /// The folder at `path`.
    pub fn new(path: PathBuf) -> Arc<Self> {
        Arc::new(Self { path, seen: Mutex::default() })
    }

    /// Its bytes, about a minute old at most while somebody asks; none until they are measured. Never waits: what is old
    /// is measured anew for who asks next. Must be called within a runtime.
    pub fn bytes(self: &Arc<Self>) -> Option<u64> {
        let mut seen = self.seen.lock();
        if seen.begun.is_none_or(|begun| begun.elapsed() >= APART) {
            seen.begun = Some(Instant::now());
            let folder = Arc::clone(self);
            tokio::task::spawn_blocking(move || {
                let measured = size(&folder.path).inspect_err(|error| {
                    debug!(%error, folder = %folder.path.display(), "the data folder cannot be measured");
                });
                folder.seen.lock().bytes = measured.ok();
            });
        }
        seen.bytes
    }
}

/// Bytes of all files below `folder`. Those that go away meanwhile count nothing: logs are cut while we look.
fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound && bytes > 0 => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            // Of the entry itself: a link leads elsewhere.
            let Ok(about) = entry.metadata() else { continue };
            if about.is_dir() {
                folders.push(entry.path());
            } else {
                bytes += about.len();
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_is_measured_for_who_asks_next() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("log")).unwrap();
        std::fs::write(place.path().join("log/1"), [0; 1_000]).unwrap();
        std::fs::write(place.path().join("register"), [0; 24]).unwrap();
        let folder = Folder::new(place.path().to_owned());
        assert_eq!(folder.bytes(), None, "not measured yet");
        while folder.bytes().is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(folder.bytes(), Some(1_024));
        std::fs::write(place.path().join("more"), [0; 8]).unwrap();
        assert_eq!(folder.bytes(), Some(1_024), "not each second");
        assert!(size(&place.path().join("nothing")).is_err());
    }
}
