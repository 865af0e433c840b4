//! `make bench`: measures the hot paths of the release build, prints a table and writes `target/bench.json`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use tests::bench::{self, Plan};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the hot paths of pd-server from outside, per second of the server's own CPU.
#[derive(Parser)]
struct Flags {
    /// Regions of the invented cluster.
    #[arg(long, default_value_t = 1_000_000)]
    regions: u64,
    /// Seconds of each measurement that runs for a time.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Only figures whose name holds this text.
    #[arg(long)]
    only: Option<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let flags = Flags::parse();
    let plan = Plan { regions: flags.regions, length: Duration::from_secs(flags.seconds), only: flags.only };
    // <target>/<profile>/bench -> <target>/bench.json
    let program = std::env::current_exe()?;
    let target: PathBuf = program.ancestors().nth(2).context("bench lies outside a target folder")?.into();
    bench::run(&plan, &target.join("bench.json")).await
}
