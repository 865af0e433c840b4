//! The floors of the house: arrows between crates point down only, and the planner stays pure.
//!
//! ARCHITECTURE.md tells what each crate must not know; what can be read from the manifests is checked here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Every crate of the workspace and its floor. A crate may use only what stands on a lower one, in its tests as well:
/// a test that reaches up would let the crate below lean on the program above it.
const FLOORS: [(&str, u8); 8] = [
    ("proto", 0),
    ("scheduler", 1),
    ("raft-core", 1),
    ("dashboard", 1),
    ("pd-client", 1),
    ("pd-server", 2),
    ("store", 2),
    ("tests", 3),
];

/// What would give the planner a clock, a thread of its own, a wire or a log. `cargo tree` must not show them.
const NOT_IN_THE_PLANNER: [&str; 13] = [
    "tokio",
    "futures",
    "tonic",
    "prost",
    "axum",
    "hyper",
    "tracing",
    "log",
    "prometheus",
    "rand",
    "sled",
    "rustix",
    "proto",
];

/// What clippy must forbid the planner: reading a clock, drawing chance without a seed, touching the machine, starting
/// a thread, and hash maps whose order differs from run to run.
const FORBIDDEN_METHODS: [&str; 5] = [
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::thread::spawn",
    "std::fs::read",
    "std::env::var",
];
const FORBIDDEN_TYPES: [&str; 2] = ["std::collections::HashMap", "std::collections::HashSet"];

/// One crate uses another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Arrow {
    from: String,
    to: String,
    /// `normal`, `dev` or `build`.
    kind: String,
}

#[test]
fn every_arrow_points_down() -> Result<()> {
    let metadata = metadata()?;
    let arrows = arrows(&metadata)?;
    ensure!(arrows.len() >= 10, "only {} arrows read: is the metadata understood?", arrows.len());
    let wrong = wrong_arrows(&arrows);
    ensure!(wrong.is_empty(), "these point up or sideways: {wrong:?}");
    println!("{} arrows, all down", arrows.len());
    Ok(())
}

#[test]
fn every_crate_has_a_floor() -> Result<()> {
    let members: BTreeSet<String> = packages(&metadata()?)?.into_keys().collect();
    let floors: BTreeSet<String> = FLOORS.iter().map(|(name, _)| name.to_string()).collect();
    ensure!(members == floors, "workspace {members:?}, floors {floors:?}");
    Ok(())
}

#[test]
fn only_the_gate_and_the_playground_build_tests() -> Result<()> {
    let manifest: toml::Value = read_toml("Cargo.toml")?;
    let built = manifest["workspace"]["default-members"].as_array().context("default-members")?;
    ensure!(
        built.iter().all(|member| member.as_str() != Some("tests")),
        "`tests` is a default member: {built:?}"
    );
    ensure!(built.len() == FLOORS.len() - 1, "a crate is missing from the default members: {built:?}");
    Ok(())
}

#[test]
fn an_arrow_up_or_sideways_is_found() {
    let arrow = |from: &str, to: &str| Arrow { from: from.into(), to: to.into(), kind: "dev".into() };
    let up = arrow("scheduler", "pd-server");
    let sideways = arrow("store", "pd-server");
    let down = arrow("store", "raft-core");
    assert_eq!(wrong_arrows(&[up.clone(), sideways.clone(), down]), vec![up, sideways]);
}

#[test]
fn the_planner_links_nothing_that_waits_or_talks() -> Result<()> {
    let tree = cargo(&["tree", "-p", "scheduler", "-e", "normal", "--prefix", "none", "--format", "{p}"])?;
    let used: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    ensure!(used.contains("scheduler") && used.contains("bytes"), "`cargo tree` is not understood:\n{tree}");
    let foreign: Vec<&&str> = used.iter().filter(|name| NOT_IN_THE_PLANNER.contains(name)).collect();
    ensure!(foreign.is_empty(), "scheduler links {foreign:?}:\n{tree}");
    Ok(())
}

