//! Plays the record, line by line, over real connections.
//!
//! Requests keep the record's content; cluster id, ids, revisions and times become those of our server. Heartbeats say
//! what the model of the Regions says. A line that only exists because tikv/pd commanded something ours did not command
//! (its keyspaces make it split the first Region) is left out and counted.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail, ensure};
use prost_reflect::DynamicMessage;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tonic::Status;

use super::command::{self, Action, Command, number};
use super::line::{self, Direction, Line};
use super::region::{Epoch, Grant, Peer, Region, Regions, Role};
use super::shape;
use crate::replay::dynamic::{Connection, Event, Rpc, Stream, Wire, from_json, to_json};
use crate::replay::ids;

/// How long an answer of a stream may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long PD may take to bring every Region to three voters.
const THREE_VOTERS_WITHIN: Duration = Duration::from_secs(60);
/// While waiting, stores heartbeat like live ones: the recorded ones did so every 2 s, their Regions every 5 s.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);
/// How often commands are looked for while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A command and the heartbeat that makes it stale may cross on the way; PD repeats a command while it waits for its
/// effect. So this many commands may come for the epoch or leader just left; more means that PD does not look.
const CROSSINGS_PER_CHANGE: u32 = 2;

/// What happened.
#[derive(Debug, Default)]
pub struct Report {
    /// Lines of the record that were played.
    pub played: u32,
    /// Lines left out because ours did not command what caused them, by number.
    pub left_out: Vec<u32>,
    /// Commands carried out, by the name of their field.
    pub commands: BTreeMap<&'static str, u32>,
    /// Commands that crossed with the heartbeat that made them stale.
    pub crossed: u32,
    /// Splits that PD granted.
    pub splits: u32,
    /// Everything that differs from the record's shape: must end empty.
    pub differences: Vec<String>,
}

/// The recorded stores, alive.
#[derive(Debug)]
pub struct Player {
    address: String,
    wire: Wire,
    cluster_id: u64,
    clock_shift_s: i64,
    lines: Vec<Line>,
    split_keys: HashMap<u32, Vec<Vec<u8>>>,
    connections: HashMap<String, Connection>,
    streams: HashMap<u64, (String, Rpc, Stream)>,
    asked: HashMap<u64, Asked>,
    ids: BTreeMap<u64, u64>,
    revisions: HashMap<(String, String), (u64, u64)>,
    regions: Regions,
    /// What made the last change of a Region stale, and how many such commands came since.
    left_behind: HashMap<u64, (Epoch, u64, u32)>,
    /// The pieces of the last split of a recorded Region, as our ids from left to right.
    pieces: HashMap<u64, Vec<u64>>,
    store_heartbeats: BTreeMap<u64, (String, DynamicMessage)>,
    last_timestamp: (u64, u64),
    report: Report,
}

/// A unary call under way.
#[derive(Debug)]
struct Asked {
    n: u32,
    answer: JoinHandle<Result<DynamicMessage, Status>>,
    split: Option<Split>,
}

/// A split that waits for its ids.
#[derive(Debug)]
struct Split {
    region_id: u64,
    keys: Vec<Vec<u8>>,
    recorded_parent: u64,
}

