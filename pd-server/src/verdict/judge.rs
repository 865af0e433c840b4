//! One pure function: from what the leader knows of the cluster and what a member knows of the members to the verdict.

use dashboard::model::{Check, Code, Health, Heard, Severity, Subject};
use scheduler::{ClusterHealth, Time};

use super::checks;
use super::phrase::{count, duration};

/// A log this far behind is told: more than a second of a busy group.
pub const LAG_ENTRIES_MAX: u64 = 1_000;
/// Subjects that a check names.
pub const SUBJECTS_MAX: usize = 50;
/// A clock held back by less is within what clocks do.
const CLOCK_MS_MIN: u64 = 1;

/// The cluster's part, and the wall time that belongs to the planner's.
#[derive(Clone, Debug)]
pub struct ClusterPart {
    /// What the survey found.
    pub health: ClusterHealth,
    /// The planner's time when the survey was made ...
    pub at: Time,
    /// ... and the wall time then, in ms since 1970.
    pub wall_ms_at: u64,
}

/// The member's part.
#[derive(Clone, Debug, Default)]
pub struct MemberPart {
    /// Wall time in ms since 1970.
    pub as_of_ms: u64,
    /// Its name.
    pub name: String,
    /// Where clients and stores reach it, `host:port`.
    pub address: String,
    /// Its version.
    pub version: String,
    /// The leader's name, if one is heard.
    pub leader: Option<String>,
    /// This member leads as far as Raft knows.
    pub leading: bool,
    /// It leads and may answer: lease and bound are there.
    pub serves: bool,
    /// The term.
    pub term: u64,
    /// Since when there is no leader.
    pub no_leader_since_ms: Option<u64>,
    /// The cluster's id, once drawn.
    pub cluster_id: Option<u64>,
    /// Whether the cluster was begun; none when that cannot be read.
    pub bootstrapped: Option<bool>,
    /// The other members.
    pub others: Vec<Other>,
    /// For how long the planner of this leader owes an answer, once that is too long.
    pub planner_stuck_ms: Option<u64>,
    /// By how much this member's clock is held back.
    pub clock_ahead_ms: u64,
}

/// Another member.
#[derive(Clone, Debug, Default)]
pub struct Other {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it votes.
    pub votes: bool,
    /// Whether the leader hears it; none on members that do not lead.
    pub healthy: Option<bool>,
    /// For how long it was not heard.
    pub silent_ms: Option<u64>,
    /// Entries that its log lacks.
    pub lag_entries: Option<u64>,
}

/// The verdict. `cluster` is there on a leader that may answer, once the cluster was begun.
pub fn verdict(cluster: Option<&ClusterPart>, member: &MemberPart) -> Health {
    let mut found = lead(member);
    found.extend(begun(member));
    found.extend(stuck(cluster, member));
    if let Some(cluster) = cluster {
        found.extend(learning(cluster));
        found.extend(checks::of_cluster(cluster));
    } else if member.serves && member.bootstrapped != Some(false) {
        let summary = "the leader cannot tell of regions and stores just now".to_owned();
        let next = vec!["pd-ctl status".to_owned()];
        found.push(Check { count: 1, next, ..bare(Code::Learning, summary) });
    }
    if member.serves {
        found.extend(others(member));
    } else if found.is_empty() {
        let leader = member.leader.as_deref().unwrap_or("the leader");
        let summary = format!("this is only {}'s view: {leader} could not be asked", member.name);
        let next = vec!["pd-ctl member leader show".to_owned()];
        found.push(Check { count: 1, next, ..bare(Code::OneMembersView, summary) });
    }
    found.extend(clock(member));
    found.sort_by_key(|check| (check.severity, check.code));
    Health {
        verdict: found.first().map_or(Severity::Ok, |check| check.severity),
        as_of_ms: member.as_of_ms,
        member: member.name.clone(),
        leader: member.leader.clone(),
        by_leader: member.serves,
        term: member.term,
        no_leader_since_ms: member.no_leader_since_ms.filter(|_| member.leader.is_none() || !member.serves),
        cluster_id: member.cluster_id.map(|id| id.to_string()),
        bootstrapped: member.bootstrapped,
        heard: cluster.map(|part| Heard {
            regions_permille: part.health.heard.regions_permille,
            stores: part.health.heard.stores,
            stores_expected: part.health.heard.stores_expected,
        }),
        checks: found,
    }
}

