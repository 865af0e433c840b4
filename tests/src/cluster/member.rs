//! One member of the PD group.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::binaries;
use super::process::{Process, Start};

/// A `pd-server` process, its addresses and its data folder.
#[derive(Debug)]
pub struct Member {
    process: Process,
    client_port: u16,
    peer_port: u16,
    data: PathBuf,
}

/// How a member comes into its group.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// It is one of the first: `initial-cluster`.
    Begins(String),
    /// It joins a running group: URLs of that, with commas between them.
    Joins(String),
}

impl Member {
    pub(super) fn new(
        folder: &Path,
        name: &str,
        client_port: u16,
        peer_port: u16,
        origin: &Origin,
        toml: &str,
        log_level: &str,
    ) -> Result<Member> {
        let data = folder.join(name);
        let config = folder.join(format!("{name}.toml"));
        std::fs::write(&config, toml).with_context(|| format!("writing {}", config.display()))?;
        let (flag, value) = match origin {
            Origin::Begins(initial_cluster) => ("--initial-cluster", initial_cluster),
            Origin::Joins(urls) => ("--join", urls),
        };
        let arguments = [
            "--name",
            name,
            "--data-dir",
            &data.to_string_lossy(),
            "--client-urls",
            &format!("http://127.0.0.1:{client_port}"),
            "--peer-urls",
            &format!("http://127.0.0.1:{peer_port}"),
            flag,
            value,
            "--config",
            &config.to_string_lossy(),
            "--log-level",
            log_level,
        ];
        let start = Start {
            program: binaries::pd_server()?,
            arguments: arguments.map(str::to_string).to_vec(),
            log: folder.join(format!("{name}.log")),
            folder: folder.to_path_buf(),
        };
        Ok(Member { process: Process::new(name, start), client_port, peer_port, data })
    }

    /// The name that it goes by in the group.
    pub fn name(&self) -> &str {
        self.process.name()
    }

    /// Its client address, with scheme.
    pub fn client_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.client_port)
    }

    /// Its address for other members, with scheme.
    pub fn peer_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.peer_port)
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The process, to be stopped, paused or given other arguments.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Starts it.
    pub fn start(&mut self) -> Result<()> {
        self.process.start()
    }

    /// kill -9.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }
}
