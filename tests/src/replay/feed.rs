//! The recorded cluster (`state.json`) put into a server as its stores would: bootstrap, stores, heartbeats.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost_reflect::DynamicMessage;
use serde_json::{Value, json};

use super::dynamic::{Connection, Stream, from_json, to_json};
use super::ids::Raise;
use super::record::{State, StatePeer, StateRegion};

/// The first Region of the recorded cluster, which the others replace, and its peer.
const FIRST_REGION_ID: u64 = 99;
const FIRST_PEER_ID: u64 = 98;

/// How long the server may take to show what it was told.
const SETTLE: Duration = Duration::from_secs(30);
/// How often it is asked.
const POLL: Duration = Duration::from_millis(100);

/// The stores of the recorded cluster, connected. Dropping it ends their heartbeat streams.
#[derive(Debug)]
pub struct Feed {
    state: State,
    connection: Connection,
    cluster_id: u64,
    raise: Raise,
    streams: BTreeMap<u64, Stream>,
}

impl Feed {
    /// Of this state, every id raised, on this connection.
    #[must_use]
    pub fn new(state: State, connection: Connection, cluster_id: u64, raise: Raise) -> Feed {
        Feed { state, connection, cluster_id, raise, streams: BTreeMap::new() }
    }

    /// Bootstraps the cluster with its first store and first Region.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn bootstrap(&self) -> Result<()> {
        let store = without_stats(self.state.stores.first().context("a first store")?);
        let peer = json!({"id": FIRST_PEER_ID, "store_id": store["id"]});
        let epoch = json!({"conf_ver": 1, "version": 1});
        let region = json!({"id": FIRST_REGION_ID, "region_epoch": epoch, "peers": [peer]});
        self.ask("pdpb.PD/Bootstrap", json!({"store": store, "region": region})).await?;
        Ok(())
    }

    /// Registers every store and sends its heartbeat, then every Region's heartbeat on its leader's stream, and waits
    /// until the server answers with all of them.
    ///
    /// # Errors
    /// When the server refuses a message, ends a stream, or does not show the cluster in time.
    pub async fn all(&mut self) -> Result<()> {
        for store in &self.state.stores {
            self.ask("pdpb.PD/PutStore", json!({"store": without_stats(store)})).await?;
        }
        self.stores().await?;
        self.regions().await?;
        self.settled().await
    }

    /// Sends every store's heartbeat.
    ///
    /// # Errors
    /// When the server refuses one.
    pub async fn stores(&self) -> Result<()> {
        for store in &self.state.stores {
            let mut stats = store["stats"].clone();
            let seconds = stats.as_object_mut().and_then(|fields| fields.remove("interval_seconds"));
            stats["interval"] = interval(seconds.and_then(|s| s.as_u64()).unwrap_or(10))?;
            self.ask("pdpb.PD/StoreHeartbeat", json!({"stats": stats})).await?;
        }
        Ok(())
    }

    /// Sends every Region's heartbeat.
    ///
    /// # Errors
    /// When a stream is over.
    pub async fn regions(&mut self) -> Result<()> {
        let rpc = self.connection.wire().rpc("pdpb.PD/RegionHeartbeat")?;
        for region in &self.state.regions {
            let mut heartbeat = from_json(&rpc.request, &heartbeat(region, self.cluster_id)?)?;
            self.raise.message(&mut heartbeat);
            let store = leader(region)?.store_id;
            let stream = self.streams.entry(store).or_insert_with(|| self.connection.stream(&rpc));
            stream.send(heartbeat).await.with_context(|| format!("heartbeats of store {store}"))?;
        }
        Ok(())
    }

    /// Drops the heartbeat streams of a server that restarted, and goes on with a new connection.
    pub fn reconnect(&mut self, connection: Connection) {
        self.streams.clear();
        self.connection = connection;
    }

    async fn settled(&self) -> Result<()> {
        let deadline = Instant::now() + SETTLE;
        loop {
            let unsettled = self.unsettled().await?;
            if unsettled.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("after {SETTLE:?} the server still lacks {unsettled:?}");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What the server does not show yet.
    async fn unsettled(&self) -> Result<Vec<String>> {
        let mut missing = Vec::new();
        let scanned = self.ask("pdpb.PD/ScanRegions", json!({"limit": -1})).await?;
        let shown = ids_of(&scanned["regions"], "/region/id");
        let led = ids_of(&scanned["regions"], "/leader/id");
        for region in &self.state.regions {
            let (id, leader) =
                (self.raise.id(region.id).to_string(), self.raise.id(region.leader).to_string());
            if !shown.contains(&id) || !led.contains(&leader) {
                missing.push(format!("Region {id}"));
            }
        }
        let stores = self.ask("pdpb.PD/GetAllStores", json!({})).await?;
        let serving =
            stores["stores"].as_array().into_iter().flatten().filter(|s| s["node_state"] == "Serving");
        let serving: Vec<&str> = serving.filter_map(|store| store["id"].as_str()).collect();
        for store in &self.state.stores {
            let id = self.raise.id(number(&store["id"])?).to_string();
            if !serving.contains(&id.as_str()) {
                missing.push(format!("store {id} Serving"));
            }
        }
        Ok(missing)
    }

    /// Asks with our header and raised ids; a refusal is an error here.
    async fn ask(&self, name: &str, mut request: Value) -> Result<Value> {
        request["header"] = json!({"cluster_id": self.cluster_id.to_string()});
        let rpc = self.connection.wire().rpc(name)?;
        let mut message: DynamicMessage = from_json(&rpc.request, &request)?;
        self.raise.message(&mut message);
        let answer = self.connection.ask(&rpc, message).await;
        let answer = to_json(&answer.map_err(|status| anyhow::anyhow!("{name}: {status:?}"))?)?;
        ensure!(answer["header"].get("error").is_none(), "{name} with {request}: {answer}");
        Ok(answer)
    }
}

/// The heartbeat that the leader of a recorded Region sends, with the ids of the record.
fn heartbeat(region: &StateRegion, cluster_id: u64) -> Result<Value> {
    let peer = |peer: &StatePeer| json!({"id": peer.id, "store_id": peer.store_id, "role": peer.role});
    let find = |id: u64| {
        let found = region.peers.iter().find(|peer| peer.id == id);
        found.map(peer).with_context(|| format!("Region {} has no peer {id}", region.id))
    };
    let mut down = Vec::new();
    for silent in &region.down_peers {
        down.push(json!({"peer": find(silent.peer_id)?, "down_seconds": silent.down_seconds}));
    }
    let pending: Vec<Value> = region.pending_peers.iter().map(|id| find(*id)).collect::<Result<_>>()?;
    let peers: Vec<Value> = region.peers.iter().map(peer).collect();
    Ok(json!({
        "header": {"cluster_id": cluster_id.to_string()},
        "region": {
            "id": region.id,
            "start_key": BASE64.encode(hex::decode(&region.start)?),
            "end_key": BASE64.encode(hex::decode(&region.end)?),
            "region_epoch": region.epoch,
            "peers": peers,
        },
        "leader": find(region.leader)?,
        "term": region.term,
        "approximate_size": region.approximate_size,
        "approximate_keys": region.approximate_keys,
        "bytes_written": region.bytes_written,
        "bytes_read": region.bytes_read,
        "keys_written": region.keys_written,
        "keys_read": region.keys_read,
        "cpu_usage": region.cpu_usage,
        "query_stats": region.query_stats,
        "down_peers": down,
        "pending_peers": pending,
        "interval": interval(region.interval_seconds)?,
    }))
}

fn leader(region: &StateRegion) -> Result<&StatePeer> {
    let found = region.peers.iter().find(|peer| peer.id == region.leader);
    found.with_context(|| format!("Region {} has no leader among its peers", region.id))
}

/// The last `seconds` until now.
fn interval(seconds: u64) -> Result<Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(json!({"start_timestamp": (now - seconds).to_string(), "end_timestamp": now.to_string()}))
}

fn without_stats(store: &Value) -> Value {
    let fields = store.as_object().into_iter().flatten().filter(|(name, _)| *name != "stats");
    Value::Object(fields.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn ids_of(list: &Value, pointer: &str) -> Vec<String> {
    let ids = list.as_array().into_iter().flatten().filter_map(|item| item.pointer(pointer));
    ids.filter_map(|id| id.as_str().map(str::to_string)).collect()
}

fn number(id: &Value) -> Result<u64> {
    id.as_str().context("an id")?.parse().with_context(|| format!("id {id}"))
}
