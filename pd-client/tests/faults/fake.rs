//! Members that misbehave on request: what a test needs where the fault itself is tested. Servers are real, on loopback.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto::metapb;
use proto::pdpb::pd_server::{Pd, PdServer};
use proto::pdpb::{self, Error, ErrorType, Member, ResponseHeader};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::codegen::BoxStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

pub const CLUSTER: u64 = 77;

/// A fault in answers to timestamp requests; each is used up by one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TsoFault {
    /// The answer comes twice.
    Twice,
    /// The count is one too high.
    WrongCount,
    /// The timestamp is that of long ago.
    Old,
}

/// What the members agree on, and what the test sees.
#[derive(Debug)]
struct World {
    leader: watch::Sender<usize>,
    /// The next physical part; every answer takes a millisecond of its own.
    physical: Mutex<i64>,
    ids: Mutex<u64>,
    tso_requests: Mutex<Vec<u32>>,
    tso_fault: Mutex<Option<TsoFault>>,
    /// Timestamp streams that the client has closed.
    tso_closed: watch::Sender<u32>,
    /// Members that name this one as leader, whoever leads.
    misinformed: Mutex<BTreeMap<usize, usize>>,
    /// Answers to GetMembers of the misinformed.
    misinformed_answers: watch::Sender<u32>,
    /// Whether AllocID is held back, and how often it was called.
    alloc_held: watch::Sender<bool>,
    alloc_calls: Mutex<u32>,
    heartbeats: watch::Sender<Vec<(usize, pdpb::RegionHeartbeatRequest)>>,
    members: Mutex<Vec<Member>>,
    commands: Mutex<BTreeMap<usize, mpsc::Sender<Result<pdpb::RegionHeartbeatResponse, Status>>>>,
}

/// A group of fake members.
pub struct Fake {
    world: Arc<World>,
    hung: Vec<watch::Sender<bool>>,
    servers: Vec<JoinHandle<()>>,
}

impl Fake {
    /// `count` members, of which the first leads.
    pub async fn start(count: usize) -> Fake {
        Fake::of_cluster(count, CLUSTER).await
    }

    pub async fn of_cluster(count: usize, cluster: u64) -> Fake {
        let world = Arc::new(World {
            leader: watch::Sender::new(0),
            physical: Mutex::new(1_000),
            ids: Mutex::new(0),
            tso_requests: Mutex::default(),
            tso_fault: Mutex::default(),
            tso_closed: watch::Sender::default(),
            misinformed: Mutex::default(),
            misinformed_answers: watch::Sender::default(),
            alloc_held: watch::Sender::default(),
            alloc_calls: Mutex::default(),
            heartbeats: watch::Sender::default(),
            members: Mutex::default(),
            commands: Mutex::default(),
        });
        let mut fake = Fake { world: world.clone(), hung: Vec::new(), servers: Vec::new() };
        for index in 0..count {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            world.members.lock().unwrap().push(Member {
                name: format!("pd-{}", index + 1),
                member_id: 100 + index as u64,
                client_urls: vec![format!("http://{}", listener.local_addr().unwrap())],
                ..Member::default()
            });
            let hung = watch::Sender::new(false);
            let service = Service { world: world.clone(), index, cluster, hung: hung.subscribe() };
            fake.hung.push(hung);
            fake.servers.push(tokio::spawn(async move {
                let incoming = TcpListenerStream::new(listener);
                Server::builder()
                    .add_service(PdServer::new(service))
                    .serve_with_incoming(incoming)
                    .await
                    .unwrap();
            }));
        }
        fake
    }

    pub fn endpoints(&self) -> Vec<String> {
        self.world.members.lock().unwrap().iter().map(|member| member.client_urls[0].clone()).collect()
    }

    /// From now on this member leads; the old one says "not leader" and ends its streams.
    pub fn lead(&self, index: usize) {
        self.world.leader.send_replace(index);
    }

    /// From now on `member` takes `leader` for the leader, whoever that is.
    pub fn misinform(&self, member: usize, leader: usize) {
        self.world.misinformed.lock().unwrap().insert(member, leader);
    }

