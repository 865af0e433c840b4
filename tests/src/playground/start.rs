//! From nothing to a cluster under load, stage by stage.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use pd_client::Client;

use super::arguments::Arguments;
use super::load::{self, Load};
use super::probes::Probes;
use super::scene::Onlooker;
use super::screen::Screen;
use super::table::grouped;
use super::{REPLICAS, load::KEYS_EACH, load::WRITERS};
use crate::cluster::{Cluster, Member, PATIENCE, PreferredPorts, Setup, eventually};

/// The ports that PD and TiKV are known by.
const PREFERRED: PreferredPorts = PreferredPorts { pd: 2379, store: 20_160, status: 20_180 };

/// Between two steps of the tail, so that it splits off with little.
const TAIL_PAUSE: Duration = Duration::from_millis(300);

/// What runs once all stages are done.
#[derive(Debug)]
pub struct Up {
    /// A client of PD.
    pub client: Client,
    /// Those who take timestamps and ids.
    pub probes: Probes,
    /// Those who write and read.
    pub load: Load,
    /// The one who looks on.
    pub onlooker: Onlooker,
}

/// Chooses ports and folder.
pub fn prepare(screen: &Screen, arguments: &Arguments) -> Result<Cluster> {
    let setup = Setup {
        folder: arguments.folder.clone(),
        keep: arguments.keep,
        log_level: arguments.log_level.clone(),
        preferred: Some(PREFERRED),
        ..Setup::new(arguments.members, arguments.stores)
    };
    let cluster = Cluster::prepare(setup)?;
    cluster.replaced_ports().iter().for_each(|line| screen.print(line));
    screen.print(&format!("data and logs: {}", cluster.folder().display()));
    Ok(cluster)
}

/// Starts everything.
pub async fn bring_up(screen: &Screen, arguments: &Arguments, cluster: &mut Cluster) -> Result<Up> {
    let names: Vec<&str> = cluster.members().iter().map(Member::name).collect();
    let members = names.join(" ");
    screen
        .stage(&members, async |stage| {
            cluster.start_members()?;
            stage.waits_for("a leader of PD", Some(cluster.members()[0].process().log()));
            let leader = cluster.wait_for_pd_leader().await?;
            stage.progress(format!("leader {}", cluster.members()[leader].name()));
            Ok(())
        })
        .await?;
    screen
        .stage("stores", async |stage| {
            cluster.start_stores()?;
            stage.progress(format!("0/{}", arguments.stores));
            stage.waits_for("the stores to join", Some(cluster.stores()[0].process().log()));
            cluster.wait_for_stores_up(arguments.stores).await?;
            stage.progress(format!("{}/{}", arguments.stores, arguments.stores));
            Ok(())
        })
        .await?;
    let client = cluster.client().await?;
    let onlooker = Onlooker::start(&client, REPLICAS);
    let endpoints = cluster.endpoints();
    let ledgers = screen
        .stage("first keys", async |stage| {
            stage.waits_for("the first region to take writes", Some(cluster.stores()[0].process().log()));
            let stock = load::connect(&endpoints).await?;
            let all = KEYS_EACH * WRITERS;
            let ledgers = load::fill(&stock, |done| {
                let regions = onlooker.view().regions;
                stage.progress(format!("{} of {}, {regions} regions", grouped(done), grouped(all)));
            })
            .await?;
            stage.waits_for("the regions to split", Some(cluster.stores()[0].process().log()));
            let mut steps = 0..;
            eventually("the last region to split off", PATIENCE, async || {
                stage.progress(format!("{}, splitting .. {} regions", grouped(all), onlooker.view().regions));
                let last = client.scan_regions(load::WRITERS_END, "", 0).await?.pop().context("no region")?;
                if last.region.start_key > load::WRITERS_END {
                    return Ok(());
                }
                if let Some(step) = steps.next() {
                    load::grow_tail(&stock, step).await?;
                }
                tokio::time::sleep(TAIL_PAUSE).await;
                bail!("it begins at {:?}", last.region.start_key)
            })
            .await?;
            Ok(ledgers)
        })
        .await?;
    let (probes, load) = screen
        .stage("load", async |stage| {
            stage.waits_for("the clients to connect", Some(cluster.members()[0].process().log()));
            let probes = Probes::start(cluster).await?;
            let load = Load::start(&endpoints, ledgers).await?;
            stage.progress(format!("{WRITERS} writers, timestamps and ids"));
            Ok((probes, load))
        })
        .await?;
    Ok(Up { client, probes, load, onlooker })
}
