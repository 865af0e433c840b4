//! Three members over real gRPC on the loopback.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it set it up")]

mod cluster;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use cluster::{Book, GROUP, Ledger, PATIENCE, change, eventually, voters};
use parking_lot::Mutex;
use proto::eraftpb::ConfChangeType;
use raft_core::net::{self, Gatekeeper, GreetError, Peers};
use raft_core::{Destination, GroupConfig, Handle, Role, Router, Runtime, RuntimeConfig, Start};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// Who lives where; shared by all members of a test.
#[derive(Default)]
struct AddressBook(Mutex<HashMap<u64, SocketAddr>>);

impl Router for AddressBook {
    fn route(&self, _group: u64, to: u64) -> Option<Destination> {
        let address = self.0.lock().get(&to)?.to_string();
        Some(Destination { address, context: Bytes::new() })
    }
}

/// Admits its own kind only.
struct Kin(&'static str);

impl Gatekeeper for Kin {
    fn greeting(&self) -> Bytes {
        self.0.into()
    }

    fn admit(&self, theirs: &[u8]) -> Result<(), String> {
        let theirs = String::from_utf8_lossy(theirs);
        if theirs == self.0 { Ok(()) } else { Err(format!("{theirs} is not of {}", self.0)) }
    }

    fn notice(&self, theirs: &[u8]) -> Bytes {
        [b"no kin: ", theirs].concat().into()
    }
}

struct Member {
    dir: TempDir,
    book: Arc<Book>,
    runtime: Runtime,
    /// Its connections live and die with it.
    net: tokio::runtime::Runtime,
    address: SocketAddr,
}

async fn listener(address: SocketAddr) -> TcpListener {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket.listen(128).unwrap()
}

async fn serve(address: SocketAddr, handle: Handle, bound: oneshot::Sender<SocketAddr>) {
    let listener = listener(address).await;
    bound.send(listener.local_addr().unwrap()).unwrap();
    let service = net::service(Arc::new(handle), Arc::new(Kin("a")));
    let incoming = TcpIncoming::from(listener);
    Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
}

async fn up(id: u64, dir: TempDir, book: Arc<Book>, addresses: &Arc<AddressBook>, at: SocketAddr) -> Member {
    let net = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let peers = Peers::new(addresses.clone(), Arc::new(Kin("a")), net.handle().clone());
    let config = RuntimeConfig::pd(dir.path().join("raft"));
    let runtime = Runtime::start(config, peers.clone(), Box::new(|_| {})).unwrap();
    peers.attach(runtime.handle().clone());
    let (bound, address) = oneshot::channel();
    net.spawn(serve(at, runtime.handle().clone(), bound));
    let address = address.await.unwrap();
    addresses.0.lock().insert(id, address);
    Member { dir, book, runtime, net, address }
}

/// Dropped within a test, a tokio runtime would complain.
fn down(member: Member) -> (TempDir, SocketAddr) {
    member.net.shutdown_background();
    member.runtime.stop();
    (member.dir, member.address)
}

async fn fresh(id: u64, addresses: &Arc<AddressBook>) -> Member {
    let dir = tempfile::tempdir().unwrap();
    let book = Book::open(dir.path().join("book"));
    up(id, dir, book, addresses, "127.0.0.1:0".parse().unwrap()).await
}

async fn begin(id: u64, member: &Member, start: Start) {
    // Cut the log early, so that a newcomer needs a snapshot.
    let config = GroupConfig { log_keep: 20, ..GroupConfig::pd(id) };
    let ledger = Box::new(Ledger::new(member.book.clone()));
    member.runtime.handle().create(GROUP, config, start, ledger).await.unwrap();
}

async fn leader(members: &HashMap<u64, Member>) -> u64 {
    eventually("a leader", || {
        members.iter().find_map(|(id, m)| {
            let status = m.runtime.handle().status(GROUP)?;
            (status.borrow().role == Role::Leader).then_some(*id)
        })
    })
    .await
}

async fn write(members: &HashMap<u64, Member>, record: &str) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let leader = leader(members).await;
        let result = members[&leader].runtime.handle().propose(GROUP, None, record.to_owned().into()).await;
        match result {
            Ok(_) => return,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_replicate_lose_one_and_take_a_newcomer_in_by_snapshot() {
    let addresses = Arc::new(AddressBook::default());
    let mut members = HashMap::new();
    for id in 1..=3 {
        members.insert(id, fresh(id, &addresses).await);
    }
    for id in 1..=3 {
        begin(id, &members[&id], Start::Bootstrap(voters(&[1, 2, 3]))).await;
    }
    for n in 0..100 {
        write(&members, &n.to_string()).await;
    }
    // The leader goes and comes back at the same address.
    let gone = leader(&members).await;
    let (dir, address) = down(members.remove(&gone).unwrap());
    write(&members, "without it").await;
    let book = Book::open(dir.path().join("book"));
    let back = up(gone, dir, book, &addresses, address).await;
    begin(gone, &back, Start::Restart).await;
    members.insert(gone, back);
    // A newcomer gets what the logs have lost already.
    members.insert(4, fresh(4, &addresses).await);
    begin(4, &members[&4], Start::Empty).await;
    let add = change(&[(ConfChangeType::AddLearnerNode, 4)]);
    let leader = leader(&members).await;
    members[&leader].runtime.handle().propose_conf_change(GROUP, None, add).await.unwrap();
    write(&members, "with all").await;
    for (id, member) in &members {
        eventually(&format!("{id} has all"), || (member.book.records().len() == 102).then_some(())).await;
    }
    let received = &members[&4].runtime.handle().counters().snapshots_received;
    eventually("it was a snapshot", || (received.load(Ordering::Relaxed) > 0).then_some(())).await;
    // Nothing is left lying about.
    let dir = members[&4].runtime.handle().snapshot_dir();
    eventually("an empty folder", || (std::fs::read_dir(&dir).unwrap().count() == 0).then_some(())).await;
    for member in members.into_values() {
        down(member);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_refused_on_both_sides() {
    let addresses = Arc::new(AddressBook::default());
    let member = fresh(1, &addresses).await;
    let address = member.address.to_string();
    let timeout = Duration::from_secs(20);
    assert_eq!(net::greet(&address, "a".into(), timeout).await, Ok(Bytes::from("a")));
    let refused = net::greet(&address, "b".into(), timeout).await;
    let reason = "b is not of a".to_owned();
    let notice = "no kin: b".into();
    assert_eq!(refused, Err(GreetError::Refused { address: address.clone(), reason, notice }));
    // A stream without the greeting's identity is refused, too.
    let mut client =
        proto::raftcore::raft_client::RaftClient::connect(format!("http://{address}")).await.unwrap();
    let status = client.send(futures::stream::empty()).await.unwrap_err();
    assert!(status.message().contains("identity"), "{status}");
    down(member);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_said_within_the_time_limit() {
    let closed = listener("127.0.0.1:0".parse().unwrap()).await.local_addr().unwrap().to_string();
    let nobody = net::greet(&closed, "a".into(), Duration::from_secs(5)).await;
    assert!(matches!(nobody, Err(GreetError::Unreachable { .. })), "{nobody:?}");
    // One that takes the connection and never answers.
    let silent = listener("127.0.0.1:0".parse().unwrap()).await;
    let address = silent.local_addr().unwrap().to_string();
    let nobody = net::greet(&address, "a".into(), Duration::from_millis(200)).await;
    assert!(nobody.unwrap_err().to_string().contains(&address));
}
