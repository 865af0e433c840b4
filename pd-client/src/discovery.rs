//! Who leads: asked of all members at once, remembered until somebody who relied on it was let down.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use proto::pdpb::{GetMembersRequest, GetMembersResponse, Member};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use crate::channel::{Channels, Stub};
use crate::endpoint::Address;
use crate::header;
use crate::retry::{Backoff, Failure};
use crate::{Error, Options, Result};

const GET_MEMBERS: &str = "GetMembers";

/// A member without a fresh leader holds its answer up to 800 ms; one that says nothing for longer hangs.
const ASK_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Once a member has named the leader that let us down, the others get this long to name a better one.
const SECOND_OPINION: Duration = Duration::from_millis(200);
/// Addresses asked at once: groups have up to 5 members, some with two addresses, and the caller's own list.
pub(crate) const ADDRESSES_MAX: usize = 32;

/// The member that leads, as the members named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// Its name.
    pub name: String,
    /// Its member id.
    pub member_id: u64,
    /// The client address by which it is reached, with scheme.
    pub address: String,
}

/// A leader to call, and the round of asking that named it.
#[derive(Debug, Clone)]
pub(crate) struct Lead {
    pub leader: Arc<Leader>,
    address: Address,
    /// Rounds count up; a let-down caller says by it what it already knows.
    round: u64,
}

/// What the last successful round of asking brought.
#[derive(Debug, Clone, Default)]
struct View {
    lead: Option<Lead>,
    members: Vec<Address>,
    round: u64,
}

/// Finds and follows the leader of one cluster.
#[derive(Debug)]
pub(crate) struct Discovery {
    cluster_id: u64,
    /// What the caller named; asked besides the members' own addresses, in case all of those moved.
    seeds: Vec<Address>,
    channels: Channels,
    view: Mutex<View>,
    leader: watch::Sender<Option<Arc<Leader>>>,
    /// One round at a time: callers that were let down together wait for one answer.
    asking: tokio::sync::Mutex<()>,
}

impl Discovery {
    /// Asks every seed, checks that they speak for one cluster, and repeats until one names a leader.
    pub async fn open(seeds: Vec<Address>, options: &Options, deadline: Instant) -> Result<Discovery> {
        let started = Instant::now();
        let channels = Channels::new(options);
        let mut last = "nobody was asked yet".to_string();
        let met = timeout_at(deadline, first_meeting(&seeds, &channels, &mut last)).await;
        let Ok(met) = met else {
            return Err(Error::Deadline { call: GET_MEMBERS, waited: started.elapsed(), last });
        };
        let (cluster_id, answer) = met?;
        let discovery = Discovery {
            cluster_id,
            seeds,
            channels,
            view: Mutex::default(),
            leader: watch::Sender::new(None),
            asking: tokio::sync::Mutex::new(()),
        };
        if let Some((leader, address)) = leader_of(&answer) {
            discovery.remember(leader, address, &answer.members);
        }
        Ok(discovery)
    }

    pub fn cluster_id(&self) -> u64 {
        self.cluster_id
    }

    /// The leader as far as known.
    pub fn leader(&self) -> Option<Arc<Leader>> {
        self.leader.borrow().clone()
    }

    /// The connection to `lead`.
    pub fn stub(&self, lead: &Lead) -> Stub {
        self.channels.stub(&lead.address)
    }

    /// The leader to call: the known one, or after `let_down` by it the one that the members name now.
    /// One round of asking at most; the caller pauses and repeats.
    pub async fn find(&self, let_down: Option<&Lead>) -> std::result::Result<Lead, Failure> {
        if let Some(lead) = self.known_after(let_down) {
            return Ok(lead);
        }
        let _turn = self.asking.lock().await;
        if let Some(lead) = self.known_after(let_down) {
            return Ok(lead);
        }
        if let Some(lead) = let_down {
            self.channels.drop(&lead.address);
        }
        self.ask_all(let_down).await
    }

