//! The command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use proto::metapb::StoreLabel;

use super::{ConfigError, FileConfig, NodeConfig, StoreConfig, Tuning, parse_duration, parse_size};

/// A TiKV-style store: keeps Regions, each a Raft group, serves the raw key-value API, and follows a placement driver.
///
/// Several Stores in one process: give --addr, --data-dir and the like as lists with commas, or [[store]] sections in
/// the file. Flags go over the file.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "store", version)]
pub struct Flags {
    /// TOML file; its sections are pd, server, storage, coprocessor, raftstore, [[store]]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Check flags and file, say what was found, and exit
    #[arg(long)]
    pub config_check: bool,
    /// Client addresses of PD, with commas between [default: 127.0.0.1:2379]
    #[arg(long, value_name = "ADDR,..", value_delimiter = ',', visible_alias = "pd-endpoints")]
    pub pd: Vec<String>,
    /// Where to listen for clients and other stores [default: 127.0.0.1:20160]
    #[arg(long, value_name = "HOST:PORT,..", value_delimiter = ',')]
    pub addr: Vec<String>,
    /// How others reach this store [default: --addr]
    #[arg(long, value_name = "HOST:PORT,..", value_delimiter = ',')]
    pub advertise_addr: Vec<String>,
    /// Where to answer HTTP: /status, /metrics, /regions, /kv, /config [default: nowhere]
    #[arg(long, value_name = "HOST:PORT,..", value_delimiter = ',')]
    pub status_addr: Vec<String>,
    /// Folder of the store's data, made when missing [default: ./store-data]
    #[arg(long, value_name = "DIR,..", value_delimiter = ',')]
    pub data_dir: Vec<PathBuf>,
    /// What PD places by, e.g. zone=z1,host=h1; the same for all stores of the process
    #[arg(long, value_name = "KEY=VALUE,..", value_delimiter = ',')]
    pub labels: Vec<String>,
    /// Most bytes a store may take, e.g. 100GiB [default: its disk]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub capacity: Option<u64>,
    /// Size of a Region after a split [default: 256MiB]; it is cut at one and a half of it
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub region_split_size: Option<u64>,
    /// Keys of a Region after a split [default: 2560000]; it is cut at one and a half of it
    #[arg(long, value_name = "N")]
    pub region_split_keys: Option<u64>,
    /// Between two heartbeats of a store [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub store_heartbeat_interval: Option<Duration>,
    /// Between two heartbeats of a Region that does not change [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub region_heartbeat_interval: Option<Duration>,
    /// A peer silent for so long is told to PD as down [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub max_peer_down_duration: Option<Duration>,
    /// Log filter, e.g. info or store=debug [default: info]
    #[arg(long, value_name = "FILTER", env = "STORE_LOG", default_value = "info")]
    pub log_level: String,
}

impl Flags {
    /// Reads the file, if one is named, and puts the flags over it.
    pub fn config(&self) -> Result<NodeConfig, ConfigError> {
        let file = match &self.config {
            Some(path) => read(path)?,
            None => FileConfig::default(),
        };
        self.over(&file)
    }

    fn over(&self, file: &FileConfig) -> Result<NodeConfig, ConfigError> {
        let mut tuning = Tuning::default();
        file.tune(&mut tuning);
        self.tune(&mut tuning);
        let pd_endpoints = match (self.pd.is_empty(), file.pd.endpoints.is_empty()) {
            (false, _) => self.pd.clone(),
            (true, false) => file.pd.endpoints.clone(),
            (true, true) => vec!["127.0.0.1:2379".into()],
        };
        let config = NodeConfig { pd_endpoints, stores: self.stores(file)?, tuning };
        config.validate()?;
        Ok(config)
    }

    fn tune(&self, tuning: &mut Tuning) {
        let t = &mut tuning.thresholds;
        if let Some(bytes) = self.region_split_size {
            (t.split_bytes, t.max_bytes) = (bytes, bytes.saturating_add(bytes / 2));
        }
        if let Some(keys) = self.region_split_keys {
            (t.split_keys, t.max_keys) = (keys, keys.saturating_add(keys / 2));
        }
        tuning.store_heartbeat = self.store_heartbeat_interval.unwrap_or(tuning.store_heartbeat);
        tuning.region_heartbeat = self.region_heartbeat_interval.unwrap_or(tuning.region_heartbeat);
        tuning.max_peer_down = self.max_peer_down_duration.unwrap_or(tuning.max_peer_down);
    }

