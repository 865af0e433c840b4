//! Whether something is there, asked of a running member and of the tool. What is asked changes nothing that a later
//! question needs: ids are unknown ones, bodies are empty.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::list::{List, words};
use crate::cluster::{binaries, http};

/// How long an RPC may take to begin its answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// gRPC's number for "unimplemented".
const UNIMPLEMENTED: &str = "12";

/// Of each route, whether the member at `base` has it.
///
/// # Errors
/// When the member does not answer.
pub async fn http(base: &str, list: &List) -> Result<Vec<bool>> {
    let mut present = Vec::new();
    for entry in &list.entries {
        present.push(match request(&entry.name) {
            None => false,
            Some((method, path)) => {
                let (status, _, body) = http::send(method.parse()?, &format!("{base}{path}"), "").await?;
                !(status == 405 || status == 404 && is_unknown(&body))
            }
        });
    }
    Ok(present)
}

/// Whether this is what paths are answered that lead nowhere: tikv/pd's words, and an error of our own under v2.
fn is_unknown(body: &[u8]) -> bool {
    let ours = || serde_json::from_slice::<serde_json::Value>(body).ok();
    body == b"404 page not found\n"
        || ours().is_some_and(|error| {
            error["message"].as_str().is_some_and(|text| text.contains("there is no route"))
        })
}

/// Method and path that ask for a route; none for what another program or port serves.
fn request(name: &str) -> Option<(&str, String)> {
    let (methods, template) = name.split_once(' ')?;
    if template.contains(" (") || template.contains(", ") {
        return None;
    }
    let method = if methods == "ANY" { "GET" } else { methods.split('|').next()? };
    let mut path = String::new();
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('{') {
        let (place, after) = behind.split_once('}')?;
        path.push_str(before);
        path.push_str(match place {
            "id" | "region_id" | "region" | "store_id" => "900001",
            "key" => "61",
            "group" => "pd",
            "scheduler" => "balance-leader-scheduler",
            several if several.contains('|') => several.split('|').next()?,
            _ => "x",
        });
        rest = after;
    }
    path.push_str(rest);
    // An alternative of alternatives has no address: one of them is asked.
    Some((method, path.split(' ').next()?.to_owned()))
}

/// Of each RPC, whether the member at `base` has it: an empty message is sent, whatever its type.
///
/// # Errors
/// When the member does not answer.
pub async fn grpc(base: &str, list: &List) -> Result<Vec<bool>> {
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<Bytes>>();
    let mut present = Vec::new();
    for entry in &list.entries {
        // No compression, no bytes.
        let message = Full::new(Bytes::from_static(&[0; 5]));
        let request = Request::post(format!("{base}/{}", entry.name))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(message)?;
        // A stream that waits for something begins its answer late; what is not there is refused at once.
        let Ok(answer) = tokio::time::timeout(PATIENCE, client.request(request)).await else {
            present.push(true);
            continue;
        };
        let answer = answer.with_context(|| entry.name.clone())?;
        let status = answer.headers().get("grpc-status");
        let is_missing = status.is_some_and(|status| status.as_bytes() == UNIMPLEMENTED.as_bytes());
        drop(answer.into_body().boxed());
        present.push(!is_missing);
    }
    Ok(present)
}

/// Of each command, whether the tool has help on it: the usage line names every word. (A group shows its own help for a
/// word that it takes for an argument.)
///
/// # Errors
/// When the tool is not built.
pub fn pdctl(list: &List) -> Result<Vec<bool>> {
    let program = binaries::pd_ctl()?;
    let has = |command: &str| -> Result<bool> {
        let words = words(command);
        let help = Command::new(&program).args(&words).arg("--help").stdin(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&help.stdout);
        let usage = text.lines().skip_while(|line| *line != "Usage:").nth(1).unwrap_or_default();
        let named = |word: &String| {
            usage.split(|c: char| !c.is_alphanumeric() && !"-_".contains(c)).any(|part| part == word)
        };
        Ok(help.status.success() && words.iter().all(named))
    };
    list.entries
        .iter()
        .map(|entry| entry.name.split(" / ").try_fold(true, |all, one| Ok(all && has(one)?)))
        .collect()
}
