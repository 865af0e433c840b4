//! Plays the record, line by line, over real connections.
//!
//! Requests keep the record's content; cluster id, ids, revisions and times become those of our server. Heartbeats say
//! what the model of the Regions says. A line that only exists because tikv/pd commanded something ours did not command
//! (its keyspaces make it split the first Region) is left out and counted.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use prost_reflect::{DynamicMessage, ReflectMessage};
use serde_json::{Value, json};

use super::command::{self, Action, Command, number};
use super::line::{self, Direction, Line};
use super::region::{Epoch, Grant, Peer, Region, Regions, Role};
use super::shape;
use super::translation::Translation;
use super::voices::Voices;
use crate::replay::dynamic::{from_json, to_json};

/// How long PD may take to bring every Region to three voters, or its leaders to an even spread.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);
/// While waiting, stores heartbeat like live ones: the recorded ones did so every 2 s, their Regions every 5 s.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);
/// How often commands are looked for while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A command and the heartbeat that makes it stale may cross on the way; PD repeats a command while it waits for its
/// effect. So this many commands may come for the epoch or leader just left; more means that PD does not look.
const CROSSINGS_PER_CHANGE: u32 = 2;
/// The Raft term in which a TiKV's first Region leads.
const FIRST_TERM: u64 = 6;

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
    lines: Vec<Line>,
    split_keys: HashMap<u32, Vec<Vec<u8>>>,
    voices: Voices,
    ours: Translation,
    regions: Regions,
    /// Splits that wait for their ids, by call.
    splits: HashMap<u64, Split>,
    /// The pieces of the last split of a recorded Region, as our ids from left to right.
    pieces: HashMap<u64, Vec<u64>>,
    /// The epoch and leader that a Region had before its last change, and how many commands still came for them.
    left_behind: HashMap<u64, (Epoch, u64, u32)>,
    /// Whom the reads of MetaStorage under way are for, by call.
    reads: HashMap<u64, String>,
    /// The last heartbeat of each store.
    store_heartbeats: BTreeMap<String, DynamicMessage>,
    last_timestamp: (u64, u64),
    report: Report,
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
        let recorded_start = number(recorded_start.context("a store that starts")?)?;
        Ok(Player {
            split_keys: line::split_keys(&lines)?,
            lines,
            voices: Voices::new(address)?,
            ours: Translation::new(cluster_id, recorded_start)?,
            regions: Regions::default(),
            splits: HashMap::new(),
            pieces: HashMap::new(),
            left_behind: HashMap::new(),
            reads: HashMap::new(),
            store_heartbeats: BTreeMap::new(),
            last_timestamp: (0, 0),
            report: Report::default(),
        })
    }

    /// Plays all lines, then lives on until every Region has three voters and leaders are spread evenly: in the record
    /// that takes minutes, between the lines.
    ///
    /// # Errors
    /// When the server refuses, ends a stream, commands what a store must refuse, or does not bring the replicas. What
    /// only differs in shape is collected in the report.
    pub async fn play(mut self) -> Result<(Report, Regions)> {
        let lines = std::mem::take(&mut self.lines);
        let mut replicated = false;
        for line in &lines {
            // The load of the record begins when its Regions have their replicas; so does ours.
            if !replicated && is_split_by_size(line) {
                self.until_nothing(Regions::lacking_three_voters).await?;
                replicated = true;
            }
            self.line(line).await.with_context(|| format!("n {} {} {:?}", line.n, line.rpc, line.dir))?;
            // Between asking for the ids of a split and making it, a store changes nothing else.
            if self.splits.is_empty() {
                self.obey().await.with_context(|| format!("after n {}", line.n))?;
            }
        }
        self.until_nothing(Regions::lacking_three_voters).await?;
        self.until_nothing(Regions::lacking_even_leaders).await?;
        self.voices.all_streams_live()?;
        Ok((self.report, self.regions))
    }

    async fn line(&mut self, line: &Line) -> Result<()> {
        if self.is_consequence_of_a_foreign_command(line) {
            self.report.left_out.push(line.n);
            return Ok(());
        }
        match line.dir {
            Direction::Open => self.voices.open(line).await?,
            Direction::ToPd => self.say(line).await?,
            Direction::ToStore => self.hear(line).await?,
        }
        self.report.played += 1;
        Ok(())
    }

    /// tikv/pd commanded the first split; its ids and its report belong to that command. And commands themselves are
    /// what ours gives, not what is recorded.
    fn is_consequence_of_a_foreign_command(&self, line: &Line) -> bool {
        match (line.rpc.as_str(), line.dir) {
            ("pdpb.PD/RegionHeartbeat", Direction::ToStore) => true,
            ("pdpb.PD/AskBatchSplit", Direction::ToPd) => !is_split_by_size(line),
            ("pdpb.PD/ReportBatchSplit", Direction::ToPd) => {
                !self.pieces.contains_key(&recorded_parent(line))
            }
            ("pdpb.PD/AskBatchSplit" | "pdpb.PD/ReportBatchSplit", Direction::ToStore) => {
                !self.voices.asked(line.call)
            }
            _ => false,
        }
    }

    async fn say(&mut self, line: &Line) -> Result<()> {
        match line.rpc.as_str() {
            "pdpb.PD/RegionHeartbeat" => {
                let region_id = self.region_at(line)?.id;
                self.heartbeat(region_id, &[], Some(&line.msg)).await
            }
            "pdpb.PD/AskBatchSplit" => {
                let region = self.region_at(line)?.clone();
                let recorded_parent = number(&line.msg["region"]["id"])?;
                let keys = self.split_keys[&line.n].clone();
                self.splits.insert(line.call, Split { region_id: region.id, keys, recorded_parent });
                let mut request = line.msg.clone();
                request["region"] = region.meta();
                self.say_as(region.leader_store()?, line, request).await
            }
            "pdpb.PD/ReportBatchSplit" => {
                let pieces = self.pieces[&recorded_parent(line)].clone();
                let store =
                    self.regions.get(*pieces.last().context("a split has pieces")?)?.leader_store()?;
                let mut request = line.msg.clone();
                request["regions"] = self.metas(&pieces)?;
                self.say_as(store, line, request).await
            }
            rpc => {
                let kind = self.voices.wire().rpc(rpc)?.request;
                let mut message = self.ours.request(&kind, &line.who, line.msg.clone())?;
                if rpc == "pdpb.PD/StoreHeartbeat" {
                    self.count_replicas(&mut message)?;
                    self.store_heartbeats.insert(line.who.clone(), message.clone());
                }
                if rpc == "meta_storagepb.MetaStorage/Get" {
                    let source = line.msg["header"]["source"].as_str().unwrap_or_default();
                    self.reads.insert(line.call, source.to_string());
                }
                self.voices.say(&line.who, line, message).await?;
                if rpc == "pdpb.PD/Bootstrap" { self.bootstrapped(&line.msg) } else { Ok(()) }
            }
        }
    }

    async fn hear(&mut self, line: &Line) -> Result<()> {
        let answer = self.voices.hear(line.call).await?;
        if let Some(split) = self.splits.remove(&line.call) {
            self.split(&split, &answer).await.with_context(|| answer.to_string())?;
        }
        let found = shape::differences(&line.msg, &answer);
        self.report
            .differences
            .extend(found.into_iter().map(|it| format!("n {} {}: {it}", line.n, line.rpc)));
        match line.rpc.as_str() {
            "pdpb.PD/AllocID" => self.ours.learn_id(number(&line.msg["id"])?, number(&answer["id"])?)?,
            "pdpb.PD/Tso" => self.timestamp(line, &answer)?,
            "meta_storagepb.MetaStorage/Get" => {
                let source = self.reads.remove(&line.call).context("a read")?;
                let revision = |answer: &Value| number(&answer["header"]["revision"]);
                self.ours.learn_revision(&line.who, &source, revision(&line.msg)?, revision(&answer)?);
            }
            _ => {}
        }
        Ok(())
    }

    fn timestamp(&mut self, line: &Line, answer: &Value) -> Result<()> {
        let part = |name: &str| number(&answer["timestamp"][name]).unwrap_or(0);
        let timestamp = (part("physical"), part("logical"));
        ensure!(timestamp > self.last_timestamp, "{timestamp:?} after {:?}", self.last_timestamp);
        ensure!(answer["count"] == line.msg["count"], "{answer} for {}", line.msg);
        self.last_timestamp = timestamp;
        Ok(())
    }

    /// Takes what came on the heartbeat streams and does it.
    async fn obey(&mut self) -> Result<()> {
        while let Some((who, answer)) = self.voices.next_command()? {
            if let Some(command) = command::read(&answer)? {
                self.obey_one(&who, &command).await.with_context(|| answer.to_string())?;
            }
        }
        Ok(())
    }

    async fn obey_one(&mut self, who: &str, command: &Command) -> Result<()> {
        let region = self.regions.get(command.region_id)?.clone();
        let present = region.epoch == command.epoch && region.leader == command.target;
        if !present || region.leader_store()? != self.ours.store(who)? {
            return self.crossed(command, &region);
        }
        *self.report.commands.entry(command.action.field()).or_default() += 1;
        self.left_behind.insert(region.id, (region.epoch, region.leader, 0));
        // A changed Region says so at once, first with the peers that still catch up, then without.
        let catching_up: Vec<u64> = match &command.action {
            Action::Split(keys) => return self.split_on_command(&region, keys).await,
            Action::ChangePeers(changes) => {
                changes.iter().map(|it| it.peer.id).filter(|id| region.peer(*id).is_none()).collect()
            }
            Action::TransferLeader(_) => {
                region.peers.iter().map(|peer| peer.id).filter(|id| *id != region.leader).collect()
            }
        };
        self.regions.carry_out(command)?;
        if !catching_up.is_empty() {
            self.heartbeat(region.id, &catching_up, None).await?;
        }
        self.heartbeat(region.id, &[], None).await
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

    /// PD's own wish to split: ids are asked for, then it is done and reported, as for a split by size.
    async fn split_on_command(&mut self, region: &Region, keys: &[Vec<u8>]) -> Result<()> {
        let who = self.ours.name_of(region.leader_store()?)?;
        let request = json!({"region": region.meta(), "split_count": keys.len()});
        let answer = self.ask(&who, "pdpb.PD/AskBatchSplit", request).await?;
        let split = Split { region_id: region.id, keys: keys.to_vec(), recorded_parent: 0 };
        self.split(&split, &answer).await?;
        let regions = self.metas(&self.pieces[&0])?;
        self.ask(&who, "pdpb.PD/ReportBatchSplit", json!({"regions": regions})).await?;
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

    /// Lives on like the recorded stores until the Regions lack nothing of what `lacking` looks for.
    async fn until_nothing(&mut self, lacking: fn(&Regions) -> Option<String>) -> Result<()> {
        let deadline = Instant::now() + SETTLED_WITHIN;
        let mut next_heartbeats = Instant::now();
        while let Some(lacking) = lacking(&self.regions) {
            ensure!(Instant::now() < deadline, "after {SETTLED_WITHIN:?}: {lacking}; {:?}", self.report);
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
        for (who, mut message) in self.store_heartbeats.clone() {
            self.count_replicas(&mut message)?;
            self.voices.ask(&who, "pdpb.PD/StoreHeartbeat", message).await?;
        }
        for id in self.regions.iter().map(|region| region.id).collect::<Vec<_>>() {
            self.heartbeat(id, &[], None).await?;
        }
        Ok(())
    }

    /// Sends a Region's heartbeat on its leader's stream: the counters of the template, the rest from the model.
    async fn heartbeat(&self, region_id: u64, pending: &[u64], template: Option<&Value>) -> Result<()> {
        let region = self.regions.get(region_id)?;
        let pending: Vec<Value> = pending.iter().filter_map(|id| region.peer(*id)).map(Peer::json).collect();
        let mut message = template.cloned().unwrap_or_else(|| json!({"approximate_size": "1"}));
        self.ours.shift_times(&mut message);
        message["header"] = self.ours.header();
        message["region"] = region.meta();
        message["leader"] = region.peer(region.leader).context("a leader")?.json();
        message["term"] = json!(region.term);
        message["pending_peers"] = Value::from(pending);
        let kind = self.voices.wire().rpc("pdpb.PD/RegionHeartbeat")?.request;
        let who = self.ours.name_of(region.leader_store()?)?;
        self.voices.heartbeat(&who, from_json(&kind, &message)?).await
    }

    /// Says how many replicas the store has by now, which PD waits for before it balances.
    fn count_replicas(&self, heartbeat: &mut DynamicMessage) -> Result<()> {
        let mut json = to_json(heartbeat)?;
        let store = number(&json["stats"]["store_id"])?;
        json["stats"]["region_count"] = self.regions.replicas_on(store).into();
        *heartbeat = from_json(&heartbeat.descriptor(), &json)?;
        Ok(())
    }

    fn bootstrapped(&mut self, recorded: &Value) -> Result<()> {
        let ours = |recorded: &Value| self.ours.id(number(recorded)?);
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

    /// Our Region where the recorded one of a line begins.
    fn region_at(&self, line: &Line) -> Result<&Region> {
        self.regions.holding(&line::key(&line.msg["region"]["start_key"])?)
    }

    fn metas(&self, ids: &[u64]) -> Result<Value> {
        let metas: Result<Vec<Value>> = ids.iter().map(|id| Ok(self.regions.get(*id)?.meta())).collect();
        Ok(Value::from(metas?))
    }

    /// Says what a line says, as the store that leads now.
    async fn say_as(&mut self, store: u64, line: &Line, mut request: Value) -> Result<()> {
        request["header"] = self.ours.header();
        let message = from_json(&self.voices.wire().rpc(&line.rpc)?.request, &request)?;
        let who = self.ours.name_of(store)?;
        self.voices.say(&who, line, message).await
    }

    async fn ask(&mut self, who: &str, name: &str, mut request: Value) -> Result<Value> {
        request["header"] = self.ours.header();
        let message = from_json(&self.voices.wire().rpc(name)?.request, &request)?;
        let answer = self.voices.ask(who, name, message).await?;
        ensure!(answer["header"].get("error").is_none(), "{name} with {request}: {answer}");
        Ok(answer)
    }
}

/// A store asks for ids because a Region grew: only such asks carry a reason.
fn is_split_by_size(line: &Line) -> bool {
    line.rpc == "pdpb.PD/AskBatchSplit" && line.dir == Direction::ToPd && line.msg.get("reason").is_some()
}

/// The Region that a reported split cut: it keeps the rightmost piece.
fn recorded_parent(line: &Line) -> u64 {
    let pieces = line.msg["regions"].as_array();
    pieces.and_then(|pieces| pieces.last()).and_then(|parent| number(&parent["id"]).ok()).unwrap_or(0)
}
