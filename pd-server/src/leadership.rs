//! Leadership is one thing: the Raft leader with a lease, whose timestamp bound of this term is applied.
//!
//! Raft tells who leads; the lease (clock-bounded, fed by quorum answers and own durable writes) tells whether it
//! still does; an applied bound of the term tells that it may give timestamps. Only with all three is a member *ready*.

mod tenure;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use raft_core::{BootTime, GroupStatus, Lease, ProposeError, Role};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::tenure::Tenure;
use crate::PD_GROUP;
use crate::member::{Member, MemberId, Members, Membership};
use crate::state::{Announced, Kv};
use crate::tso::{Standing, TsoHandle, WallClock};

/// How long a call that needs a ready leader is held, instead of refused, while this member leads but is not ready
/// (rule 10): stock clients have few retries, and a new leader is ready within a round trip.
pub const HOLD_MAX: Duration = Duration::from_secs(1);

/// How old a leader's heartbeat may be for a member to name that leader without waiting.
pub const HEARTBEAT_FRESH: Duration = Duration::from_millis(150);

/// How long a member waits for a leader to name.
pub const NAME_LEADER_WAIT: Duration = Duration::from_millis(800);

/// How often a wait looks again at what wakes nobody: the lease, and the age of the last heartbeat.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How long a leader that stops tries to hand its lead over: beyond it an election is the quicker way.
const HAND_OVER_MAX: Duration = Duration::from_millis(600);

/// How long an administrator's wish for another leader is tried for: the Raft core rests for an election timeout after
/// each hand-over.
const TRANSFER_MAX: Duration = Duration::from_secs(2);

/// How long it waits then until its heir can serve, so that clients that ask here are told of the heir.
const HEIR_READY_MAX: Duration = Duration::from_millis(200);

/// A term of the Raft group of members: fences what a leader proposes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

/// What this member is at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeadershipState {
    /// The current term.
    pub term: Term,
    /// The leader of that term as Raft knows it, ready or not.
    pub leader: Option<Member>,
    /// This member leads.
    pub leading: bool,
    /// This member leads and may serve: its first bound of this term is applied. (Its lease must still be checked.)
    pub ready: bool,
}

/// Refusal of what only the leader does. The text is part of the protocol: clients look for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not leader")]
pub struct NotLeader;

/// Why the lead did not move.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// This member does not lead.
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    /// Nobody else votes.
    #[error("no other member votes")]
    NoHeir,
    /// Nobody took it within the time; what the Raft core said last.
    #[error("{0}")]
    NotTaken(String),
}

/// The way to know who leads; cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Leadership {
    state: Arc<watch::Sender<LeadershipState>>,
    status: watch::Receiver<GroupStatus>,
    announced: watch::Receiver<Announced>,
    lease: Arc<Lease>,
    raft: raft_core::Handle,
    members: Members,
}

impl Leadership {
    /// Knows nothing until [`Leadership::follow`] runs.
    pub(crate) fn new(
        raft: raft_core::Handle,
        status: watch::Receiver<GroupStatus>,
        lease: Arc<Lease>,
        announced: watch::Receiver<Announced>,
        members: Members,
    ) -> Self {
        Self { state: Arc::default(), status, announced, lease, raft, members }
    }

    /// The present state.
    pub fn state(&self) -> LeadershipState {
        self.state.borrow().clone()
    }

    /// Tells of each change. A loss is told at once: owners drop what belongs to the term.
    pub fn subscribe(&self) -> watch::Receiver<LeadershipState> {
        self.state.subscribe()
    }

    /// The term in which this member may answer now: ready, and within its lease. Reads the clock: take the request
    /// first, check, answer, and admit nothing after the check (rule 1.10).
    pub fn check(&self) -> Result<Term, NotLeader> {
        let (term, ready) = {
            let state = self.state.borrow();
            (state.term, state.ready)
        };
        let held = self.lease.check(BootTime::now());
        if ready && held == Some(term.0) { Ok(term) } else { Err(NotLeader) }
    }

    /// As [`Leadership::check`], but holds the caller up to [`HOLD_MAX`] while this member leads and is not ready.
    pub async fn serve(&self) -> Result<Term, NotLeader> {
        if let Ok(term) = self.check() {
            return Ok(term);
        }
        let deadline = Instant::now() + HOLD_MAX;
        let mut changes = self.subscribe();
        loop {
            if let Ok(term) = self.check() {
                return Ok(term);
            }
            if !changes.borrow_and_update().leading || Instant::now() >= deadline {
                return Err(NotLeader);
            }
            // A change, or time for another look at the lease.
            let _ = timeout_at(deadline.min(Instant::now() + LOOK_AGAIN), changes.changed()).await;
        }
    }