/// A check with nothing but a code and a sentence.
pub(super) fn bare(code: Code, summary: String) -> Check {
    Check {
        code,
        severity: code.severity(),
        count: 0,
        bytes: None,
        since_ms: None,
        oldest_ms: None,
        summary,
        cause: None,
        subjects: Vec::new(),
        more: 0,
        next: Vec::new(),
        muted_until_ms: None,
    }
}

fn lead(member: &MemberPart) -> Vec<Check> {
    let since_ms = member.no_leader_since_ms;
    let for_ms = since_ms.map(|since| member.as_of_ms.saturating_sub(since));
    let told = for_ms.map_or(String::new(), |ms| format!(" for {}", duration(ms)));
    let next = vec!["pd-ctl health".to_owned(), "pd-ctl member".to_owned()];
    let (code, summary) = if member.leader.is_none() {
        let summary = format!("no leader{told}, as {} sees it: no timestamps and no scheduling", member.name);
        (Code::NoLeader, summary)
    } else if member.leading && !member.serves {
        let summary = format!("{} leads but gives no timestamps{told}", member.name);
        (Code::NoTimestamps, summary)
    } else {
        return Vec::new();
    };
    vec![Check { count: 1, since_ms, oldest_ms: for_ms, next, ..bare(code, summary) }]
}

fn begun(member: &MemberPart) -> Option<Check> {
    if member.bootstrapped != Some(false) || member.leader.is_none() {
        return None;
    }
    let summary = "no store has ever started here: the cluster is empty".to_owned();
    let next = vec![format!("store --pd {} --addr 127.0.0.1:20160 --data-dir ./store-1", member.address)];
    Some(Check { count: 1, next, ..bare(Code::NotBootstrapped, summary) })
}

fn stuck(cluster: Option<&ClusterPart>, member: &MemberPart) -> Option<Check> {
    let stuck_ms = member.planner_stuck_ms?;
    let old = cluster.map_or("nothing is known of regions and stores".to_owned(), |part| {
        let age_ms = member.as_of_ms.saturating_sub(part.wall_ms_at);
        format!("what is told of regions and stores is {} old", duration(age_ms))
    });
    let summary =
        format!("the planner of {} has not answered for {}: {old}", member.name, duration(stuck_ms));
    Some(Check {
        count: 1,
        since_ms: Some(member.as_of_ms.saturating_sub(stuck_ms)),
        oldest_ms: Some(stuck_ms),
        subjects: vec![Subject::Member(member.name.clone())],
        next: vec!["pd-ctl member leader resign".to_owned()],
        ..bare(Code::PlannerStuck, summary)
    })
}

fn learning(cluster: &ClusterPart) -> Option<Check> {
    let ClusterHealth { learning: true, heard, began, .. } = &cluster.health else { return None };
    let summary = format!(
        "a new leader learns: {} % of the regions and {} of {} heard",
        heard.regions_permille / 10,
        heard.stores,
        count(heard.stores_expected, "store"),
    );
    let since = cluster.wall_ms(*began);
    Some(Check {
        count: heard.stores_expected - heard.stores.min(heard.stores_expected),
        since_ms: Some(since),
        oldest_ms: Some(cluster.wall_ms_at.saturating_sub(since)),
        next: vec!["pd-ctl status".to_owned()],
        ..bare(Code::Learning, summary)
    })
}

