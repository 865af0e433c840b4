//! How patient a client is. The defaults suit a group on one network; they stand once, here.

use std::time::Duration;

/// Timeouts of a [`Client`](crate::Client).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The whole of one call, all attempts and pauses included; `Client::with_deadline` changes it for some calls.
    /// Above the 3 s that electing a leader may take on a loaded machine.
    pub call_timeout: Duration,
    /// One attempt of a unary call. A leader that is elected but not ready holds calls up to 1 s, so it must be longer.
    pub attempt_timeout: Duration,
    /// Making one connection.
    pub connect_timeout: Duration,
    /// A leader that owes an answer for this long is doubted: a stopped process closes no connection, and silence is
    /// all that a client notices. A timestamp stream is then reopened on the leader that the members name; a unary
    /// call goes on waiting, but moves as soon as they name another. Each timestamp stream that is dropped without an
    /// answer between doubles the patience, up to four times this, so that a slow leader is not asked in vain for ever.
    pub silence: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            call_timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(1),
            silence: Duration::from_millis(500),
        }
    }
}
