//! The hot paths, measured from outside on a real server: figures are per second of the server's own CPU, so that they
//! do not depend on how much of the machine the load takes.

mod dashboard;
mod failover;
mod heartbeats;
mod http;
mod listing;
mod lookups;
mod process;
mod query_region;
mod regions;
mod report;
mod target;
mod tso;
mod verdict;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cluster::{Cluster, Setup};
use heartbeats::Streams;
use regions::Cluster as Invented;
use report::{Figure, Target as Goal};
use target::Target;
use tso::Shape;

/// Rest before memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Regions of the invented cluster.
    pub regions: u64,
    /// Length of each measurement that runs for a time.
    pub length: Duration,
    /// Only figures whose name holds this text.
    pub only: Option<String>,
}

/// Measures, prints the table and writes the figures to `json`.
pub async fn run(plan: &Plan, json: &Path) -> Result<()> {
    let mut figures = Vec::new();
    let wanted = |name: &str| plan.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    if wanted("tso_requests") || wanted("tso_timestamps") {
        figures.extend(timestamps(plan).await?);
    }
    let of_regions = [
        "heartbeats_new",
        "heartbeats_unchanged",
        "heartbeats_changed",
        "list_1m_seconds",
        "list_1m_extra_mb",
        "get_region",
        "query_region",
        "http_store_per_s",
        "bytes_per_region_1m",
        "verdict_cpu_ms",
        "map_cpu_ms",
        "why_ms",
    ];
    if of_regions.into_iter().any(wanted) {
        figures.extend(regions(plan).await?);
    }
    if wanted("failover_tso_ms") {
        println!("failover: three members, the leader is killed five times");
        let value = failover::median_gap_ms().await?;
        figures.push(Figure {
            name: "failover_tso_ms",
            value,
            unit: "ms, median of 5",
            target: Goal::AtMost(1_000.0),
        });
    }
    if wanted("dashboard_tso_ratio") {
        println!("pages: timestamps with 50 pages open and 200 calls/s, and without");
        let (_cluster, server) = one_member().await?;
        let value = dashboard::tso_ratio(&server, plan.length).await?;
        figures.push(Figure {
            name: "dashboard_tso_ratio",
            value,
            unit: "p99 with pages / without",
            target: Goal::AtMost(1.1),
        });
    }
    figures.retain(|figure| wanted(figure.name));
    report::print(&figures);
    report::write(&figures, json).with_context(|| format!("write {}", json.display()))
}

async fn timestamps(plan: &Plan) -> Result<Vec<Figure>> {
    let (_cluster, server) = one_member().await?;
    let mut figures = Vec::new();
    println!("timestamps: 4 streams with 64 requests in flight each");
    let shape = Shape { streams: 4, in_flight: 64, count: 1 };
    let value = tso::requests_per_cpu_s(&server, shape, plan.length).await?;
    let unit = "requests/s of server CPU";
    figures.push(Figure { name: "tso_requests_pipelined", value, unit, target: Goal::AtLeast(1e6) });
    println!("timestamps: 64 streams with one request in flight each");
    let shape = Shape { streams: 64, in_flight: 1, count: 1 };
    let value = tso::requests_per_cpu_s(&server, shape, plan.length).await?;
    figures.push(Figure { name: "tso_requests_closed_loop", value, unit, target: Goal::AtLeast(150e3) });
    println!("timestamps: 4 streams, 100 timestamps a request");
    let shape = Shape { streams: 4, in_flight: 64, count: 100 };
    let value = 100.0 * tso::requests_per_cpu_s(&server, shape, plan.length).await?;
    let unit = "timestamps/s of server CPU";
    figures.push(Figure { name: "tso_timestamps", value, unit, target: Goal::AtLeast(80e6) });
    Ok(figures)
}

async fn regions(plan: &Plan) -> Result<Vec<Figure>> {
    let (_cluster, server) = one_member().await?;
    let cluster = Invented { regions: plan.regions, stores: 10 };
    let unit = "heartbeats/s of server CPU";
    let mut figures = Vec::new();
    let before = process::resident_bytes(server.pid);
    let mut streams = Streams::open(&server, cluster).await?;
    println!("heartbeats: {} new Regions on {} stores", cluster.regions, cluster.stores);
    let value = streams.round(false).await?;
    figures.push(Figure { name: "heartbeats_new", value, unit, target: Goal::AtLeast(300e3) });
    // What was only on its way is given back by then.
    tokio::time::sleep(SETTLE).await;
    let grown = process::resident_bytes(server.pid).saturating_sub(before);
    println!("heartbeats: all unchanged");
    let value = streams.round(false).await?;
    figures.push(Figure { name: "heartbeats_unchanged", value, unit, target: Goal::AtLeast(1e6) });
    println!("heartbeats: a tenth changed");
    let value = streams.round(true).await?;
    figures.push(Figure { name: "heartbeats_changed", value, unit, target: Goal::AtLeast(700e3) });
    println!("list: all Regions, while timestamps go on");
    figures.extend(listing::figures(&server, cluster).await?);
    println!("lookups: GetRegion by random keys");
    let value = lookups::per_cpu_s(&server, cluster, plan.length).await?;
    figures.push(Figure {
        name: "get_region",
        value,
        unit: "lookups/s of server CPU",
        target: Goal::AtLeast(80e3),
    });
    println!("lookups: QueryRegion, 512 random keys a message");
    let value = query_region::per_cpu_s(&server, cluster, plan.length).await?;
    figures.push(Figure {
        name: "query_region",
        value,
        unit: "lookups/s of server CPU",
        target: Goal::AtLeast(700e3),
    });
    println!("http: GET /store/1 on 16 connections");
    let value = http::per_cpu_s(&server, plan.length).await?;
    figures.push(Figure {
        name: "http_store_per_s",
        value,
        unit: "answers/s of server CPU",
        target: Goal::AtLeast(10e3),
    });
    println!("verdict, map and why");
    figures.extend(verdict::figures(&server, cluster).await?);
    let value = grown as f64 / cluster.regions as f64;
    figures.push(Figure { name: "bytes_per_region_1m", value, unit: "bytes", target: Goal::AtMost(250.0) });
    Ok(figures)
}

/// A group of one with scheduling halted, so that the invented stores get no commands.
async fn one_member() -> Result<(Cluster, Target)> {
    let mut setup = Setup::new(1, 0);
    setup.pd_toml = "[schedule]\nhalt-scheduling = true\n".into();
    let mut cluster = Cluster::prepare(setup)?;
    cluster.start_members()?;
    let leader = cluster.wait_for_pd_leader().await?;
    let member = cluster.member(leader);
    let address = member.client_url().trim_start_matches("http://").to_string();
    let pid = member.process().pid().context("the member does not run")?;
    let server = Target::find(address, pid).await?;
    Ok((cluster, server))
}