/// What only the leader can know of the others.
fn others(member: &MemberPart) -> Vec<Check> {
    let mut found = Vec::new();
    let silent: Vec<&Other> = member.others.iter().filter(|o| o.healthy == Some(false)).collect();
    let longest_ms = silent.iter().filter_map(|o| o.silent_ms).max();
    let voters = 1 + member.others.iter().filter(|o| o.votes).count();
    let living = voters - silent.iter().filter(|o| o.votes).count();
    let spare = living.saturating_sub(voters / 2 + 1);
    found.extend(
        about(&silent, Code::MemberUnreachable, |names| {
            let verb = if silent.len() == 1 { "is" } else { "are" };
            format!("{names} {verb} not heard by the leader; {} more may fail", count(spare as u64, "member"))
        })
        .map(|check| Check {
            since_ms: longest_ms.map(|ms| member.as_of_ms.saturating_sub(ms)),
            oldest_ms: longest_ms,
            ..check
        }),
    );
    let lags =
        |o: &&Other| o.healthy == Some(true) && o.lag_entries.is_some_and(|lag| lag >= LAG_ENTRIES_MAX);
    let lagging: Vec<&Other> = member.others.iter().filter(lags).collect();
    let most = lagging.iter().filter_map(|o| o.lag_entries).max().unwrap_or(0);
    found.extend(about(&lagging, Code::MemberLagging, |names| {
        format!(
            "{names} lacks up to {} of the leader's log, the limit is {LAG_ENTRIES_MAX}",
            count(most, "entry")
        )
    }));
    let differing: Vec<&Other> =
        member.others.iter().filter(|o| !o.version.is_empty() && o.version != member.version).collect();
    found.extend(about(&differing, Code::MemberVersions, |names| {
        format!("{names} runs another version than {} ({})", member.name, member.version)
    }));
    found
}

fn about(members: &[&Other], code: Code, summary: impl FnOnce(String) -> String) -> Option<Check> {
    if members.is_empty() {
        return None;
    }
    let names: Vec<&str> = members.iter().map(|other| other.name.as_str()).collect();
    let subjects = names.iter().take(SUBJECTS_MAX).map(|name| Subject::Member((*name).to_owned())).collect();
    let more = names.len().saturating_sub(SUBJECTS_MAX) as u64;
    let next = vec!["pd-ctl member".to_owned()];
    let check = bare(code, summary(names.join(", ")));
    Some(Check { count: members.len() as u64, subjects, more, next, ..check })
}

