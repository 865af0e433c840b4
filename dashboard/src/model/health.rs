//! The verdict as everyone sees it: page, `pd-ctl status`, `top`, the metric and the alert read the same value.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Code;

/// How bad it is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Data may be lost or cannot be reached: a Region without quorum or on its last healthy replica.
    AtRisk,
    /// The service is gone: no leader, no timestamps, keys without a route.
    Down,
    /// It serves with less safety than asked for: replicas missing, a Store down.
    Degraded,
    /// Something cannot go on by itself: a drain, a rule, a repair.
    Blocked,
    /// Nothing is wrong yet.
    Attention,
    /// A new leader does not know everything yet.
    Learning,
    /// All is as it should be.
    Ok,
}

impl Severity {
    /// All, the worst first.
    pub const ALL: [Severity; 7] = [
        Severity::AtRisk,
        Severity::Down,
        Severity::Degraded,
        Severity::Blocked,
        Severity::Attention,
        Severity::Learning,
        Severity::Ok,
    ];

    /// The word in answers, labels and texts.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Severity::AtRisk => "at-risk",
            Severity::Down => "down",
            Severity::Degraded => "degraded",
            Severity::Blocked => "blocked",
            Severity::Attention => "attention",
            Severity::Learning => "learning",
            Severity::Ok => "ok",
        }
    }

    /// What `pd-ctl status` ends with; 3 is left for "nobody answers".
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Severity::AtRisk | Severity::Down => 2,
            Severity::Degraded | Severity::Blocked => 1,
            Severity::Attention | Severity::Learning | Severity::Ok => 0,
        }
    }
}

/// What a check, a cause or a line is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// A Region's id.
    Region(u64),
    /// A Store's id.
    Store(u64),
    /// A placement rule, `group/id`.
    Rule(String),
    /// A member's name.
    Member(String),
    /// A key range, `start..end` in upper-case hex; an empty end is the end of the key space.
    Range(String),
}

/// The one thing to blame, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckCause {
    /// What is wrong there.
    pub code: Code,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
}

/// One problem: all that has the same code and the same cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// What.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// How many Regions, Stores or members, as the code says.
    pub count: u64,
    /// Bytes of the Regions, by their own estimates; null where bytes say nothing.
    pub bytes: Option<u64>,
    /// Since when, in ms since 1970; null when this member cannot know.
    pub since_ms: Option<u64>,
    /// Age of the oldest case in ms.
    pub oldest_ms: Option<u64>,
    /// One sentence.
    pub summary: String,
    /// What is to blame; null when nothing else is.
    pub cause: Option<CheckCause>,
    /// Some of them, at most 50.
    pub subjects: Vec<Subject>,
    /// How many more there are.
    pub more: u64,
    /// Commands to type next.
    pub next: Vec<String>,
    /// Until when it is muted, in ms since 1970.
    pub muted_until_ms: Option<u64>,
}

/// How much this member has heard since it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Heard {
    /// Share of the Regions, 0 to 1000.
    pub regions_permille: u16,
    /// Stores heard.
    pub stores: u64,
    /// Stores that should be heard.
    pub stores_expected: u64,
}

/// The verdict of one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// The worst of all checks.
    pub verdict: Severity,
    /// When it was made, in ms since 1970.
    pub as_of_ms: u64,
    /// Who says so.
    pub member: String,
    /// The leader's name; null when there is none.
    pub leader: Option<String>,
    /// True when the leader itself says so: only it knows Regions and Stores. Without it this is one member's view.
    pub by_leader: bool,
    /// The term.
    pub term: u64,
    /// Since when there is no leader, in ms since 1970.
    pub no_leader_since_ms: Option<u64>,
    /// The cluster's id, in decimal; null before it is drawn.
    pub cluster_id: Option<String>,
    /// Whether a Store has ever begun the cluster; null when not known.
    pub bootstrapped: Option<bool>,
    /// What is known; null where nobody leads.
    pub heard: Option<Heard>,
    /// The problems, the worst first.
    pub checks: Vec<Check>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_json_says_and_rise_as_things_get_better() {
        for pair in Severity::ALL.windows(2) {
            assert!(pair[0] < pair[1]);
        }
        for severity in Severity::ALL {
            assert_eq!(serde_json::to_value(severity).unwrap(), severity.word());
        }
    }

    #[test]
    fn a_subject_is_an_object_with_one_name() {
        let subjects = [Subject::Region(7), Subject::Member("pd-1".into())];
        assert_eq!(serde_json::to_string(&subjects).unwrap(), r#"[{"region":7},{"member":"pd-1"}]"#);
    }
}
