//! Where the programs lie: beside the program that runs now, in the same target folder and profile.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// The placement driver.
pub fn pd_server() -> Result<PathBuf> {
    find("pd-server")
}

/// The store.
pub fn store() -> Result<PathBuf> {
    find("store")
}

/// The command-line tool.
pub fn pd_ctl() -> Result<PathBuf> {
    find("pd-ctl")
}

fn find(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe().context("where this program lies")?;
    // target/<profile>/playground, or target/<profile>/deps/<test>.
    for folder in here.ancestors().skip(1).take(2) {
        let program = folder.join(name);
        if program.is_file() {
            return Ok(program);
        }
    }
    bail!(
        "{name} is not built beside {}: run `cargo build -p pd-server -p pd-client -p store` first",
        here.display()
    )
}
