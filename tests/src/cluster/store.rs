//! One store, and what it says of itself when asked.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::process::{Process, Start};
use super::{binaries, http};

/// Regions small enough to split within a test, heartbeats quick enough not to wait for.
pub(super) const QUICK_TOML: &str = "\
[coprocessor]
region-split-size = \"64KiB\"
[raftstore]
pd-heartbeat-tick-interval = \"5s\"
pd-store-heartbeat-tick-interval = \"1s\"
split-region-check-tick-interval = \"1s\"
";

/// A `store` process, its addresses and its data folder.
#[derive(Debug)]
pub struct Store {
    process: Process,
    port: u16,
    status_port: u16,
    data: PathBuf,
}

/// A Region as the store that holds a peer of it tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HeldRegion {
    /// Region id.
    pub id: u64,
    /// First key, hex.
    pub start_key: String,
    /// End of the range, hex; empty: the end of the key space.
    pub end_key: String,
    /// Changes of membership so far.
    pub conf_ver: u64,
    /// Splits so far.
    pub version: u64,
    /// Role of the peer here.
    pub role: String,
    /// Index of the last applied entry here.
    pub applied: u64,
    /// All peers, as the one here knows them.
    pub peers: Vec<HeldPeer>,
}

/// A peer of a [`HeldRegion`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HeldPeer {
    /// Peer id.
    pub id: u64,
    /// Where it lies.
    pub store_id: u64,
    /// Voter, Learner, IncomingVoter or DemotingVoter.
    pub role: String,
}

impl Store {
    pub(super) fn new(
        folder: &Path,
        name: &str,
        pd: &str,
        port: u16,
        status_port: u16,
        toml: &str,
        log_level: &str,
    ) -> Result<Store> {
        let data = folder.join(name);
        let config = folder.join(format!("{name}.toml"));
        std::fs::write(&config, toml).with_context(|| format!("writing {}", config.display()))?;
        let arguments = [
            "--pd",
            pd,
            "--addr",
            &format!("127.0.0.1:{port}"),
            "--status-addr",
            &format!("127.0.0.1:{status_port}"),
            "--data-dir",
            &data.to_string_lossy(),
            "--config",
            &config.to_string_lossy(),
            "--log-level",
            log_level,
        ];
        let start = Start {
            program: binaries::store()?,
            arguments: arguments.map(str::to_string).to_vec(),
            log: folder.join(format!("{name}.log")),
            folder: folder.to_path_buf(),
        };
        Ok(Store { process: Process::new(name, start), port, status_port, data })
    }

    /// Its name in messages; its id is PD's to give.
    pub fn name(&self) -> &str {
        self.process.name()
    }

    /// Where clients reach it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its pages, with scheme.
    pub fn status_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.status_port)
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

    /// From its next start on, its process runs `other` as well: a Node of several Stores. `other` is still asked for
    /// what it holds, but has no process of its own and must not be started.
    ///
    /// # Errors
    /// When its arguments were replaced by others.
    pub fn run_also(&mut self, other: &Store) -> Result<()> {
        let lists = [
            ("--addr", other.address()),
            ("--status-addr", format!("127.0.0.1:{}", other.status_port)),
            ("--data-dir", other.data.to_string_lossy().into_owned()),
        ];
        let arguments = &mut self.process.start_mut().arguments;
        for (flag, further) in lists {
            let at = arguments.iter().position(|it| it == flag);
            let at = at.with_context(|| format!("{flag} is not among {arguments:?}"))?;
            let list = arguments.get_mut(at + 1).with_context(|| format!("{flag} has no value"))?;
            *list = format!("{list},{further}");
        }
        Ok(())
    }

    /// Starts it.
    pub fn start(&mut self) -> Result<()> {
        self.process.start()
    }

    /// kill -9.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// The Regions of which it holds a peer, asked of the store itself.
    pub async fn held_regions(&self) -> Result<Vec<HeldRegion>> {
        let url = format!("{}/regions", self.status_url());
        let body = http::get(&url).await?;
        serde_json::from_slice(&body).with_context(|| format!("{url}: {}", String::from_utf8_lossy(&body)))
    }

    /// A number of its metrics page; 0 if the page does not have it.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        metric(&http::get(&format!("{}/metrics", self.status_url())).await?, name)
    }
}

/// The sum of the samples of `name` in a metrics page.
pub(super) fn metric(page: &[u8], name: &str) -> Result<f64> {
    let mut sum = 0.0;
    for line in String::from_utf8_lossy(page).lines() {
        let Some(rest) = line.strip_prefix(name) else { continue };
        if !rest.starts_with([' ', '{']) {
            continue;
        }
        let value = rest.rsplit(' ').next().unwrap_or_default();
        sum += value.parse::<f64>().with_context(|| format!("metric line `{line}`"))?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_no_other_name() {
        let page = b"# HELP a b\nlog_syncs 3\nlog_syncs_total{a=\"x y\"} 4\nlog_syncs_total{a=\"z\"} 5.5\n";
        assert_eq!(metric(page, "log_syncs").unwrap(), 3.0);
        assert_eq!(metric(page, "log_syncs_total").unwrap(), 9.5);
        assert_eq!(metric(page, "log").unwrap(), 0.0);
    }
}
