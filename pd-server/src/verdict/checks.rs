//! From a finding of the survey to a check: its code, its sentence, what to type next.

use dashboard::model::{Check, CheckCause, Code, Subject};
use scheduler::{Finding, FindingKind, FindingSubject, RegionCause, RegionTrouble, StoreId, StoreTrouble};

use super::judge::{ClusterPart, bare};
use super::phrase::{bytes, count, percent};

/// The one rule there is, until others can be written.
pub const DEFAULT_RULE: &str = "pd/default";

/// Stores that a sentence names.
const NAMED_MAX: usize = 4;

/// All checks that the survey gives.
pub fn of_cluster(part: &ClusterPart) -> impl Iterator<Item = Check> + '_ {
    part.health.findings.iter().map(|finding| check(finding, part))
}

fn check(finding: &Finding, part: &ClusterPart) -> Check {
    let since_ms = finding.since.map(|since| part.wall_ms(since));
    let subjects: Vec<Subject> = finding.subjects.iter().map(subject).collect();
    let counted = finding.subjects.iter().filter(|s| is_counted(finding.kind, s)).count() as u64;
    Check {
        count: finding.count,
        bytes: finding.bytes,
        since_ms,
        oldest_ms: since_ms.map(|since| part.wall_ms_at.saturating_sub(since)),
        cause: finding.cause.map(cause),
        more: if counted == 0 { 0 } else { finding.count.saturating_sub(counted) },
        next: next(finding),
        subjects,
        ..bare(code(finding.kind), summary(finding))
    }
}

fn code(kind: FindingKind) -> Code {
    match kind {
        FindingKind::Region(RegionTrouble::NoQuorum) => Code::RegionNoQuorum,
        FindingKind::Region(RegionTrouble::LastReplica) => Code::RegionLastReplica,
        FindingKind::Region(RegionTrouble::Short) => Code::RegionShort,
        FindingKind::Region(RegionTrouble::Pending) => Code::RegionPending,
        FindingKind::Region(RegionTrouble::Leftover) => Code::RegionLeftover,
        FindingKind::Holes => Code::KeysUnroutable,
        FindingKind::StoreSilent(StoreTrouble::Disconnected) => Code::StoreDisconnected,
        FindingKind::StoreSilent(StoreTrouble::Down | StoreTrouble::Gone) => Code::StoreDown,
        FindingKind::DrainBlocked => Code::DrainBlocked,
        FindingKind::RepairBlocked => Code::RepairBlocked,
        FindingKind::TooFewStores => Code::RuleUnsatisfiable,
        FindingKind::Halted => Code::SchedulingHalted,
        FindingKind::LowSpace => Code::StoreLowSpace,
    }
}

/// Whether the finding counts subjects of this kind.
fn is_counted(kind: FindingKind, subject: &FindingSubject) -> bool {
    match (kind, subject) {
        // The store comes first and is not counted.
        (FindingKind::DrainBlocked, FindingSubject::Store(_)) => false,
        (_, FindingSubject::Region(_) | FindingSubject::Store(_) | FindingSubject::Range(..)) => true,
    }
}

fn cause(cause: RegionCause) -> CheckCause {
    let (code, subject) = match cause {
        RegionCause::Store(store, StoreTrouble::Disconnected) => {
            (Code::StoreDisconnected, Subject::Store(store.0))
        }
        RegionCause::Store(store, StoreTrouble::Down | StoreTrouble::Gone) => {
            (Code::StoreDown, Subject::Store(store.0))
        }
        RegionCause::PeerDown(store) => (Code::PeerDown, Subject::Store(store.0)),
        RegionCause::TooFewStores => (Code::RuleUnsatisfiable, Subject::Rule(DEFAULT_RULE.to_owned())),
        RegionCause::Halted => return CheckCause { code: Code::SchedulingHalted, subject: None },
    };
    CheckCause { code, subject: Some(subject) }
}

fn subject(subject: &FindingSubject) -> Subject {
    match subject {
        FindingSubject::Region(region) => Subject::Region(region.0),
        FindingSubject::Store(store) => Subject::Store(store.0),
        FindingSubject::Range(start, end) => {
            Subject::Range(format!("{}..{}", hex::encode_upper(start), hex::encode_upper(end)))
        }
    }
}

