//! The codes of checks: few, stable, each with what it means and what to do. `docs/verdict.md` lists them.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Severity;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident, $word:literal, $severity:ident, $meaning:literal, $threshold:literal, $remedy:literal;)*) => {
        /// What a check says is wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[schema(rename_all = "SCREAMING_SNAKE_CASE")]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $word)] $name,)*
        }

        impl Code {
            /// All, the worst first.
            pub const ALL: &[Code] = &[$(Code::$name,)*];

            /// As it stands in answers, labels and docs.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Code::$name => $word,)* }
            }

            /// How bad it is.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Code::$name => Severity::$severity,)* }
            }

            /// What it means.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Code::$name => $meaning,)* }
            }

            /// From when on it is told.
            #[must_use]
            pub const fn threshold(self) -> &'static str {
                match self { $(Code::$name => $threshold,)* }
            }

            /// What to do.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Code::$name => $remedy,)* }
            }
        }
    };
}

codes! {
    /// No majority of voters is alive.
    RegionNoQuorum, "REGION_NO_QUORUM", AtRisk,
        "Half or more of a Region's voters are down: it can neither be written nor read.",
        "At once.",
        "Bring the Stores named as cause back. Do not remove them: each may hold the last good copy.";
    /// One healthy replica is left.
    RegionLastReplica, "REGION_LAST_REPLICA", AtRisk,
        "One healthy replica is left: the next disk that fails loses data.",
        "At once, when more than one replica is asked for; after 10 min where the others live but lag behind.",
        "Bring the Stores named as cause back; where too few are there, start more or lower max-replicas.";
    /// Nobody leads the members.
    NoLeader, "NO_LEADER", Down,
        "No member leads: no timestamps, no ids, no scheduling. Clients go on with the routes they know.",
        "At once: this member knows no leader.",
        "See that a majority of members runs and that they reach each other on their peer URLs.";
    /// The leader gives no timestamps.
    NoTimestamps, "NO_TIMESTAMPS", Down,
        "A member leads but gives no timestamps.",
        "When its lease or its bound is missing; a new leader needs a moment.",
        "See its log: it names what it waits for, mostly its disk or the clocks of the others.";
    /// Keys have no Region.
    KeysUnroutable, "KEYS_UNROUTABLE", Down,
        "Parts of the key space have no Region that was heard of.",
        "After learning: at most 60 s after a change of the leader.",
        "Look at the Stores that are down: the Regions were led there. `pd-ctl region range-holes` lists them.";
    /// Healthy replicas are missing.
    RegionShort, "REGION_SHORT", Degraded,
        "Regions have fewer healthy replicas than the rule asks for.",
        "At once.",
        "Follow the cause. Repair begins by itself once a Store counts as down (max-store-down-time).";
    /// Silent for longer than max-store-down-time.
    StoreDown, "STORE_DOWN", Degraded,
        "A Store is silent for longer than max-store-down-time; where a majority is left, its replicas are made up elsewhere.",
        "max-store-down-time (30 min by default).",
        "Start it again, or remove it with `pd-ctl store delete ID` when it will not come back.";
    /// Silent for a short while.
    StoreDisconnected, "STORE_DISCONNECTED", Degraded,
        "A Store is not heard.",
        "20 s of silence, or its heartbeat stream broke.",
        "Start it again or see why its address cannot be reached. A restart needs nothing more.";
    /// Leaders miss Peers on a Store that is heard.
    PeerDown, "PEER_DOWN", Degraded,
        "Leaders do not hear their Peers on a Store that itself sends heartbeats.",
        "As soon as a leader reports it.",
        "See the network between the Stores and the Store's own log.";
    /// The leader's planner hangs.
    PlannerStuck, "PLANNER_STUCK", Degraded,
        "The leader's planner does not answer: nothing is scheduled, and what is told of Regions and Stores is old.",
        "3 s without an answer.",
        "`pd-ctl member leader resign` gives the lead to another member; its log says what it did last.";
    /// A drain cannot go on.
    DrainBlocked, "DRAIN_BLOCKED", Blocked,
        "A Store that is to go still holds replicas that find no other place.",
        "When the planner refuses each Region of it that was looked at.",
        "Do what the reason asks for: more Stores, more room, or scheduling switched on again.";
    /// A repair cannot go on.
    RepairBlocked, "REPAIR_BLOCKED", Blocked,
        "Regions that need repair are refused by the planner.",
        "When the planner refuses them for a reason that time alone does not take away.",
        "Do what the reason asks for.";
    /// Fewer Stores than replicas.
    RuleUnsatisfiable, "RULE_UNSATISFIABLE", Blocked,
        "The rule asks for more replicas than there are Stores in service.",
        "At once.",
        "Start more Stores or lower max-replicas.";
    /// No operator is made.
    SchedulingHalted, "SCHEDULING_HALTED", Attention,
        "halt-scheduling is on: nothing is repaired or balanced, and no split is granted.",
        "At once.",
        "`pd-ctl config set halt-scheduling false`";
    /// No Store yet.
    NotBootstrapped, "NOT_BOOTSTRAPPED", Attention,
        "No Store has ever started here.",
        "At once.",
        "Start a Store with this member's client URL.";
    /// Pending for long.
    RegionPending, "REGION_PENDING", Attention,
        "Replicas lag so far behind that they need a snapshot, and do not catch up.",
        "10 min.",
        "See the disks and the network of the Stores that hold them.";
    /// Surplus Peers that stay.
    RegionLeftover, "REGION_LEFTOVER", Attention,
        "Regions have a surplus Peer, a learner, or an unfinished change of membership that stays.",
        "10 min.",
        "`pd-ctl why region ID` says what the planner waits for.";
    /// The disk is nearly full.
    StoreLowSpace, "STORE_LOW_SPACE", Attention,
        "A Store's disk is so full that it gets no new replicas.",
        "low-space-ratio (80 % used by default).",
        "Add Stores or disk, or find what else fills the disk.";
    /// A member is not heard by the leader.
    MemberUnreachable, "MEMBER_UNREACHABLE", Attention,
        "The leader does not hear a member: one more loss may end the majority.",
        "1 s of silence.",
        "Start it again, or replace it.";
    /// A member's log is behind.
    MemberLagging, "MEMBER_LAGGING", Attention,
        "A member's log is far behind the leader's.",
        "1,000 entries.",
        "See its disk; it catches up by itself once that is quick enough.";
    /// Versions differ.
    MemberVersions, "MEMBER_VERSIONS", Attention,
        "Members run different versions.",
        "At once; normal during an upgrade.",
        "Finish the upgrade.";
    /// A clock runs ahead.
    ClockAhead, "CLOCK_AHEAD", Attention,
        "This member's clock is ahead of the median of the members' clocks; it is held back.",
        "More than 500 ms.",
        "Set the clock right (NTP) on the member named.";
    /// A new leader learns.
    Learning, "LEARNING", Learning,
        "A new leader has not heard of all Regions and Stores yet; checks that need all of them wait.",
        "From the change of the leader, at most 60 s.",
        "Nothing: Stores report by themselves.";
    /// Seen by a member that does not lead.
    OneMembersView, "ONE_MEMBERS_VIEW", Learning,
        "The member that answered does not lead and could not ask the leader: it knows neither Regions nor Stores.",
        "At once.",
        "Ask the leader.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_listed_worst_first_and_once() {
        for pair in Code::ALL.windows(2) {
            assert!(pair[0].severity() <= pair[1].severity(), "{} before {}", pair[0], pair[1]);
        }
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.word());
            assert_eq!(code.word(), code.word().to_uppercase());
        }
    }

    #[test]
    fn the_docs_list_each_code_with_its_meaning() {
        let docs = include_str!("../../../docs/verdict.md");
        let listed: Vec<&str> = docs
            .lines()
            .filter_map(|line| line.strip_prefix("| `"))
            .filter_map(|line| line.split_once('`').map(|(code, _)| code))
            .collect();
        let words: Vec<&str> = Code::ALL.iter().map(|code| code.word()).collect();
        assert_eq!(listed, words);
        for code in Code::ALL {
            let row = format!(
                "| `{}` | {} | {} | {} | {} |",
                code.word(),
                code.severity().word(),
                code.meaning(),
                code.threshold(),
                code.remedy()
            );
            assert!(docs.contains(&row), "docs/verdict.md lacks the row\n{row}");
        }
    }
}