    /// Waits until misinformed members have answered `count` times.
    pub async fn misinformed_answers(&self, count: u32) {
        let mut answers = self.world.misinformed_answers.subscribe();
        answers.wait_for(|answers| *answers >= count).await.unwrap();
    }

    /// Holds answers to AllocID back, or lets them go.
    pub fn hold_alloc(&self, held: bool) {
        self.world.alloc_held.send_replace(held);
    }

    /// How often AllocID was called.
    pub fn alloc_calls(&self) -> u32 {
        *self.world.alloc_calls.lock().unwrap()
    }

    /// This member answers nothing any more, and keeps its connections, as a stopped process does.
    pub fn hang(&self, index: usize) {
        self.hung[index].send_replace(true);
    }

    pub fn tso_fault(&self, fault: TsoFault) {
        *self.world.tso_fault.lock().unwrap() = Some(fault);
    }

    /// The counts of all timestamp requests so far.
    pub fn tso_requests(&self) -> Vec<u32> {
        self.world.tso_requests.lock().unwrap().clone()
    }

    /// Waits until the client has closed `count` timestamp streams.
    pub async fn tso_closed(&self, count: u32) {
        let mut closed = self.world.tso_closed.subscribe();
        let wait = closed.wait_for(|closed| *closed >= count);
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the stream stays open").unwrap();
    }

    /// Waits for heartbeats until there are `count`; who received them, in order.
    pub async fn heartbeats(&self, count: usize) -> Vec<(usize, pdpb::RegionHeartbeatRequest)> {
        let mut seen = self.world.heartbeats.subscribe();
        seen.wait_for(|all| all.len() >= count).await.unwrap().clone()
    }

    /// Sends on the heartbeat stream that is open at `index`.
    pub async fn command(&self, index: usize, command: pdpb::RegionHeartbeatResponse) {
        let to = self.world.commands.lock().unwrap().get(&index).cloned().expect("a stream is open");
        to.send(Ok(command)).await.unwrap();
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.servers.iter().for_each(JoinHandle::abort);
    }
}

pub fn header() -> Option<ResponseHeader> {
    Some(ResponseHeader { cluster_id: CLUSTER, error: None })
}

#[derive(Clone)]
struct Service {
    world: Arc<World>,
    index: usize,
    cluster: u64,
    hung: watch::Receiver<bool>,
}

impl Service {
    /// Never returns while this member hangs.
    async fn awake(&self) {
        let _ = self.hung.clone().wait_for(|hung| !hung).await;
    }

    async fn leading(&self) -> Result<(), Status> {
        self.awake().await;
        if *self.world.leader.borrow() == self.index { Ok(()) } else { Err(not_leader()) }
    }

    /// Returns when another member leads and this one is awake to see it.
    async fn superseded(&self) {
        let mut leader = self.world.leader.subscribe();
        let _ = leader.wait_for(|leader| *leader != self.index).await;
        self.awake().await;
    }

    fn header(&self) -> Option<ResponseHeader> {
        Some(ResponseHeader { cluster_id: self.cluster, error: None })
    }
}

fn not_leader() -> Status {
    Status::unavailable("not leader")
}

#[tonic::async_trait]
impl Pd for Service {
    async fn get_members(
        &self,
        _: Request<pdpb::GetMembersRequest>,
    ) -> Result<Response<pdpb::GetMembersResponse>, Status> {
        self.awake().await;
        let members = self.world.members.lock().unwrap().clone();
        let misinformed = self.world.misinformed.lock().unwrap().get(&self.index).copied();
        if misinformed.is_some() {
            self.world.misinformed_answers.send_modify(|answers| *answers += 1);
        }
        let leader = members.get(misinformed.unwrap_or(*self.world.leader.borrow())).cloned();
        Ok(Response::new(pdpb::GetMembersResponse {
            header: self.header(),
            leader,
            members,
            ..pdpb::GetMembersResponse::default()
        }))
    }

