//! What this process is told: flags first, then the TOML file, then the defaults.
//!
//! Keys and flags are spelt as tikv/pd spells them. A known key without effect yet is accepted and named once at the
//! start; an unknown one is refused by name.

use std::path::PathBuf;
use std::time::Duration;

/// Everything this process is told, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The member's name, unique in the group.
    pub name: String,
    /// Folder of all that is kept.
    pub data_dir: PathBuf,
    /// Where to listen for clients.
    pub client_urls: Vec<ServerUrl>,
    /// Where to listen for other members.
    pub peer_urls: Vec<ServerUrl>,
    /// Where clients are told to find this member.
    pub advertise_client_urls: Vec<ServerUrl>,
    /// Where other members find this one.
    pub advertise_peer_urls: Vec<ServerUrl>,
    /// The first members, this one among them.
    pub initial_cluster: Vec<InitialMember>,
    /// Logs.
    pub log: LogConfig,
    /// Scheduling.
    pub schedule: ScheduleConfig,
    /// Replication.
    pub replication: ReplicationConfig,
    /// Keys of the file that are known and have no effect yet.
    pub without_effect: Vec<String>,
}

/// A member of `initial-cluster`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialMember {
    /// Its name.
    pub name: String,
    /// Its peer URLs (a name may be listed more than once).
    pub peer_urls: Vec<ServerUrl>,
}

/// An `http://host:port` without a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerUrl {
    host: String,
    port: u16,
}

/// Logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The least severe level that is written.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
}

/// Severity of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything of interest to a developer.
    Debug,
    /// The course of things.
    #[default]
    Info,
    /// What may need a look.
    Warn,
    /// What went wrong.
    Error,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `[schedule]`, as far as it has an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleConfig {
    /// Silence after which a store counts as down.
    pub max_store_down_time: Duration,
    /// Leader operators at the same time.
    pub leader_schedule_limit: u64,
    /// Region operators at the same time.
    pub region_schedule_limit: u64,
    /// Replica operators at the same time.
    pub replica_schedule_limit: u64,
    /// Scheduling is frozen.
    pub halt_scheduling: bool,
}

/// `[replication]`, as far as it has an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicationConfig {
    /// Replicas of each Region; at least 1.
    pub max_replicas: u64,
}

impl ServerUrl {
    /// `host:port`, to listen on or to connect to.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl std::fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}
