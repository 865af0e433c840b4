//! What can go wrong, in the caller's terms.

use std::time::Duration;

use proto::pdpb::ErrorType;

use crate::Timestamp;

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call has no answer. Everything that another attempt could mend was retried before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An endpoint's text is no address.
    #[error("`{endpoint}` is not the address of a PD: {reason}; expected for example http://127.0.0.1:2379")]
    BadEndpoint {
        /// The text.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No endpoint was given, or more than a client asks.
    #[error("{given} addresses of PD given; expected 1 to {max}")]
    EndpointCount {
        /// How many were given.
        given: usize,
        /// How many are allowed.
        max: usize,
    },
    /// The caller asked for something that no PD can answer.
    #[error("{call}: {what}")]
    BadArgument {
        /// The call.
        call: &'static str,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// The endpoints belong to different clusters.
    #[error("{first} belongs to cluster {first_id}, but {other} to cluster {other_id}")]
    MixedClusters {
        /// An endpoint.
        first: String,
        /// Its cluster id.
        first_id: u64,
        /// Another endpoint.
        other: String,
        /// The other's cluster id.
        other_id: u64,
    },
    /// An answer came from another cluster than this client's.
    #[error("{call}: the answer is of cluster {got}, this client is of cluster {ours}")]
    WrongCluster {
        /// The call.
        call: &'static str,
        /// The id in the answer's header.
        got: u64,
        /// The id that the client met first.
        ours: u64,
    },
    /// PD refused the request, and said so in the answer's header.
    #[error("{call}: {message} ({kind:?})")]
    Header {
        /// The call.
        call: &'static str,
        /// The kind; a kind that this client does not know is `Unknown`.
        kind: ErrorType,
        /// PD's text.
        message: String,
    },
    /// PD refused the call with a gRPC status that another attempt does not change.
    #[error("{call}: {member} answers {code:?}: {message}")]
    Refused {
        /// The call.
        call: &'static str,
        /// Who refused: the member's name.
        member: String,
        /// The gRPC code.
        code: tonic::Code,
        /// PD's text.
        message: String,
    },
    /// No success before the deadline.
    #[error("{call}: no answer within {}; last: {last}", seconds(*.waited))]
    Deadline {
        /// The call.
        call: &'static str,
        /// How long it was tried.
        waited: Duration,
        /// Why the last attempt failed.
        last: String,
    },
    /// An answer that breaks the protocol.
    #[error("{call}: malformed answer: {what}")]
    Malformed {
        /// The call.
        call: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// A timestamp was not above one that this client had before. It is never handed out.
    #[error("PD gave timestamp {got}, not above {previous} that it gave before")]
    TimestampFell {
        /// The highest one that this client had.
        previous: Timestamp,
        /// The lowest one of the answer.
        got: Timestamp,
    },
    /// The client's own task has ended: the runtime that it was made in is shutting down.
    #[error("the client is closed")]
    Closed,
}

impl Error {
    /// The kind in the header of PD's answer, if PD refused in that way.
    pub fn header_kind(&self) -> Option<ErrorType> {
        match self {
            Error::Header { kind, .. } => Some(*kind),
            Error::BadEndpoint { .. }
            | Error::EndpointCount { .. }
            | Error::BadArgument { .. }
            | Error::MixedClusters { .. }
            | Error::WrongCluster { .. }
            | Error::Refused { .. }
            | Error::Deadline { .. }
            | Error::Malformed { .. }
            | Error::TimestampFell { .. }
            | Error::Closed => None,
        }
    }
}

fn seconds(waited: Duration) -> String {
    format!("{:.1} s", waited.as_secs_f64())
}
