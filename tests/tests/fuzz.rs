//! The fuzz targets of `fuzz/`: one for each parser that a crate offers, and all of them compile. What they find is tried
//! by the crates' own tests, with some thousand inputs each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Where parsers stand as functions of bytes, and by which name their crate is used.
const PARSERS: [(&str, &str); 7] = [
    ("pd-server/src/config/fuzz.rs", "pd_server"),
    ("pd-server/src/http/fuzz.rs", "pd_server"),
    ("pd-server/src/member/fuzz.rs", "pd_server"),
    ("pd-server/src/state/fuzz.rs", "pd_server"),
    ("raft-core/src/log/fuzz.rs", "raft_core"),
    ("scheduler/src/fuzz.rs", "scheduler"),
    ("dashboard/src/fuzz.rs", "dashboard"),
];
/// Has parsers of its own beside those that it gathers.
const GATHERED: (&str, &str) = ("pd-server/src/fuzz.rs", "pd_server");

#[test]
fn every_parser_has_a_target() -> Result<()> {
    let mut wanted = BTreeSet::new();
    for (file, of) in PARSERS.into_iter().chain([GATHERED]) {
        let text = std::fs::read_to_string(root().join(file))?;
        let functions = text.lines().filter_map(|line| line.strip_prefix("pub fn "));
        for name in functions.filter_map(|rest| rest.split_once("(data: &[u8])").map(|(name, _)| name)) {
            wanted.insert((name.to_owned(), format!("fuzz::target!({of}::fuzz::{name});")));
        }
    }
    ensure!(wanted.len() > 10, "{wanted:?}");
    let manifest: toml::Value = toml::from_str(&std::fs::read_to_string(root().join("fuzz/Cargo.toml"))?)?;
    let mut there = BTreeSet::new();
    for bin in manifest["bin"].as_array().context("targets")? {
        let (name, path) = (bin["name"].as_str().context("a name")?, bin["path"].as_str().context("a path")?);
        let text =
            std::fs::read_to_string(root().join("fuzz").join(path)).with_context(|| path.to_owned())?;
        there.insert((name.to_owned(), text.lines().last().unwrap_or_default().to_owned()));
    }
    ensure!(there == wanted, "targets {there:?}\nparsers {wanted:?}");
    Ok(())
}

/// On stable and without libFuzzer, which needs a C++ compiler.
#[test]
fn every_target_compiles() -> Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["check", "--quiet", "--locked", "--no-default-features", "--bins", "--manifest-path"])
        .arg(root().join("fuzz/Cargo.toml"))
        .env("CARGO_TARGET_DIR", root().join("target/fuzz"))
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
