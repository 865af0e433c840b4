//! What this process is told: flags first, then the TOML file, then the defaults. And what the group shares: the
//! replicated configuration ([`Online`]), changed while everything runs; the file counts for it only at the first start.
//!
//! Keys and flags are spelt as tikv/pd spells them. A known key without effect yet is accepted and named once at the
//! start; an unknown one is refused by name. Every item stands once, in `items.tsv`.

mod document;
mod draft;
mod file;
mod flags;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
pub mod items;
mod kind;
pub(crate) mod label;
mod online;
mod origin;
mod own;
mod range;
mod record;
mod setting;
mod settings;
mod shown;
mod value;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use draft::Draft;
pub use flags::Flags;
pub use kind::Kind;
pub use online::{ChangeError, Online};
pub use origin::{Effect, ItemView, Origin};
pub use range::Range;
pub use record::{Change, Record, Temporary};
pub use setting::SettingError;
pub use settings::{LabelProperty, SchedulerEntry, Settings, Stated, StoreLimit};
pub use shown::{default_document, process_document, schedule_section};
pub use value::ServerUrl;

use self::file::File;

/// Most members of a group: more make every write slower and nothing safer.
pub const MEMBERS_MAX: usize = 9;

const DEFAULT_CLIENT_URLS: &str = "http://127.0.0.1:2379";
const DEFAULT_PEER_URLS: &str = "http://127.0.0.1:2380";

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
    /// Client or peer URLs of a running group to join at the first start; empty for a member that begins one.
    pub join: Vec<ServerUrl>,
    /// Logs.
    pub log: LogConfig,
    /// The web page.
    pub dashboard: DashboardConfig,
    /// What the file gives, replicated items among it: they count at the first start of the group.
    pub stated: Stated,
    /// Items that a flag gives, by their names in the file.
    pub flagged: BTreeSet<&'static str>,
    /// A wall clock far ahead of the last timestamp is accepted.
    pub accept_clock: bool,
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

/// Logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The least severe level that is written.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
    /// Where lines are appended; `None` is standard error.
    pub file: Option<PathBuf>,
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

/// The web page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DashboardConfig {
    /// It is served.
    pub enabled: bool,
    /// The path that it lies under.
    pub public_path_prefix: String,
}

/// Why a configuration is refused. Each names the thing and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration file {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file is not TOML.
    #[error("{} is not TOML: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why, with line and column.
        reason: String,
    },
    /// A key that is not known.
    #[error("unknown key {key}{}", nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default())]
    UnknownKey {
        /// The key.
        key: String,
        /// The known one that is most alike.
        nearest: Option<&'static str>,
    },
    /// A value that is not possible.
    #[error("{key}: {reason}")]
    Value {
        /// The key or flag.
        key: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

impl Config {
    /// Puts flags, the file that they name, and defaults together, and checks the whole.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        let file = flags.config.as_deref().map(File::read).transpose()?.unwrap_or_default();
        Self::resolve(flags, &file, &hostname())
    }

    fn resolve(flags: &Flags, file: &File, hostname: &str) -> Result<Self, ConfigError> {
        let choose = |flag: &Option<String>, key: &str| {
            flag.clone().or_else(|| file.text(key).filter(|text| !text.is_empty()).map(str::to_owned))
        };
        let name = choose(&flags.name, "name").unwrap_or_else(|| format!("pd-{hostname}"));
        check_name(&name).map_err(|reason| wrong("name", reason))?;
        let folder = flags.data_dir.clone().or_else(|| file.text("data-dir").map(PathBuf::from));
        let data_dir = folder
            .filter(|folder| *folder != Path::new(""))
            .unwrap_or_else(|| format!("default.{name}").into());

        let urls = |flag: &Option<String>, key: &str, default: &str| {
            let text = choose(flag, key).unwrap_or_else(|| default.to_owned());
            ServerUrl::parse_list(&text).map_err(|reason| wrong(key, reason))
        };
        let client_urls = urls(&flags.client_urls, "client-urls", DEFAULT_CLIENT_URLS)?;
        let peer_urls = urls(&flags.peer_urls, "peer-urls", DEFAULT_PEER_URLS)?;
        let advertise_client_urls =
            urls(&flags.advertise_client_urls, "advertise-client-urls", &join_urls(&client_urls))?;
        let advertise_peer_urls =
            urls(&flags.advertise_peer_urls, "advertise-peer-urls", &join_urls(&peer_urls))?;
        if let Some(both) = client_urls.iter().find(|url| peer_urls.contains(url)) {
            return Err(wrong(
                "peer-urls",
                format!("{both} is also a client URL; they need ports of their own"),
            ));
        }
        let initial_cluster = match choose(&flags.initial_cluster, "initial-cluster") {
            Some(text) => parse_initial_cluster(&text).map_err(|reason| wrong("initial-cluster", reason))?,
            None => vec![InitialMember { name: name.clone(), peer_urls: advertise_peer_urls.clone() }],
        };
        check_own_place(&initial_cluster, &name, &advertise_peer_urls)
            .map_err(|reason| wrong("initial-cluster", reason))?;
        let join = match choose(&flags.join, "join") {
            Some(text) => ServerUrl::parse_list(&text).map_err(|reason| wrong("join", reason))?,
            None => Vec::new(),
        };
        if !join.is_empty() && choose(&flags.initial_cluster, "initial-cluster").is_some() {
            return Err(wrong(
                "join",
                "a member either begins a group with initial-cluster or joins a running one",
            ));
        }
        let own = [&client_urls, &peer_urls, &advertise_client_urls, &advertise_peer_urls];
        if let Some(url) = join.iter().find(|url| own.iter().any(|urls| urls.contains(url))) {
            return Err(wrong(
                "join",
                format!("{url} is this member's own; name a member that runs already"),
            ));
        }

        let config = Self {
            name,
            data_dir,
            client_urls,
            peer_urls,
            advertise_client_urls,
            advertise_peer_urls,
            initial_cluster,
            join,
            log: log_config(flags, file)?,
            dashboard: dashboard_config(flags, file)?,
            stated: file.stated(),
            flagged: flags.given(),
            accept_clock: flags.accept_clock,
            without_effect: file.without_effect(),
        };
        // It may become what the group begins with.
        Settings::first(&config.stated).check().map_err(|error| wrong("configuration", error.to_string()))?;
        Ok(config)
    }
}

