//! The web page in a real browser, on a real group with stores and load. The tests themselves are `tests/browser/*.mjs`;
//! they ask for each fault by a line, and are told when it is done.
//!
//! Node, npm and Chromium are for this test only. Where one is missing it is skipped with a line that names the package;
//! with `CI=true` it fails instead.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use pd_client::Client;
use proto::metapb;
use tests::cluster::{Cluster, PATIENCE, Setup, eventually, http};
use tests::writes::{Plan, Writers, without_scheme};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

const MEMBERS: usize = 3;
/// One more than replicas: a killed store can be made up for.
const STORES: usize = 4;
/// Some dozen Regions: 4 x 300 keys of 2 KiB are 2.4 MB.
const PLAN: Plan = Plan { writers: 4, keys_each: 300, value_size: 2 << 10 };
const WRITES: u64 = 1_500;
/// A further place of the page, for a proxy.
const PREFIX: &str = "/ops/pd";
/// An address of a store that never was, which tries to be markup.
const MARKUP: &str = r#"<img src=x onerror="document.title='broken out'">:20160"#;
/// Far beyond what all parts take on a loaded machine.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// The parts that run without a word on the command line of `node`: all of them.
const SCRIPT: &str = "run.mjs";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_in_a_browser() -> Result<()> {
    let Some(folder) = ready().await? else { return Ok(()) };
    let pd_toml = format!("[dashboard]\npublic-path-prefix = \"{PREFIX}\"\n");
    let mut cluster = Cluster::start(Setup { pd_toml, ..Setup::of_a_test(MEMBERS, STORES) }).await?;
    let writers = Writers::start(&cluster.endpoints(), PLAN).await?;
    writers.go_on(WRITES).await?;
    well(&cluster).await?;

    let pages: Vec<String> = cluster.endpoints().iter().map(|url| page(url)).collect();
    let mut node = Command::new("node")
        .arg(folder.join(SCRIPT))
        .env("PAGES", pages.join(","))
        .env("PREFIX", PREFIX)
        .env("SHOTS", shots())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting node")?;
    let ended = tokio::time::timeout(LIMIT, serve(&mut node, &mut cluster)).await;
    ended.context("the browser tests take too long")??;
    let status = node.wait().await?;
    ensure!(status.success(), "the browser tests end with {status}; their output names what failed");
    println!("screenshots: {}", shots().display());
    writers.stop().await?;
    cluster.passed()
}

/// The folder of the scripts with what they need installed, or nothing where the machine cannot run them.
async fn ready() -> Result<Option<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_string());
    for (program, package) in [("node", "nodejs"), ("npm", "npm"), (chromium.as_str(), "chromium")] {
        let found =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if found.await.is_ok_and(|status| status.success()) {
            continue;
        }
        let line = format!("{program} is missing: install the Debian package {package}");
        ensure!(std::env::var("CI").as_deref() != Ok("true"), "{line}");
        println!("skipped: {line}");
        return Ok(None);
    }
    let lock = tokio::fs::read(folder.join("package-lock.json")).await?;
    let installed = folder.join("node_modules/.installed-lock");
    if tokio::fs::read(&installed).await.ok().as_ref() != Some(&lock) {
        let arguments = ["ci", "--no-audit", "--no-fund", "--silent"];
        let status = Command::new("npm").args(arguments).current_dir(&folder).status().await?;
        ensure!(status.success(), "npm ci in {} ends with {status}", folder.display());
        tokio::fs::write(&installed, &lock).await?;
    }
    Ok(Some(folder))
}

/// Where screenshots go.
fn shots() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/browser")
}

/// The page's address on a member.
fn page(client_url: &str) -> String {
    format!("{client_url}/dashboard/")
}

