//! Birth by message, and death, of peers (rule 14).
//!
//! Death leaves a tombstone with the peer's id: synced first, then the data is removed, then the log. A peer is
//! created by message only with an id above the tombstone's, and only over a range that no peer here holds; a dying
//! one holds its range until its data is gone.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::metapb::Region;
use raft_core::Start;
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

use crate::engine::clear;
use crate::region::{Peer, RegionMachine, RegionState, Stage, StateStage, epoch_of, peer_of, region_id};
use crate::{KeyRange, PeerId, RegionId, StoreCore, StoreId, keys};

/// Peers to be created that may wait. When full, the messages that would create them are dropped; leaders repeat.
pub const MAX_CREATIONS: usize = 1_024;
/// Between two looks for peers without a leader.
const STALE_LOOK: Duration = Duration::from_secs(1);
/// Between two rounds of asking PD.
const ASK_PAUSE: Duration = Duration::from_millis(200);
/// Peers asked about in one look; the others wait for the next.
const MAX_ASKED: usize = 64;
/// How long PD may take to answer about one peer.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);

/// A peer that a message is for and that is not here.
#[derive(Clone, Debug)]
pub struct Creation {
    /// The Region as the sender knows it.
    pub region: Region,
    /// The peer.
    pub peer: PeerId,
}

/// What a peer's creation may run into.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// The peer, or a younger one, was removed here.
    Tombstone(PeerId),
    /// Another Region, or this one, is here.
    Held(RegionId),
}

/// Creates and removes peers until dropped.
pub async fn run(core: Arc<StoreCore>, pd: pd_client::Client, creations: mpsc::Receiver<Creation>) {
    // Side by side: births and deaths must not wait for a PD that does not answer.
    tokio::join!(births_and_deaths(&core, creations), doubts(&core, &pd));
}

async fn births_and_deaths(core: &Arc<StoreCore>, mut creations: mpsc::Receiver<Creation>) {
    loop {
        tokio::select! {
            creation = creations.recv() => {
                let Some(creation) = creation else { return };
                if let Err(error) = create(core, creation).await {
                    error!(store = %core.id, %error, "a peer could not be created");
                }
            }
            () = core.signals.doomed.rung() => {
                for region in core.signals.doomed.take() {
                    if let Err(error) = destroy(core, region).await {
                        error!(store = %core.id, %region, %error, "a peer is not removed; the next start goes on with it");
                    }
                }
            }
        }
    }
}

async fn doubts(core: &StoreCore, pd: &pd_client::Client) {
    let mut leaderless = HashMap::new();
    loop {
        // A bell that rings in between is heard after the pause: PD is asked once for many messages.
        tokio::time::sleep(ASK_PAUSE).await;
        let mut regions = match tokio::time::timeout(STALE_LOOK, core.signals.doubtful.rung()).await {
            Ok(()) => core.signals.doubtful.take(),
            Err(_) => Vec::new(),
        };
        regions.extend(find_leaderless(core, &mut leaderless));
        ask_pd(core, pd, regions).await;
    }
}

/// Starts the groups that were here before, and ends what a crash left half removed.
pub async fn restart(core: &Arc<StoreCore>) -> io::Result<()> {
    let (on_engine, logged) = (core.clone(), core.logged());
    let states = blocking(move || on_engine.states.all()).await?;
    let dead = |stage: StateStage| matches!(stage, StateStage::Dying | StateStage::Tombstone);
    // The dying first hold their ranges, then the living take theirs.
    for state in states.iter().filter(|state| state.stage() == StateStage::Dying) {
        hold(core, state)?;
    }
    for state in states.iter().filter(|state| !dead(state.stage()) && state.stage() != StateStage::Empty) {
        start(core, state.clone()).await?;
    }
    for state in states.iter().filter(|state| state.stage() == StateStage::Empty) {
        if let Err(error) = start(core, state.clone()).await {
            // It has no data to lose: the next message for it finds out whether there is room.
            warn!(store = %core.id, region = %region_id(state), %error, "a peer without data does not start");
        }
    }
    for state in states {
        let region = region_id(&state);
        match state.stage() {
            StateStage::Dying => bury(core, state, true).await?,
            StateStage::Tombstone if logged.contains(&region) => remove_log(core, region).await?,
            StateStage::Tombstone | StateStage::Normal | StateStage::Empty | StateStage::Applying => {}
        }
    }
    Ok(())
}

