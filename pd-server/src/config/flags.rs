//! The command line.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Parser;

/// A placement driver: gives out timestamps and ids, knows where every Region lives, and tells stores what to do.
///
/// Without any flag it is a whole group of one on 127.0.0.1:2379, with its data in default.<name> of the working
/// folder. Flags win over the configuration file.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "pd-server", disable_version_flag = true)]
pub struct Flags {
    /// Print the version and exit
    #[arg(long, short = 'V')]
    pub version: bool,

    /// Configuration file (TOML, the keys of tikv/pd)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Check flags and configuration file, say what was found, and exit
    #[arg(long)]
    pub config_check: bool,

    /// Name of this member, unique in the group [default: pd-<hostname>]
    #[arg(long)]
    pub name: Option<String>,

    /// Folder of all that is kept [default: default.<name>]
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,

    /// URLs to listen on for clients, with commas between them [default: http://127.0.0.1:2379]
    #[arg(long, value_name = "URLS")]
    pub client_urls: Option<String>,

    /// URLs to listen on for other members [default: http://127.0.0.1:2380]
    #[arg(long, value_name = "URLS")]
    pub peer_urls: Option<String>,

    /// URLs under which clients reach this member [default: those of --client-urls]
    #[arg(long, value_name = "URLS")]
    pub advertise_client_urls: Option<String>,

    /// URLs under which other members reach this one [default: those of --peer-urls]
    #[arg(long, value_name = "URLS")]
    pub advertise_peer_urls: Option<String>,

    /// The first members as name=peer-URL, with commas between them; only used at the first start
    /// [default: this member alone]
    #[arg(long, value_name = "MEMBERS")]
    pub initial_cluster: Option<String>,

    /// Join a running group: client or peer URLs of its members, with commas between them; only used at the first start
    #[arg(long, value_name = "URLS")]
    pub join: Option<String>,

    /// Least severe level that is logged: debug, info, warn or error [default: info]
    #[arg(long, short = 'L', value_name = "LEVEL")]
    pub log_level: Option<String>,

    /// File to append the log to [default: standard error]
    #[arg(long, value_name = "FILE")]
    pub log_file: Option<PathBuf>,

    /// Serve the web page: on or off [default: on]
    #[arg(long, value_name = "ON|OFF")]
    pub dashboard: Option<String>,

    /// Accept a wall clock that is more than 24 h ahead of the last timestamp given out
    #[arg(long)]
    pub accept_clock: bool,
}

impl Flags {
    /// The items that are given here, by their names in the file.
    pub(super) fn given(&self) -> BTreeSet<&'static str> {
        let given = [
            ("name", self.name.is_some()),
            ("data-dir", self.data_dir.is_some()),
            ("client-urls", self.client_urls.is_some()),
            ("peer-urls", self.peer_urls.is_some()),
            ("advertise-client-urls", self.advertise_client_urls.is_some()),
            ("advertise-peer-urls", self.advertise_peer_urls.is_some()),
            ("initial-cluster", self.initial_cluster.is_some()),
            ("join", self.join.is_some()),
            ("log.level", self.log_level.is_some()),
            ("log.file.filename", self.log_file.is_some()),
        ];
        given.into_iter().filter_map(|(name, given)| given.then_some(name)).collect()
    }
}