fn summary(finding: &Finding) -> String {
    let regions = count(finding.count, "region");
    let one = finding.count == 1;
    let because = finding.cause.map_or(String::new(), because) + &nor(&finding.also);
    let reason = finding.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    let (stores, verb) = stores(finding);
    let (first, second) = finding.numbers.unwrap_or_default();
    match finding.kind {
        FindingKind::Region(RegionTrouble::NoQuorum) => {
            format!("{regions} {} lost the majority{because}", if one { "has" } else { "have" })
        }
        FindingKind::Region(RegionTrouble::LastReplica) => {
            format!("{regions} {} on the last healthy replica{because}", if one { "is" } else { "are" })
        }
        FindingKind::Region(RegionTrouble::Short) => {
            format!("{regions} {} a healthy replica{because}", if one { "lacks" } else { "lack" })
        }
        FindingKind::Region(RegionTrouble::Pending) => {
            format!("{regions} {} a replica that does not catch up", if one { "has" } else { "have" })
        }
        FindingKind::Region(RegionTrouble::Leftover) => {
            format!(
                "{regions} {} a peer too many or an unfinished change that stays",
                if one { "has" } else { "have" }
            )
        }
        FindingKind::Holes => {
            format!(
                "{} of the key space {} no region",
                count(finding.count, "part"),
                if one { "has" } else { "have" }
            )
        }
        FindingKind::StoreSilent(trouble) if one => format!("{stores} {}", trouble.words()),
        FindingKind::StoreSilent(StoreTrouble::Disconnected) => format!("{stores} are not heard"),
        FindingKind::StoreSilent(StoreTrouble::Down) => format!("{stores} are down"),
        FindingKind::StoreSilent(StoreTrouble::Gone) => format!("{stores} were removed"),
        FindingKind::DrainBlocked => {
            let left = count(finding.count, "replica");
            let size = finding.bytes.map_or(String::new(), |size| format!(" ({})", bytes(size)));
            format!("the drain of {stores} is stuck with {left}{size} left{reason}")
        }
        FindingKind::RepairBlocked => {
            format!("{regions} {} not repaired{reason}", if one { "is" } else { "are" })
        }
        FindingKind::TooFewStores => {
            format!("the rule asks for {second} replicas, and {} in service", is_are(first, "store"))
        }
        FindingKind::Halted => "scheduling is halted: nothing is repaired, balanced or split".to_owned(),
        FindingKind::LowSpace => {
            format!(
                "{stores} {verb} too full for new replicas: {}{} of {} disk is used, the limit is {}",
                if one { "" } else { "up to " },
                percent(first),
                if one { "its" } else { "a" },
                percent(second)
            )
        }
    }
}

/// The Stores that it is about: by name where they are few, else their number; and "is" or "are".
fn stores(finding: &Finding) -> (String, &'static str) {
    let store = |s: &FindingSubject| match s {
        FindingSubject::Store(store) => Some(store.to_string()),
        FindingSubject::Region(_) | FindingSubject::Range(..) => None,
    };
    let named: Vec<String> = finding.subjects.iter().filter_map(store).collect();
    match named.as_slice() {
        [] | [_] => (format!("store {}", named.concat()), "is"),
        [some @ .., last] if named.len() <= NAMED_MAX => {
            (format!("stores {} and {last}", some.join(", ")), "are")
        }
        // Where the finding counts Stores, there may be more than are named.
        _ if is_counted(finding.kind, &finding.subjects[0]) => (count(finding.count, "store"), "are"),
        _ => (count(named.len() as u64, "store"), "are"),
    }
}

/// Stores that are to blame as well.
fn nor(also: &[StoreId]) -> String {
    match also {
        [] => String::new(),
        [store] => format!(", nor is store {store}"),
        more => format!(", nor are {}", count(more.len() as u64, "other store")),
    }
}

fn is_are(number: u64, noun: &str) -> String {
    format!("{} {}", count(number, noun), if number == 1 { "is" } else { "are" })
}