fn clock(member: &MemberPart) -> Option<Check> {
    if member.clock_ahead_ms < CLOCK_MS_MIN {
        return None;
    }
    let name = &member.name;
    let ahead = duration(member.clock_ahead_ms);
    let summary = format!(
        "the clock of {name} is held back: it is {ahead} further ahead than the 500 ms that are believed"
    );
    let subjects = vec![Subject::Member(name.clone())];
    let next = vec!["pd-ctl member".to_owned()];
    Some(Check { count: 1, subjects, next, ..bare(Code::ClockAhead, summary) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leader() -> MemberPart {
        MemberPart {
            as_of_ms: 1_000_000,
            name: "pd-1".into(),
            version: "v1".into(),
            leader: Some("pd-1".into()),
            leading: true,
            serves: true,
            term: 3,
            bootstrapped: Some(true),
            cluster_id: Some(7),
            ..MemberPart::default()
        }
    }

    /// A cluster with nothing wrong.
    fn whole() -> ClusterPart {
        ClusterPart { health: ClusterHealth::default(), at: Time(0), wall_ms_at: 0 }
    }

    fn other(name: &str) -> Other {
        Other {
            name: name.into(),
            version: "v1".into(),
            votes: true,
            healthy: Some(true),
            ..Other::default()
        }
    }

    fn codes(health: &Health) -> Vec<Code> {
        health.checks.iter().map(|check| check.code).collect()
    }

    #[test]
    fn a_leader_with_nothing_wrong_is_ok() {
        let health = verdict(Some(&whole()), &leader());
        assert_eq!((health.verdict, health.checks.len(), health.by_leader), (Severity::Ok, 0, true));
    }

    #[test]
    fn a_leader_that_knows_nothing_of_the_cluster_is_not_ok() {
        let health = verdict(None, &leader());
        assert_eq!((health.verdict, codes(&health)), (Severity::Learning, vec![Code::Learning]));
    }

    #[test]
    fn without_a_leader_it_is_down_since_then() {
        let member = MemberPart {
            leader: None,
            leading: false,
            serves: false,
            no_leader_since_ms: Some(988_000),
            ..leader()
        };
        let health = verdict(None, &member);
        assert_eq!(health.verdict, Severity::Down);
        assert_eq!(codes(&health), [Code::NoLeader]);
        assert_eq!((health.checks[0].since_ms, health.checks[0].oldest_ms), (Some(988_000), Some(12_000)));
        assert!(health.checks[0].summary.starts_with("no leader for 12 s, as pd-1 sees it"), "{health:?}");
        assert_eq!(health.no_leader_since_ms, Some(988_000));
    }

    #[test]
    fn a_leader_without_its_lease_gives_no_timestamps() {
        let health = verdict(None, &MemberPart { serves: false, ..leader() });
        assert_eq!((codes(&health), health.verdict), (vec![Code::NoTimestamps], Severity::Down));
    }

    #[test]
    fn a_follower_never_says_ok_by_itself() {
        let member = MemberPart { leader: Some("pd-2".into()), leading: false, serves: false, ..leader() };
        let health = verdict(None, &member);
        assert_eq!((health.verdict, codes(&health)), (Severity::Learning, vec![Code::OneMembersView]));
        assert!(!health.by_leader);
    }

    #[test]
    fn before_the_first_store_the_next_step_is_named() {
        let empty = MemberPart { bootstrapped: Some(false), address: "10.0.0.1:2379".into(), ..leader() };
        let health = verdict(None, &empty);
        assert_eq!(codes(&health), [Code::NotBootstrapped]);
        assert!(health.checks[0].next[0].starts_with("store --pd 10.0.0.1:2379 "), "{health:?}");
    }

    #[test]
    fn other_members_need_attention() {
        let silent = Other { healthy: Some(false), silent_ms: Some(5_000), ..other("pd-2") };
        let lagging = Other { lag_entries: Some(LAG_ENTRIES_MAX), ..other("pd-3") };
        let old = Other { version: "v0".into(), ..other("pd-4") };
        let member = MemberPart { others: vec![silent, lagging, old], ..leader() };
        let health = verdict(Some(&whole()), &member);
        assert_eq!(codes(&health), [Code::MemberUnreachable, Code::MemberLagging, Code::MemberVersions]);
        assert_eq!(health.checks[0].summary, "pd-2 is not heard by the leader; 0 members more may fail");
        assert_eq!(health.checks[0].since_ms, Some(995_000));
        assert_eq!(health.verdict, Severity::Attention);
        let fine = MemberPart { others: vec![Other { lag_entries: Some(999), ..other("pd-2") }], ..leader() };
        assert!(verdict(Some(&whole()), &fine).checks.is_empty());
    }

    #[test]
    fn a_clock_that_is_held_back_needs_attention() {
        assert_eq!(
            codes(&verdict(Some(&whole()), &MemberPart { clock_ahead_ms: 40, ..leader() })),
            [Code::ClockAhead]
        );
    }

    #[test]
    fn a_planner_that_does_not_answer_is_told_with_the_age_of_what_is_known() {
        let member = MemberPart { planner_stuck_ms: Some(12_000), ..leader() };
        let old = ClusterPart { wall_ms_at: 986_500, ..whole() };
        let health = verdict(Some(&old), &member);
        assert_eq!((health.verdict, codes(&health)), (Severity::Degraded, vec![Code::PlannerStuck]));
        let told =
            "the planner of pd-1 has not answered for 12 s: what is told of regions and stores is 13 s old";
        assert_eq!((health.checks[0].summary.as_str(), health.checks[0].since_ms), (told, Some(988_000)));
        let health = verdict(None, &member);
        assert_eq!(codes(&health), [Code::PlannerStuck, Code::Learning]);
    }

    #[test]
    fn a_new_leader_says_how_much_it_has_heard() {
        let heard = scheduler::Heard { regions_permille: 834, stores: 2, stores_expected: 3 };
        let health = ClusterHealth { learning: true, heard, began: Time(1_000), ..ClusterHealth::default() };
        let part = ClusterPart { health, at: Time(5_000), wall_ms_at: 1_000_000 };
        let health = verdict(Some(&part), &leader());
        assert_eq!((health.verdict, codes(&health)), (Severity::Learning, vec![Code::Learning]));
        assert_eq!(
            health.checks[0].summary,
            "a new leader learns: 83 % of the regions and 2 of 3 stores heard"
        );
        assert_eq!(health.checks[0].since_ms, Some(996_000));
    }
}