async fn start(core: &Arc<StoreCore>, state: RegionState) -> io::Result<()> {
    let region = state.region.clone().unwrap_or_default();
    let id = RegionId(region.id);
    let stage = match state.stage() {
        StateStage::Normal => Stage::Normal,
        StateStage::Applying => Stage::Applying,
        StateStage::Empty | StateStage::Dying | StateStage::Tombstone => Stage::Empty,
    };
    let removed = stage == Stage::Normal && peer_of(&region, state.peer()).is_none();
    let peer = Peer::new(state.peer(), region, stage);
    core.regions.insert(peer.clone()).map_err(io::Error::other)?;
    if removed {
        core.signals.doomed.add(id);
        return Ok(());
    }
    let start = core.start_of(&state);
    create_group(core, peer, state, start).await
}

async fn create_group(
    core: &Arc<StoreCore>,
    peer: Arc<Peer>,
    state: RegionState,
    start: Start,
) -> io::Result<()> {
    let Some(handle) = core.handle() else { return Ok(()) };
    let (region, config) = (peer.region_id(), core.group_config(peer.id()));
    let machine = Box::new(RegionMachine::new(core.clone(), peer, state));
    handle.create(region.0, config, start, machine).await.map_err(io::Error::other)
}

/// Creates the peer that a message was for, if nothing is in its way.
async fn create(core: &Arc<StoreCore>, creation: Creation) -> io::Result<()> {
    let (on_engine, asked) = (core.clone(), creation.clone());
    let reserved = blocking(move || reserve(&on_engine, &asked)).await?;
    match reserved {
        Ok((peer, state)) => {
            info!(store = %core.id, region = creation.region.id, peer = %creation.peer, "peer created by a message");
            create_group(core, peer, state, Start::Empty).await
        }
        Err(refusal) => {
            debug!(store = %core.id, region = creation.region.id, peer = %creation.peer, ?refusal, "peer not created");
            Ok(())
        }
    }
}

fn reserve(core: &StoreCore, creation: &Creation) -> io::Result<Result<(Arc<Peer>, RegionState), Refusal>> {
    let id = RegionId(creation.region.id);
    if let Some(state) = core.states.get(id)?
        && matches!(state.stage(), StateStage::Dying | StateStage::Tombstone)
        && state.peer() >= creation.peer
    {
        return Ok(Err(Refusal::Tombstone(state.peer())));
    }
    let peer = Peer::new(creation.peer, creation.region.clone(), Stage::Empty);
    if let Err(held) = core.regions.insert(peer.clone()) {
        return Ok(Err(Refusal::Held(held.0)));
    }
    let state = RegionState {
        region: Some(creation.region.clone()),
        stage: StateStage::Empty.into(),
        peer_id: creation.peer.0,
        index: 0,
        term: 0,
    };
    // Durable before it can vote: a vote of a peer that a crash forgets could be given twice.
    if let Err(error) = core.states.put_synced(&state) {
        core.regions.detach(id);
        core.regions.release(id);
        return Err(error);
    }
    Ok(Ok((peer, state)))
}

/// Removes a peer for good.
async fn destroy(core: &Arc<StoreCore>, region: RegionId) -> io::Result<()> {
    let on_engine = core.clone();
    let Some((state, had_data)) = blocking(move || condemn(&on_engine, region)).await? else { return Ok(()) };
    bury(core, state, had_data).await
}

/// Stops all writing of a peer and writes its tombstone.
fn condemn(core: &StoreCore, region: RegionId) -> io::Result<Option<(RegionState, bool)>> {
    let Some(peer) = core.regions.get(region) else { return Ok(None) };
    let mut stage = peer.stage();
    let had_data = match *stage {
        Stage::Normal | Stage::Applying => true,
        Stage::Empty | Stage::Dying => false,
    };
    peer.set_stage(&mut stage, Stage::Dying);
    core.regions.detach(region);
    let state = RegionState {
        region: Some(peer.region().as_ref().clone()),
        stage: StateStage::Dying.into(),
        peer_id: peer.id().0,
        index: 0,
        term: 0,
    };
    core.states.put_synced(&state)?;
    info!(store = %core.id, %region, peer = %peer.id(), "peer removed");
    Ok(Some((state, had_data)))
}

