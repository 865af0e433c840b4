//! The log of this process: where it goes, how a line looks, and its level, which may change while the process runs.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::config::{LogConfig, LogFormat, LogLevel};

/// The level of the one log that a process has. Empty until [`start`]: a test without a log has no level to change.
static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be opened.
    #[error("log file {path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A process has one log.
    #[error("the log runs already: {0}")]
    Running(String),
}

/// Starts the log.
///
/// # Errors
/// The file cannot be opened, or there is a log already.
pub fn start(config: &LogConfig) -> Result<(), LogError> {
    let writer = match &config.file {
        None => BoxMakeWriter::new(std::io::stderr),
        Some(path) => BoxMakeWriter::new(Arc::new(open(path)?)),
    };
    let (level, handle) = reload::Layer::new(filter(config.level));
    let lines = fmt::layer().with_writer(writer).with_ansi(false);
    let lines = match config.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let installed = tracing_subscriber::registry().with(level).with(lines).try_init();
    installed.map_err(|error| LogError::Running(error.to_string()))?;
    LEVEL.set(handle).map_err(|_| LogError::Running("its level is known".to_owned()))
}

/// Changes the level at once. Without a log nothing happens.
pub fn set_level(level: LogLevel) {
    if let Some(handle) = LEVEL.get() {
        // It fails only when the log is gone, and then there is nothing to change.
        let _ = handle.reload(filter(level));
    }
}

/// The level in force; `None` without a log.
pub fn level() -> Option<LogLevel> {
    let known = [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];
    let present = LEVEL.get()?.with_current(|present| *present).ok()?;
    known.into_iter().find(|level| filter(*level) == present)
}

fn open(path: &Path) -> Result<std::fs::File, LogError> {
    let opened = std::fs::File::options().create(true).append(true).open(path);
    opened.map_err(|source| LogError::File { path: path.display().to_string(), source })
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    }
}
