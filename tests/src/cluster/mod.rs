//! A cluster of real processes on loopback: placement drivers and stores, started, broken and mended at will.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use tests::cluster::{Cluster, Setup};
//! let mut cluster = Cluster::start(Setup::new(3, 3)).await?;
//! let leader = cluster.pd_leader().await?;
//! cluster.member(leader).kill()?;
//! cluster.wait_for_pd_leader().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Everything lies in one folder, logs too; it is removed at the end unless [`Setup::keep`] or a panic says otherwise. Of
//! a test ([`Setup::of_a_test`]) it stays until the test says that it [passed](Cluster::passed). Dropping the cluster kills
//! every process. The programs must have been built before: see [`binaries`].

pub mod binaries;
pub mod http;
mod member;
pub mod ports;
mod process;
pub mod socket;
mod store;
mod wait;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use pd_client::Client;

pub use member::Member;
pub use process::{Process, Start};
pub use store::{HeldPeer, HeldRegion, Store};
pub use wait::{PATIENCE, eventually};

/// How often a stopping process is looked at.
const STOP_LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// What to start, and how.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Members of the PD group.
    pub members: usize,
    /// Stores, one process each.
    pub stores: usize,
    /// Where files and logs go; without it a fresh folder below the system's own for temporary files.
    pub folder: Option<PathBuf>,
    /// Leave the folder behind.
    pub keep: bool,
    /// Leave it behind unless [`Cluster::passed`] is called: a test that fails by an error drops its cluster without a
    /// panic, and its logs are what one wants to see.
    pub of_a_test: bool,
    /// TOML lines for every PD member, as in a configuration file.
    pub pd_toml: String,
    /// TOML lines for every store.
    pub store_toml: String,
    /// Level of the programs' logs.
    pub log_level: String,
    /// Ports that are taken if they are free (others otherwise); without it any free ones.
    pub preferred: Option<PreferredPorts>,
}

/// Ports that people know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreferredPorts {
    /// Of the first member's client address; each further member two higher, peer addresses one higher.
    pub pd: u16,
    /// Of the first store's address; each further store one higher.
    pub store: u16,
    /// Of the first store's status address; each further store one higher.
    pub status: u16,
}

impl Setup {
    /// `members` PDs and `stores` stores, with Regions that split at 64 KiB and heartbeats that come quickly.
    pub fn new(members: usize, stores: usize) -> Setup {
        Setup {
            members,
            stores,
            folder: None,
            keep: false,
            of_a_test: false,
            pd_toml: String::new(),
            store_toml: store::QUICK_TOML.to_string(),
            log_level: "info".to_string(),
            preferred: None,
        }
    }

    /// The same for a test: files and logs stay unless it [passed](Cluster::passed).
    pub fn of_a_test(members: usize, stores: usize) -> Setup {
        Setup { of_a_test: true, ..Setup::new(members, stores) }
    }
}

/// The processes of one cluster.
#[derive(Debug)]
pub struct Cluster {
    setup: Setup,
    members: Vec<Member>,
    stores: Vec<Store>,
    /// Replaced ports, told to people.
    replaced: Vec<String>,
    // Last, so that the processes have gone before their files do.
    folder: Folder,
}

impl Cluster {
    /// Starts everything and waits until a leader serves and every store is Up.
    pub async fn start(setup: Setup) -> Result<Cluster> {
        let mut cluster = Cluster::prepare(setup)?;
        cluster.start_members()?;
        cluster.wait_for_pd_leader().await?;
        cluster.start_stores()?;
        // Without stores nobody has bootstrapped PD, and it knows of none.
        if !cluster.stores.is_empty() {
            cluster.wait_for_stores_up(cluster.stores.len()).await?;
        }
        Ok(cluster)
    }

    /// Chooses ports and folders; nothing runs yet.
    pub fn prepare(setup: Setup) -> Result<Cluster> {
        let folder = Folder::open(&setup)?;
        let mut cluster =
            Cluster { members: Vec::new(), stores: Vec::new(), replaced: Vec::new(), setup, folder };
        let mut addresses = Vec::new();
        for index in 0..cluster.setup.members {
            let wanted =
                cluster.setup.preferred.map(|ports| ports.pd + 2 * u16::try_from(index).unwrap_or(0));
            let client = cluster.port("PD", wanted)?;
            let peer = cluster.port("PD peers", wanted.map(|port| port + 1))?;
            addresses.push((format!("pd-{}", index + 1), client, peer));
        }
        let initial: Vec<String> =
            addresses.iter().map(|(name, _, peer)| format!("{name}=http://127.0.0.1:{peer}")).collect();
        for (name, client, peer) in addresses {
            let member = Member::new(
                cluster.folder.path(),
                &name,
                client,
                peer,
                &member::Origin::Begins(initial.join(",")),
                &cluster.setup.pd_toml,
                &cluster.setup.log_level,
            )?;
            cluster.members.push(member);
        }
        for _ in 0..cluster.setup.stores {
            cluster.prepare_store()?;
        }
        Ok(cluster)
    }