/// After the tombstone: data, then log, then the range is free.
async fn bury(core: &Arc<StoreCore>, mut state: RegionState, had_data: bool) -> io::Result<()> {
    let region = region_id(&state);
    let range = KeyRange::of(&state.region.clone().unwrap_or_default());
    let on_engine = core.clone();
    if had_data {
        blocking(move || {
            let (start, end) = keys::data_bounds(&range);
            clear(on_engine.engine.as_ref(), &start, &end)
        })
        .await?;
    }
    remove_log(core, region).await?;
    state.set_stage(StateStage::Tombstone);
    if let Some(region) = &mut state.region {
        (region.start_key, region.end_key) = (bytes::Bytes::new(), bytes::Bytes::new());
    }
    let on_engine = core.clone();
    blocking(move || on_engine.states.put_synced(&state)).await?;
    core.regions.release(region);
    Ok(())
}

async fn remove_log(core: &StoreCore, region: RegionId) -> io::Result<()> {
    let Some(handle) = core.handle() else { return Ok(()) };
    match handle.destroy(region.0).await {
        Ok(()) | Err(raft_core::Error::NoGroup(_)) => {}
        Err(error) => return Err(io::Error::other(error)),
    }
    core.forget_log(region);
    Ok(())
}

fn hold(core: &StoreCore, state: &RegionState) -> io::Result<()> {
    let range = KeyRange::of(&state.region.clone().unwrap_or_default());
    core.regions.hold(region_id(state), range).map_err(io::Error::other)
}

/// Peers that have had no leader for long enough to ask PD about themselves.
fn find_leaderless(core: &StoreCore, since: &mut HashMap<RegionId, Instant>) -> Vec<RegionId> {
    let Some(handle) = core.handle() else { return Vec::new() };
    let now = Instant::now();
    let alone: Vec<RegionId> = core
        .regions
        .all()
        .iter()
        .filter(|peer| peer.with_status(handle, |status| status.leader == 0).unwrap_or(true))
        .map(|peer| peer.region_id())
        .collect();
    since.retain(|region, _| alone.contains(region));
    let mut asked = Vec::new();
    for region in alone {
        let first = *since.entry(region).or_insert(now);
        if now.duration_since(first) >= core.tuning.stale_peer && asked.len() < MAX_ASKED {
            // Asked again after as long a time.
            since.insert(region, now);
            asked.push(region);
        }
    }
    asked
}

/// Asks PD whether peers here still belong to their Regions: those that do not are doomed, of the others is learned
/// where their fellows live.
async fn ask_pd(core: &StoreCore, pd: &pd_client::Client, regions: Vec<RegionId>) {
    let pd = pd.with_deadline(ASK_TIMEOUT);
    for region in regions.into_iter().take(MAX_ASKED) {
        let Some(peer) = core.regions.get(region) else { continue };
        match pd.get_region_by_id(region.0).await {
            Ok(Some(route)) => {
                if outlived(&peer.region(), peer.id(), &route.region) {
                    info!(store = %core.id, %region, peer = %peer.id(), "PD knows the region without this peer");
                    core.signals.doomed.add(region);
                } else {
                    for fellow in &route.region.peers {
                        peer.learn(PeerId(fellow.id), StoreId(fellow.store_id));
                    }
                }
            }
            Ok(None) => debug!(store = %core.id, %region, "PD does not know the region"),
            Err(error) => {
                warn!(store = %core.id, %region, %error, "PD cannot be asked about a region");
                return;
            }
        }
    }
}

/// Whether a peer was removed since the Region that it knows.
fn outlived(known: &Region, peer: PeerId, now: &Region) -> bool {
    epoch_of(now).conf_ver > epoch_of(known).conf_ver && peer_of(now, peer).is_none()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests;
