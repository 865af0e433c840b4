//! What `GET /pd/api/v2/why/..` answers, and how it is told in a terminal.

use serde::Deserialize;
use serde_json::Value;

use crate::failure::{Failure, Kind};
use crate::health;
use crate::request::Ask;
use crate::session::Session;
use crate::units;

/// Why something happens to a Region or a store, or does not.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Why {
    /// About what.
    pub subject: Value,
    /// One sentence.
    pub summary: String,
    /// What holds now.
    pub lines: Vec<Reason>,
    /// What was refused before.
    pub kept: Vec<Reason>,
    /// Commands to type next.
    pub next: Vec<String>,
    /// The Region.
    pub region: Option<Region>,
    /// The store.
    pub store: Option<Store>,
    /// The running operator.
    pub operator: Option<Operator>,
}

/// One reason.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Reason {
    /// In plain words.
    pub text: String,
    /// When it was said last, in ms since 1970.
    pub at_ms: Option<u64>,
    /// How often in a row.
    pub times: Option<u64>,
}

/// A Region.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names of the answer's fields")]
pub struct Region {
    pub start_hex: String,
    pub end_hex: String,
    pub conf_ver: u64,
    pub version: u64,
    pub leader: Option<u64>,
    pub peers: Vec<Peer>,
    pub bytes: u64,
    pub keys: u64,
    pub heard_ms: u64,
}

/// A replica.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names of the answer's fields")]
pub struct Peer {
    pub id: u64,
    pub store: u64,
    pub role: String,
    pub state: String,
    pub down_s: Option<u64>,
}

/// A store.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names of the answer's fields")]
pub struct Store {
    pub node_state: String,
    pub liveness: String,
    pub leaders: Option<u64>,
    pub regions: Option<u64>,
    pub bytes: Option<u64>,
    pub target_bytes: Option<u64>,
    pub last_heartbeat_ms: Option<u64>,
    pub limits: Vec<Limit>,
}

/// How fast peers may come or go.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names of the answer's fields")]
pub struct Limit {
    pub kind: String,
    pub rate: String,
    pub available: Option<u64>,
    pub refused: u64,
}

/// A running operator.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names of the answer's fields")]
pub struct Operator {
    pub cause: String,
    pub kind: String,
    pub steps: Vec<String>,
    pub step: usize,
    pub waits_for: Option<String>,
}

/// The reasons, as they came and as read.
///
/// # Errors
/// When nobody answers or the subject is unknown, in the server's words.
pub async fn ask(session: &Session, kind: &str, id: u64) -> Result<(String, Why), Failure> {
    let asked = Ask::get(format!("/pd/api/v2/why/{kind}/{id}")).send(session).await;
    let answer = asked.map_err(in_words)?;
    match serde_json::from_str(&answer.text) {
        Ok(why) => Ok((answer.text, why)),
        Err(error) => Err(Failure::here(format!("the answer cannot be read: {error}\n"))),
    }
}

/// An error of the second API is an object with a message and often the next command.
fn in_words(failure: Failure) -> Failure {
    if !matches!(failure.kind, Kind::Refused(_)) {
        return failure;
    }
    let body = failure.words.split_once("] ").map_or("", |(_, body)| body);
    let Ok(error) = serde_json::from_str::<Value>(body) else { return failure };
    let Some(message) = error["message"].as_str() else { return failure };
    let told = Failure { words: format!("{}\n", units::plain(message)), ..failure };
    match error["next"].as_str() {
        Some(next) => told.advise(format!("next: {}", units::plain(next))),
        None => told,
    }
}

impl Why {
    /// The lines that tell it.
    pub fn lines(&self, now_ms: u64) -> Vec<String> {
        // The sentence mostly names it already.
        let subject = health::subject(&self.subject);
        let mut lines = vec![match self.summary.to_lowercase().starts_with(&subject) {
            true => self.summary.clone(),
            false => format!("{subject}: {}", self.summary),
        }];
        lines.extend(self.region.iter().flat_map(|region| region.lines(now_ms)));
        lines.extend(self.store.iter().flat_map(|store| store.lines(now_ms)));
        lines.extend(self.operator.iter().flat_map(Operator::lines));
        if !self.lines.is_empty() {
            lines.push("because".to_owned());
            lines.extend(self.lines.iter().map(|reason| format!("  {}", reason.text)));
        }
        if !self.kept.is_empty() {
            lines.push("refused before".to_owned());
            lines.extend(self.kept.iter().map(|reason| reason.line(now_ms)));
        }
        lines.extend(self.next.iter().map(|next| format!("next: {next}")));
        lines.iter().map(|line| units::plain(line)).collect()
    }
}

impl Reason {
    fn line(&self, now_ms: u64) -> String {
        let mut facts = Vec::new();
        facts.extend(
            self.times.filter(|times| *times > 1).map(|times| format!("{} times", units::count(times))),
        );
        facts.extend(self.at_ms.map(|at| format!("{} ago", units::span(now_ms.saturating_sub(at)))));
        let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
        format!("  {}{facts}", self.text)
    }
}