fn because(cause: RegionCause) -> String {
    match cause {
        RegionCause::Store(store, trouble) => format!(" because store {store} {}", trouble.words()),
        RegionCause::PeerDown(store) => {
            format!(" because leaders do not hear their peers on store {store}")
        }
        RegionCause::TooFewStores => {
            " because too few stores are in service: start more, or lower max-replicas".to_owned()
        }
        RegionCause::Halted => " because scheduling is halted".to_owned(),
    }
}

/// The cause first, then an example.
fn next(finding: &Finding) -> Vec<String> {
    let mut commands = Vec::new();
    if let Some(store) = finding.cause.and_then(RegionCause::store) {
        commands.push(format!("pd-ctl why store {store}"));
    }
    commands.extend(finding.also.first().map(|store| format!("pd-ctl why store {store}")));
    let about = finding.subjects.first().map(|first| match first {
        FindingSubject::Region(region) => format!("pd-ctl why region {region}"),
        FindingSubject::Store(store) => format!("pd-ctl why store {store}"),
        FindingSubject::Range(..) => "pd-ctl region range-holes".to_owned(),
    });
    commands.extend(about);
    match finding.cause {
        Some(RegionCause::TooFewStores) => commands.push("pd-ctl store".to_owned()),
        Some(RegionCause::Halted) => commands.push("pd-ctl config set halt-scheduling false".to_owned()),
        Some(RegionCause::Store(..) | RegionCause::PeerDown(_)) | None => {}
    }
    match finding.kind {
        FindingKind::Halted => commands.push("pd-ctl config set halt-scheduling false".to_owned()),
        FindingKind::TooFewStores => commands.push("pd-ctl store".to_owned()),
        FindingKind::Region(_)
        | FindingKind::Holes
        | FindingKind::StoreSilent(_)
        | FindingKind::DrainBlocked
        | FindingKind::RepairBlocked
        | FindingKind::LowSpace => {}
    }
    commands
}

#[cfg(test)]
mod tests {
    use dashboard::model::Severity;
    use scheduler::{ClusterHealth, Refusal, RegionId, StoreId, Time};

    use super::*;

    fn finding(kind: FindingKind) -> Finding {
        Finding {
            kind,
            cause: None,
            also: Vec::new(),
            reason: None,
            count: 1,
            bytes: None,
            since: Some(Time(1_000)),
            subjects: vec![FindingSubject::Region(RegionId(7))],
            numbers: Some((1, 3)),
        }
    }

    fn checked(finding: Finding) -> Check {
        let health = ClusterHealth { findings: vec![finding], ..ClusterHealth::default() };
        let part = ClusterPart { health, at: Time(13_000), wall_ms_at: 1_000_000 };
        let check = of_cluster(&part).next();
        check.unwrap()
    }

    #[test]
    fn four_thousand_regions_short_because_of_one_store_are_one_line() {
        let lost = Finding {
            cause: Some(RegionCause::Store(StoreId(4), StoreTrouble::Down)),
            count: 4_000,
            bytes: Some(4_000 << 20),
            ..finding(FindingKind::Region(RegionTrouble::Short))
        };
        let check = checked(lost);
        assert_eq!(check.summary, "4,000 regions lack a healthy replica because store 4 is down");
        assert_eq!((check.code, check.severity), (Code::RegionShort, Severity::Degraded));
        let blamed = CheckCause { code: Code::StoreDown, subject: Some(Subject::Store(4)) };
        assert_eq!(check.cause, Some(blamed));
        assert_eq!((check.since_ms, check.oldest_ms, check.more), (Some(988_000), Some(12_000), 3_999));
        assert_eq!(check.next, ["pd-ctl why store 4", "pd-ctl why region 7"]);
    }

    #[test]
    fn a_lost_majority_names_each_store_that_would_help() {
        let lost = Finding {
            cause: Some(RegionCause::Store(StoreId(4), StoreTrouble::Disconnected)),
            also: vec![StoreId(5)],
            count: 7,
            ..finding(FindingKind::Region(RegionTrouble::NoQuorum))
        };
        let check = checked(lost);
        let told = "7 regions have lost the majority because store 4 is not heard, nor is store 5";
        assert_eq!(check.summary, told);
        assert_eq!(check.next, ["pd-ctl why store 4", "pd-ctl why store 5", "pd-ctl why region 7"]);
    }

