//! Why something happens to a Region or a Store, or does not.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Severity, Subject};

/// One step of the planner's reasoning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// In plain words, with number and limit.
    pub text: String,
    /// The kind of refusal, such as `LowSpace`; null for what is no refusal.
    pub kind: Option<String>,
    /// How bad, where that can be said.
    pub severity: Option<Severity>,
    /// The number that decided.
    pub number: Option<u64>,
    /// Its limit.
    pub limit: Option<u64>,
    /// Which Store, Region or member it is about.
    pub subject: Option<Subject>,
    /// When it was said last, in ms since 1970; null for what holds just now.
    pub at_ms: Option<u64>,
    /// How often in a row.
    pub times: Option<u64>,
}

/// A replica as `why` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhyPeer {
    /// Its id.
    pub id: u64,
    /// Its Store.
    pub store: u64,
    /// `Voter`, `Learner`, `IncomingVoter` or `DemotingVoter`.
    pub role: String,
    /// `healthy`, `pending`, `down`, `disconnected` or `offline` (its Store is on its way out).
    pub state: String,
    /// Seconds for which its leader does not hear it.
    pub down_s: Option<u64>,
}

/// What is known of the Region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhyRegion {
    /// Its id.
    pub id: u64,
    /// First key, upper-case hex.
    pub start_hex: String,
    /// First key behind it, upper-case hex; empty for the end of the key space.
    pub end_hex: String,
    /// Changes of Peers.
    pub conf_ver: u64,
    /// Changes of the range.
    pub version: u64,
    /// The Store of the leader; null when not known.
    pub leader: Option<u64>,
    /// The replicas.
    pub peers: Vec<WhyPeer>,
    /// About how large, in bytes.
    pub bytes: u64,
    /// About how many keys.
    pub keys: u64,
    /// Its last heartbeat, in ms since 1970.
    pub heard_ms: u64,
}

/// A limit of a Store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhyLimit {
    /// `add-peer` or `remove-peer`.
    pub kind: String,
    /// What it allows a minute; `unlimited` when it allows all.
    pub rate: String,
    /// Units at hand, of which a large replica costs 1,000; null when nothing is limited.
    pub available: Option<u64>,
    /// How often it was the reason to wait, since this leader began.
    pub refused: u64,
}

/// What is known of the Store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhyStore {
    /// Its id.
    pub id: u64,
    /// `Preparing`, `Serving`, `Removing` or `Removed`.
    pub node_state: String,
    /// `Connected`, `Disconnected`, `Unhealthy` or `Down`.
    pub liveness: String,
    /// Regions that it leads.
    pub leaders: u64,
    /// Replicas that it holds.
    pub regions: u64,
    /// Learners among them.
    pub learners: u64,
    /// Pending ones among them.
    pub pending: u64,
    /// Size of what it holds, in bytes.
    pub bytes: u64,
    /// What it should hold, in bytes; null when it takes no part in the balance.
    pub target_bytes: Option<u64>,
    /// Its last heartbeat, in ms since 1970; null when never since this leader began.
    pub last_heartbeat_ms: Option<u64>,
    /// Its limits.
    pub limits: Vec<WhyLimit>,
}

/// An operator under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhyOperator {
    /// Why it runs, such as `replace-down-peer`.
    pub cause: String,
    /// Its kind.
    pub kind: String,
    /// Its steps, in order.
    pub steps: Vec<String>,
    /// Which step is under way, from 0.
    pub step: u64,
    /// When it was made, in ms since 1970.
    pub created_ms: u64,
    /// Why it waits; null when it does not.
    pub waits_for: Option<String>,
}

/// The answer to "why?".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Why {
    /// When it was made, in ms since 1970.
    pub as_of_ms: u64,
    /// About what.
    pub subject: Subject,
    /// One sentence.
    pub summary: String,
    /// True when nothing is to be done.
    pub healthy: bool,
    /// What is missing or refused just now, in the order in which the planner finds it out.
    pub lines: Vec<Reason>,
    /// What was refused or ended before, oldest first.
    pub kept: Vec<Reason>,
    /// Commands to type next.
    pub next: Vec<String>,
    /// The Region, when it is about one that is known.
    pub region: Option<WhyRegion>,
    /// The Store, when it is about one.
    pub store: Option<WhyStore>,
    /// The Region's operator.
    pub operator: Option<WhyOperator>,
}