    async fn alloc_id(
        &self,
        request: Request<pdpb::AllocIdRequest>,
    ) -> Result<Response<pdpb::AllocIdResponse>, Status> {
        *self.world.alloc_calls.lock().unwrap() += 1;
        self.leading().await?;
        let _ = self.world.alloc_held.subscribe().wait_for(|held| !held).await;
        let count = request.into_inner().count;
        let mut ids = self.world.ids.lock().unwrap();
        *ids += u64::from(count);
        let count = if count > 1 { count } else { 0 };
        Ok(Response::new(pdpb::AllocIdResponse { header: self.header(), id: *ids, count }))
    }

    async fn get_store(
        &self,
        request: Request<pdpb::GetStoreRequest>,
    ) -> Result<Response<pdpb::GetStoreResponse>, Status> {
        self.leading().await?;
        let store_id = request.into_inner().store_id;
        let (header, store) = if store_id == 1 {
            (self.header(), Some(metapb::Store { id: 1, ..metapb::Store::default() }))
        } else {
            let message = format!("store {store_id} not found");
            let error = Some(Error { r#type: ErrorType::Unknown as i32, message });
            (Some(ResponseHeader { cluster_id: self.cluster, error }), None)
        };
        Ok(Response::new(pdpb::GetStoreResponse { header, store, stats: None }))
    }

    async fn tso(
        &self,
        request: Request<Streaming<pdpb::TsoRequest>>,
    ) -> Result<Response<BoxStream<pdpb::TsoResponse>>, Status> {
        self.leading().await?;
        let (answers, outgoing) = mpsc::channel(4);
        let service = self.clone();
        let mut requests = request.into_inner();
        tokio::spawn(async move {
            loop {
                let asked = tokio::select! {
                    asked = requests.next() => asked,
                    () = service.superseded() => {
                        let _ = answers.send(Err(not_leader())).await;
                        return;
                    }
                };
                let Some(Ok(asked)) = asked else {
                    service.world.tso_closed.send_modify(|closed| *closed += 1);
                    return;
                };
                service.awake().await;
                if let Err(status) = service.leading().await {
                    let _ = answers.send(Err(status)).await;
                    return;
                }
                service.world.tso_requests.lock().unwrap().push(asked.count);
                let fault = service.world.tso_fault.lock().unwrap().take();
                let physical = {
                    let mut physical = service.world.physical.lock().unwrap();
                    *physical += 1;
                    *physical
                };
                let physical = if fault == Some(TsoFault::Old) { 1 } else { physical };
                let timestamp =
                    pdpb::Timestamp { physical, logical: i64::from(asked.count) + 4, suffix_bits: 0 };
                let count = asked.count + u32::from(fault == Some(TsoFault::WrongCount));
                let answer =
                    pdpb::TsoResponse { header: service.header(), count, timestamp: Some(timestamp) };
                if fault == Some(TsoFault::Twice) {
                    let _ = answers.send(Ok(answer.clone())).await;
                }
                if answers.send(Ok(answer)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }

    async fn region_heartbeat(
        &self,
        request: Request<Streaming<pdpb::RegionHeartbeatRequest>>,
    ) -> Result<Response<BoxStream<pdpb::RegionHeartbeatResponse>>, Status> {
        self.leading().await?;
        let mut requests = request.into_inner();
        // As some real servers do: nothing is answered, not even the headers, before something has come.
        let Some(first) = requests.next().await else { return Err(Status::cancelled("nothing came")) };
        let (answers, outgoing) = mpsc::channel(4);
        self.world.commands.lock().unwrap().insert(self.index, answers.clone());
        let index = self.index;
        self.world.heartbeats.send_modify(|all| all.push((index, first.unwrap())));
        let service = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    heartbeat = requests.next() => match heartbeat {
                        Some(Ok(heartbeat)) => {
                            service.world.heartbeats.send_modify(|all| all.push((index, heartbeat)));
                        }
                        Some(Err(_)) | None => return,
                    },
                    () = service.superseded() => {
                        let _ = answers.send(Err(not_leader())).await;
                        return;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }
}
