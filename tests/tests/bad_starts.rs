//! Programs that are started wrongly: they end at once, say what is wrong and what would be right, and leave the folder
//! as it was.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use pd_client::Client;
use tests::cluster::{Cluster, Member, PATIENCE, Setup, binaries, eventually, ports};

/// A folder that nobody can create, not even root.
const READ_ONLY: &str = "/sys/read-only";

#[test]
fn pd_refuses_a_wrong_start() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str, text: &str| -> Result<String> {
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.to_string_lossy().into_owned())
    };
    let malformed = file("malformed.toml", "name = \n")?;
    let unknown = file("unknown.toml", "[schedule]\nhalt-sheduling = true\n")?;
    let wrong = file("wrong.toml", "[schedule]\nmax-store-down-time = \"soon\"\n")?;
    let missing = folder.path().join("missing.toml").to_string_lossy().into_owned();
    let cases: [(&[&str], &[&str]); 8] = [
        (&["--config", &malformed], &["malformed.toml"]),
        (&["--config", &unknown], &["halt-sheduling", "halt-scheduling"]),
        (&["--config", &wrong], &["max-store-down-time", "soon"]),
        (&["--config", &missing], &["missing.toml"]),
        (&["--client-urls", "127.0.0.1:2379"], &["client-urls", "127.0.0.1:2379"]),
        (&["--peer-urls", "http://127.0.0.1"], &["peer-urls", "port"]),
        (&["--join", "http://127.0.0.1:2379"], &["join", "this member's own"]),
        (&["--no-such-flag"], &["--no-such-flag"]),
    ];
    for (arguments, words) in cases {
        let data = folder.path().join("pd");
        let own = ["--name", "pd1", "--data-dir", &data.to_string_lossy()].map(str::to_string);
        let arguments: Vec<String> =
            own.into_iter().chain(arguments.iter().map(ToString::to_string)).collect();
        refuses(&binaries::pd_server()?, &arguments, folder.path(), words)?;
        ensure!(!data.exists(), "{arguments:?} left a data folder behind");
    }
    Ok(())
}

#[test]
fn the_store_refuses_a_wrong_start() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str, text: &str| -> Result<String> {
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.to_string_lossy().into_owned())
    };
    let malformed = file("malformed.toml", "[coprocessor\n")?;
    let unknown = file("unknown.toml", "[coprocessor]\nregion-spilt-size = \"1MB\"\n")?;
    let cases: [(&[&str], &[&str]); 4] = [
        (&["--config", &malformed], &["malformed.toml"]),
        (&["--config", &unknown], &["region-spilt-size"]),
        (&["--addr", "127.0.0.1"], &["127.0.0.1", "is no address"]),
        (&["--no-such-flag"], &["--no-such-flag"]),
    ];
    for (arguments, words) in cases {
        let data = folder.path().join("store");
        let own = ["--pd", "http://127.0.0.1:1", "--data-dir", &data.to_string_lossy()].map(str::to_string);
        let arguments: Vec<String> =
            own.into_iter().chain(arguments.iter().map(ToString::to_string)).collect();
        refuses(&binaries::store()?, &arguments, folder.path(), words)?;
        ensure!(!data.exists(), "{arguments:?} left a data folder behind");
    }
    Ok(())
}

#[test]
fn a_folder_that_cannot_be_written_is_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let pd = pd_arguments("pd1", Path::new(READ_ONLY))?;
    refuses(&binaries::pd_server()?, &pd, folder.path(), &[READ_ONLY])?;
    let own = [
        "--pd".to_string(),
        "http://127.0.0.1:1".into(),
        "--addr".into(),
        format!("127.0.0.1:{}", ports::free()?),
        "--data-dir".into(),
        READ_ONLY.into(),
    ];
    refuses(&binaries::store()?, &own, folder.path(), &[READ_ONLY])
}

