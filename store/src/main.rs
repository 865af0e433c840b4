//! The program `store`: flags, logs, signals.

use std::process::ExitCode;

use clap::Parser;
use store::{Flags, Node, NodeConfig};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let flags = Flags::parse();
    match start(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(flags: &Flags) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&flags.log_level).map_err(|error| {
        anyhow::anyhow!("--log-level: `{}`: {error}; expected for example info", flags.log_level)
    })?;
    let config = flags.config()?;
    if flags.config_check {
        println!("the configuration is good: {} store(s)", config.stores.len());
        return Ok(());
    }
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(run(config));
    // What had to be on disk is there; scans still under way and memory taken apart in order would only cost time.
    std::mem::forget(runtime);
    ended
}

async fn run(config: NodeConfig) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let node = tokio::select! {
        node = Node::start(config) => node?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    tokio::select! {
        _ = terminate.recv() => info!("SIGTERM: handing leaders over"),
        _ = interrupt.recv() => info!("SIGINT: handing leaders over"),
    }
    node.stop().await;
    Ok(())
}