    /// Asks again although nobody was let down. Only a leader's own word counts, of which every member has one only
    /// while it serves: one that lags behind may name an older leader for a while, and moving there and back would
    /// cost every stream its state.
    async fn refresh(&self) {
        let _turn = self.asking.lock().await;
        let mut asked = self.ask(&self.addresses());
        while let Some((address, answer)) = asked.next().await {
            let Ok(answer) = self.judge(&address, answer) else { continue };
            let own_word =
                answer.leader.as_ref().is_some_and(|leader| addresses_of(leader).any(|at| at == address));
            if own_word && let Some((leader, at)) = leader_of(&answer) {
                self.remember(leader, at, &answer.members);
                return;
            }
        }
    }

    /// Ends, with the reason, when the members name another leader than `lead`. They are asked every `interval`; what
    /// others of this client learn is heard at once.
    pub async fn superseded(&self, lead: &Lead, interval: Duration) -> String {
        let mut leader = self.leader.subscribe();
        loop {
            if let Some(now) = leader.borrow_and_update().as_ref()
                && now.member_id != lead.leader.member_id
            {
                return format!("{} leads instead of {}", now.name, lead.leader.name);
            }
            // An error of `changed` means that the sender is gone, but it lives in `self`.
            if let Err(_) | Ok(Err(_)) = timeout(interval, leader.changed()).await {
                self.refresh().await;
            }
        }
    }

    /// One member's answer to GetMembers, from whichever answers first.
    pub async fn members(&self) -> std::result::Result<GetMembersResponse, Failure> {
        let mut asked = self.ask(&self.addresses());
        let mut last = String::new();
        while let Some((address, answer)) = asked.next().await {
            match self.judge(&address, answer) {
                Ok(answer) => return Ok(answer),
                Err(Failure::NotLeader(why) | Failure::Busy(why)) => last = why,
                Err(Failure::Final(error)) => return Err(Failure::Final(error)),
            }
        }
        Err(Failure::NotLeader(last))
    }

    fn known_after(&self, let_down: Option<&Lead>) -> Option<Lead> {
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.lead.clone().filter(|lead| let_down.is_none_or(|old| lead.round > old.round))
    }

    /// One round: the first answer that names another leader than `let_down` decides; failing that, `let_down` itself
    /// if it is still named.
    async fn ask_all(&self, let_down: Option<&Lead>) -> std::result::Result<Lead, Failure> {
        let mut asked = self.ask(&self.addresses());
        let mut same_again: Option<(Leader, Address, Vec<Member>)> = None;
        let mut settle_by = Instant::now() + ASK_TIMEOUT;
        let mut last = "no member answers".to_string();
        while let Ok(Some((address, answer))) = timeout_at(settle_by, asked.next()).await {
            let answer = match self.judge(&address, answer) {
                Ok(answer) => answer,
                Err(Failure::NotLeader(why) | Failure::Busy(why)) => {
                    last = why;
                    continue;
                }
                Err(Failure::Final(error)) => return Err(Failure::Final(error)),
            };
            let Some((leader, at)) = leader_of(&answer) else {
                last = format!("{address} knows no leader");
                continue;
            };
            if let_down.is_none_or(|old| old.leader.member_id != leader.member_id) {
                return Ok(self.remember(leader, at, &answer.members));
            }
            if same_again.is_none() {
                settle_by = settle_by.min(Instant::now() + SECOND_OPINION);
            }
            same_again = Some((leader, at, answer.members));
        }
        match same_again {
            Some((leader, at, members)) => Ok(self.remember(leader, at, &members)),
            None => Err(Failure::NotLeader(last)),
        }
    }

    fn remember(&self, leader: Leader, address: Address, members: &[Member]) -> Lead {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        let leader = Arc::new(leader);
        let changed = view.lead.as_ref().is_none_or(|old| old.leader != leader);
        if changed {
            tracing::info!(leader = leader.name, address = leader.address, "following the leader of PD");
        }
        view.round += 1;
        view.members = members.iter().flat_map(addresses_of).take(ADDRESSES_MAX - self.seeds.len()).collect();
        let lead = Lead { leader: leader.clone(), address, round: view.round };
        view.lead = Some(lead.clone());
        self.channels.keep_only(&merged(&view.members, &self.seeds));
        // Under the lock, so that watchers see the changes in their order.
        if changed {
            self.leader.send_replace(Some(leader));
        }
        lead
    }

    fn addresses(&self) -> Vec<Address> {
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        merged(&view.members, &self.seeds)
    }

    fn ask(&self, addresses: &[Address]) -> FuturesUnordered<impl Future<Output = Asked> + use<>> {
        ask_each(&self.channels, addresses)
    }

