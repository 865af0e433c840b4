//! The members of the placement driver as rows.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// All members, and who led.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MemberList {
    /// When this member looked.
    pub as_of_ms: u64,
    /// This member's name: each shows its own view.
    pub from: String,
    /// The leader's name.
    pub leader: Option<String>,
    /// The term.
    pub term: u64,
    /// Since when the leader leads, by its own word, or as this member saw it; null when neither is known.
    pub leads_since_ms: Option<u64>,
    /// Since when this member knows of no leader.
    pub no_leader_since_ms: Option<u64>,
    /// The members, by id.
    pub rows: Vec<MemberRow>,
    /// Changes of the leader that this member saw, newest first.
    pub changes: Vec<LeaderChange>,
    /// How timestamps stand, as the leader says.
    pub timestamps: Option<TimestampState>,
    /// What holds garbage collection back.
    pub safe_points: Vec<SafePoint>,
}

/// What a member does in the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MemberRole {
    /// Leads.
    Leader,
    /// Follows.
    Follower,
    /// Follows without a vote.
    Learner,
    /// Does not answer.
    Unknown,
}

/// One member: what it says of itself, or what is left of it when it does not answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MemberRow {
    /// Its id, as text.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it does.
    pub role: MemberRole,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// Whether it answers.
    pub healthy: Option<bool>,
    /// Its term.
    pub term: Option<u64>,
    /// The last entry of the log that it has applied.
    pub applied: Option<u64>,
    /// Entries that it is behind the furthest member.
    pub lag: Option<u64>,
    /// Mean time of a sync of its log in the last half minute, in milliseconds; none without one.
    pub fsync_mean_ms: Option<f64>,
    /// How long 99 of 100 of them took at most, in milliseconds; none without one.
    pub fsync_p99_ms: Option<f64>,
    /// How far its clock is ahead of this member's, in milliseconds, as exact as the way there and back allows.
    pub clock_offset_ms: Option<i64>,
    /// What its clock shows, in milliseconds since the epoch, when it answered.
    pub clock_ms: Option<u64>,
    /// The version of its program.
    pub version: String,
    /// Bytes of its data folder, about a minute old at most; none until that is measured.
    pub data_bytes: Option<u64>,
    /// When it answered last.
    pub last_heard_ms: Option<u64>,
}

/// A change of the leader, as this member saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeaderChange {
    /// When the new leader was known.
    pub at_ms: u64,
    /// Who led before.
    pub from: Option<String>,
    /// Who leads since.
    pub to: String,
    /// In which term.
    pub term: u64,
    /// How long no leader was known or heard, in milliseconds.
    pub gap_ms: Option<u64>,
}

/// How timestamps stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimestampState {
    /// Timestamps a second.
    pub per_s: Option<f64>,
    /// How far the durable bound is ahead of the leader's wall clock or the last timestamp, whichever is later, in
    /// milliseconds.
    pub bound_ahead_ms: Option<i64>,
    /// How far the last timestamp is ahead of the leader's wall clock, in milliseconds; none when the last one is long ago.
    pub offset_ms: Option<i64>,
}

/// What holds garbage collection back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SafePoint {
    /// Who.
    pub service: String,
    /// Up to which timestamp, as text.
    pub value: String,
    /// How old that is.
    pub age_ms: u64,
}
