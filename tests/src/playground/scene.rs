//! What is going on, once a second, for the table.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use pd_client::Client;
use proto::metapb::StoreState;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cluster::http;

/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// One look: with a leader dead, what was seen last stays on the screen.
const LOOK_LIMIT: Duration = Duration::from_secs(3);

/// The cluster as PD tells it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// The leader's name.
    pub leader: String,
    /// The stores, by id.
    pub stores: BTreeMap<u64, StoreView>,
    /// The term in which it leads, and the operators that run; none when they could not be asked for.
    pub term: Option<u64>,
    /// Running operators.
    pub operators: Option<usize>,
    /// Regions that PD knows.
    pub regions: usize,
    /// Regions with as many healthy voters as wanted.
    pub complete: usize,
    /// Why this view is old, if it is.
    pub stale: Option<String>,
}

/// A store as PD tells it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoreView {
    /// Its address.
    pub address: String,
    /// Its state.
    pub state: StoreState,
    /// Whether it has sent a heartbeat.
    pub heard: bool,
    /// Peers on it.
    pub regions: usize,
    /// Regions led there.
    pub leaders: usize,
    /// Bytes used.
    pub used_bytes: u64,
    /// Bytes that it may use.
    pub capacity_bytes: u64,
}

impl View {
    /// Stores that are Up.
    pub fn up(&self) -> usize {
        self.stores.values().filter(|store| store.state == StoreState::Up && store.heard).count()
    }
}

/// What has changed about the stores since `before`, as lines for people.
pub fn changes(before: &View, now: &View) -> Vec<String> {
    let up = |view: &View, id| view.stores.get(&id).is_some_and(|store| store.state == StoreState::Up);
    let mut lines = Vec::new();
    for (id, store) in &now.stores {
        if up(now, *id) && !up(before, *id) {
            lines.push(format!("store {id} has joined at {}", store.address));
        }
    }
    for (id, store) in &before.stores {
        if !now.stores.contains_key(id) && !store.address.is_empty() {
            lines.push(format!("store {id} holds nothing any more and has left the cluster"));
        }
    }
    lines
}

/// Looks on and on until dropped.
#[derive(Debug)]
pub struct Onlooker {
    view: watch::Receiver<View>,
    task: JoinHandle<()>,
}

impl Onlooker {
    /// Starts looking through `client`.
    pub fn start(client: &Client, replicas: usize) -> Onlooker {
        let (publish, view) = watch::channel(View::default());
        let client = client.with_deadline(LOOK_LIMIT);
        let task = tokio::spawn(async move {
            loop {
                match look(&client, replicas).await {
                    Ok(view) => drop(publish.send_replace(view)),
                    Err(error) => publish.send_modify(|view| view.stale = Some(format!("{error:#}"))),
                }
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        });
        Onlooker { view, task }
    }

    /// The latest view.
    pub fn view(&self) -> View {
        self.view.borrow().clone()
    }
}

impl Drop for Onlooker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look(client: &Client, replicas: usize) -> Result<View> {
    let mut view = View::default();
    for store in client.get_all_stores(false).await? {
        let stats = client.get_store(store.id).await?.1.unwrap_or_default();
        let seen = StoreView {
            state: store.state(),
            address: store.address,
            heard: stats.capacity > 0,
            used_bytes: stats.used_size,
            capacity_bytes: stats.capacity,
            ..StoreView::default()
        };
        view.stores.insert(store.id, seen);
    }
    let routes = client.scan_regions("", "", 0).await?;
    view.regions = routes.len();
    for route in &routes {
        for peer in &route.region.peers {
            view.stores.entry(peer.store_id).or_default().regions += 1;
        }
        if let Some(leader) = &route.leader {
            view.stores.entry(leader.store_id).or_default().leaders += 1;
        }
        let healthy = route.down_peers.is_empty() && route.pending_peers.is_empty() && route.leader.is_some();
        let voters = route.region.peers.iter().filter(|peer| peer.role() == proto::metapb::PeerRole::Voter);
        view.complete += usize::from(healthy && voters.count() == replicas);
    }
    if let Some(leader) = client.leader() {
        view.leader = leader.name;
        // What the page of the same member tells; a look without it is a look all the same.
        let ask = async |path: &str| http::get_json(&format!("{}{path}", leader.address)).await.ok();
        let health = ask("/pd/api/v2/health").await;
        view.term = health.and_then(|health| health["term"].as_u64());
        view.operators = ask("/pd/api/v1/operators").await.and_then(|all| all.as_array().map(Vec::len));
    }
    Ok(view)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_that_come_and_go_are_told() {
        let store = |state| StoreView { address: "a:1".to_string(), state, ..StoreView::default() };
        let view = |stores: &[(u64, StoreState)]| View {
            stores: stores.iter().map(|(id, state)| (*id, store(*state))).collect(),
            ..View::default()
        };
        let before = view(&[(1, StoreState::Up), (2, StoreState::Offline)]);
        assert_eq!(changes(&before, &before), Vec::<String>::new());
        let now = view(&[(1, StoreState::Offline), (3, StoreState::Up)]);
        assert_eq!(
            changes(&before, &now),
            ["store 3 has joined at a:1", "store 2 holds nothing any more and has left the cluster"]
        );
    }
}