impl Player {
    /// For a server at `address` (`host:port`) that answers with `cluster_id`.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn new(address: &str, cluster_id: u64) -> Result<Player> {
        let lines = line::lines()?;
        let recorded_start = lines.iter().find_map(|line| line.msg.pointer("/store/start_timestamp"));
        let recorded_start = i64::try_from(number(recorded_start.context("a store that starts")?)?)?;
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
        Ok(Player {
            address: address.to_string(),
            wire: Wire::compiled()?,
            cluster_id,
            clock_shift_s: now - recorded_start,
            split_keys: line::split_keys(&lines)?,
            lines,
            connections: HashMap::new(),
            streams: HashMap::new(),
            asked: HashMap::new(),
            ids: BTreeMap::new(),
            revisions: HashMap::new(),
            regions: Regions::default(),
            left_behind: HashMap::new(),
            pieces: HashMap::new(),
            store_heartbeats: BTreeMap::new(),
            last_timestamp: (0, 0),
            report: Report::default(),
        })
    }

    /// Plays all lines, then waits until every Region has three voters.
    ///
    /// # Errors
    /// When the server refuses, ends a stream, commands what a store must refuse, or does not bring the replicas. What
    /// only differs in shape is collected in the report.
    pub async fn play(mut self) -> Result<(Report, Regions)> {
        let lines = self.lines.clone();
        let mut replicated = false;
        for line in &lines {
            // The load of the record begins when its Regions have their replicas; so does ours.
            if !replicated && is_split_by_size(line) {
                self.until_three_voters().await?;
                replicated = true;
            }
            self.line(line).await.with_context(|| format!("n {} {} {:?}", line.n, line.rpc, line.dir))?;
            // Between a split and its ids a store changes nothing else in that Region.
            if self.asked.values().all(|asked| asked.split.is_none()) {
                self.obey().await.with_context(|| format!("after n {}", line.n))?;
            }
        }
        self.until_three_voters().await?;
        for (who, rpc, stream) in self.streams.values_mut() {
            while let Some(event) = stream.try_next() {
                if let Event::End(status) = event {
                    bail!("{:?} of {who} ended: {status:?}", rpc.request.full_name());
                }
            }
        }
        Ok((self.report, self.regions))
    }

    async fn line(&mut self, line: &Line) -> Result<()> {
        if self.is_consequence_of_a_foreign_command(line) {
            self.report.left_out.push(line.n);
            return Ok(());
        }
        match line.dir {
            Direction::Open => self.open(line).await?,
            Direction::ToPd => self.say(line).await?,
            Direction::ToStore => self.hear(line).await?,
        }
        self.report.played += 1;
        Ok(())
    }

    /// tikv/pd commanded the first split; its ids and its report belong to that command, and commands themselves are
    /// what ours gives, not the record.
    fn is_consequence_of_a_foreign_command(&self, line: &Line) -> bool {
        match (line.rpc.as_str(), line.dir) {
            ("pdpb.PD/RegionHeartbeat", Direction::ToStore) => true,
            ("pdpb.PD/AskBatchSplit", Direction::ToPd) => !is_split_by_size(line),
            ("pdpb.PD/ReportBatchSplit", Direction::ToPd) => {
                !self.pieces.contains_key(&recorded_parent(line))
            }
            ("pdpb.PD/AskBatchSplit" | "pdpb.PD/ReportBatchSplit", Direction::ToStore) => {
                !self.asked.contains_key(&line.call)
            }
            _ => false,
        }
    }

    async fn open(&mut self, line: &Line) -> Result<()> {
        let rpc = self.wire.rpc(&line.rpc)?;
        let stream = self.connection(&line.who).await?.stream(&rpc);
        self.streams.insert(line.call, (line.who.clone(), rpc, stream));
        Ok(())
    }

    async fn say(&mut self, line: &Line) -> Result<()> {
        match line.rpc.as_str() {
            "pdpb.PD/RegionHeartbeat" => {
                let start = line::key(&line.msg["region"]["start_key"])?;
                let region_id = self.regions.holding(&start)?.id;
                self.heartbeat(region_id, &[], Some(&line.msg)).await
            }
            "pdpb.PD/AskBatchSplit" => {
                let start = line::key(&line.msg["region"]["start_key"])?;
                let region_id = self.regions.holding(&start)?.id;
                let keys = self.split_keys[&line.n].clone();
                let recorded_parent = number(&line.msg["region"]["id"])?;
                let split = Split { region_id, keys, recorded_parent };
                let mut request = line.msg.clone();
                request["region"] = self.regions.get(region_id)?.meta();
                let store = self.regions.get(region_id)?.leader_store()?;
                self.ask_as(store, line, request, Some(split)).await
            }
            "pdpb.PD/ReportBatchSplit" => {
                let pieces = &self.pieces[&recorded_parent(line)];
                let regions: Result<Vec<Value>> =
                    pieces.iter().map(|id| Ok(self.regions.get(*id)?.meta())).collect();
                let store =
                    self.regions.get(*pieces.last().context("a split has pieces")?)?.leader_store()?;
                let mut request = line.msg.clone();
                request["regions"] = Value::from(regions?);
                self.ask_as(store, line, request, None).await
            }
            rpc => {
                let mut message = self.translated(rpc, &line.who, line.msg.clone())?;
                if rpc == "pdpb.PD/StoreHeartbeat" {
                    self.count_replicas(&mut message)?;
                    let store = self.store_of(&line.who)?;
                    self.store_heartbeats.insert(store, (line.who.clone(), message.clone()));
                }
                self.send(line, message).await?;
                if rpc == "pdpb.PD/Bootstrap" {
                    self.bootstrapped(&line.msg)?;
                }
                Ok(())
            }
        }
    }

    async fn hear(&mut self, line: &Line) -> Result<()> {
        let answer = if let Some((_, _, stream)) = self.streams.get_mut(&line.call) {
            match tokio::time::timeout(ANSWER_WITHIN, stream.next()).await {
                Ok(Some(Event::Answer(answer))) => to_json(&answer)?,
                Ok(other) => bail!("the stream ended: {other:?}"),
                Err(_) => bail!("no answer within {ANSWER_WITHIN:?}"),
            }
        } else {
            let asked = self.asked.remove(&line.call).context("an answer without a question")?;
            let answer =
                asked.answer.await?.map_err(|status| anyhow!("the question of n {}: {status:?}", asked.n))?;
            let answer = to_json(&answer)?;
            if let Some(split) = asked.split {
                self.split(&split, &answer).await.with_context(|| format!("{answer}"))?;
            }
            answer
        };
        let found = shape::differences(&line.msg, &answer);
        self.report
            .differences
            .extend(found.into_iter().map(|it| format!("n {} {}: {it}", line.n, line.rpc)));
        self.carry_over(line, &answer)
    }

    /// What later requests must repeat of this answer.
    fn carry_over(&mut self, line: &Line, answer: &Value) -> Result<()> {
        match line.rpc.as_str() {
            "pdpb.PD/AllocID" => {
                let (recorded, ours) = (number(&line.msg["id"])?, number(&answer["id"])?);
                ensure!(!self.ids.values().any(|known| *known == ours), "id {ours} was given before");
                self.ids.insert(recorded, ours);
            }
            "pdpb.PD/Tso" => {
                let part = |name: &str| number(&answer["timestamp"][name]).unwrap_or(0);
                let timestamp = (part("physical"), part("logical"));
                ensure!(timestamp > self.last_timestamp, "{timestamp:?} after {:?}", self.last_timestamp);
                ensure!(answer["count"] == line.msg["count"], "{answer} for {}", line.msg);
                self.last_timestamp = timestamp;
            }
            "meta_storagepb.MetaStorage/Get" => {
                let asked = self.lines.iter().find(|it| it.call == line.call && it.dir == Direction::ToPd);
                let source = text(&asked.context("its question")?.msg["header"]["source"]);
                let revisions =
                    (number(&line.msg["header"]["revision"])?, number(&answer["header"]["revision"])?);
                self.revisions.insert((line.who.clone(), source), revisions);
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes what came on the heartbeat streams and does it.
    async fn obey(&mut self) -> Result<()> {
        while let Some((who, answer)) = self.next_command()? {
            let Some(command) = command::read(&answer)? else { continue };
            let region = self.regions.get(command.region_id).with_context(|| answer.to_string())?.clone();
            let store = self.store_of(&who)?;
            let present = region.epoch == command.epoch && region.leader == command.target;
            if !present || region.leader_store()? != store {
                self.crossed(&command, &region).with_context(|| answer.to_string())?;
                continue;
            }
            *self.report.commands.entry(command.action.field()).or_default() += 1;
            self.left_behind.insert(region.id, (region.epoch, region.leader, 0));
            match &command.action {
                Action::Split(keys) => self.split_on_command(&region, keys).await?,
                Action::ChangePeers(changes) => {
                    self.regions.carry_out(&command)?;
                    let known = |id| region.peer(id).is_some();
                    let new: Vec<u64> =
                        changes.iter().map(|it| it.peer.id).filter(|id| !known(*id)).collect();
                    self.announce(region.id, &new).await?;
                }
                Action::TransferLeader(_) => {
                    self.regions.carry_out(&command)?;
                    let region = self.regions.get(region.id)?;
                    let others = region
                        .peers
                        .iter()
                        .map(|peer| peer.id)
                        .filter(|id| *id != region.leader)
                        .collect::<Vec<_>>();
                    self.announce(region.id, &others).await?;
                }
            }
        }
        Ok(())
    }

    /// A command that does not fit the present Region must be one that was under way when the Region changed.
    fn crossed(&mut self, command: &Command, region: &Region) -> Result<()> {
        let Some((epoch, leader, count)) = self.left_behind.get_mut(&region.id) else {
            bail!("a command that never fitted: {command:?}, the Region is {region:?}");
        };
        *count += 1;
        let fitted = *epoch == command.epoch && *leader == command.target;
        ensure!(
            fitted,
            "neither the present nor the last epoch and leader: {command:?}, the Region is {region:?}"
        );
        ensure!(
            *count <= CROSSINGS_PER_CHANGE,
            "stale for the {count}. time: {command:?}, the Region is {region:?}"
        );
        self.report.crossed += 1;
        Ok(())
    }

    fn next_command(&mut self) -> Result<Option<(String, Value)>> {
        for (who, rpc, stream) in self.streams.values_mut() {
            if rpc.answer.full_name() != "pdpb.RegionHeartbeatResponse" {
                continue;
            }
            match stream.try_next() {
                Some(Event::Answer(answer)) => return Ok(Some((who.clone(), to_json(&answer)?))),
                Some(Event::End(status)) => bail!("the heartbeat stream of {who} ended: {status:?}"),
                None => {}
            }
        }
        Ok(None)
    }

    /// A changed Region says so at once: first while the named peers still catch up, then when they have.
    async fn announce(&mut self, region_id: u64, catching_up: &[u64]) -> Result<()> {
        if !catching_up.is_empty() {
            self.heartbeat(region_id, catching_up, None).await?;
        }
        self.heartbeat(region_id, &[], None).await
    }

    /// PD's own wish to split: ids are asked for, then it is done, reported and announced, as for a split by size.
    async fn split_on_command(&mut self, region: &Region, keys: &[Vec<u8>]) -> Result<()> {
        let store = region.leader_store()?;
        let request = json!({"region": region.meta(), "split_count": keys.len()});
        let answer = self.ask_now(store, "pdpb.PD/AskBatchSplit", request).await?;
        let split = Split { region_id: region.id, keys: keys.to_vec(), recorded_parent: 0 };
        self.split(&split, &answer).await?;
        let pieces = self.pieces[&0].clone();
        let metas: Result<Vec<Value>> = pieces.iter().map(|id| Ok(self.regions.get(*id)?.meta())).collect();
        self.ask_now(store, "pdpb.PD/ReportBatchSplit", json!({"regions": metas?})).await?;
        Ok(())
    }

    async fn split(&mut self, split: &Split, answer: &Value) -> Result<()> {
        let before = self.regions.get(split.region_id)?.clone();
        let grants = answer["ids"].as_array().into_iter().flatten().map(|ids| {
            let peers = ids["new_peer_ids"].as_array().into_iter().flatten().map(number);
            Ok(Grant { region_id: number(&ids["new_region_id"])?, peer_ids: peers.collect::<Result<_>>()? })
        });
        let pieces =
            self.regions.split(split.region_id, &split.keys, &grants.collect::<Result<Vec<_>>>()?)?;
        self.left_behind.insert(before.id, (before.epoch, before.leader, 0));
        for id in &pieces {
            self.heartbeat(*id, &[], None).await?;
        }
        self.pieces.insert(split.recorded_parent, pieces);
        self.report.splits += 1;
        Ok(())
    }

    /// Lives on like the recorded stores until every Region has three voters.
    async fn until_three_voters(&mut self) -> Result<()> {
        let deadline = Instant::now() + THREE_VOTERS_WITHIN;
        let mut next_heartbeats = Instant::now();
        while let Some(lacking) = self.regions.lacking_three_voters() {
            ensure!(Instant::now() < deadline, "after {THREE_VOTERS_WITHIN:?}: {lacking}; {:?}", self.report);
            if Instant::now() >= next_heartbeats {
                next_heartbeats += HEARTBEAT_EVERY;
                self.heartbeats_of_all().await?;
            }
            self.obey().await?;
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn heartbeats_of_all(&mut self) -> Result<()> {
        let rpc = self.wire.rpc("pdpb.PD/StoreHeartbeat")?;
        for (who, mut message) in self.store_heartbeats.values().cloned().collect::<Vec<_>>() {
            self.count_replicas(&mut message)?;
            let answer = self.connection(&who).await?.ask(&rpc, message).await;
            answer.map_err(|status| anyhow!("the heartbeat of {who}: {status:?}"))?;
        }
        for id in self.regions.iter().map(|region| region.id).collect::<Vec<_>>() {
            self.heartbeat(id, &[], None).await?;
        }
        Ok(())
    }

    /// Sends a Region's heartbeat on its leader's stream: the counters of the template, the rest from the model.
    async fn heartbeat(&self, region_id: u64, pending: &[u64], template: Option<&Value>) -> Result<()> {
        let region = self.regions.get(region_id)?;
        let store = region.leader_store()?;
        let pending: Vec<Value> = pending.iter().filter_map(|id| region.peer(*id)).map(Peer::json).collect();
        let mut message = match template {
            Some(recorded) => recorded.clone(),
            None => json!({"approximate_size": "1"}),
        };
        message["region"] = region.meta();
        message["leader"] = region.peer(region.leader).context("a leader")?.json();
        message["term"] = json!(region.term);
        message["pending_peers"] = Value::from(pending);
        message["header"] = json!({"cluster_id": self.cluster_id.to_string()});
        self.shift_times(&mut message);
        let is_its_stream = |(who, rpc, _): &&(String, Rpc, Stream)| {
            rpc.answer.full_name() == "pdpb.RegionHeartbeatResponse"
                && self.store_of(who).is_ok_and(|id| id == store)
        };
        let stream = self.streams.values().find(is_its_stream);
        let (_, rpc, stream) = stream.with_context(|| format!("store {store} has no heartbeat stream"))?;
        stream.send(from_json(&rpc.request, &message)?).await
    }

    /// A recorded message with our cluster id, ids, revisions and times.
    fn translated(&self, rpc: &str, who: &str, mut message: Value) -> Result<DynamicMessage> {
        if message["header"].get("cluster_id").is_some() {
            message["header"]["cluster_id"] = self.cluster_id.to_string().into();
        }
        if let Some(start) = message.get("start_revision") {
            let source = text(&message["header"]["source"]);
            let known = self.revisions.get(&(who.to_string(), source));
            let (recorded, ours) = known.context("a watch without a read before it")?;
            message["start_revision"] = (number(start)? - recorded + ours).to_string().into();
        }
        self.shift_times(&mut message);
        let mut message = from_json(&self.wire.rpc(rpc)?.request, &message)?;
        let mut unknown = Vec::new();
        ids::replace(&mut message, &mut |id| match self.ids.get(&id) {
            Some(ours) => *ours,
            None if id == 0 => 0,
            None => {
                unknown.push(id);
                id
            }
        });
        ensure!(unknown.is_empty(), "ids that PD never gave: {unknown:?}");
        Ok(message)
    }

    fn shift_times(&self, message: &mut Value) {
        match message {
            Value::Object(fields) => {
                for (name, value) in fields.iter_mut() {
                    let is_time = ["start_timestamp", "end_timestamp", "start_time"].contains(&name.as_str());
                    let digits = value.as_str().map_or_else(|| value.to_string(), str::to_string);
                    match digits.parse::<i64>() {
                        Ok(seconds) if is_time => *value = (seconds + self.clock_shift_s).to_string().into(),
                        Ok(_) | Err(_) => self.shift_times(value),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.shift_times(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Says how many replicas the store has by now, which PD waits for before it balances.
    fn count_replicas(&self, heartbeat: &mut DynamicMessage) -> Result<()> {
        let mut json = to_json(heartbeat)?;
        let store = number(&json["stats"]["store_id"])?;
        json["stats"]["region_count"] = self.regions.replicas_on(store).into();
        *heartbeat = from_json(&prost_reflect::ReflectMessage::descriptor(heartbeat), &json)?;
        Ok(())
    }

    fn bootstrapped(&mut self, recorded: &Value) -> Result<()> {
        let ours = |recorded: &Value| -> Result<u64> {
            let id = number(recorded)?;
            self.ids.get(&id).copied().with_context(|| format!("id {id} was never given"))
        };
        let region = &recorded["region"];
        let peer = &region["peers"][0];
        let peer = Peer { id: ours(&peer["id"])?, store_id: ours(&peer["store_id"])?, role: Role::Voter };
        self.regions.bootstrap(Region {
            id: ours(&region["id"])?,
            start: Vec::new(),
            end: Vec::new(),
            epoch: command::epoch(&region["region_epoch"]),
            peers: vec![peer],
            leader: peer.id,
            term: FIRST_TERM,
        })
    }

    async fn send(&mut self, line: &Line, message: DynamicMessage) -> Result<()> {
        if let Some((_, rpc, stream)) = self.streams.get_mut(&line.call) {
            stream.send(message).await?;
            if !rpc.client_streams {
                stream.close();
            }
            return Ok(());
        }
        self.ask(&line.who.clone(), line, message, None).await
    }

    async fn ask_as(
        &mut self,
        store: u64,
        line: &Line,
        mut request: Value,
        split: Option<Split>,
    ) -> Result<()> {
        request["header"] = json!({"cluster_id": self.cluster_id.to_string()});
        let message = from_json(&self.wire.rpc(&line.rpc)?.request, &request)?;
        let who = self.name_of(store)?;
        self.ask(&who, line, message, split).await
    }

    async fn ask(
        &mut self,
        who: &str,
        line: &Line,
        message: DynamicMessage,
        split: Option<Split>,
    ) -> Result<()> {
        let rpc = self.wire.rpc(&line.rpc)?;
        let connection = self.connection(who).await?.clone();
        let answer = tokio::spawn(async move { connection.ask(&rpc, message).await });
        self.asked.insert(line.call, Asked { n: line.n, answer, split });
        Ok(())
    }

    async fn ask_now(&mut self, store: u64, name: &str, mut request: Value) -> Result<Value> {
        request["header"] = json!({"cluster_id": self.cluster_id.to_string()});
        let who = self.name_of(store)?;
        let answer = self.connection(&who).await?.ask_json(name, &request).await?;
        ensure!(answer["header"].get("error").is_none(), "{name} with {request}: {answer}");
        Ok(answer)
    }

    async fn connection(&mut self, who: &str) -> Result<&Connection> {
        if !self.connections.contains_key(who) {
            let opened = Connection::open(&self.wire, &self.address).await?;
            self.connections.insert(who.to_string(), opened);
        }
        self.connections.get(who).context("it was just opened")
    }

    /// Our id of the store called `store-8` in the record.
    fn store_of(&self, who: &str) -> Result<u64> {
        let recorded: u64 =
            who.strip_prefix("store-").and_then(|id| id.parse().ok()).with_context(|| who.to_string())?;
        self.ids.get(&recorded).copied().with_context(|| format!("{who} has no id yet"))
    }

    fn name_of(&self, store: u64) -> Result<String> {
        let recorded = self.ids.iter().find(|(_, ours)| **ours == store);
        let (recorded, _) = recorded.with_context(|| format!("store {store} is not of the record"))?;
        Ok(format!("store-{recorded}"))
    }
}

/// The Raft term in which a TiKV's first Region leads.
const FIRST_TERM: u64 = 6;

/// A store asks for ids because a Region grew: only such asks carry a reason.
fn is_split_by_size(line: &Line) -> bool {
    line.rpc == "pdpb.PD/AskBatchSplit" && line.dir == Direction::ToPd && line.msg.get("reason").is_some()
}

/// The Region that a reported split cut: it keeps the rightmost piece.
fn recorded_parent(line: &Line) -> u64 {
    let pieces = line.msg["regions"].as_array();
    pieces.and_then(|pieces| pieces.last()).and_then(|parent| number(&parent["id"]).ok()).unwrap_or(0)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}