    /// One store more, not yet running. Its index.
    pub fn prepare_store(&mut self) -> Result<usize> {
        let index = self.stores.len();
        let step = u16::try_from(index).context("too many stores")?;
        let port = self.port("store", self.setup.preferred.map(|ports| ports.store + step))?;
        let status = self.port("store status", self.setup.preferred.map(|ports| ports.status + step))?;
        let name = format!("store-{}", index + 1);
        let pd = self.endpoints().join(",");
        let store = Store::new(
            self.folder.path(),
            &name,
            &pd,
            port,
            status,
            &self.setup.store_toml,
            &self.setup.log_level,
        )?;
        self.stores.push(store);
        Ok(index)
    }

    /// One member more that joins the group, not yet running. Its index. `name` may be that of a member that was removed;
    /// its files lie in a folder of their own.
    pub fn prepare_joining_member(&mut self, name: &str, urls: &[String]) -> Result<usize> {
        let index = self.members.len();
        let (client, peer) = (self.port("PD", None)?, self.port("PD peers", None)?);
        let folder = self.folder.path().join(format!("joining-{}", index + 1));
        std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        let member = Member::new(
            &folder,
            name,
            client,
            peer,
            &member::Origin::Joins(urls.join(",")),
            &self.setup.pd_toml,
            &self.setup.log_level,
        )?;
        self.members.push(member);
        Ok(index)
    }

    /// Starts the members that do not run.
    pub fn start_members(&mut self) -> Result<()> {
        self.members.iter_mut().filter(|member| !member.process().is_running()).try_for_each(Member::start)
    }

    /// Starts the stores that do not run.
    pub fn start_stores(&mut self) -> Result<()> {
        self.stores.iter_mut().filter(|store| !store.process().is_running()).try_for_each(Store::start)
    }

    /// The member with this index, from 0.
    pub fn member(&mut self, index: usize) -> &mut Member {
        &mut self.members[index]
    }

    /// All members.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The store with this index, from 0 (not its id).
    pub fn store(&mut self, index: usize) -> &mut Store {
        &mut self.stores[index]
    }

    /// All stores.
    pub fn stores(&self) -> &[Store] {
        &self.stores
    }

    /// All stores, to be changed.
    pub fn stores_mut(&mut self) -> &mut [Store] {
        &mut self.stores
    }

    /// The folder of all files and logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves files and logs behind, to be looked at.
    pub fn keep_files(&mut self) {
        self.folder.keep = true;
    }

    /// What was replaced because a preferred port was busy, as lines for people.
    pub fn replaced_ports(&self) -> &[String] {
        &self.replaced
    }