#[test]
fn clippy_keeps_clocks_chance_and_hash_order_out_of_the_planner() -> Result<()> {
    let config = read_toml("scheduler/clippy.toml")?;
    let methods = disallowed(&config, "disallowed-methods")?;
    let types = disallowed(&config, "disallowed-types")?;
    for path in FORBIDDEN_METHODS {
        ensure!(methods.contains(path), "disallowed-methods lacks {path}");
    }
    for path in FORBIDDEN_TYPES {
        ensure!(types.contains(path), "disallowed-types lacks {path}");
    }
    // Tests may start threads: what they test is read from several.
    let sources = rust_files(&root().join("scheduler/src"))?;
    for source in sources.into_iter().filter(|path| !path.ends_with("tests.rs")) {
        let text = fs::read_to_string(&source)?;
        let lifted =
            ["allow(clippy::disallowed", "expect(clippy::disallowed"].iter().any(|lift| text.contains(lift));
        ensure!(!lifted, "{} lifts the ban", source.display());
    }
    Ok(())
}

#[test]
fn every_crate_obeys_the_lints_of_the_workspace() -> Result<()> {
    for (name, _) in FLOORS {
        let manifest = read_toml(&format!("{name}/Cargo.toml"))?;
        let inherited = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        ensure!(inherited.and_then(toml::Value::as_bool) == Some(true), "{name} has lints of its own");
    }
    Ok(())
}

fn wrong_arrows(arrows: &[Arrow]) -> Vec<Arrow> {
    let floors: BTreeMap<&str, u8> = FLOORS.into_iter().collect();
    let points_down = |arrow: &Arrow| match (floors.get(arrow.from.as_str()), floors.get(arrow.to.as_str())) {
        (Some(from), Some(to)) => from > to,
        _ => false,
    };
    arrows.iter().filter(|arrow| !points_down(arrow)).cloned().collect()
}

/// The arrows between crates of the workspace.
fn arrows(metadata: &Value) -> Result<Vec<Arrow>> {
    let packages = packages(metadata)?;
    let mut arrows = Vec::new();
    for (from, package) in &packages {
        for dependency in package["dependencies"].as_array().context("dependencies")? {
            let to = dependency["name"].as_str().context("a dependency's name")?;
            // Tests of a crate may link the crate itself again; that is no arrow.
            if packages.contains_key(to) && to != from {
                let kind = dependency["kind"].as_str().unwrap_or("normal");
                arrows.push(Arrow { from: from.clone(), to: to.to_string(), kind: kind.to_string() });
            }
        }
    }
    Ok(arrows)
}

fn packages(metadata: &Value) -> Result<BTreeMap<String, &Value>> {
    let list = metadata["packages"].as_array().context("packages")?;
    list.iter().map(|package| Ok((package["name"].as_str().context("name")?.to_string(), package))).collect()
}

fn metadata() -> Result<Value> {
    Ok(serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1"])?)?)
}

fn cargo(arguments: &[&str]) -> Result<String> {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(program).args(arguments).arg("--offline").current_dir(root()).output()?;
    if !output.status.success() {
        bail!("cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn disallowed(config: &toml::Value, key: &str) -> Result<BTreeSet<String>> {
    let entries = config.get(key).and_then(toml::Value::as_array).with_context(|| format!("no {key}"))?;
    let path = |entry: &toml::Value| {
        let table = entry.get("path").unwrap_or(entry);
        table.as_str().map(str::to_string).with_context(|| format!("{key}: {entry}"))
    };
    entries.iter().map(path).collect()
}

fn read_toml(path: &str) -> Result<toml::Value> {
    let text = fs::read_to_string(root().join(path)).with_context(|| path.to_string())?;
    Ok(toml::Value::Table(toml::from_str(&text).with_context(|| path.to_string())?))
}

fn rust_files(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
