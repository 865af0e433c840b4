//! One line of the record: one message in one direction.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::Value;

use crate::replay::record;

/// A message between a store and PD.
#[derive(Debug, Clone, Deserialize)]
pub struct Line {
    /// Its place in the order.
    pub n: u32,
    /// The store, or a short connection of it.
    pub who: String,
    /// Which call it belongs to.
    pub call: u64,
    /// `package.Service/Method`.
    pub rpc: String,
    /// Which way it went.
    pub dir: Direction,
    /// The message in protobuf's JSON; `null` when a call is only opened.
    #[serde(default)]
    pub msg: Value,
}

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Direction {
    /// A stream was opened.
    #[serde(rename = "open")]
    Open,
    /// From the store to PD.
    #[serde(rename = ">")]
    ToPd,
    /// From PD to the store.
    #[serde(rename = "<")]
    ToStore,
}

/// The record up to n 519: boot, three stores, load with 17 splits.
///
/// # Errors
/// When the file is missing or a line is none.
pub fn lines() -> Result<Vec<Line>> {
    let mut lines = record::lines("tikv.jsonl")?;
    join_trimmed_polls(&mut lines);
    Ok(lines)
}

/// Repeated polls are left out of the record, in one place so that the question of one call and the answer of the next
/// remained. They become one call: an answer without a question belongs to the last open one of its store and RPC.
fn join_trimmed_polls(lines: &mut [Line]) {
    let mut open: Vec<(u64, String, String)> = Vec::new();
    let mut streams = HashSet::new();
    for line in lines {
        let is_same = |it: &&(u64, String, String)| it.1 == line.who && it.2 == line.rpc;
        match line.dir {
            Direction::Open => {
                streams.insert(line.call);
            }
            Direction::ToPd if !streams.contains(&line.call) => {
                open.push((line.call, line.who.clone(), line.rpc.clone()));
            }
            Direction::ToStore if !streams.contains(&line.call) => {
                if !open.iter().any(|(call, _, _)| *call == line.call)
                    && let Some((call, _, _)) = open.iter().rfind(is_same)
                {
                    line.call = *call;
                }
                open.retain(|(call, _, _)| *call != line.call);
            }
            Direction::ToPd | Direction::ToStore => {}
        }
    }
}

/// What a recorded split cut: by the number of the line that asked for it, the keys it was cut at, in order.
///
/// # Errors
/// When a split was asked for and never reported.
pub fn split_keys(lines: &[Line]) -> Result<HashMap<u32, Vec<Vec<u8>>>> {
    let is = |line: &&Line, rpc: &str| line.rpc == rpc && line.dir == Direction::ToPd;
    let asks = lines.iter().filter(|line| is(line, "pdpb.PD/AskBatchSplit"));
    let keys = asks.map(|ask| {
        let parent = &ask.msg["region"]["id"];
        let mut reports = lines.iter().filter(|line| line.n > ask.n && is(line, "pdpb.PD/ReportBatchSplit"));
        let report = reports.find(|report| {
            report.msg["regions"].as_array().and_then(|r| r.last()).is_some_and(|r| r["id"] == *parent)
        });
        let pieces = report.and_then(|report| report.msg["regions"].as_array());
        let pieces =
            pieces.with_context(|| format!("the split asked for at n {} was never reported", ask.n))?;
        let cuts: Result<Vec<_>> = pieces.iter().skip(1).map(|piece| key(&piece["start_key"])).collect();
        Ok((ask.n, cuts?))
    });
    keys.collect()
}

/// A key of the record (base64; absent is empty).
///
/// # Errors
/// When it is not base64.
pub fn key(value: &Value) -> Result<Vec<u8>> {
    BASE64.decode(value.as_str().unwrap_or_default()).with_context(|| format!("key {value}"))
}

#[cfg(test)]
mod tests {
    use super::{Direction, lines, split_keys};

    #[test]
    fn the_record_is_whole_and_in_order() {
        let lines = lines().unwrap();
        assert_eq!(lines.len(), 519);
        assert!(lines.iter().zip(1..).all(|(line, n)| line.n == n));
        let opened = lines.iter().filter(|line| line.dir == Direction::Open).count();
        assert_eq!(opened, 21);
    }

    #[test]
    fn every_answer_has_its_question() {
        let mut open = std::collections::HashSet::new();
        for line in lines().unwrap() {
            let fits = match line.dir {
                Direction::Open | Direction::ToPd => open.insert(line.call) || line.dir == Direction::ToPd,
                Direction::ToStore => open.contains(&line.call),
            };
            assert!(fits, "n {}", line.n);
        }
    }

    #[test]
    fn every_recorded_split_has_its_keys() {
        let lines = lines().unwrap();
        let keys = split_keys(&lines).unwrap();
        assert_eq!(keys.len(), 19);
        assert_eq!(keys[&234], vec![b"key40471497".to_vec()]);
        assert_eq!(keys[&277], vec![b"key12436349".to_vec(), b"key23959610".to_vec()]);
    }
}