    fn judge(
        &self,
        address: &Address,
        answer: std::result::Result<GetMembersResponse, Failure>,
    ) -> std::result::Result<GetMembersResponse, Failure> {
        let answer = answer?;
        match header::check(GET_MEMBERS, self.cluster_id, answer.header.as_ref()) {
            Ok(()) => Ok(answer),
            // One bad member must not end what the others can answer; only another cluster's id is everyone's concern.
            Err(Failure::Final(error @ Error::WrongCluster { .. })) => Err(Failure::Final(error)),
            Err(Failure::Final(error)) => Err(Failure::NotLeader(format!("{address}: {error}"))),
            Err(other) => Err(other),
        }
    }
}

type Asked = (Address, std::result::Result<GetMembersResponse, Failure>);

/// GetMembers of every address at once. A failure of any kind concerns that address alone.
fn ask_each(
    channels: &Channels,
    addresses: &[Address],
) -> FuturesUnordered<impl Future<Output = Asked> + use<>> {
    addresses
        .iter()
        .map(|address| {
            let (mut stub, address) = (channels.stub(address), address.clone());
            async move {
                // The request's header is empty: whoever asks for members may not know the cluster yet.
                let call = stub.get_members(GetMembersRequest::default());
                let answer = match timeout(ASK_TIMEOUT, call).await {
                    Ok(Ok(answer)) => Ok(answer.into_inner()),
                    Ok(Err(status)) => Err(Failure::NotLeader(format!(
                        "{address}: {:?}: {}",
                        status.code(),
                        status.message()
                    ))),
                    Err(_) => Err(Failure::NotLeader(format!("{address} does not answer"))),
                };
                (address, answer)
            }
        })
        .collect()
}

/// Repeats asking all seeds until one names a leader; their cluster ids must agree.
async fn first_meeting(
    seeds: &[Address],
    channels: &Channels,
    last: &mut String,
) -> Result<(u64, GetMembersResponse)> {
    let mut backoff = Backoff::new();
    let mut first: Option<(Address, u64)> = None;
    loop {
        let mut leading = None;
        let mut asked = ask_each(channels, seeds);
        // All are heard, not only the quickest: a wrong address in the list should be told now, not at a failover.
        while let Some((address, answer)) = asked.next().await {
            let answer = match answer {
                Ok(answer) => answer,
                Err(Failure::NotLeader(why) | Failure::Busy(why)) => {
                    *last = why;
                    continue;
                }
                Err(Failure::Final(error)) => return Err(error),
            };
            let id = answer.header.as_ref().map_or(0, |header| header.cluster_id);
            if let Err(failure) = header::check(GET_MEMBERS, id, answer.header.as_ref()) {
                *last = format!("{address}: {failure:?}");
            } else if id == 0 {
                *last = format!("{address} has no cluster id yet");
            } else {
                let (met, known) = first.get_or_insert_with(|| (address.clone(), id));
                if *known != id {
                    return Err(Error::MixedClusters {
                        first: met.to_string(),
                        first_id: *known,
                        other: address.to_string(),
                        other_id: id,
                    });
                }
                if leader_of(&answer).is_some() {
                    leading = Some((id, answer));
                } else {
                    *last = format!("{address} knows no leader");
                }
            }
        }
        if let Some(found) = leading {
            return Ok(found);
        }
        backoff.pause().await;
    }
}

/// The leader that an answer names, if it can be dialled.
fn leader_of(answer: &GetMembersResponse) -> Option<(Leader, Address)> {
    let member = answer.leader.as_ref().filter(|member| member.member_id != 0)?;
    let address = addresses_of(member).next()?;
    let (name, member_id) = (member.name.clone(), member.member_id);
    Some((Leader { name, member_id, address: address.to_string() }, address))
}

/// A member's client addresses, without those that this client cannot dial.
fn addresses_of(member: &Member) -> impl Iterator<Item = Address> {
    member.client_urls.iter().filter_map(|url| Address::parse(url).ok())
}

fn merged(members: &[Address], seeds: &[Address]) -> Vec<Address> {
    let mut all: Vec<Address> = members.iter().chain(seeds).cloned().collect();
    all.sort();
    all.dedup();
    all
}