/// A folder that exists and may be read, not written. To root nothing is forbidden, so root starts the program as somebody
/// else, from a copy that anybody may run.
#[test]
fn a_folder_without_the_right_to_write_is_named() -> Result<()> {
    const NOBODY: u32 = 65_534;
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("read-only");
    std::fs::create_dir(&data)?;
    for path in [folder.path(), &data] {
        std::fs::set_permissions(path, Permissions::from_mode(0o555))?;
    }
    let programs = tempfile::tempdir()?;
    std::fs::set_permissions(programs.path(), Permissions::from_mode(0o755))?;
    let port = ports::free()?;
    let store = ["--pd", "http://127.0.0.1:1", "--addr", &format!("127.0.0.1:{port}"), "--data-dir"];
    let mut store: Vec<String> = store.map(str::to_string).to_vec();
    store.push(data.to_string_lossy().into_owned());
    for (program, arguments) in
        [(binaries::pd_server()?, pd_arguments("pd1", &data)?), (binaries::store()?, store)]
    {
        let copy = programs.path().join(program.file_name().context("a program")?);
        std::fs::copy(&program, &copy)?;
        let mut command = Command::new(&copy);
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.args(&arguments).current_dir(folder.path());
        let output = finish(&mut command)?;
        refused(&output, &[&data.to_string_lossy()]).with_context(|| copy.display().to_string())?;
        ensure!(files(&data)?.is_empty(), "{} was written to", data.display());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_in_use_or_of_others_are_refused() -> Result<()> {
    let mut cluster = Cluster::start(Setup::of_a_test(1, 1)).await?;
    let folder = cluster.folder().to_path_buf();
    let pd_data = cluster.members()[0].data().to_path_buf();
    let store_data = cluster.stores()[0].data().to_path_buf();

    // In use: another process on the same folder.
    let name = cluster.members()[0].name().to_string();
    let (pd, store) = (binaries::pd_server()?, binaries::store()?);
    refuses(&pd, &pd_arguments(&name, &pd_data)?, &folder, &[&pd_data.to_string_lossy(), "in use"])?;
    let endpoint = cluster.endpoints()[0].clone();
    refuses(
        &store,
        &store_arguments(&endpoint, &store_data)?,
        &folder,
        &[&store_data.to_string_lossy(), "in use"],
    )?;

    // Of another member: the name in the folder is another one.
    cluster.member(0).kill()?;
    let before = files(&pd_data)?;
    refuses(&pd, &pd_arguments("other", &pd_data)?, &folder, &[&name, "other"])?;
    ensure!(files(&pd_data)? == before, "a refused start changed {}", pd_data.display());
    cluster.start_members()?;
    cluster.wait_for_pd_leader().await?;

    // Of another cluster: a store of this one is started against another PD.
    let mut other = Cluster::prepare(Setup::of_a_test(1, 0))?;
    other.start_members()?;
    other.wait_for_pd_leader().await?;
    let (ours, theirs) = (cluster.client().await?.cluster_id(), other.client().await?.cluster_id());
    ensure!(ours != theirs, "two clusters drew the id {ours}");
    cluster.store(0).kill()?;
    let words = [ours.to_string(), theirs.to_string()];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    refuses(&store, &store_arguments(&other.endpoints()[0], &store_data)?, &folder, &words)?;
    ensure!(
        !other.client().await?.is_bootstrapped().await?,
        "the refused store bootstrapped the other cluster"
    );

    // Nothing was broken by all that.
    cluster.start_stores()?;
    eventually("the store serving again", PATIENCE, async || {
        let held = cluster.stores()[0].held_regions().await?;
        ensure!(!held.is_empty(), "no Region yet");
        Ok(())
    })
    .await?;
    other.passed()?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_with_the_folder_of_another_cluster_is_refused_by_the_others() -> Result<()> {
    const STRAY: usize = 0;
    let mut cluster = Cluster::prepare(Setup::of_a_test(3, 0))?;
    let mut other = Cluster::prepare(Setup::of_a_test(3, 0))?;
    for group in [&mut cluster, &mut other] {
        group.start_members()?;
        group.wait_for_pd_leader().await?;
    }
    let (ours, theirs) = (cluster.client().await?.cluster_id(), other.client().await?.cluster_id());
    let members = cluster.client().await?.get_members().await?.members;
    for index in 0..3 {
        other.member(index).kill()?;
    }

    // The member of the same name comes with the other group's folder, at its own addresses.
    cluster.member(STRAY).kill()?;
    let own = cluster.members()[STRAY].data().to_string_lossy().into_owned();
    let foreign = other.members()[STRAY].data().to_string_lossy().into_owned();
    change_argument(&mut cluster, STRAY, &own, &foreign);
    cluster.start_members()?;
    let refusal = [format!("cluster {ours}"), format!("cluster {theirs}")];
    eventually("both clusters named where they met", PATIENCE, async || {
        let told = |member: &Member| {
            let log = member.process().log_text()?;
            Ok(log.lines().any(|line| refusal.iter().all(|word| line.contains(word))))
        };
        let told: Vec<bool> = cluster.members().iter().map(told).collect::<Result<_>>()?;
        ensure!(told.contains(&true), "{refusal:?} stand in no log");
        Ok(())
    })
    .await?;
    let others = cluster.members()[STRAY + 1..].iter().map(Member::client_url);
    let client = Client::connect(others).await?;
    ensure!(client.cluster_id() == ours, "cluster {ours} became {}", client.cluster_id());
    ensure!(client.get_members().await?.members == members, "the stray one changed the members");
    client.get_timestamp().await?;
    let stray = Client::connect_with(
        vec![cluster.members()[STRAY].client_url()],
        pd_client::Options { call_timeout: Duration::from_secs(2), ..pd_client::Options::default() },
    );
    if let Ok(stray) = stray.await {
        let given = stray.get_timestamp().await;
        // It may have been sent on to those who lead, never answer for the other group by itself.
        ensure!(stray.cluster_id() == ours || given.is_err(), "the stray member gives {given:?}");
    }

    // With its own folder it belongs to the group again: it is needed when one of the others goes.
    cluster.member(STRAY).kill()?;
    change_argument(&mut cluster, STRAY, &foreign, &own);
    cluster.start_members()?;
    cluster.member(STRAY + 1).kill()?;
    cluster.wait_for_pd_leader().await?;
    other.passed()?;
    cluster.passed()
}

/// Another value for an argument of a member, from its next start on.
fn change_argument(cluster: &mut Cluster, member: usize, from: &str, to: &str) {
    for argument in &mut cluster.member(member).process_mut().start_mut().arguments {
        if argument == from {
            to.clone_into(argument);
        }
    }
}

fn pd_arguments(name: &str, data: &Path) -> Result<Vec<String>> {
    let (client, peer) = (ports::free()?, ports::free()?);
    Ok(vec![
        "--name".into(),
        name.into(),
        "--data-dir".into(),
        data.to_string_lossy().into_owned(),
        "--client-urls".into(),
        format!("http://127.0.0.1:{client}"),
        "--peer-urls".into(),
        format!("http://127.0.0.1:{peer}"),
    ])
}

fn store_arguments(pd: &str, data: &Path) -> Result<Vec<String>> {
    Ok(vec![
        "--pd".into(),
        pd.into(),
        "--addr".into(),
        format!("127.0.0.1:{}", ports::free()?),
        "--data-dir".into(),
        data.to_string_lossy().into_owned(),
    ])
}

/// The program ends by itself, not with success, and says each of the words.
fn refuses(program: &Path, arguments: &[String], folder: &Path, words: &[&str]) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    let named = || format!("{} {arguments:?}", program.display());
    refused(&finish(&mut command).with_context(named)?, words).with_context(named)
}

/// It ended by itself, not with success, and said each of the words.
fn refused(output: &Output, words: &[&str]) -> Result<()> {
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(!output.status.success(), "ended with success:\n{said}");
    ensure!(output.status.code().is_some(), "ended by a signal ({}):\n{said}", output.status);
    ensure!(!said.contains("panicked"), "panicked:\n{said}");
    for word in words {
        ensure!(said.contains(word), "does not say {word:?}:\n{said}");
    }
    Ok(())
}

/// Runs it to its end; an error if that takes too long.
fn finish(command: &mut Command) -> Result<Output> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
            let output = child.wait_with_output()?;
            bail!("still runs after {PATIENCE:?}:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(child.wait_with_output()?)
}

/// Every file below a folder and its length.
fn files(folder: &Path) -> Result<BTreeMap<PathBuf, u64>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files(&entry.path())?);
        } else {
            found.insert(entry.path(), entry.metadata()?.len());
        }
    }
    Ok(found)
}