    #[test]
    fn many_stores_are_one_line() {
        let stores = |n| (1..=n).map(|id| FindingSubject::Store(StoreId(id))).collect::<Vec<_>>();
        let full = |n, count| Finding {
            subjects: stores(n),
            count,
            numbers: Some((915, 800)),
            ..finding(FindingKind::LowSpace)
        };
        let check = checked(full(50, 300));
        let told =
            "300 stores are too full for new replicas: up to 91.5 % of a disk is used, the limit is 80 %";
        assert_eq!((check.summary.as_str(), check.count, check.more), (told, 300, 250));
        let told = "stores 1, 2 and 3 are too full";
        assert!(checked(full(3, 3)).summary.starts_with(told));
        let drains = Finding {
            subjects: stores(2),
            count: 40,
            cause: Some(RegionCause::Halted),
            reason: Some(Refusal::Halted),
            ..finding(FindingKind::DrainBlocked)
        };
        let check = checked(drains);
        let told = "the drain of stores 1 and 2 is stuck with 40 replicas left: scheduling is halted";
        assert_eq!(check.summary, told);
        assert_eq!(check.cause, Some(CheckCause { code: Code::SchedulingHalted, subject: None }));
        assert_eq!(check.next.last().unwrap(), "pd-ctl config set halt-scheduling false");
    }

    #[test]
    fn holes_come_with_the_command_that_lists_them() {
        let range = FindingSubject::Range(bytes::Bytes::new(), bytes::Bytes::from_static(b"m"));
        let check = checked(Finding { subjects: vec![range], ..finding(FindingKind::Holes) });
        assert_eq!(check.next, ["pd-ctl region range-holes"]);
    }

    #[test]
    fn each_kind_has_its_code_and_sentence() {
        let kinds = [
            (
                FindingKind::Region(RegionTrouble::NoQuorum),
                "REGION_NO_QUORUM",
                "1 region has lost the majority",
            ),
            (
                FindingKind::Region(RegionTrouble::LastReplica),
                "REGION_LAST_REPLICA",
                "1 region is on the last healthy replica",
            ),
            (
                FindingKind::Region(RegionTrouble::Pending),
                "REGION_PENDING",
                "1 region has a replica that does not catch up",
            ),
            (
                FindingKind::Region(RegionTrouble::Leftover),
                "REGION_LEFTOVER",
                "1 region has a peer too many or an unfinished change that stays",
            ),
            (FindingKind::Holes, "KEYS_UNROUTABLE", "1 part of the key space has no region"),
            (
                FindingKind::StoreSilent(StoreTrouble::Disconnected),
                "STORE_DISCONNECTED",
                "store 4 is not heard",
            ),
            (FindingKind::StoreSilent(StoreTrouble::Down), "STORE_DOWN", "store 4 is down"),
            (
                FindingKind::DrainBlocked,
                "DRAIN_BLOCKED",
                "the drain of store 4 is stuck with 1 replica left: scheduling is halted",
            ),
            (FindingKind::RepairBlocked, "REPAIR_BLOCKED", "1 region is not repaired: scheduling is halted"),
            (
                FindingKind::TooFewStores,
                "RULE_UNSATISFIABLE",
                "the rule asks for 3 replicas, and 1 store is in service",
            ),
            (
                FindingKind::Halted,
                "SCHEDULING_HALTED",
                "scheduling is halted: nothing is repaired, balanced or split",
            ),
            (
                FindingKind::LowSpace,
                "STORE_LOW_SPACE",
                "store 4 is too full for new replicas: 0.1 % of its disk is used, the limit is 0.3 %",
            ),
        ];
        for (kind, code, summary) in kinds {
            let subjects = vec![FindingSubject::Store(StoreId(4)), FindingSubject::Region(RegionId(7))];
            let check = checked(Finding { subjects, reason: Some(Refusal::Halted), ..finding(kind) });
            assert_eq!((check.code.word(), check.summary.as_str()), (code, summary));
        }
    }
}
