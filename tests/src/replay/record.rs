//! The recorded files, read.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// The cluster id of the recorded tikv/pd behind `grpc.jsonl`.
pub const RECORDED_CLUSTER_ID: u64 = 7_711_470_341_570_131_228;
/// Where that tikv/pd listened.
pub const RECORDED_CLIENT_URL: &str = "http://127.0.0.1:2479";
/// Where that tikv/pd talked to its peers.
pub const RECORDED_PEER_URL: &str = "http://127.0.0.1:2480";

/// One call of `grpc.jsonl` and how it was answered.
#[derive(Debug, Clone, Deserialize)]
pub struct Row {
    /// Its place in the order of the record.
    pub n: u32,
    /// `package.Service/Method`.
    pub rpc: String,
    /// The cluster id in the request's header.
    pub h: HeaderKind,
    /// The request without its header; a list for a stream.
    pub req: Value,
    /// How it ended, and what came before.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Which cluster id a recorded request named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeaderKind {
    /// The right one.
    Ok,
    /// The right one plus one.
    Bad,
    /// There was no header.
    None,
}

/// Everything that a call brought back.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Outcome {
    /// The gRPC status by name.
    pub code: String,
    /// The text of the status.
    #[serde(default)]
    pub details: String,
    /// The answers in protobuf's JSON.
    pub answers: Vec<Value>,
}

/// A row where our server differs on purpose: its own answer, and why.
#[derive(Debug, Clone, Deserialize)]
pub struct Difference {
    /// The row of `grpc.jsonl`.
    pub n: u32,
    /// What ours answers instead, masked like the record.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The reason, in short; `docs/differences.md` has it in full.
    pub why: String,
}

/// One request of `http.jsonl` and how it was answered.
#[derive(Debug, Clone, Deserialize)]
pub struct HttpRow {
    /// Its place in the order of the record.
    pub n: u32,
    /// Method, path, and body if there was one.
    pub ask: String,
    /// What came back.
    #[serde(flatten)]
    pub answer: HttpAnswer,
    /// False: the answer differs from run to run in more than times and ids.
    pub stable: bool,
}

/// What an HTTP request brought back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The content type; empty when there is none.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The body.
    pub body: String,
}

impl HttpRow {
    /// Method, path with query, body.
    #[must_use]
    pub fn parts(&self) -> (&str, &str, &str) {
        let mut parts = self.ask.splitn(3, ' ');
        (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""))
    }
}

/// A row of `http.jsonl` where ours differs on purpose.
#[derive(Debug, Clone, Deserialize)]
pub struct HttpDifference {
    /// The row.
    pub n: u32,
    /// What ours answers instead.
    #[serde(flatten)]
    pub answer: HttpAnswer,
    /// The reason, in short; `docs/differences.md` has it in full.
    pub why: String,
}

/// The cluster that the record was made on.
#[derive(Debug, Clone, Deserialize)]
pub struct State {
    /// metapb.Store as JSON, with `stats` (pdpb.StoreStats) added.
    pub stores: Vec<Value>,
    /// The Regions.
    pub regions: Vec<StateRegion>,
}

/// A Region of the recorded cluster.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs, reason = "the names of the file, which are those of the heartbeat")]
pub struct StateRegion {
    pub id: u64,
    /// Hexadecimal.
    pub start: String,
    /// Hexadecimal; empty is the end of the key space.
    pub end: String,
    pub epoch: Value,
    pub peers: Vec<StatePeer>,
    /// The leader's peer id.
    pub leader: u64,
    pub term: u64,
    pub approximate_size: u64,
    pub approximate_keys: u64,
    pub bytes_written: u64,
    pub bytes_read: u64,
    pub keys_written: u64,
    pub keys_read: u64,
    pub cpu_usage: u64,
    pub query_stats: Value,
    pub down_peers: Vec<StateDownPeer>,
    /// Peer ids.
    pub pending_peers: Vec<u64>,
    pub interval_seconds: u64,
}

/// A replica of a recorded Region.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs, reason = "the names of the file, which are those of metapb.Peer")]
pub struct StatePeer {
    pub id: u64,
    pub store_id: u64,
    pub role: String,
}

/// A replica that its leader does not hear.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs, reason = "the names of the file, which are those of pdpb.PeerStats")]
pub struct StateDownPeer {
    pub peer_id: u64,
    pub down_seconds: u64,
}

/// The rows of `grpc.jsonl`, in order.
///
/// # Errors
/// When the file is missing or a line is not a row.
pub fn grpc_rows() -> Result<Vec<Row>> {
    lines("grpc.jsonl")
}

/// Where ours differs from `grpc.jsonl` on purpose.
///
/// # Errors
/// When the file is missing or a line is not an entry.
pub fn grpc_differences() -> Result<Vec<Difference>> {
    lines("grpc-differences.jsonl")
}

/// The rows of `http.jsonl`, in order.
///
/// # Errors
/// When the file is missing or a line is not a row.
pub fn http_rows() -> Result<Vec<HttpRow>> {
    lines("http.jsonl")
}

/// Where ours differs from `http.jsonl` on purpose.
///
/// # Errors
/// When the file is missing or a line is not an entry.
pub fn http_differences() -> Result<Vec<HttpDifference>> {
    lines("http-differences.jsonl")
}

/// The cluster of `state.json`.
///
/// # Errors
/// When the file is missing or of another form.
pub fn state() -> Result<State> {
    Ok(serde_json::from_str(&std::fs::read_to_string(data("state.json"))?)?)
}

/// Reads a file of `tests/data` with one JSON value a line; blank lines are skipped.
///
/// # Errors
/// Names the file and the line.
pub fn lines<T: DeserializeOwned>(name: &str) -> Result<Vec<T>> {
    let text = std::fs::read_to_string(data(name)).with_context(|| name.to_string())?;
    let numbered = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parse =
        |(at, line): (usize, &str)| serde_json::from_str(line).with_context(|| format!("{name}:{}", at + 1));
    numbered.map(parse).collect()
}

/// The path of a file of `tests/data`.
#[must_use]
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}