impl Region {
    fn lines(&self, now_ms: u64) -> Vec<String> {
        let end = if self.end_hex.is_empty() { "the end" } else { &self.end_hex };
        let start = if self.start_hex.is_empty() { "the start" } else { &self.start_hex };
        let leader = self
            .leader
            .map_or_else(|| "no leader known".to_owned(), |store| format!("leader on store {store}"));
        let mut lines = vec![
            format!("  from {start} to {end}"),
            format!(
                "  {}, {} keys, epoch {}/{}, {leader}, heard {} ago",
                units::bytes(self.bytes),
                units::count(self.keys),
                self.conf_ver,
                self.version,
                units::span(now_ms.saturating_sub(self.heard_ms))
            ),
        ];
        lines.extend(self.peers.iter().map(|peer| {
            let down = peer.down_s.map(|s| format!(" for {}", units::span(s * 1000))).unwrap_or_default();
            format!("  peer {} on store {}: {}, {}{down}", peer.id, peer.store, peer.role, peer.state)
        }));
        lines
    }
}

impl Store {
    fn lines(&self, now_ms: u64) -> Vec<String> {
        let noun = |number, one, more| if number == Some(1) { one } else { more };
        let known = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), units::count);
        let size = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), units::bytes);
        let heard = self.last_heartbeat_ms.map_or_else(
            || "not heard by this leader".to_owned(),
            |at| format!("heard {} ago", units::span(now_ms.saturating_sub(at))),
        );
        let mut lines = vec![format!(
            "  {}, {}, {} {}, {} {}, {} of a target of {}, {heard}",
            self.node_state,
            self.liveness,
            known(self.leaders),
            noun(self.leaders, "leader", "leaders"),
            known(self.regions),
            noun(self.regions, "region", "regions"),
            size(self.bytes),
            size(self.target_bytes)
        )];
        lines.extend(self.limits.iter().map(Limit::line));
        lines
    }
}

impl Limit {
    fn line(&self) -> String {
        // A large replica costs 1,000 units.
        let left =
            self.available.map(|units| format!(", {} units left", units::count(units))).unwrap_or_default();
        let refused = match self.refused {
            0 => String::new(),
            times => format!(", refused {} times", units::count(times)),
        };
        let rate = match self.rate.as_str() {
            "unlimited" => "unlimited".to_owned(),
            rate => format!("{rate} a minute"),
        };
        format!("  {}: {rate}{left}{refused}", self.kind)
    }
}

impl Operator {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("  operator: {} ({})", self.cause, self.kind)];
        for (at, step) in self.steps.iter().enumerate() {
            let mark = match at.cmp(&self.step) {
                std::cmp::Ordering::Less => "done",
                std::cmp::Ordering::Equal => "now",
                std::cmp::Ordering::Greater => "then",
            };
            lines.push(format!("    {mark:4} {step}"));
        }
        lines.extend(self.waits_for.iter().map(|what| format!("    waits for {what}")));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::Why;

    #[test]
    fn a_store_comes_with_its_limits() {
        let why: Why = serde_json::from_str(
            r#"{"subject": {"store": 4}, "summary": "store 4 takes nothing", "store": {"node_state": "Serving",
            "liveness": "Connected", "leaders": 3, "regions": 1, "bytes": 1024, "last_heartbeat_ms": 14000, "limits":
            [{"kind": "add-peer", "rate": "15", "available": 2500, "refused": 1200}, {"kind": "remove-peer", "rate": "unlimited", "available": null}]}}"#,
        )
        .unwrap();
        let told = [
            "store 4 takes nothing",
            "  Serving, Connected, 3 leaders, 1 region, 1.0 KiB of a target of ?, heard 1s ago",
            "  add-peer: 15 a minute, 2,500 units left, refused 1,200 times",
            "  remove-peer: unlimited",
        ];
        assert_eq!(why.lines(15_000), told);
    }

    #[test]
    fn reasons_come_with_their_numbers() {
        let why: Why = serde_json::from_str(
            r#"{"subject": {"region": 7}, "summary": "one replica is missing", "lines": [{"text": "store 2 is full"}],
            "kept": [{"text": "store 3: limit used up", "at_ms": 5000, "times": 3}], "next": ["pd-ctl why store 2"],
            "region": {"start_hex": "", "end_hex": "74", "conf_ver": 5, "version": 2, "leader": 1, "bytes": 2048,
            "peers": [{"id": 8, "store": 1, "role": "Voter", "state": "down", "down_s": 70}], "heard_ms": 14000},
            "operator": {"cause": "repair", "kind": "replica", "steps": ["a", "b"], "step": 1}}"#,
        )
        .unwrap();
        let told = why.lines(15_000);
        assert_eq!(
            told,
            [
                "region 7: one replica is missing",
                "  from the start to 74",
                "  2.0 KiB, 0 keys, epoch 5/2, leader on store 1, heard 1s ago",
                "  peer 8 on store 1: Voter, down for 1m 10s",
                "  operator: repair (replica)",
                "    done a",
                "    now  b",
                "because",
                "  store 2 is full",
                "refused before",
                "  store 3: limit used up (3 times, 10s ago)",
                "next: pd-ctl why store 2",
            ]
        );
    }
}