    fn stores(&self, file: &FileConfig) -> Result<Vec<StoreConfig>, ConfigError> {
        let mut stores = file.stores()?;
        let lists = [
            ("addr", self.addr.len()),
            ("advertise-addr", self.advertise_addr.len()),
            ("status-addr", self.status_addr.len()),
            ("data-dir", self.data_dir.len()),
        ];
        let count = lists.iter().map(|(_, len)| *len).max().unwrap_or(0).max(stores.len()).max(1);
        if let Some((name, len)) = lists.iter().find(|(_, len)| *len != 0 && *len != count) {
            return Err(ConfigError(format!("--{name}: {len} given for {count} stores")));
        }
        stores.resize(count, StoreConfig::default());
        let labels = self.labels.iter().map(|text| label(text)).collect::<Result<Vec<_>, _>>()?;
        for (n, store) in stores.iter_mut().enumerate() {
            if let Some(addr) = self.addr.get(n) {
                if store.advertise_addr == store.addr {
                    store.advertise_addr = String::new();
                }
                store.addr.clone_from(addr);
            } else if store.addr.is_empty() && count == 1 {
                store.addr = "127.0.0.1:20160".into();
            }
            if let Some(addr) = self.advertise_addr.get(n) {
                store.advertise_addr.clone_from(addr);
            } else if store.advertise_addr.is_empty() {
                store.advertise_addr.clone_from(&store.addr);
            }
            if let Some(addr) = self.status_addr.get(n) {
                store.status_addr.clone_from(addr);
            }
            if let Some(dir) = self.data_dir.get(n) {
                store.data_dir.clone_from(dir);
            } else if store.data_dir.as_os_str().is_empty() && count == 1 {
                store.data_dir = "store-data".into();
            }
            if !labels.is_empty() {
                store.labels.clone_from(&labels);
            }
            store.capacity_bytes = self.capacity.unwrap_or(store.capacity_bytes);
        }
        Ok(stores)
    }
}

fn read(path: &Path) -> Result<FileConfig, ConfigError> {
    let name = path.display();
    let text =
        std::fs::read_to_string(path).map_err(|error| ConfigError(format!("--config: {name}: {error}")))?;
    FileConfig::parse(&text).map_err(|ConfigError(text)| ConfigError(format!("{name}: {text}")))
}

fn label(text: &str) -> Result<StoreLabel, ConfigError> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok(StoreLabel { key: key.into(), value: value.into() }),
        Some(_) | None => {
            Err(ConfigError(format!("--labels: `{text}` is no label; expected for example zone=z1")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(flags: &[&str], file: &str) -> Result<NodeConfig, ConfigError> {
        let flags =
            Flags::try_parse_from([&["store"], flags].concat()).map_err(|e| ConfigError(e.to_string()))?;
        flags.over(&FileConfig::parse(file)?)
    }

    #[test]
    fn without_any_flag_it_is_one_store_on_loopback() {
        let config = parse(&[], "").unwrap();
        assert_eq!(config.pd_endpoints, ["127.0.0.1:2379"]);
        assert_eq!(config.stores.len(), 1);
        assert_eq!(config.stores[0].advertise_addr, "127.0.0.1:20160");
        assert_eq!(config.tuning, Tuning::default());
    }

    #[test]
    fn flags_go_over_the_file() {
        let file = "[server]\naddr = '1.2.3.4:20160'\nlabels = { zone = 'a' }\n[storage]\ndata-dir = 'd'\n\
            [coprocessor]\nregion-split-size = '64KiB'\n[raftstore]\npd-heartbeat-tick-interval = '5s'\n";
        let config = parse(&["--addr", "1.2.3.5:20161", "--region-heartbeat-interval", "7s"], file).unwrap();
        assert_eq!(config.stores[0].addr, "1.2.3.5:20161");
        assert_eq!(config.stores[0].advertise_addr, "1.2.3.5:20161");
        assert_eq!(config.stores[0].data_dir, PathBuf::from("d"));
        assert_eq!(config.stores[0].labels[0].value, "a");
        assert_eq!(
            (config.tuning.thresholds.split_bytes, config.tuning.thresholds.max_bytes),
            (65_536, 98_304)
        );
        assert_eq!(config.tuning.region_heartbeat, Duration::from_secs(7));
    }

    #[test]
    fn several_stores_by_lists_or_sections() {
        let lists = ["--addr", "a:1,a:2", "--data-dir", "x,y"];
        let config = parse(&lists, "").unwrap();
        assert_eq!(config.stores[1].addr, "a:2");
        assert_eq!(config.stores[1].data_dir, PathBuf::from("y"));
        let file = "[[store]]\naddr='a:1'\ndata-dir='x'\n[[store]]\naddr='a:2'\ndata-dir='y'\n";
        assert_eq!(parse(&[], file).unwrap().stores, config.stores);
    }

    #[test]
    fn errors_name_the_thing() {
        let cases: [(&[&str], &str, &str); 9] = [
            (&[], "[server]\nadr = 'a:1'", "adr"),
            (&[], "[raftstore]\ncapacity = 'big'", "`big` is no size"),
            (&[], "pd = ", "line 1"),
            (&["--addr", "nowhere"], "", "addr: `nowhere`"),
            (&["--addr", "a:1,a:2", "--data-dir", "x"], "", "--data-dir: 1 given for 2"),
            (&["--addr", "a:1,a:1", "--data-dir", "x,y"], "", "a:1 is given to two"),
            (&["--addr", "a:1,a:2", "--data-dir", "x,x"], "", "x is given to two"),
            (&["--labels", "zone"], "", "`zone` is no label"),
            (&["--region-split-size", "much"], "", "--region-split-size"),
        ];
        for (flags, file, part) in cases {
            let error = parse(flags, file).unwrap_err().to_string();
            assert!(error.contains(part), "{flags:?} {file}: {error}");
        }
    }
}
