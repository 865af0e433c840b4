//! A real server process of its own folder and ports.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use proto::pdpb::{self, pd_client::PdClient};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tonic::transport::Channel;

/// Time that anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A server; killed when dropped.
pub struct Server {
    process: Child,
    folder: TempDir,
    pub name: String,
    pub client: String,
    peer: String,
    initial_cluster: String,
}

impl Server {
    /// Starts a group of one.
    pub fn start() -> Self {
        Self::group(1).remove(0)
    }

    /// Starts a group.
    pub fn group(size: usize) -> Vec<Self> {
        let names: Vec<String> = (1..=size).map(|n| format!("pd{n}")).collect();
        let peers: Vec<String> = names.iter().map(|_| free_address()).collect();
        let all: Vec<String> =
            names.iter().zip(&peers).map(|(name, peer)| format!("{name}=http://{peer}")).collect();
        let initial_cluster = all.join(",");
        let start = |(name, peer): (String, String)| {
            let (folder, client) = (TempDir::new().unwrap(), free_address());
            let process = spawn(&folder, &name, &client, &peer, &initial_cluster);
            Self { process, folder, name, client, peer, initial_cluster: initial_cluster.clone() }
        };
        names.into_iter().zip(peers).map(start).collect()
    }

    /// Kills it without a word and starts it again on the same folder.
    pub fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = spawn(&self.folder, &self.name, &self.client, &self.peer, &self.initial_cluster);
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Waits for the process to end and tells whether it ended well.
    pub fn wait_for_end(&mut self) -> bool {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.success();
            }
            assert!(Instant::now() < until, "the server does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A client, once the server has a leader.
    pub async fn connect(&self) -> Pd {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Ok(mut client) = PdClient::connect(format!("http://{}", self.client)).await
                && let Ok(answer) = client.get_members(pdpb::GetMembersRequest::default()).await
            {
                let answer = answer.into_inner();
                if answer.leader.is_some() {
                    return Pd { client, cluster_id: answer.header.unwrap().cluster_id };
                }
            }
            assert!(Instant::now() < until, "no leader in time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// An HTTP request: status and body.
    pub async fn http(&self, method: &str, path: &str) -> (u16, String) {
        let stream = tokio::net::TcpStream::connect(&self.client).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.client)
            .body(Empty::<Bytes>::new())
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        connection.abort();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A raw client that knows its cluster.
pub struct Pd {
    pub client: PdClient<Channel>,
    pub cluster_id: u64,
}

impl Pd {
    /// The header that requests carry.
    pub fn header(&self) -> Option<pdpb::RequestHeader> {
        Some(pdpb::RequestHeader { cluster_id: self.cluster_id, ..Default::default() })
    }
}

fn spawn(folder: &TempDir, name: &str, client: &str, peer: &str, initial_cluster: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_pd-server"))
        .args(["--name", name, "--initial-cluster", initial_cluster])
        .arg("--data-dir")
        .arg(folder.path().join("data"))
        .args(["--client-urls", &format!("http://{client}"), "--peer-urls", &format!("http://{peer}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
