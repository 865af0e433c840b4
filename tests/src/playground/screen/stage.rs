//! One stage of the way: a line that is rewritten until it ends as `ok` with its time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Screen;

/// A stage that takes longer says what it waits for.
const SAYS_WHAT_FOR_AFTER: Duration = Duration::from_secs(5);
/// A stage that takes longer shows the last line of the log.
const SHOWS_LOG_AFTER: Duration = Duration::from_secs(30);
/// Between two rewrites.
const REWRITE_INTERVAL: Duration = Duration::from_millis(150);

/// What a stage tells of itself while it runs. Clones tell of the same stage.
#[derive(Debug, Clone, Default)]
pub struct Stage {
    told: Arc<Mutex<Told>>,
}

#[derive(Debug, Default)]
struct Told {
    /// How far it is: `stores 3/4`.
    progress: String,
    /// What it waits for.
    waits_for: String,
    log: Option<PathBuf>,
}

impl Stage {
    /// How far it is.
    pub fn progress(&self, text: impl Into<String>) {
        self.lock().progress = text.into();
    }

    /// What it waits for, and the log that tells why it takes so long.
    pub fn waits_for(&self, text: impl Into<String>, log: Option<&Path>) {
        let mut told = self.lock();
        told.waits_for = text.into();
        told.log = log.map(Path::to_path_buf);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, mark: &str, name: &str, since: Instant) -> String {
        let told = self.lock();
        let time = since.elapsed().as_secs_f64();
        let mut line = format!("{mark} {name}");
        if !told.progress.is_empty() {
            line = format!("{line:<28} {}", told.progress);
        }
        format!("{line:<64} {time:>6.1} s")
    }

    fn waiting(&self) -> String {
        format!("   waiting for {}", self.lock().waits_for)
    }

    fn last_log_line(&self) -> Option<String> {
        let log = self.lock().log.clone()?;
        let text = std::fs::read_to_string(&log).ok()?;
        Some(format!("   {}: {}", log.display(), text.lines().next_back()?))
    }
}

impl Screen {
    /// Runs one stage. Its line is rewritten in place; an error names the stage.
    pub async fn stage<T>(&self, name: &str, work: impl AsyncFnOnce(Stage) -> Result<T>) -> Result<T> {
        let (stage, since) = (Stage::default(), Instant::now());
        let watch = async {
            let (mut said, mut shown) = (false, false);
            loop {
                tokio::time::sleep(REWRITE_INTERVAL).await;
                let mut lines = vec![stage.line("..", name, since)];
                let elapsed = since.elapsed();
                if elapsed > SAYS_WHAT_FOR_AFTER && !stage.lock().waits_for.is_empty() {
                    lines.push(stage.waiting());
                }
                if elapsed > SHOWS_LOG_AFTER {
                    lines.extend(stage.last_log_line());
                }
                // Without a terminal each of these is said once.
                if !self.is_terminal() && lines.len() > 1 && !said {
                    said = true;
                    self.print(&lines[..2].join("\n"));
                }
                if !self.is_terminal() && lines.len() > 2 && !shown {
                    shown = true;
                    self.print(&lines[2]);
                }
                self.redraw(lines);
            }
        };
        let outcome = tokio::select! {
            outcome = work(stage.clone()) => outcome,
            () = watch => unreachable!("it loops"),
        };
        self.redraw(Vec::new());
        if outcome.is_ok() {
            self.print(&stage.line("ok", name, since));
        }
        outcome.with_context(|| format!("stage `{name}` failed"))
    }
}