    /// The members' client addresses, with scheme.
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(Member::client_url).collect()
    }

    /// A new client of the group.
    pub async fn client(&self) -> Result<Client> {
        let options = pd_client::Options { call_timeout: PATIENCE, ..pd_client::Options::default() };
        Client::connect_with(self.endpoints(), options).await.context("connecting to PD")
    }

    /// The index of the member that leads now, as the members say.
    pub async fn pd_leader(&self) -> Result<usize> {
        let options =
            pd_client::Options { call_timeout: Duration::from_secs(3), ..pd_client::Options::default() };
        let client = Client::connect_with(self.endpoints(), options).await?;
        let leader = client.leader().context("no leader")?;
        self.index_of_member(&leader.name)
    }

    /// The index of the member of this name.
    pub fn index_of_member(&self, name: &str) -> Result<usize> {
        let found = self.members.iter().position(|member| member.name() == name);
        found.with_context(|| format!("PD names {name}, which is no member of this cluster"))
    }

    /// Waits until a member leads and gives timestamps; its index.
    pub async fn wait_for_pd_leader(&mut self) -> Result<usize> {
        let mut broken = None;
        let leader = eventually("a leader of PD that gives timestamps", PATIENCE, async || {
            // A member that has ended will not lead: no use to wait on.
            if let Some(text) = self.members.iter().find_map(|member| member.process().premature_end()) {
                broken = Some(text);
                return Ok(usize::MAX);
            }
            let options =
                pd_client::Options { call_timeout: Duration::from_secs(2), ..pd_client::Options::default() };
            let client = Client::connect_with(self.endpoints(), options).await?;
            client.get_timestamp().await?;
            self.index_of_member(&client.leader().context("no leader")?.name)
        })
        .await?;
        match broken {
            Some(text) => bail!("{text}"),
            None => Ok(leader),
        }
    }

    /// Waits until PD counts `count` stores as Up that have sent a heartbeat.
    pub async fn wait_for_stores_up(&mut self, count: usize) -> Result<()> {
        let client = self.client().await?;
        let mut broken = None;
        eventually(&format!("{count} stores Up"), PATIENCE, async || {
            if let Some(text) = self.stores.iter().find_map(|store| store.process().premature_end()) {
                broken = Some(text);
                return Ok(());
            }
            let up = stores_up(&client).await?;
            if up == count { Ok(()) } else { bail!("{up} stores are Up") }
        })
        .await?;
        broken.map_or(Ok(()), |text| bail!("{text}"))
    }

    /// SIGTERM to the stores, then to the members; what has not ended after `limit` for each of the two is killed.
    /// Returns the names of those.
    pub async fn stop(&mut self, limit: Duration) -> Result<Vec<String>> {
        let stores: Vec<&mut Process> = self.stores.iter_mut().map(Store::process_mut).collect();
        let mut killed = stop_all(stores, limit).await?;
        let members: Vec<&mut Process> = self.members.iter_mut().map(Member::process_mut).collect();
        killed.extend(stop_all(members, limit).await?);
        Ok(killed)
    }

    /// The last word of a test: nothing panicked behind its back, and its files may go.
    ///
    /// # Errors
    /// When a process panicked; its log stays.
    pub fn passed(mut self) -> Result<()> {
        let members = self.members.iter().map(Member::process);
        for process in members.chain(self.stores.iter().map(Store::process)) {
            process.ensure_no_panic()?;
        }
        self.folder.passed = true;
        Ok(())
    }

    fn port(&mut self, what: &str, wanted: Option<u16>) -> Result<u16> {
        let Some(wanted) = wanted else { return ports::free() };
        if ports::claim(wanted) {
            return Ok(wanted);
        }
        let port = ports::free()?;
        self.replaced.push(format!("port {wanted} ({what}) is busy, using {port}"));
        Ok(port)
    }
}

/// Stops all of them at once; the names of those that had to be killed.
async fn stop_all(processes: Vec<&mut Process>, limit: Duration) -> Result<Vec<String>> {
    let deadline = Instant::now() + limit;
    processes.iter().try_for_each(|process| process.request_stop())?;
    let mut killed = Vec::new();
    for process in processes {
        while !process.has_stopped()? {
            if Instant::now() >= deadline {
                process.kill()?;
                killed.push(process.name().to_string());
                break;
            }
            tokio::time::sleep(STOP_LOOK_INTERVAL).await;
        }
    }
    Ok(killed)
}

/// How many stores PD counts as Up, among those from which it has heard.
pub async fn stores_up(client: &Client) -> Result<usize> {
    let mut up = 0;
    for store in client.get_all_stores(false).await? {
        let (store, stats) = client.get_store(store.id).await?;
        let heard = stats.is_some_and(|stats| stats.store_id == store.id);
        up += usize::from(heard && store.state() == proto::metapb::StoreState::Up);
    }
    Ok(up)
}

/// The folder of a cluster: removed at the end, or left behind.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    keep: bool,
    /// Whether it may go as far as a test is concerned.
    passed: bool,
}

impl Folder {
    fn open(setup: &Setup) -> Result<Folder> {
        let path = match &setup.folder {
            Some(path) => {
                std::fs::create_dir_all(path).with_context(|| format!("creating {}", path.display()))?;
                path.clone()
            }
            None => tempfile::Builder::new().prefix("cluster-").tempdir()?.keep(),
        };
        Ok(Folder { path, keep: setup.keep, passed: !setup.of_a_test })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        if std::thread::panicking() || !self.passed {
            eprintln!("files and logs: {}", self.path.display());
        } else if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("{} is not removed: {error}", self.path.display());
        }
    }
}
