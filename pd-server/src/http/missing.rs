//! What tikv/pd has and this server does not: refused by name, with what there is, so that nobody looks for a slip of the
//! pen.

use scheduler::SchedulerName;

/// Operators that exist here.
const OPERATORS: &str =
    "transfer-leader, transfer-region, transfer-peer, add-peer, add-learner, remove-peer, split-region";
/// Operators of tikv/pd that do not.
const OPERATORS_MISSING: [&str; 3] = ["merge-region", "scatter-region", "scatter-regions"];
/// Schedulers of tikv/pd that do not exist here. Some carry a Store's id or a name behind theirs.
const SCHEDULERS_MISSING: [&str; 18] = [
    "balance-hot-region-scheduler",
    "balance-range-scheduler",
    "balance-witness-scheduler",
    "evict-leader-scheduler",
    "evict-slow-store-scheduler",
    "evict-slow-trend-scheduler",
    "evict-stopping-store-scheduler",
    "grant-hot-region-scheduler",
    "grant-leader-scheduler",
    "label-scheduler",
    "random-merge-scheduler",
    "scatter-range",
    "scatter-range-scheduler",
    "shuffle-hot-region-scheduler",
    "shuffle-leader-scheduler",
    "shuffle-region-scheduler",
    "split-bucket-scheduler",
    "transfer-witness-leader-scheduler",
];

/// Why there is no operator of this name; none for names that tikv/pd does not know either.
pub fn operator(name: &str) -> Option<String> {
    OPERATORS_MISSING.contains(&name).then(|| refusal(name, OPERATORS))
}

/// Why there is no scheduler of this name, if tikv/pd has it.
pub fn scheduler(name: &str) -> Option<String> {
    let is_known =
        |known: &&str| name.strip_prefix(*known).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    SCHEDULERS_MISSING.iter().any(is_known).then(|| no_scheduler(name))
}

/// The same of any name.
pub fn no_scheduler(name: &str) -> String {
    let exist: Vec<&str> = SchedulerName::ALL.iter().map(|scheduler| scheduler.name()).collect();
    refusal(name, &exist.join(", "))
}

fn refusal(name: &str, exist: &str) -> String {
    format!("{name} does not exist here; those that exist: {exist}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_elsewhere_are_known_also_with_something_behind_them() {
        for name in
            ["evict-leader-scheduler", "evict-leader-scheduler-4", "scatter-range", "scatter-range-t1"]
        {
            let text = scheduler(name).unwrap();
            assert!(text.starts_with(name) && text.contains("balance-leader-scheduler"), "{text}");
        }
        for name in ["evict-leader-schedulers", "evict", "", "balance-leader-scheduler", "merge-region"] {
            assert_eq!(scheduler(name), None, "{name}");
        }
        assert!(operator("merge-region").unwrap().contains("transfer-peer"));
        assert_eq!(operator("transfer-peer"), None);
        assert!(OPERATORS_MISSING.iter().all(|name| !OPERATORS.contains(name)));
    }
}
