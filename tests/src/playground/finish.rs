//! The end: the load stops, everything is read back, the stores are asked, and the processes end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::REPLICAS;
use super::arguments::Sabotage;
use super::census::{Census, census};
use super::load::{self, Gaps, Ledger, Window};
use super::play::Faults;
use super::schedule::Deed;
use super::screen::Screen;
use super::start::Up;
use super::summary::Summary;
use super::table::grouped;
use crate::cluster::{Cluster, eventually, stores_up};

/// How long a gap may last that a fault causes: what waits longer after it has another cause.
const AFTERMATH: Duration = Duration::from_secs(20);
/// For processes to end after SIGTERM: stores, then members; together below the 5 s of a clean stop.
const STOP_LIMIT: Duration = Duration::from_millis(2_000);

/// How a run ends.
#[derive(Debug)]
pub struct Ending {
    /// A person ended it: quickly then, and in whatever state the cluster is.
    pub by_hand: bool,
    /// How to cheat.
    pub sabotage: Option<Sabotage>,
    /// Whether faults were to be caused.
    pub chaos: bool,
    /// Those that were.
    pub faults: Faults,
    /// Those that were not.
    pub undone: Vec<Deed>,
}

/// The time that each part of the end may take.
struct Patience {
    load: Duration,
    replicas: Duration,
    read_back: Duration,
}

impl Patience {
    /// A person does not wait; a script wants the truth.
    fn of(by_hand: bool) -> Patience {
        let s = Duration::from_secs;
        if by_hand {
            Patience { load: s(1), replicas: Duration::ZERO, read_back: s(2) }
        } else {
            Patience { load: s(15), replicas: s(120), read_back: s(60) }
        }
    }
}

/// Ends the load, reads back, asks the stores, and sums up.
pub async fn judge(screen: &Screen, cluster: &mut Cluster, up: Up, ending: Ending) -> Result<Summary> {
    let patience = Patience::of(ending.by_hand);
    let Up { client, probes, load, onlooker } = up;
    let (shared, mut ledgers) =
        screen.stage("stop the load", async |_| Ok(load.stop(patience.load).await)).await?;
    if !ending.by_hand {
        // What chaos has killed and not started again.
        cluster.start_members()?;
        cluster.start_stores()?;
    }
    let ids = ids_by_address(&onlooker.view());
    let counted = screen
        .stage("replicas, as the stores say", async |stage| {
            let log = cluster.stores()[0].process().log().to_path_buf();
            stage.waits_for("all replicas of all regions", Some(&log));
            let found = wait_for_replicas(cluster, &ids, patience.replicas, |census| {
                stage.progress(format!("{} of {} regions", census.complete, census.regions));
            });
            Ok(found.await)
        })
        .await?;
    match ending.sabotage {
        Some(Sabotage::DropOne) => {
            let cheated = ledgers.iter_mut().any(Ledger::book_a_lie);
            if !cheated {
                bail!("there is no write to drop");
            }
        }
        None => {}
    }
    let endpoints = cluster.endpoints();
    let read = screen
        .stage("read back", async |stage| {
            stage.waits_for("every key to be read", Some(cluster.stores()[0].process().log()));
            let deadline = Instant::now() + patience.read_back;
            let stock = tokio::time::timeout(patience.read_back, load::connect(&endpoints)).await??;
            let tell = |done: load::ReadBack| {
                stage.progress(format!("{} of {} keys", grouped(done.read), grouped(done.all)));
            };
            Ok(load::read_back(&stock, &ledgers, &shared, deadline, tell).await)
        })
        .await?;
    let heard = probes.stop().await;
    let (lost, lost_because) = shared.losses();
    let mut faults_missing: Vec<String> = ending.undone.iter().map(|deed| format!("{deed:?}")).collect();
    if ending.chaos && !ending.by_hand {
        if ending.faults.leader_kills.is_empty() {
            faults_missing.push("kill of the leader of PD".to_string());
        }
        if ending.faults.store_kills.is_empty() {
            faults_missing.push("kill of a store".to_string());
        }
    }
    let up_now = stores_up(&client.with_deadline(Duration::from_secs(3))).await;
    Ok(Summary {
        regions: counted.regions,
        stores_up: up_now.unwrap_or_else(|_| onlooker.view().up()) as u64,
        complete: counted.complete,
        replicas_promised: !ending.by_hand,
        incomplete_because: counted.wrong,
        acknowledged: ledgers.iter().map(Ledger::acknowledged).sum(),
        lost,
        lost_because,
        unread: read.all - read.read,
        timestamps: heard.timestamps.taken(),
        fallbacks: heard.timestamps.fallbacks(),
        ids: heard.ids.taken(),
        duplicates: heard.ids.duplicates(),
        timestamp_gap: longest_after(&heard.gaps, &ending.faults.leader_kills),
        write_gap: longest_after(&shared.writes, &ending.faults.store_kills),
        faults_missing,
    })
}

/// SIGTERM to all, stores first.
pub async fn stop(screen: &Screen, cluster: &mut Cluster) -> Result<()> {
    screen
        .stage("stop stores and members", async |stage| {
            let killed = cluster.stop(STOP_LIMIT).await?;
            if !killed.is_empty() {
                stage.progress(format!("killed after {} s: {}", STOP_LIMIT.as_secs(), killed.join(" ")));
            }
            Ok(())
        })
        .await
}

fn ids_by_address(view: &super::scene::View) -> BTreeMap<String, u64> {
    view.stores.iter().map(|(id, store)| (store.address.clone(), *id)).collect()
}

/// Asks the stores until every Region is complete, at most for `limit`; what they said last.
async fn wait_for_replicas(
    cluster: &Cluster,
    ids: &BTreeMap<String, u64>,
    limit: Duration,
    tell: impl Fn(&Census),
) -> Census {
    let mut last = Census::default();
    let whole = eventually("all replicas", limit, async || {
        match census(cluster.stores(), ids, REPLICAS).await {
            Ok(found) => last = found,
            Err(error) => last.wrong = vec![format!("{error:#}")],
        }
        tell(&last);
        if last.is_complete() { Ok(()) } else { bail!("not yet") }
    });
    // The error says no more than `last` does.
    let _ = whole.await;
    last
}

/// The longest gap after any of `faults`; nothing without one.
fn longest_after(gaps: &Gaps, faults: &[Instant]) -> Option<Duration> {
    faults.iter().map(|from| gaps.longest(Window { from: *from, to: *from + AFTERMATH })).max()
}
