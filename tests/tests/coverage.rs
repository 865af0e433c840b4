//! `docs/coverage.md` says what is there: it is made here, from the lists, the records, a running member and the tool.
//! `UPDATE=1` writes it; without, a page that is not what would be written fails.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use tests::coverage::{ask, compose, judgement, list, page};
use tests::replay::dynamic::Wire;
use tests::replay::feed::Feed;
use tests::replay::ids::Raise;
use tests::replay::record;
use tests::replay::server::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_of_coverage_is_true() -> Result<()> {
    let server = Server::start("[schedule]\nhalt-scheduling = true\n").await?;
    let connection = server.connect(&Wire::compiled()?).await?;
    let mut feed = Feed::new(record::state()?, connection, server.cluster_id().await?, Raise(0));
    feed.bootstrap().await?;
    feed.all().await.with_context(|| server.log_tail())?;

    let (http, grpc, pdctl) = (list::http()?, list::grpc()?, list::pdctl()?);
    let base = server.client_url();
    let routes = ask::http(&base, &http).await?;
    let rpcs = ask::grpc(&base, &grpc).await?;
    let commands = ask::pdctl(&pdctl)?;
    // What is there and what is not are told apart at all.
    for present in [&routes, &rpcs, &commands] {
        ensure!(present.contains(&true) && present.contains(&false), "all alike: {present:?}");
    }

    let judgements = judgement::read()?;
    let composed = [
        compose(&http, &routes, &judgements),
        compose(&grpc, &rpcs, &judgements),
        compose(&pdctl, &commands, &judgements),
    ];
    let wrong: Vec<String> =
        composed.iter().filter_map(|rows| rows.as_ref().err().map(ToString::to_string)).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    let [http, grpc, pdctl] = composed;
    let made = page::page(&[
        ("HTTP", "http.jsonl", http?),
        ("gRPC", "grpc.jsonl", grpc?),
        ("pd-ctl", "pdctl.jsonl", pdctl?),
    ]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/coverage.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &made)?;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = made.lines().zip(written.lines()).find(|(made, written)| made != written);
    ensure!(
        made == written,
        "docs/coverage.md is not what is there; UPDATE=1 writes it. The first other line: {differs:?}"
    );
    server.passed()
}
