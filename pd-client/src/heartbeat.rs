//! The stream of Region heartbeats: open on whoever leads, reopened at every change of leader.

use std::sync::Arc;
use std::time::Duration;

use proto::pdpb::{RegionHeartbeatRequest, RegionHeartbeatResponse};
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use crate::Leader;
use crate::discovery::{Discovery, Lead};
use crate::header;
use crate::retry::{Backoff, Failure};

const REGION_HEARTBEAT: &str = "RegionHeartbeat";

/// Heartbeats handed over but not on the wire. When full, the sender waits: PD takes them slower than they come.
const UNSENT_MAX: usize = 1_024;
/// Events that their reader has not taken. When full, the stream is not read on, and PD's commands wait there.
const UNREAD_MAX: usize = 256;
/// While the stream is open the members are asked this often who leads: a leader that hangs keeps the connection open
/// and, having nothing to command, may be silent for a minute.
const LEADER_CHECK: Duration = Duration::from_secs(2);

/// What happens to the stream, in order.
#[derive(Debug)]
pub enum HeartbeatEvent {
    /// The stream is open on this leader, which may know nothing: send a heartbeat of every Region that is led here.
    Opened(Leader),
    /// A command or a refusal (`header.error`) for one Region; keepalives are left out.
    Answer(Box<RegionHeartbeatResponse>),
    /// The stream has ended, for this reason; it is reopened by itself.
    Lost(String),
}

/// The end that hands heartbeats over.
#[derive(Debug, Clone)]
pub struct HeartbeatSender {
    open: watch::Receiver<Option<mpsc::Sender<RegionHeartbeatRequest>>>,
}

/// No stream is open. Nothing is kept: at [`HeartbeatEvent::Opened`] all is sent anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no heartbeat stream is open")]
pub struct NotSent;

impl HeartbeatSender {
    /// Hands one heartbeat over; its header is filled in here. Waits while PD takes them slower than they come.
    pub async fn send(&self, heartbeat: RegionHeartbeatRequest) -> Result<(), NotSent> {
        let open = self.open.borrow().clone().ok_or(NotSent)?;
        open.send(heartbeat).await.map_err(|_| NotSent)
    }
}

/// The end that tells what happens. On [`HeartbeatEvent::Opened`] the caller sends a heartbeat of every Region that it
/// leads, since a new leader learns routes from these alone.
#[derive(Debug)]
pub struct HeartbeatEvents {
    events: mpsc::Receiver<HeartbeatEvent>,
}

impl HeartbeatEvents {
    /// The next event; `None` only when the runtime shuts down.
    pub async fn next(&mut self) -> Option<HeartbeatEvent> {
        self.events.recv().await
    }
}

/// Starts the task that keeps a stream open until the reader of its events is gone.
pub(crate) fn start(discovery: Arc<Discovery>) -> (HeartbeatSender, HeartbeatEvents) {
    let (publish, open) = watch::channel(None);
    let (tell, events) = mpsc::channel(UNREAD_MAX);
    tokio::spawn(Keeper { discovery, publish, tell }.run());
    (HeartbeatSender { open }, HeartbeatEvents { events })
}

/// Why a stream is not read on.
enum End {
    /// The user dropped its end.
    Unwanted,
    /// It broke, or another member leads.
    Lost(String),
}

struct Keeper {
    discovery: Arc<Discovery>,
    publish: watch::Sender<Option<mpsc::Sender<RegionHeartbeatRequest>>>,
    tell: mpsc::Sender<HeartbeatEvent>,
}

impl Keeper {
    async fn run(self) {
        let mut backoff = Backoff::new();
        let mut let_down: Option<Lead> = None;
        while !self.tell.is_closed() {
            match self.discovery.find(let_down.as_ref()).await {
                Ok(lead) => {
                    let mut answered = false;
                    match self.one_stream(&lead, &mut answered).await {
                        End::Unwanted => return,
                        End::Lost(why) => {
                            tracing::info!(leader = lead.leader.name, why, "heartbeat stream lost");
                            if self.tell.send(HeartbeatEvent::Lost(why)).await.is_err() {
                                return;
                            }
                        }
                    }
                    if answered {
                        backoff.reset();
                    }
                    let_down = Some(lead);
                }
                Err(Failure::NotLeader(why) | Failure::Busy(why)) => {
                    tracing::debug!(why, "no leader for the heartbeat stream yet");
                }
                Err(Failure::Final(error)) => tracing::error!(%error, "no leader for the heartbeat stream"),
            }
            backoff.pause().await;
        }
    }

    /// One stream from its opening to its end.
    async fn one_stream(&self, lead: &Lead, answered: &mut bool) -> End {
        let (hand_over, unsent) = mpsc::channel(UNSENT_MAX);
        let cluster_id = self.discovery.cluster_id();
        let requests = ReceiverStream::new(unsent).map(move |mut heartbeat: RegionHeartbeatRequest| {
            heartbeat.header = header::request_header(cluster_id);
            heartbeat
        });
        // Published before the server has answered: some answer only after the first heartbeat.
        self.publish.send_replace(Some(hand_over));
        let opened = HeartbeatEvent::Opened(Leader::clone(&lead.leader));
        let end = if self.tell.send(opened).await.is_err() {
            End::Unwanted
        } else {
            tokio::select! {
                end = self.read(lead, requests, answered) => end,
                why = self.discovery.superseded(lead, LEADER_CHECK) => End::Lost(why),
                () = self.tell.closed() => End::Unwanted,
            }
        };
        self.publish.send_replace(None);
        end
    }

    async fn read(
        &self,
        lead: &Lead,
        requests: impl tokio_stream::Stream<Item = RegionHeartbeatRequest> + Send + 'static,
        answered: &mut bool,
    ) -> End {
        let name = &lead.leader.name;
        let cluster_id = self.discovery.cluster_id();
        let told =
            |status: tonic::Status| End::Lost(format!("{name}: {:?}: {}", status.code(), status.message()));
        let mut answers = match self.discovery.stub(lead).region_heartbeat(requests).await {
            Ok(answers) => answers.into_inner(),
            Err(status) => return told(status),
        };
        loop {
            let answer = match answers.message().await {
                Ok(Some(answer)) => answer,
                Ok(None) => return End::Lost(format!("{name} closed the stream")),
                Err(status) => return told(status),
            };
            match header::check(REGION_HEARTBEAT, cluster_id, answer.header.as_ref()) {
                Ok(()) if is_keepalive(&answer) => {
                    *answered = true;
                    continue;
                }
                // A refusal of one Region names it; one that names none is about the stream.
                Err(Failure::Final(crate::Error::Header { .. }))
                    if answer.target_peer.is_some() || answer.region_id != 0 => {}
                Ok(()) => {}
                Err(failure) => return End::Lost(format!("{name}: {failure:?}")),
            }
            *answered = true;
            if self.tell.send(HeartbeatEvent::Answer(Box::new(answer))).await.is_err() {
                return End::Unwanted;
            }
        }
    }
}

fn is_keepalive(answer: &RegionHeartbeatResponse) -> bool {
    let bare =
        RegionHeartbeatResponse { header: answer.header.clone(), ..RegionHeartbeatResponse::default() };
    *answer == bare
}
