//! The published TiKV client, unchanged, against three PDs and three stores, while Regions split and their leaders move.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pd_client::Client;
use tests::cluster::{Cluster, PATIENCE, Setup};
use tests::writes::{Plan, Writers, again, stock_raw_client, without_scheme};
use tikv_client::{KvPair, TransactionClient};

/// Enough to cut the first Region into many: 8 x 500 keys of 1 KiB are 4 MB.
const PLAN: Plan = Plan { writers: 8, keys_each: 500, value_size: 1 << 10 };
/// Regions that the load must have made before it ends.
const REGIONS: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_calls_and_timestamps_while_regions_split_and_move() -> Result<()> {
    let cluster = Cluster::start(Setup::of_a_test(3, 3)).await?;
    let endpoints = cluster.endpoints();
    let pd = cluster.client().await?;
    let writers = Writers::start(&endpoints, PLAN).await?;
    let addresses: Vec<&str> = endpoints.iter().map(|url| without_scheme(url)).collect();
    let transactions = TransactionClient::new(addresses).await?;

    let deadline = Instant::now() + 2 * PATIENCE;
    let (mut last, mut timestamps) = (0, 0_u64);
    let mut led_by = BTreeSet::new();
    loop {
        let timestamp = transactions.current_timestamp().await?;
        let version = (timestamp.physical.cast_unsigned() << 18) | timestamp.logical.cast_unsigned();
        ensure!(version > last, "{version} after {last}");
        (last, timestamps) = (version, timestamps + 1);

        let regions = pd.scan_regions("", "", 0).await?;
        led_by.extend(regions.iter().filter_map(|route| route.leader.as_ref()).map(|leader| leader.store_id));
        if regions.len() >= REGIONS && led_by.len() == 3 && timestamps >= 100 {
            break;
        }
        ensure!(Instant::now() < deadline, "{} Regions, led by {led_by:?}", regions.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Not only while they split: afterwards as well, on the routes that the client learned before.
    writers.go_on(u64::from(PLAN.writers) * 50).await?;
    let book = writers.stop().await?;
    println!(
        "{} writes acknowledged, longest gap {:?}, {timestamps} timestamps",
        book.acknowledged, book.longest_gap
    );
    book.check_through_client(&endpoints).await?;
    every_raw_call(&endpoints, &pd).await?;
    cluster.passed()
}

/// Each call of the raw API over several Regions: what was written is read, in order, and is gone when deleted.
async fn every_raw_call(endpoints: &[String], pd: &Client) -> Result<()> {
    let client = stock_raw_client(endpoints).await?;
    // Spread over all Regions, so that each batch and each scan crosses borders.
    let mut keys: Vec<Vec<u8>> = Vec::new();
    for route in pd.scan_regions("", "", 0).await? {
        keys.push([route.region.start_key.as_ref(), b"!raw"].concat());
    }
    keys.sort();
    let pairs: Vec<(Vec<u8>, Vec<u8>)> =
        keys.iter().map(|key| (key.clone(), [key, &b"="[..]].concat())).collect();
    again(|| client.batch_put(pairs.clone())).await.context("batch_put")?;
    for (key, value) in &pairs {
        let found = again(|| client.get(key.clone())).await.context("get")?;
        ensure!(found.as_ref() == Some(value), "{key:?}: {found:?}");
    }
    let found = again(|| client.batch_get(keys.clone())).await.context("batch_get")?;
    ensure!(sorted(found) == pairs, "batch_get");

    // With an end: version 0.4.0 of the client stops after one Region when there is none.
    let range = keys[0].clone()..keys[keys.len() - 1].clone();
    let limit = u32::try_from(keys.len() * 4)?;
    let scanned = again(|| client.scan(range.clone(), limit)).await.context("scan")?;
    ensure!(scanned.is_sorted_by_key(|pair| pair.0.clone()), "a scan comes in order");
    ensure!(scanned.len() == limit as usize, "{} of {limit} pairs", scanned.len());
    ensure!(scanned[0].0 == keys[0].clone().into(), "the scan starts at its first key");

    let lower = keys[1].clone()..keys[2].clone();
    let all = again(|| client.scan(lower.clone(), 10_000)).await.context("scan")?;
    let names = again(|| client.scan_keys(lower.clone(), 10_000)).await.context("scan_keys")?;
    ensure!(names == all.iter().map(|pair| pair.0.clone()).collect::<Vec<_>>(), "scan_keys");
    ensure!(
        names.contains(&keys[1].clone().into()) && !names.contains(&keys[2].clone().into()),
        "the range is half open"
    );

    again(|| client.delete(keys[0].clone())).await.context("delete")?;
    let found = again(|| client.get(keys[0].clone())).await.context("get")?;
    ensure!(found.is_none(), "deleted, but {found:?}");
    again(|| client.batch_delete(keys.clone())).await.context("batch_delete")?;
    let found = again(|| client.batch_get(keys.clone())).await.context("batch_get")?;
    ensure!(found.is_empty(), "deleted, but {found:?}");
    Ok(())
}

fn sorted(pairs: Vec<KvPair>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = pairs.into_iter().map(|pair| (pair.0.into(), pair.1)).collect();
    pairs.sort();
    pairs
}
