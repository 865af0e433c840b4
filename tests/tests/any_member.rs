//! Any member answers as the leader does: what was written is read back at once, reads outlive a leader that stops, and what
//! is not taken is refused in the same words everywhere.

use anyhow::{Context, Result, bail, ensure};
use hyper::Method;
use serde_json::{Value, json};
use tests::cluster::{Cluster, PATIENCE, Setup, eventually, http};
use tests::writes::without_scheme;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Leaders that are stopped until one request is seen to wait for the next.
const STOPS_MAX: usize = 5;
/// Writes that are read back.
const WRITES: u64 = 30;
/// The largest body that is taken.
const BODY_BYTES_MAX: usize = 1 << 20;

const CONFIG: &str = "/pd/api/v1/config";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_configuration_is_the_leaders_while_there_is_one() -> Result<()> {
    let mut cluster = Cluster::prepare(Setup::of_a_test(3, 0))?;
    cluster.start_members()?;
    let leader = cluster.wait_for_pd_leader().await?;
    let (name, follower) = (cluster.members()[leader].name().to_owned(), (leader + 1) % 3);
    let url = format!("{}{CONFIG}", cluster.members()[follower].client_url());
    ensure!(http::get_json(&url).await?["name"] == name.as_str(), "a follower showed its own view");
    for limit in 1..=WRITES {
        let items = json!({"leader-schedule-limit": limit}).to_string();
        let (status, _, text) = http::send(Method::POST, &url, &items).await?;
        ensure!(status.is_success(), "{status} {text:?}");
        let shown = http::get_json(&url).await?["schedule"]["leader-schedule-limit"].clone();
        ensure!(shown == limit, "{limit} was written, {shown} is shown");
    }

    // Alone it shows what it has: the last that was written, and who says so.
    cluster.member(leader).kill()?;
    cluster.member((leader + 2) % 3).kill()?;
    let own = cluster.members()[follower].name().to_owned();
    eventually("the follower's own view", PATIENCE, async || {
        let shown = http::get_json(&url).await?;
        let limit = &shown["schedule"]["leader-schedule-limit"];
        ensure!(shown["name"] == own.as_str() && *limit == WRITES, "{shown}");
        Ok(())
    })
    .await?;
    let (status, _, text) = http::send(Method::POST, &url, "{\"leader-schedule-limit\": 1}").await?;
    let text = String::from_utf8_lossy(&text);
    ensure!(status == 503 && text.contains("redirect finds no leader"), "{status} {text}");
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_waits_for_the_next_leader_and_a_write_says_what_is_known() -> Result<()> {
    let mut cluster = Cluster::prepare(Setup::of_a_test(3, 0))?;
    cluster.start_members()?;
    let mut read = None;
    for _ in 0..STOPS_MAX {
        let leader = cluster.wait_for_pd_leader().await?;
        let url = cluster.members()[(leader + 1) % 3].client_url();
        cluster.member(leader).process().pause()?;
        // Both go to the old leader, which hangs. An election that takes too long on a busy machine proves nothing.
        let (read_url, write_url) = (format!("{url}{CONFIG}/schedule"), format!("{url}{CONFIG}"));
        let (answer, written) = tokio::join!(
            http::request(Method::GET, &read_url),
            http::send(Method::POST, &write_url, "{\"leader-schedule-limit\": 7}")
        );
        cluster.member(leader).process().resume()?;
        let (status, _, text) = written?;
        let text = String::from_utf8_lossy(&text);
        let is_told = text.contains("is not known") || text.contains("finds no leader");
        ensure!(status.is_success() || status == 503 && is_told, "the write: {status} {text}");
        let (status, text) = answer?;
        let text = String::from_utf8_lossy(&text);
        ensure!(status.is_success() || text.contains("finds no leader"), "the read: {status} {text}");
        if status.is_success() {
            read = Some(serde_json::from_str::<Value>(&text)?);
            break;
        }
    }
    ensure!(read.context("no read was answered by the next leader")?.is_object(), "the section");

    // The lead is moved through a member that sees it go before the answer comes.
    for _ in 0..STOPS_MAX {
        let leader = cluster.wait_for_pd_leader().await?;
        let (heir, url) = ((leader + 1) % 3, cluster.members()[(leader + 2) % 3].client_url());
        let heir = cluster.members()[heir].name().to_owned();
        let moved = eventually("the lead moved", PATIENCE, async || {
            let url = format!("{url}/pd/api/v1/leader/transfer/{heir}");
            let (status, text) = http::request(Method::POST, &url).await?;
            let text = String::from_utf8_lossy(&text).into_owned();
            // A heir that lags is asked again; an answer that was not waited for is none.
            ensure!(status.is_success() || text.contains("before it answered"), "{status} {text}");
            Ok(text)
        });
        let moved = moved.await?;
        ensure!(moved == "\"The transfer command is submitted.\"\n", "{moved}");
    }
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_taken_is_refused_in_the_words_of_the_route() -> Result<()> {
    let mut cluster = Cluster::prepare(Setup::of_a_test(3, 0))?;
    cluster.start_members()?;
    cluster.wait_for_pd_leader().await?;
    for url in cluster.endpoints() {
        let (status, kind, text) = http::send(Method::GET, &format!("{url}/pd/api/v1/store/%ff"), "").await?;
        let error: Value = serde_json::from_slice(&text).with_context(|| format!("{text:?}"))?;
        ensure!(status == 400 && kind.starts_with("application/json"), "{status} {kind}");
        ensure!(
            error["code"] == "input"
                && error["msg"] == "strconv.ParseUint: parsing \"\u{fffd}\": invalid syntax",
            "{error}"
        );
        let path = "/pd/api/v1/config/rules/region/%fe";
        let (status, _, text) = http::send(Method::GET, &format!("{url}{path}"), "").await?;
        let error: String = serde_json::from_slice(&text).with_context(|| format!("{text:?}"))?;
        ensure!(status == 400 && error.contains("invalid syntax"), "{status} {error}");

        // A body whose length is not told before, and one that breaks off.
        let (status, text) = post_chunked(&url, &[&vec![b' '; BODY_BYTES_MAX], b" "], true).await?;
        ensure!(
            status == "HTTP/1.1 413 Payload Too Large"
                && text == "the body is larger than 1 MiB, the most that is taken\n",
            "{status} {text}"
        );
        let (status, text) = post_chunked(&url, &[b"{\"leader-schedule-limit\": 5}"], true).await?;
        ensure!(status == "HTTP/1.1 200 OK" && text.contains("updated"), "{status} {text}");
        let (status, text) = post_chunked(&url, &[b"{\"leader-schedule-limit\": 6}"], false).await?;
        ensure!(
            status == "HTTP/1.1 400 Bad Request" && text.contains("the body cannot be read"),
            "{status} {text}"
        );
        let shown = http::get_json(&format!("{url}{CONFIG}")).await?;
        ensure!(shown["schedule"]["leader-schedule-limit"] == 5, "half a request changed something");
    }
    cluster.passed()
}

/// Sends chunks, and their end or garbage; the first line of the answer and its body.
async fn post_chunked(url: &str, chunks: &[&[u8]], ends: bool) -> Result<(String, String)> {
    let address = without_scheme(url);
    let mut socket = TcpStream::connect(address).await?;
    let head = format!(
        "POST {CONFIG} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await?;
    for chunk in chunks {
        socket.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await?;
        socket.write_all(chunk).await?;
        socket.write_all(b"\r\n").await?;
    }
    socket.write_all(if ends { b"0\r\n\r\n" } else { b"zz\r\n\r\n" }).await?;
    let mut answer = Vec::new();
    timeout(PATIENCE, socket.read_to_end(&mut answer)).await??;
    let answer = String::from_utf8_lossy(&answer);
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { bail!("no answer: {answer:?}") };
    Ok((head.lines().next().unwrap_or_default().to_owned(), body.to_owned()))
}
