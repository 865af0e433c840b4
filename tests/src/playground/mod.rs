//! The playground: a whole cluster of real processes under load, to be looked at and broken, and to be judged at the end.

mod arguments;
mod census;
mod finish;
mod load;
mod play;
mod probes;
mod scene;
mod schedule;
mod screen;
mod start;
mod summary;
mod table;
mod witness;

use std::process::ExitCode;

use anyhow::Result;

pub use arguments::Arguments;
pub use census::{Census, census};
pub use summary::Summary;
pub use witness::{IdWitness, TimestampWitness};

use screen::{Screen, Wishes, stopped};

/// Replicas of each Region.
const REPLICAS: usize = 3;

/// Runs the playground; 0 only if every promise held.
pub async fn run(arguments: Arguments) -> ExitCode {
    let screen = Screen::open();
    let outcome = match Wishes::listen(screen.is_terminal()) {
        Ok(wishes) => {
            let at_once = stopped(wishes.stops(), 2);
            tokio::select! {
                outcome = whole(&screen, &arguments, wishes) => outcome,
                // Dropping the other future kills every process.
                () = at_once => Err(anyhow::anyhow!("stopped at once; nothing was checked")),
            }
        }
        Err(error) => Err(error),
    };
    screen.redraw(Vec::new());
    match outcome {
        Ok(summary) if summary.broken().is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            screen.print(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// From the first stage to the last line.
async fn whole(screen: &Screen, arguments: &Arguments, wishes: Wishes) -> Result<Summary> {
    let mut cluster = start::prepare(screen, arguments)?;
    let folder = cluster.folder().display().to_string();
    let played = match start::bring_up(screen, arguments, &mut cluster).await {
        Ok(up) => play::play(screen, arguments, wishes, &mut cluster, up).await,
        Err(error) => Err(error),
    };
    let broken = played.as_ref().map_or(true, |summary| !summary.broken().is_empty());
    if broken || arguments.keep {
        cluster.keep_files();
    }
    finish::stop(screen, &mut cluster).await?;
    if let Ok(summary) = &played {
        screen.print("");
        summary.lines().iter().for_each(|line| screen.print(line));
    }
    let logs = if broken {
        format!("data and logs: {folder} (look at *.log there; run again with --log-level debug for more)")
    } else if arguments.keep {
        format!("data and logs: {folder}")
    } else {
        "data and logs are removed (--keep leaves them)".to_string()
    };
    screen.print(&logs);
    played
}