    /// Resolves when this member no longer leads in `term`: client streams end then, at once, with "not leader".
    pub fn lost(&self, term: Term) -> impl Future<Output = ()> + Send + 'static {
        let mut changes = self.subscribe();
        async move {
            // An error means that the process stops.
            let _ = changes.wait_for(|state| !state.leading || state.term != term).await;
        }
    }

    /// The leader to name to clients: one that can serve timestamps and was heard of within [`HEARTBEAT_FRESH`]. Waits
    /// up to [`NAME_LEADER_WAIT`] for one; `None` after that.
    pub async fn leader_to_name(&self) -> Option<Member> {
        let deadline = Instant::now() + NAME_LEADER_WAIT;
        loop {
            if let Some(leader) = self.serving_leader() {
                return Some(leader);
            }
            if Instant::now() >= deadline {
                return None;
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// The leader, if it can serve and was heard of lately.
    fn serving_leader(&self) -> Option<Member> {
        let (term, leader, own) = {
            let status = self.status.borrow();
            (status.term, status.leader, status.id)
        };
        let serves = if leader == own {
            self.check() == Ok(Term(term))
        } else {
            // Its bound of this term is applied here, so it is applied there or about to be.
            let ready = self.announced.borrow().bound_term == term;
            let heard = self.raft.leader_heard(PD_GROUP);
            ready && heard.is_some_and(|at| at + HEARTBEAT_FRESH >= BootTime::now())
        };
        if leader == 0 || !serves { None } else { self.members.get(MemberId(leader)) }
    }

    /// Hands the lead to the voter that is furthest and was heard of last, and waits until that one can serve. Bounded;
    /// does nothing on a follower or a lone member.
    pub async fn hand_over(&self) {
        match self.transfer_within(None, HAND_OVER_MAX).await {
            Ok(heir) => info!(to = heir.0, "lead handed over"),
            Err(TransferError::NotLeader(_) | TransferError::NoHeir) => {}
            Err(TransferError::NotTaken(reason)) => {
                warn!(reason, "lead not handed over: nobody took it in time");
            }
        }
    }

    /// Hands the lead to a member, or without one to the voter that is furthest, and waits until that one can serve.
    /// Bounded. Returns who has it.
    ///
    /// # Errors
    /// This member does not lead, nobody else votes, or the lead was not taken.
    pub async fn transfer(&self, to: Option<MemberId>) -> Result<MemberId, TransferError> {
        let heir = self.transfer_within(to, TRANSFER_MAX).await?;
        info!(to = heir.0, "lead handed over");
        Ok(heir)
    }

    async fn transfer_within(
        &self,
        to: Option<MemberId>,
        limit: Duration,
    ) -> Result<MemberId, TransferError> {
        let mut last = "no answer".to_owned();
        let handed = timeout_at(Instant::now() + limit, async {
            loop {
                if self.status.borrow().role != Role::Leader {
                    return Err(NotLeader.into());
                }
                let heir = to.map(|to| to.0).or_else(|| self.heir()).ok_or(TransferError::NoHeir)?;
                match self.raft.transfer_leader(PD_GROUP, heir).await {
                    Ok(()) => return Ok(MemberId(heir)),
                    Err(ProposeError::NotLeader { .. } | ProposeError::NoGroup) => {
                        return Err(NotLeader.into());
                    }
                    // A voter that lags by one entry has it in a moment.
                    Err(reason) => {
                        debug!(to = heir, %reason, "lead not handed over yet");
                        last = reason.to_string();
                    }
                }
                sleep(LOOK_AGAIN).await;
            }
        });
        let heir = handed.await.unwrap_or(Err(TransferError::NotTaken(last)))?;
        // Without the heir's first bound clients find it a moment later by themselves.
        let _ = timeout_at(Instant::now() + HEIR_READY_MAX, self.leader_to_name()).await;
        Ok(heir)
    }

    fn heir(&self) -> Option<u64> {
        let status = self.status.borrow();
        if status.role != Role::Leader {
            return None;
        }
        let voters = &status.conf_state.voters;
        let others =
            status.progress.iter().filter(|other| other.id != status.id && voters.contains(&other.id));
        others
            .max_by_key(|other| (other.matched, std::cmp::Reverse(other.heard_ms), other.id))
            .map(|heir| heir.id)
    }

    /// Follows what Raft says, and lets a tenure run while this member leads. Runs until `stop`.
    pub(crate) async fn follow(
        self,
        membership: Membership,
        kv: Kv,
        tso: TsoHandle,
        clock: Arc<WallClock>,
        stop: CancellationToken,
    ) {
        let mut status = self.status.clone();
        // The set ends the task when it is dropped.
        let mut tenure: Option<(Term, JoinSet<()>)> = None;
        loop {
            let (term, leading, leader) = {
                let status = status.borrow_and_update();
                (Term(status.term), status.role == Role::Leader, status.leader)
            };
            let goes_on = tenure.as_ref().is_some_and(|(of, _)| leading && *of == term);
            if !goes_on && let Some((of, task)) = tenure.take() {
                // First the lead is over for everyone who asks, then for those who work for it.
                self.publish(term, leader, leading, false);
                tso.set_standing(Standing::Following);
                drop(task);
                info!(term = of.0, "lead is over");
            }
            self.publish(term, leader, leading, goes_on);
            if leading && tenure.is_none() {
                let duties = Tenure {
                    term,
                    leadership: self.clone(),
                    kv: kv.clone(),
                    members: self.members.clone(),
                    membership: membership.clone(),
                    tso: tso.clone(),
                    clock: Arc::clone(&clock),
                };
                tenure = Some((term, JoinSet::from_iter([duties.run()])));
            }
            let changed = tokio::select! {
                () = stop.cancelled() => break,
                changed = status.changed() => changed,
            };
            if changed.is_err() {
                break;
            }
        }
        self.publish(Term(0), 0, false, false);
        tso.set_standing(Standing::Following);
    }

    fn publish(&self, term: Term, leader: u64, leading: bool, goes_on: bool) {
        self.state.send_if_modified(|state| {
            let known = state.leader.as_ref().map_or(0, |member| member.id.0);
            let ready = state.ready && goes_on;
            if (state.term, state.leading, state.ready, known) == (term, leading, ready, leader) {
                return false;
            }
            if known != leader {
                state.leader = self.members.get(MemberId(leader));
            }
            (state.term, state.leading, state.ready) = (term, leading, ready);
            true
        });
    }

    /// The tenure of this term has made the member ready.
    fn set_ready(&self, term: Term) {
        self.state.send_if_modified(|state| {
            let now = state.leading && state.term == term;
            now && !std::mem::replace(&mut state.ready, true)
        });
    }
}
