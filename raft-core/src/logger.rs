//! raft-rs speaks slog; here its words join ours: what it calls info becomes `debug` (every election of ten thousand
//! groups), warnings stay warnings, and its per-message debug lines are dropped.

use std::fmt::{self, Write as _};

use slog::{Drain, KV, Level, Logger, Never, OwnedKVList, Record, Serializer, o};

/// The logger for one group's Raft.
pub(crate) fn for_group(group: u64) -> Logger {
    Logger::root(ToTracing, o!("group" => group))
}

struct ToTracing;

impl Drain for ToTracing {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        match record.level() {
            Level::Critical | Level::Error => tracing::error!(target: "raft", "{}", line(record, values)),
            Level::Warning => tracing::warn!(target: "raft", "{}", line(record, values)),
            Level::Info if tracing::enabled!(target: "raft", tracing::Level::DEBUG) => {
                tracing::debug!(target: "raft", "{}", line(record, values));
            }
            Level::Info | Level::Debug | Level::Trace => {}
        }
        Ok(())
    }

    fn is_enabled(&self, level: Level) -> bool {
        level.is_at_least(Level::Info)
    }
}

fn line(record: &Record<'_>, values: &OwnedKVList) -> String {
    let mut text = Text(record.msg().to_string());
    // A value that cannot be shown is left out: a log line is not worth an error.
    let _ = values.serialize(record, &mut text);
    let _ = record.kv().serialize(record, &mut text);
    text.0
}

struct Text(String);

impl Serializer for Text {
    fn emit_arguments(&mut self, key: slog::Key, value: &fmt::Arguments<'_>) -> slog::Result {
        write!(self.0, " {key}={value}").map_err(|_| slog::Error::Fmt(fmt::Error))
    }
}
