//! When to try again, whom to ask then, and how long to pause before.

use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::{Error, Result};

/// Why an attempt failed, as far as the next one is concerned.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It does not lead, is gone, or hangs: ask all members who leads, then try there.
    NotLeader(String),
    /// It leads but is overloaded: pause, then try the same one.
    Busy(String),
    /// Another attempt would end the same way.
    Final(Error),
}

impl Failure {
    /// Judges a status that `member` answered, or that the transport made up for it.
    pub fn of_status(call: &'static str, member: &str, status: &Status) -> Failure {
        let said = || format!("{member}: {:?}: {}", status.code(), status.message());
        // The text is part of the protocol: it comes under several codes.
        if says_not_leader(status.message()) {
            return Failure::NotLeader(said());
        }
        match status.code() {
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Failure::NotLeader(said()),
            Code::ResourceExhausted => Failure::Busy(said()),
            // A connection that broke in the middle of a call surfaces as one of these, with its cause attached;
            // a server's own verdict has none.
            Code::Unknown | Code::Internal if std::error::Error::source(status).is_some() => {
                Failure::NotLeader(said())
            }
            Code::Ok
            | Code::Unknown
            | Code::Internal
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::DataLoss
            | Code::Unauthenticated => Failure::Final(Error::Refused {
                call,
                member: member.to_string(),
                code: status.code(),
                message: status.message().to_string(),
            }),
        }
    }
}

/// The texts by which a member says that another one leads.
pub(crate) fn says_not_leader(text: &str) -> bool {
    ["not leader", "no leader", "is not served", "not primary"].iter().any(|mark| text.contains(mark))
}

/// The attempts of one call: pauses between them, and why the last one failed.
#[derive(Debug)]
pub(crate) struct Attempts {
    call: &'static str,
    started: Instant,
    limit: Duration,
    backoff: Backoff,
    last: String,
}

impl Attempts {
    /// Of a `call` that may take `limit` in all.
    pub fn new(call: &'static str, limit: Duration) -> Attempts {
        let last = "the first attempt had no answer".to_string();
        Attempts { call, started: Instant::now(), limit, backoff: Backoff::new(), last }
    }

    pub fn deadline(&self) -> Instant {
        self.started + self.limit
    }

    /// Pauses before the next attempt; an error if there shall be none.
    pub async fn again(&mut self, failure: Failure) -> Result<()> {
        match failure {
            Failure::Final(error) => return Err(error),
            Failure::NotLeader(why) | Failure::Busy(why) => {
                tracing::debug!(call = self.call, why, "trying again");
                self.last = why;
            }
        }
        self.backoff.pause().await;
        Ok(())
    }

    /// The error of a call whose deadline has passed.
    pub fn out_of_time(self) -> Error {
        Error::Deadline { call: self.call, waited: self.started.elapsed(), last: self.last }
    }
}

/// Pauses that double from 10 ms to 250 ms, each drawn from its upper half so that clients do not come in step.
/// The ceiling is low because a group elects within a second: a longer pause would be felt as outage.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_millis(250);

    pub fn new() -> Backoff {
        Backoff { next: Self::FIRST }
    }

    /// Starts over, after a success.
    pub fn reset(&mut self) {
        self.next = Self::FIRST;
    }

    pub async fn pause(&mut self) {
        tokio::time::sleep(self.draw()).await;
    }

    fn draw(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(Self::LONGEST);
        full.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_judged_by_text_then_code() {
        let judge = |code, text: &str| Failure::of_status("Call", "pd-1", &Status::new(code, text));
        assert!(matches!(judge(Code::Unavailable, "not leader"), Failure::NotLeader(_)));
        assert!(matches!(judge(Code::Unknown, "[PD:tso] pd-1 is not leader"), Failure::NotLeader(_)));
        assert!(matches!(judge(Code::Unavailable, "server not started"), Failure::NotLeader(_)));
        assert!(matches!(judge(Code::ResourceExhausted, "rate limit"), Failure::Busy(_)));
        for code in [Code::FailedPrecondition, Code::InvalidArgument, Code::Unimplemented, Code::Unknown] {
            let Failure::Final(Error::Refused { call: "Call", member, code: kept, message }) =
                judge(code, "no")
            else {
                panic!("{code:?} would be tried again");
            };
            assert_eq!((member.as_str(), kept, message.as_str()), ("pd-1", code, "no"));
        }
    }

    #[test]
    fn pauses_grow_to_the_ceiling_and_start_over() {
        let mut backoff = Backoff::new();
        for full_ms in [10, 20, 40, 80, 160, 250, 250] {
            let full = Duration::from_millis(full_ms);
            let drawn = backoff.draw();
            assert!(drawn >= full / 2 && drawn <= full, "{drawn:?} of {full:?}");
        }
        backoff.reset();
        assert!(backoff.draw() <= Backoff::FIRST);
    }
}
