//! The client: what it holds, how it is made, and the loop that carries a unary call to whoever leads.

use std::sync::Arc;
use std::time::Duration;

use proto::pdpb::{self, GetMembersResponse};
use tokio::time::{Instant, timeout, timeout_at};

use crate::channel::Stub;
use crate::discovery::{ADDRESSES_MAX, Discovery};
use crate::endpoint::Address;
use crate::header::{self, Answer};
use crate::heartbeat::{HeartbeatEvents, HeartbeatSender};
use crate::retry::{Attempts, Failure};
use crate::tso::{Timestamp, TimestampRange, Tso};
use crate::{Error, Leader, Options, Result, heartbeat};

/// A client of one cluster's PD. Cheap to clone; the clones share connections and the timestamp stream.
#[derive(Debug, Clone)]
pub struct Client {
    discovery: Arc<Discovery>,
    tso: Tso,
    options: Arc<Options>,
    call_timeout: Duration,
}

impl Client {
    /// Finds the cluster behind `endpoints` (`http://host:port` or `host:port`, 1 to 32), all of which must belong to
    /// it, and its leader. Tries until [`Options::call_timeout`].
    pub async fn connect(endpoints: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Client> {
        Client::connect_with(endpoints, Options::default()).await
    }

    /// As [`Client::connect`], with other timeouts.
    pub async fn connect_with(
        endpoints: impl IntoIterator<Item = impl AsRef<str>>,
        options: Options,
    ) -> Result<Client> {
        let mut seeds = Vec::new();
        for endpoint in endpoints {
            seeds.push(Address::parse(endpoint.as_ref())?);
        }
        seeds.sort();
        seeds.dedup();
        // Half of the bound is left for the members' own addresses.
        let max = ADDRESSES_MAX / 2;
        if seeds.is_empty() || seeds.len() > max {
            return Err(Error::EndpointCount { given: seeds.len(), max });
        }
        let deadline = Instant::now() + options.call_timeout;
        let discovery = Arc::new(Discovery::open(seeds, &options, deadline).await?);
        let tso = Tso::start(discovery.clone(), &options);
        let call_timeout = options.call_timeout;
        Ok(Client { discovery, tso, options: Arc::new(options), call_timeout })
    }

    /// A clone whose calls may take `call_timeout` each, all attempts included.
    #[must_use]
    pub fn with_deadline(&self, call_timeout: Duration) -> Client {
        Client { call_timeout, ..self.clone() }
    }

    /// The id of the cluster; never 0.
    pub fn cluster_id(&self) -> u64 {
        self.discovery.cluster_id()
    }

    /// The leader as far as known; the next call may find another.
    pub fn leader(&self) -> Option<Leader> {
        self.discovery.leader().map(|leader| Leader::clone(&leader))
    }

    /// The members and the leader as any one member tells them now.
    pub async fn get_members(&self) -> Result<GetMembersResponse> {
        let mut attempts = Attempts::new("GetMembers", self.call_timeout);
        let deadline = attempts.deadline();
        let run = async {
            loop {
                match self.discovery.members().await {
                    Ok(answer) => return Ok(answer),
                    Err(failure) => attempts.again(failure).await?,
                }
            }
        };
        let outcome = timeout_at(deadline, run).await;
        outcome.unwrap_or_else(|_| Err(attempts.out_of_time()))
    }

    /// One timestamp, above every one that was answered to anyone before this call.
    pub async fn get_timestamp(&self) -> Result<Timestamp> {
        Ok(self.get_timestamps(1).await?.last)
    }

    /// `count` timestamps at once, 1 to 65,536.
    pub async fn get_timestamps(&self, count: u32) -> Result<TimestampRange> {
        self.tso.get(count, self.call_timeout).await
    }

    /// One id, never given out before.
    pub async fn alloc_id(&self) -> Result<u64> {
        Ok(*self.alloc_ids(1).await?.end())
    }

    /// `count` consecutive ids, at least 1. An attempt whose answer was lost leaves a gap in what is given out.
    pub async fn alloc_ids(&self, count: u32) -> Result<std::ops::RangeInclusive<u64>> {
        let call = "AllocID";
        let asked = count.max(1);
        let request = pdpb::AllocIdRequest { header: self.header(), count: asked };
        let answer =
            self.call(call, request, |mut stub, request| async move { stub.alloc_id(request).await }).await?;
        // The id is the last one of the block, and the count is filled in only for blocks.
        let malformed = |what: String| Error::Malformed { call, what };
        if answer.count.max(1) != asked {
            return Err(malformed(format!("{} ids instead of {asked}", answer.count)));
        }
        match answer.id.checked_sub(u64::from(asked) - 1) {
            Some(first) if first > 0 => Ok(first..=answer.id),
            Some(_) | None => Err(malformed(format!("a block of {asked} ids that ends at {}", answer.id))),
        }
    }

    /// Opens the stream of Region heartbeats of one store, and keeps it open on whoever leads. Both halves stop it
    /// when dropped. See [`HeartbeatEvents`] for what the caller owes at a change of leader.
    pub fn region_heartbeats(&self) -> (HeartbeatSender, HeartbeatEvents) {
        heartbeat::start(self.discovery.clone())
    }

    pub(crate) fn header(&self) -> Option<pdpb::RequestHeader> {
        header::request_header(self.cluster_id())
    }

    /// Carries a unary call to the leader, whoever that is by then, until it is answered, refused for good, or the
    /// deadline has passed.
    pub(crate) async fn call<Q, T, F>(
        &self,
        call: &'static str,
        request: Q,
        send: impl Fn(Stub, Q) -> F,
    ) -> Result<T>
    where
        Q: Clone,
        T: Answer,
        F: Future<Output = std::result::Result<tonic::Response<T>, tonic::Status>>,
    {
        let limit = self.options.attempt_timeout;
        let mut attempts = Attempts::new(call, self.call_timeout);
        let deadline = attempts.deadline();
        let run = async {
            let mut let_down = None;
            loop {
                let lead = match self.discovery.find(let_down.as_ref()).await {
                    Ok(lead) => lead,
                    Err(failure) => {
                        attempts.again(failure).await?;
                        continue;
                    }
                };
                let name = &lead.leader.name;
                let sent = send(self.discovery.stub(&lead), request.clone());
                let outcome = tokio::select! {
                    sent = timeout(limit, sent) => match sent {
                        Ok(Ok(answer)) => {
                            let answer = answer.into_inner();
                            header::check(call, self.cluster_id(), answer.header()).map(|()| answer)
                        }
                        Ok(Err(status)) => Err(Failure::of_status(call, name, &status)),
                        Err(_) => Err(Failure::NotLeader(format!("{name} did not answer for {limit:?}"))),
                    },
                    why = self.discovery.superseded(&lead, self.options.silence) => Err(Failure::NotLeader(why)),
                };
                let failure = match outcome {
                    Ok(answer) => return Ok(answer),
                    Err(failure) => failure,
                };
                let_down = matches!(failure, Failure::NotLeader(_)).then_some(lead);
                attempts.again(failure).await?;
            }
        };
        let outcome = timeout_at(deadline, run).await;
        outcome.unwrap_or_else(|_| Err(attempts.out_of_time()))
    }
}
