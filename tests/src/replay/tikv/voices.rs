//! The recorded stores' connections, streams and questions under way.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use prost_reflect::DynamicMessage;
use serde_json::Value;
use tokio::task::JoinHandle;
use tonic::Status;

use super::line::Line;
use crate::replay::dynamic::{Connection, Event, Rpc, Stream, Wire, to_json};

/// How long an answer on a stream may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Who says what where.
#[derive(Debug)]
pub struct Voices {
    address: String,
    wire: Wire,
    connections: HashMap<String, Connection>,
    streams: HashMap<u64, Opened>,
    questions: HashMap<u64, JoinHandle<Result<DynamicMessage, Status>>>,
}

/// A stream of one store.
#[derive(Debug)]
struct Opened {
    who: String,
    rpc: Rpc,
    stream: Stream,
}

impl Voices {
    /// To a server at `address` (`host:port`).
    ///
    /// # Errors
    /// Only when the descriptors that were compiled in cannot be read.
    pub fn new(address: &str) -> Result<Voices> {
        Ok(Voices {
            address: address.to_string(),
            wire: Wire::compiled()?,
            connections: HashMap::new(),
            streams: HashMap::new(),
            questions: HashMap::new(),
        })
    }

    /// The wire that is spoken.
    #[must_use]
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Opens the stream of a recorded call.
    ///
    /// # Errors
    /// When the server is not there.
    pub async fn open(&mut self, line: &Line) -> Result<()> {
        let rpc = self.wire.rpc(&line.rpc)?;
        let stream = self.connection(&line.who).await?.stream(&rpc);
        self.streams.insert(line.call, Opened { who: line.who.clone(), rpc, stream });
        Ok(())
    }

    /// Says something in a recorded call: on its stream if it has one, else as a question of `who`.
    ///
    /// # Errors
    /// When the stream is over or the server is not there.
    pub async fn say(&mut self, who: &str, line: &Line, message: DynamicMessage) -> Result<()> {
        if let Some(opened) = self.streams.get_mut(&line.call) {
            opened.stream.send(message).await?;
            if !opened.rpc.client_streams {
                opened.stream.close();
            }
            return Ok(());
        }
        let rpc = self.wire.rpc(&line.rpc)?;
        let connection = self.connection(who).await?.clone();
        let question = tokio::spawn(async move { connection.ask(&rpc, message).await });
        self.questions.insert(line.call, question);
        Ok(())
    }

    /// Whether a recorded call asked something that was not answered yet.
    #[must_use]
    pub fn asked(&self, call: u64) -> bool {
        self.questions.contains_key(&call)
    }

    /// The next answer of a recorded call.
    ///
    /// # Errors
    /// When the answer is a status, the stream is over, or nothing comes in time.
    pub async fn hear(&mut self, call: u64) -> Result<Value> {
        if let Some(opened) = self.streams.get_mut(&call) {
            return match tokio::time::timeout(ANSWER_WITHIN, opened.stream.next()).await {
                Ok(Some(Event::Answer(answer))) => to_json(&answer),
                Ok(ended) => bail!("the stream ended: {ended:?}"),
                Err(_) => bail!("no answer within {ANSWER_WITHIN:?}"),
            };
        }
        let question = self.questions.remove(&call).context("an answer without a question")?;
        to_json(&question.await?.map_err(|status| anyhow!("{status:?}"))?)
    }

    /// One question of `who` outside the record.
    ///
    /// # Errors
    /// When the answer is a status or the server is not there.
    pub async fn ask(&mut self, who: &str, name: &str, request: DynamicMessage) -> Result<Value> {
        let rpc = self.wire.rpc(name)?;
        let answer = self.connection(who).await?.ask(&rpc, request).await;
        to_json(&answer.map_err(|status| anyhow!("{name} of {who}: {status:?}"))?)
    }

    /// Sends on the heartbeat stream of `who`.
    ///
    /// # Errors
    /// When it has none or it is over.
    pub async fn heartbeat(&self, who: &str, message: DynamicMessage) -> Result<()> {
        let mut opened = self.streams.values().filter(|opened| opened.is_heartbeats());
        let own = opened.find(|opened| opened.who == who);
        own.with_context(|| format!("{who} has no heartbeat stream"))?.stream.send(message).await
    }

    /// What the server said on a heartbeat stream, if it said something: to whom, and what.
    ///
    /// # Errors
    /// When a heartbeat stream is over.
    pub fn next_command(&mut self) -> Result<Option<(String, Value)>> {
        for opened in self.streams.values_mut().filter(|opened| opened.is_heartbeats()) {
            match opened.stream.try_next() {
                Some(Event::Answer(answer)) => return Ok(Some((opened.who.clone(), to_json(&answer)?))),
                Some(Event::End(status)) => bail!("the heartbeat stream of {} ended: {status:?}", opened.who),
                None => {}
            }
        }
        Ok(None)
    }

    /// Reads what still waits on all streams: none may be over.
    ///
    /// # Errors
    /// Names the stream that ended.
    pub fn all_streams_live(&mut self) -> Result<()> {
        for opened in self.streams.values_mut() {
            while let Some(event) = opened.stream.try_next() {
                if let Event::End(status) = event {
                    bail!("{} of {} ended: {status:?}", opened.rpc.request.full_name(), opened.who);
                }
            }
        }
        Ok(())
    }

    async fn connection(&mut self, who: &str) -> Result<&Connection> {
        if !self.connections.contains_key(who) {
            let opened = Connection::open(&self.wire, &self.address).await?;
            self.connections.insert(who.to_string(), opened);
        }
        self.connections.get(who).context("it was just opened")
    }
}

impl Opened {
    fn is_heartbeats(&self) -> bool {
        self.rpc.answer.full_name() == "pdpb.RegionHeartbeatResponse"
    }
}
