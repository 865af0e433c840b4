//! The program: reads its configuration, starts a member, serves until it is told to stop.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use pd_server::config::{Config, Flags};
use pd_server::member::{Removed, Told};
use pd_server::pd::Pd;
use pd_server::{COMPATIBLE_VERSION, OWN_VERSION, logging, server};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// How long connections may take to end, and then the threads: who stops a group of several waits for all of them.
const STOP_MAX: Duration = Duration::from_millis(500);

/// How long a member that was removed still answers: whoever asked it for its own removal waits for that, and clients that
/// know no other member learn from it of the others.
const FAREWELL: Duration = Duration::from_secs(3);

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let flags = Flags::parse();
    if flags.version {
        println!("pd-server {OWN_VERSION}\nspeaks as {COMPATIBLE_VERSION}");
        return ExitCode::SUCCESS;
    }
    let config = match Config::load(&flags) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("pd-server: {error}");
            return ExitCode::FAILURE;
        }
    };
    if flags.config_check {
        println!(
            "the configuration is good; known keys without effect yet: {}",
            named(&config.without_effect)
        );
        return ExitCode::SUCCESS;
    }
    match logging::start(&config.log).map_err(anyhow::Error::from).and_then(|()| run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // Both: whoever started it by hand looks at the one, whoever keeps logs at the other.
            error!(reason = format!("{reason:#}"), "pd-server ends");
            eprintln!("pd-server: {reason:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("threads cannot be started")?;
    let result = runtime.block_on(serve(config));
    // Waits for nobody: what had to end in order has ended, or had its time.
    runtime.shutdown_background();
    result
}

async fn serve(config: Config) -> anyhow::Result<()> {
    info!(
        version = OWN_VERSION,
        speaks_as = COMPATIBLE_VERSION,
        pid = std::process::id(),
        "pd-server starts"
    );
    if !config.without_effect.is_empty() {
        info!(keys = named(&config.without_effect), "known configuration keys that have no effect yet");
    }
    // Before anything is opened or written: a busy port is the most common reason not to start.
    let listeners = server::Listeners::bind(&config.client_urls).await?;
    let mut asked_to_stop = std::pin::pin!(asked_to_stop());
    let pd = tokio::select! {
        started = Box::pin(Pd::start(config)) => Arc::new(started?),
        signal = &mut asked_to_stop => {
            info!(signal = signal?, "stopped before the group began");
            return Ok(());
        }
    };
    let stop = CancellationToken::new();
    let mut serving = tokio::spawn(server::run(Arc::clone(&pd), listeners, stop.clone()));
    let mut removed = std::pin::pin!(pd.members.removed());
    let mut farewell = None;
    let served = tokio::select! {
        served = &mut serving => served,
        told = &mut removed => {
            farewell = Some(told);
            sleep(FAREWELL).await;
            stop.cancel();
            timeout(STOP_MAX, &mut serving).await.unwrap_or(Ok(Ok(())))
        }
        signal = &mut asked_to_stop => {
            info!(signal = signal?, "stopping");
            pd.leadership.hand_over().await;
            stop.cancel();
            match timeout(STOP_MAX, &mut serving).await {
                Ok(served) => served,
                Err(_) => {
                    warn!("connections are cut off");
                    Ok(Ok(()))
                }
            }
        }
    };
    if timeout(STOP_MAX, pd.stop()).await.is_err() {
        // Nothing is lost by it: what was acknowledged is in the log.
        warn!("not everything has stopped; the process ends nevertheless");
    }
    served.context("the server's task failed")??;
    match farewell {
        // Done as asked: no failure, or whoever keeps the process running would start it again.
        Some(Removed { text, told: Told::ByState | Told::ByFarewell }) => {
            eprintln!("pd-server: {text}");
            info!("{text}");
        }
        // Nobody told it that knew of it: an end that somebody should look at.
        Some(Removed { text, told: Told::ByRefusal }) => anyhow::bail!("{text}"),
        None => {}
    }
    info!("stopped");
    Ok(())
}

/// Resolves when the process is asked to stop; says how.
async fn asked_to_stop() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be waited for")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be waited for")?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

fn named(keys: &[String]) -> String {
    if keys.is_empty() { "none".to_owned() } else { keys.join(", ") }
}