/// The cluster tells that nothing is wrong with it.
async fn well(cluster: &Cluster) -> Result<()> {
    let url = format!("{}/pd/api/v2/health", cluster.endpoints()[0]);
    eventually("the verdict ok", 2 * PATIENCE, async || {
        let health = http::get_json(&url).await?;
        ensure!(health["verdict"] == "ok", "{health}");
        Ok(())
    })
    .await
}

/// Passes on what the tests print, and does what they ask for.
async fn serve(node: &mut Child, cluster: &mut Cluster) -> Result<()> {
    let mut lines = BufReader::new(node.stdout.take().context("its output")?).lines();
    let mut answers = node.stdin.take().context("its input")?;
    let mut stage = Stage { cluster, leader: 0, survivor: 0, third: 0, store: 0 };
    while let Some(line) = lines.next_line().await? {
        match line.strip_prefix('@') {
            None => println!("{line}"),
            Some(deed) => {
                let done = stage.act(deed).await;
                say(&mut answers, done.unwrap_or_else(|error| format!("!{error:#}"))).await?;
            }
        }
    }
    Ok(())
}

async fn say(answers: &mut ChildStdin, text: String) -> Result<()> {
    answers.write_all(format!("{}\n", text.replace('\n', " ")).as_bytes()).await?;
    Ok(answers.flush().await?)
}

/// Whom the faults befall.
struct Stage<'a> {
    cluster: &'a mut Cluster,
    /// Indexes of members: who led when last asked, a follower that stays, and the other follower.
    leader: usize,
    survivor: usize,
    third: usize,
    /// Index of the store that was killed or stands still.
    store: usize,
}

impl Stage<'_> {
    /// Does it; what the tests are told.
    async fn act(&mut self, deed: &str) -> Result<String> {
        match deed {
            "survivor" => {
                self.leader = self.cluster.wait_for_pd_leader().await?;
                let mut others = (0..MEMBERS).filter(|index| *index != self.leader);
                self.survivor = others.next().context("a follower")?;
                self.third = others.next().context("another follower")?;
                Ok(page(&self.cluster.members()[self.survivor].client_url()))
            }
            "pause-third-and-store" => {
                self.store = 0;
                self.cluster.members()[self.third].process().pause()?;
                self.cluster.stores()[self.store].process().pause()?;
                Ok("stand still".to_string())
            }
            "kill-leader" => {
                self.cluster.member(self.leader).kill()?;
                Ok(self.cluster.members()[self.leader].name().to_string())
            }
            "resume-third" => {
                self.cluster.members()[self.third].process().resume().map(|()| deed.to_string())
            }
            "resume-store" => self.cluster.stores()[self.store].process().resume().map(|()| deed.to_string()),
            "start-leader" => self.cluster.member(self.leader).start().map(|()| deed.to_string()),
            "kill-survivor" => self.cluster.member(self.survivor).kill().map(|()| deed.to_string()),
            "start-survivor" => self.cluster.member(self.survivor).start().map(|()| deed.to_string()),
            "kill-store" => {
                let client = self.cluster.client().await?;
                self.store = STORES - 1;
                let id = id_of(&client, &self.cluster.stores()[self.store].address()).await?;
                self.cluster.store(self.store).kill()?;
                Ok(id.to_string())
            }
            "start-store" => self.cluster.store(self.store).start().map(|()| deed.to_string()),
            "register-markup" => {
                let client = self.cluster.client().await?;
                let id = client.alloc_id().await?;
                let (version, address) = ("8.5.0".to_string(), MARKUP.to_string());
                client.put_store(metapb::Store { id, address, version, ..Default::default() }).await?;
                Ok(id.to_string())
            }
            _ => bail!("nobody knows how to do that"),
        }
    }
}

/// The id of the store at this address.
async fn id_of(client: &Client, address: &str) -> Result<u64> {
    let stores = client.get_all_stores(false).await?;
    let found = stores.iter().find(|store| store.address == without_scheme(address));
    Ok(found.with_context(|| format!("no store at {address}"))?.id)
}
