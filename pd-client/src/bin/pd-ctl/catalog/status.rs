//! `status`: how the cluster is, why, and what to type next.

use crate::answer::Answer;
use crate::command::{Args, Command, Work};
use crate::failure::Failure;
use crate::health::{self, Check, Health};
use crate::session::Session;
use crate::units;

/// `status`.
pub fn command() -> Command {
    let about = "show the verdict on the cluster (exit code: 2 at risk or down, 1 degraded or blocked, 3 nobody answers)";
    Command::new("status", "", about, Work::Flow(|session, args| Box::pin(status(session, args))))
}

async fn status(session: Session, args: Args) -> Result<Answer, Failure> {
    args.exactly::<0>()?;
    let (json, health) = health::ask(&session).await?;
    let text = told(&health, units::now_ms());
    Ok(Answer { code: health.code(), ..Answer::told(text, json) })
}

fn told(health: &Health, now_ms: u64) -> String {
    let mut text = format!("{}  {}\n", units::plain(&health.verdict), who(health, now_ms));
    if let Some(heard) = &health.heard
        && (heard.regions_permille < 1000 || heard.stores < heard.stores_expected)
    {
        text.push_str(&format!(
            "  heard so far: {}.{} % of the regions, {} of {} stores\n",
            heard.regions_permille / 10,
            heard.regions_permille % 10,
            heard.stores,
            heard.stores_expected
        ));
    }
    if health.bootstrapped == Some(false) {
        text.push_str("  the cluster is empty: it begins when its first store starts\n");
    }
    for said in &health.otherwise {
        text.push_str(&format!("  {}\n", units::plain(said)));
    }
    for check in &health.checks {
        text.push_str(&line(check, now_ms));
    }
    text
}

fn who(health: &Health, now_ms: u64) -> String {
    let cluster = health
        .cluster_id
        .as_deref()
        .map_or_else(|| "no cluster id yet".to_owned(), |id| format!("cluster {id}"));
    let leader = match (&health.leader, health.no_leader_since_ms) {
        (Some(leader), _) => format!("leader {leader} (term {})", health.term),
        (None, Some(since)) => format!("no leader for {}", units::span(now_ms.saturating_sub(since))),
        (None, None) => "no leader".to_owned(),
    };
    let view = if health.by_leader { String::new() } else { format!(", the view of {}", health.member) };
    units::plain(&format!("{cluster}, {leader}{view}, as of {} UTC", units::clock(health.as_of_ms)))
}

fn line(check: &Check, now_ms: u64) -> String {
    let mut facts = vec![check.code.clone(), units::count(check.count)];
    facts.extend(check.bytes.map(units::bytes));
    facts.extend(check.since_ms.map(|since| {
        format!("since {} UTC ({})", units::clock(since), units::span(now_ms.saturating_sub(since)))
    }));
    // Where the begin is told, the age says the same.
    let age = check.oldest_ms.filter(|_| check.since_ms.is_none());
    facts.extend(age.map(|age| format!("oldest {}", units::span(age))));
    facts.extend(check.muted_until_ms.map(|until| format!("muted until {}", units::moment(until))));
    let mut text = format!("  [{}] {}\n      {}\n", check.severity, check.summary, facts.join(", "));
    if let Some(cause) = &check.cause {
        text.push_str(&format!("      because of {cause}\n"));
    }
    for next in &check.next {
        text.push_str(&format!("      next: {next}\n"));
    }
    text.split_inclusive('\n').map(|line| units::plain(line.trim_end()) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::told;
    use crate::health::Health;

    #[test]
    fn one_cause_is_told_with_its_number_and_the_next_command() {
        let health: Health = serde_json::from_str(
            r#"{"verdict": "degraded", "as_of_ms": 1700000003000, "member": "pd-1", "leader": "pd-1", "by_leader": true,
            "term": 3, "cluster_id": "7", "heard": {"regions_permille": 995, "stores": 3, "stores_expected": 4},
            "checks": [{"code": "REGION_SHORT", "severity": "degraded", "count": 4000, "bytes": 44040192,
            "since_ms": 1699999983000, "oldest_ms": 19000, "summary": "4000 regions lack a replica because store 4 is down",
            "cause": {"code": "STORE_DOWN", "subject": {"store": 4}}, "next": ["pd-ctl why store 4"]}]}"#,
        )
        .unwrap();
        let expected = "degraded  cluster 7, leader pd-1 (term 3), as of 22:13:23 UTC
  heard so far: 99.5 % of the regions, 3 of 4 stores
  [degraded] 4000 regions lack a replica because store 4 is down
      REGION_SHORT, 4,000, 42 MiB, since 22:13:03 UTC (20s)
      because of STORE_DOWN store 4
      next: pd-ctl why store 4
";
        assert_eq!(told(&health, 1_700_000_003_000), expected);
    }
}
