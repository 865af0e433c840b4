//! Three recorded TiKV stores boot, grow and live on our server: `tikv.jsonl` up to n 519.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::replay::dynamic::Wire;
use tests::replay::server::Server;
use tests::replay::tikv::player::Player;

/// Three replicas, and nothing kept from being scheduled.
const CONFIG: &str = "[replication]\nmax-replicas = 3\n";

/// Splits of the record that its stores asked for because a Region grew.
const SPLITS_BY_SIZE: u32 = 18;

/// Lines of the record that only tell what tikv/pd commanded: its commands themselves, and the ids and reports of the
/// splits that it wanted for its keyspaces.
const LEFT_OUT: [u32; 30] = [
    58, 59, 60, 64, 67, 171, 173, 174, 189, 191, 193, 195, 197, 199, 200, 201, 202, 214, 216, 217, 233, 248,
    327, 328, 396, 437, 438, 443, 518, 519,
];
/// All others, up to n 519.
const PLAYED: u32 = 519 - 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_tikvs_boot_and_live() -> Result<()> {
    let server = Server::start(CONFIG).await?;
    let cluster_id = server.cluster_id().await?;
    let played = Player::new(&server.address(), cluster_id)?.play().await;
    let (report, regions) = played.with_context(|| server.log_tail())?;
    println!("{report:?}");
    ensure!(report.differences.is_empty(), "{}", report.differences.join("\n"));
    ensure!(report.played == PLAYED && report.left_out == LEFT_OUT, "other lines were played: {report:?}");
    ensure!(report.splits >= SPLITS_BY_SIZE, "{report:?}");
    // Two learners and their promotion for each Region that was there when the stores joined.
    ensure!(report.commands.get("change_peer_v2").is_some_and(|count| *count >= 4), "{report:?}");
    // All first leaders were on one store.
    ensure!(report.commands.get("transfer_leader").is_some_and(|count| *count >= 6), "{report:?}");

    // What the server shows is what the stores have.
    let connection = server.connect(&Wire::compiled()?).await?;
    let request = json!({"header": {"cluster_id": cluster_id.to_string()}, "limit": -1});
    let scanned = connection.ask_json("pdpb.PD/ScanRegions", &request).await?;
    let shown = scanned["regions"].as_array().context("regions")?;
    ensure!(
        shown.len() == regions.iter().count(),
        "{} Regions, the server shows {}",
        regions.iter().count(),
        shown.len()
    );
    for item in shown {
        let id: u64 = item["region"]["id"].as_str().context("an id")?.parse()?;
        let ours = regions.get(id)?;
        let epoch = tests::replay::tikv::command::epoch(&item["region"]["region_epoch"]);
        ensure!(epoch == ours.epoch, "{item}, the stores have {ours:?}");
    }
    server.passed()
}
