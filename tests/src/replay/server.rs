//! The one member `pd1` that a replay asks: a real process, as the recorded one was.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::json;
use tempfile::TempDir;

use super::dynamic::{Connection, Wire};
use crate::cluster::{PATIENCE, Process, Start, binaries, eventually, http, ports};

/// How long a member may take to stop after SIGTERM.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// A running group of one. Killed when dropped; its files stay unless the test [passed](Server::passed).
#[derive(Debug)]
pub struct Server {
    process: Process,
    client_port: u16,
    peer_port: u16,
    passed: bool,
    // Last: the process has gone before its folder does.
    folder: TempDir,
}

impl Server {
    /// Starts `pd1` with these lines of configuration and waits until it leads.
    ///
    /// # Errors
    /// When it is not built, ends, or does not lead in time.
    pub async fn start(toml: &str) -> Result<Server> {
        let mut folder = tempfile::Builder::new().prefix("replay-").tempdir()?;
        folder.disable_cleanup(true);
        let (client_port, peer_port) = (ports::free()?, ports::free()?);
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let arguments = vec![
            "--name".into(),
            "pd1".into(),
            "--data-dir".into(),
            text(&folder.path().join("pd1")),
            "--client-urls".into(),
            url(client_port),
            "--peer-urls".into(),
            url(peer_port),
            "--initial-cluster".into(),
            format!("pd1={}", url(peer_port)),
            "--config".into(),
            text(&config(folder.path())),
        ];
        let start = Start {
            program: binaries::pd_server()?,
            arguments,
            log: folder.path().join("pd1.log"),
            folder: folder.path().to_path_buf(),
        };
        let mut server =
            Server { process: Process::new("pd1", start), client_port, peer_port, passed: false, folder };
        server.run(toml).await?;
        Ok(server)
    }

    /// Stops it in order and starts it again with other lines of configuration, on the same data and ports.
    ///
    /// # Errors
    /// When it does not stop or start.
    pub async fn restart(&mut self, toml: &str) -> Result<()> {
        self.process.request_stop()?;
        let ended = self.process.wait_end(STOP_WITHIN)?;
        ensure!(ended.success(), "pd1 ended with {ended} after SIGTERM:\n{}", self.process.log_tail());
        self.run(toml).await
    }

    /// Changes its configuration while it runs.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn configure(&self, items: &str) -> Result<()> {
        let url = format!("{}/pd/api/v1/config", self.client_url());
        let (status, _, body) = http::send(Method::POST, &url, items).await?;
        ensure!(status.is_success(), "{items}: {status} {}", String::from_utf8_lossy(&body));
        Ok(())
    }

    /// A connection to it.
    ///
    /// # Errors
    /// When it does not listen.
    pub async fn connect(&self, wire: &Wire) -> Result<Connection> {
        Connection::open(wire, &self.address()).await
    }

    /// The cluster id that its answers carry.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn cluster_id(&self) -> Result<u64> {
        let connection = self.connect(&Wire::compiled()?).await?;
        let members = connection.ask_json("pdpb.PD/GetMembers", &json!({})).await?;
        let id = members["header"]["cluster_id"].as_str().context("a cluster id")?;
        Ok(id.parse()?)
    }

    /// Where clients reach it, `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.client_port)
    }

    /// Where other members would reach it, `host:port`.
    #[must_use]
    pub fn peer_address(&self) -> String {
        format!("127.0.0.1:{}", self.peer_port)
    }

    /// The URL that it tells clients.
    #[must_use]
    pub fn client_url(&self) -> String {
        url(self.client_port)
    }

    /// The URL that it tells its peers.
    #[must_use]
    pub fn peer_url(&self) -> String {
        url(self.peer_port)
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    /// The last word of a test: nothing panicked behind its back, and the files may go.
    ///
    /// # Errors
    /// When the server panicked; its log stays.
    pub fn passed(mut self) -> Result<()> {
        self.process.ensure_no_panic()?;
        self.passed = true;
        self.folder.disable_cleanup(false);
        Ok(())
    }

    async fn run(&mut self, toml: &str) -> Result<()> {
        std::fs::write(config(self.folder.path()), toml)?;
        self.process.start()?;
        let wire = Wire::compiled()?;
        let led = eventually("pd1 leading", PATIENCE, async || {
            // An end by itself is no reason to wait on.
            if let Some(end) = self.process.premature_end() {
                return Ok(Err(end));
            }
            let members = self.connect(&wire).await?.ask_json("pdpb.PD/GetMembers", &json!({})).await?;
            ensure!(members["leader"]["name"] == "pd1", "no leader yet: {members}");
            Ok(Ok(()))
        });
        led.await?.map_err(anyhow::Error::msg)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.passed {
            eprintln!("files and logs: {}", self.folder.path().display());
        }
    }
}

fn config(folder: &Path) -> std::path::PathBuf {
    folder.join("pd1.toml")
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