impl LogLevel {
    /// Reads a level. What tikv/pd calls fatal is an error here: a process does not live on after it.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "debug" => Self::Debug,
            "info" | "" => Self::Info,
            "warn" => Self::Warn,
            "error" | "fatal" => Self::Error,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

fn log_config(flags: &Flags, file: &File) -> Result<LogConfig, ConfigError> {
    let level = flags.log_level.as_deref().or(file.text("log.level")).or(file.text("log-level"));
    let level = level.unwrap_or("info");
    let level = LogLevel::parse(level)
        .ok_or_else(|| wrong("log.level", format!("{level:?} is none of debug, info, warn, error")))?;
    let format = match file.text("log.format").unwrap_or("text") {
        "text" | "console" | "" => LogFormat::Text,
        "json" => LogFormat::Json,
        other => return Err(wrong("log.format", format!("{other:?} is none of text, json, console"))),
    };
    let path = file.text("log.file.filename").or(file.text("log-file")).filter(|path| !path.is_empty());
    Ok(LogConfig { level, format, file: flags.log_file.clone().or_else(|| path.map(PathBuf::from)) })
}

fn dashboard_config(flags: &Flags, file: &File) -> Result<DashboardConfig, ConfigError> {
    let enabled = match flags.dashboard.as_deref().unwrap_or("on") {
        "on" => true,
        "off" => false,
        other => return Err(wrong("dashboard", format!("{other:?} is neither on nor off"))),
    };
    let key = "dashboard.public-path-prefix";
    let prefix = file.text(key).filter(|prefix| !prefix.is_empty()).unwrap_or("/dashboard");
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
    if !prefix.starts_with('/')
        || prefix.ends_with('/')
        || prefix.contains("//")
        || !prefix.chars().all(plain)
    {
        let reason = format!("{prefix:?} is no path such as /dashboard, with letters, digits and - _ . only");
        return Err(wrong(key, reason));
    }
    Ok(DashboardConfig { enabled, public_path_prefix: prefix.to_owned() })
}

fn parse_initial_cluster(text: &str) -> Result<Vec<InitialMember>, String> {
    let mut members: Vec<InitialMember> = Vec::new();
    let mut seen = BTreeSet::new();
    for item in text.split(',').map(str::trim) {
        let (name, url) = item
            .split_once('=')
            .ok_or_else(|| format!("{item:?} is not of the form name=http://host:port"))?;
        check_name(name)?;
        let url = ServerUrl::parse(url)?;
        if !seen.insert(url.clone()) {
            return Err(format!("{url} is listed twice"));
        }
        match members.iter_mut().find(|member| member.name == name) {
            Some(member) => member.peer_urls.push(url),
            None => members.push(InitialMember { name: name.to_owned(), peer_urls: vec![url] }),
        }
    }
    if members.len() > MEMBERS_MAX {
        return Err(format!("{} members, at most {MEMBERS_MAX} make sense", members.len()));
    }
    Ok(members)
}

/// A member must stand in its own list, with the URLs that the others are to find it at.
fn check_own_place(members: &[InitialMember], name: &str, advertised: &[ServerUrl]) -> Result<(), String> {
    let own = members.iter().find(|member| member.name == name).ok_or_else(|| {
        let names: Vec<_> = members.iter().map(|member| member.name.as_str()).collect();
        format!("this member, {name}, is not in it, only {}", names.join(", "))
    })?;
    let (listed, advertised): (BTreeSet<_>, BTreeSet<_>) =
        (own.peer_urls.iter().collect(), advertised.iter().collect());
    if listed == advertised {
        return Ok(());
    }
    Err(format!(
        "it has {name} at {}, but advertise-peer-urls are {}; they must be the same",
        join_urls(listed),
        join_urls(advertised),
    ))
}

pub(crate) fn check_name(name: &str) -> Result<(), String> {
    // A member's name is part of lists and paths.
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ',' | '=' | '/');
    if name.is_empty() || name.len() > 255 || name.contains(bad) {
        return Err(format!(
            "{name:?} is no name: 1 to 255 bytes without spaces, commas, slashes and equals signs"
        ));
    }
    Ok(())
}

fn join_urls<'a>(urls: impl IntoIterator<Item = &'a ServerUrl>) -> String {
    urls.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

fn wrong(key: &str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Value { key: key.to_owned(), reason: reason.into() }
}

#[cfg(test)]
mod tests;
