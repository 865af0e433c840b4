//! Where the shell's history lies: in the user's state folder, for the user's eyes only.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Lines that are kept. Two thousand are weeks of work and far less than a page of disk matters.
pub const LINES_MAX: usize = 2_000;

/// The file of the history, made with mode 0600 in a folder of mode 0700; a file that others may read is closed to them.
///
/// # Errors
/// When neither `XDG_STATE_HOME` nor `HOME` is set, or the file cannot be made.
pub fn file() -> io::Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/state"));
    let state =
        std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(home);
    let state = state.ok_or_else(|| io::Error::other("neither XDG_STATE_HOME nor HOME is set"))?;
    in_folder(&state.join("pd-ctl"))
}

fn in_folder(folder: &Path) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let path = folder.join("history");
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
    let mut permissions = file.metadata()?.permissions();
    if permissions.mode() & 0o077 != 0 {
        permissions.set_mode(0o600);
        file.set_permissions(permissions)?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::in_folder;

    #[test]
    fn only_the_user_may_read_it_even_if_it_was_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = in_folder(&folder.path().join("a/pd-ctl")).unwrap();
        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(in_folder(&folder.path().join("a/pd-ctl")).unwrap(), path);
        assert_eq!(mode(&path), 0o600);
    }
}
