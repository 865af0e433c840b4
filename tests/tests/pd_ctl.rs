//! `pd-ctl` on whole groups: the exit codes of `status`, one frame of `top` with and without a terminal, `top` going on
//! over a change of the leader and giving the terminal back, the shell and its history.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tests::cluster::{Cluster, PATIENCE, Setup, eventually};

/// Regions move and members vote on a busy machine.
const SETTLED: Duration = Duration::from_secs(120);

/// Takes the terminal's second screen, and leaves it again.
const TAKES: &str = "\u{1b}[?1049h";
const LEAVES: &str = "\u{1b}[?1049l";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_ends_with_0_1_2_and_3() -> Result<()> {
    let mut cluster = Cluster::start(Setup::of_a_test(3, 3)).await?;
    let all = cluster.endpoints().join(",");
    ends_with(0, &all, "ok").await?;
    every_member_answers(&cluster)?;
    let first = run(&["-u", &all, "top", "--once"])?;
    ensure!(first.status.code() == Some(0) && text(&first.stdout).contains("ok  leader"), "{first:?}");
    let ids = run(&["-u", &all, "store", "--jq=.stores[0].store.id"])?;
    let why = run(&["-u", &all, "why", "store", text(&ids.stdout).trim()])?;
    ensure!(why.status.success() && text(&why.stdout).contains("add-peer: "), "{why:?}");
    let ids = run(&["-u", &all, "region", "--jq=.regions[0].id"])?;
    let why = run(&["-u", &all, "why", "region", text(&ids.stdout).trim()])?;
    ensure!(why.status.success() && text(&why.stdout).contains("on store "), "{why:?}");
    let why = run(&["-u", &all, "why", "store", "999"])?;
    ensure!(why.status.code() == Some(1) && text(&why.stdout).contains("999"), "{why:?}");

    cluster.store(0).kill()?;
    ends_with(1, &all, "degraded").await?;
    let frame = run(&["-u", &all, "top", "--once"])?;
    ensure!(frame.status.code() == Some(1) && text(&frame.stdout).contains("degraded"), "{frame:?}");
    cluster.store(0).start()?;
    ends_with(0, &all, "ok").await?;

    // Two of three members die: the one that is left knows that nobody leads.
    let leader = cluster.pd_leader().await?;
    let survivor = (leader + 1) % 3;
    cluster.member(leader).kill()?;
    cluster.member((leader + 2) % 3).kill()?;
    ends_with(2, &all, "down").await?;
    let data = run(&["-u", &all, "-o", "json", "status"])?;
    let health: serde_json::Value = serde_json::from_slice(&data.stdout)?;
    ensure!(data.status.code() == Some(2) && health["leader"].is_null(), "{health}");

    cluster.member(survivor).kill()?;
    ends_with(3, &all, "no member answered").await?;
    let frame = run(&["-u", &all, "top", "--once"])?;
    ensure!(frame.status.code() == Some(3) && text(&frame.stderr).contains("hint: "), "{frame:?}");

    cluster.start_members()?;
    ends_with(0, &all, "ok").await?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn top_in_a_terminal() -> Result<()> {
    if !has_script()? {
        return Ok(());
    }
    let mut cluster = Cluster::start(Setup::of_a_test(3, 3)).await?;
    let all = cluster.endpoints().join(",");
    ends_with(0, &all, "ok").await?;

    let output = Terminal::start(&["-u", &all, "top", "--once"], &[])?.ended().await?;
    ensure!(output.code == Some(0), "{output:?}");
    ensure!(!output.text.contains('\u{1b}'), "a plain frame has no escapes: {:?}", output.text);
    let lines: Vec<&str> = output.text.lines().collect();
    ensure!(lines.len() <= 24 && lines.iter().all(|line| line.chars().count() <= 80), "{}", output.text);
    for part in ["leader pd-", "STORE STATE", "KEYS"] {
        ensure!(output.text.contains(part), "no {part:?} in {}", output.text);
    }
    let data = Terminal::start(&["-u", &all, "-o", "json", "top"], &[])?.ended().await?;
    let json: serde_json::Value = serde_json::from_str(&data.text)?;
    ensure!(json["stores"]["rows"].as_array().is_some_and(|rows| rows.len() == 3), "{json}");

    // It goes on over a change of the leader, and says so.
    let mut top = Terminal::start(&["-u", &all, "top"], &[])?;
    top.shows("live").await?;
    let leader = cluster.pd_leader().await?;
    let old = cluster.members()[leader].name().to_owned();
    cluster.member(leader).kill()?;
    let new = cluster.wait_for_pd_leader().await?;
    let name = cluster.members()[new].name().to_owned();
    top.shows(&format!("leader {name}")).await?;
    top.shows(&format!("{name} leads")).await.with_context(|| format!("{old} died"))?;
    top.types("gm")?;
    top.shows("MEMBER").await?;
    top.types("q")?;
    let output = top.ended().await?;
    ensure!(output.code == Some(0) && output.gave_back(), "{output:?}");

    // A signal ends it as well, and the terminal is given back.
    let top = Terminal::start(&["-u", &all, "top"], &[])?;
    top.shows("live").await?;
    top.signal(Signal::TERM)?;
    let output = top.ended().await?;
    ensure!(output.code == Some(143) && output.gave_back(), "{output:?}");
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shell_keeps_its_history_to_the_user() -> Result<()> {
    if !has_script()? {
        return Ok(());
    }
    let cluster = Cluster::start(Setup::of_a_test(1, 0)).await?;
    let all = cluster.endpoints().join(",");
    let state = tempfile::tempdir()?;
    let mut shell = Terminal::start(&["-u", &all, "-i"], &[("XDG_STATE_HOME", state.path())])?;
    shell.types("cluster\r")?;
    shell.shows("max_peer_count").await?;
    shell.types("nope\r")?;
    shell.shows("unknown command").await?;
    shell.types("config set isolation-level \"zone\r")?;
    shell.shows("is not closed").await?;
    shell.types("exit\r")?;
    let output = shell.ended().await?;
    ensure!(output.code == Some(0), "{output:?}");
    let history = state.path().join("pd-ctl/history");
    ensure!(history.metadata()?.permissions().mode() & 0o777 == 0o600, "{history:?} may be read by others");
    let lines = std::fs::read_to_string(&history)?;
    ensure!(lines.lines().any(|line| line == "cluster"), "{lines}");
    cluster.passed()
}

#[test]
fn completions_are_scripts() -> Result<()> {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completion", shell])?;
        let script = text(&output.stdout);
        ensure!(output.status.success() && script.contains("transfer-leader"), "{shell}: {output:?}");
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pd-ctl.bash");
    std::fs::write(&file, run(&["completion", "bash"])?.stdout)?;
    let checked = Command::new("bash").arg("-n").arg(&file).output()?;
    ensure!(checked.status.success(), "{checked:?}");
    Ok(())
}

#[test]
fn what_is_typed_wrongly_never_ends_with_0() -> Result<()> {
    for (words, said) in [
        (&["stor"][..], "did you mean `pd-ctl store`?"),
        (&["hot", "read"], "not there yet"),
        (&["region", "check"], "Usage:"),
        (&["store", "--no-such-flag"], "unknown flag: --no-such-flag"),
        (&["-u", "https://127.0.0.1:1", "store"], "TLS is not there yet"),
        (&["--cacert", "a.pem", "store"], "TLS is not there yet"),
        (&["-o", "xml", "store"], "json or table"),
        (&["-u", "127.0.0.1:1", "store"], "no member answered"),
        (&["tso", "abc"], "should be a number"),
    ] {
        let output = run(words)?;
        let all = format!("{}{}", text(&output.stdout), text(&output.stderr));
        ensure!(
            output.status.code() == Some(1) && all.contains(said),
            "{words:?}: {:?} {all}",
            output.status
        );
        ensure!(text(&output.stderr).contains("hint: "), "{words:?} does not say what to do: {all}");
    }
    Ok(())
}

#[test]
fn no_command_panics_whatever_is_typed() -> Result<()> {
    let mut groups = vec![Vec::<String>::new()];
    let mut tried = 0;
    while let Some(group) = groups.pop() {
        let typed: Vec<&str> = group.iter().map(String::as_str).collect();
        let help = run(&[&typed[..], &["--help"]].concat())?;
        let help = text(&help.stdout);
        ensure!(help.contains("Usage:"), "{typed:?}: {help}");
        let listed = help.lines().skip_while(|line| *line != "Available Commands:").skip(1);
        for line in listed.take_while(|line| !line.is_empty()) {
            let name = line.split_whitespace().next().context("a name")?.to_owned();
            groups.push([group.clone(), vec![name]].concat());
        }
        // The shell and the live screen wait for a person, completions answer at once.
        if typed.is_empty() || typed == ["completion"] {
            continue;
        }
        for wrong in [&[][..], &["18446744073709551616"], &["--"], &["\u{fc}", "", "-", "\n", "x", "y"]] {
            let output = run(&[&["-u", "127.0.0.1:1"], &typed[..], wrong].concat())?;
            let code = output.status.code().context("it ended by itself")?;
            ensure!([0, 1, 3].contains(&code), "{typed:?} {wrong:?}: {output:?}");
            tried += 1;
        }
    }
    println!("{tried} lines typed");
    ensure!(tried > 300, "{tried}: are commands missing?");
    Ok(())
}

/// Whoever is asked answers as the leader does; a log level reaches all.
fn every_member_answers(cluster: &Cluster) -> Result<()> {
    let mut leaders = Vec::new();
    for url in cluster.members().iter().map(tests::cluster::Member::client_url) {
        let leader = run(&["-u", &url, "member", "leader", "show"])?;
        ensure!(leader.status.success(), "{url}: {leader:?}");
        leaders.push(text(&leader.stdout));
        let ids = run(&["-u", &url, "store", "--jq=.stores|length"])?;
        ensure!(text(&ids.stdout) == "3\n\n", "{url}: {ids:?}");
        let table = run(&["-u", &url, "-o", "table", "store"])?;
        ensure!(text(&table.stdout).lines().count() == 4, "{url}: {table:?}");
        let pages = run(&["-u", &url, "region", "scan", "--jq=.count"])?;
        ensure!(pages.status.success() && text(&pages.stdout).trim() != "0", "{url}: {pages:?}");
    }
    ensure!(leaders.windows(2).all(|two| two[0] == two[1]), "{leaders:?}");
    for level in ["debug", "info"] {
        let told = run(&["-u", &cluster.members()[0].client_url(), "log", level])?;
        ensure!(text(&told.stdout) == "Success!\n", "{told:?}");
    }
    Ok(())
}

/// Until `status` ends so.
async fn ends_with(code: i32, endpoints: &str, said: &str) -> Result<()> {
    eventually(&format!("status {code}"), SETTLED, async || {
        let output = run(&["-u", endpoints, "status"])?;
        let shown = text(&output.stdout);
        ensure!(output.status.code() == Some(code) && shown.contains(said), "{:?}: {shown}", output.status);
        Ok(())
    })
    .await
}

fn run(words: &[&str]) -> Result<Output> {
    Command::new(pd_ctl()?).args(words).env_remove("PD_ADDR").output().context("pd-ctl")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The tool lies beside this test's folder.
fn pd_ctl() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let beside = here.ancestors().skip(1).take(2).map(|folder| folder.join("pd-ctl"));
    beside
        .into_iter()
        .find(|path| path.is_file())
        .context("pd-ctl is not built: run `cargo build -p pd-client` first")
}

/// Whether there is a program that gives a pseudo-terminal; without it the tests are skipped, but not by the gate.
fn has_script() -> Result<bool> {
    if Command::new("script").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Ok(true);
    }
    if std::env::var_os("CI").is_some() {
        bail!("`script` is missing: install the package bsdutils");
    }
    println!("skipped: `script` is missing: install the package bsdutils");
    Ok(false)
}

/// The tool in a pseudo-terminal of 80 columns and 24 lines.
struct Terminal {
    script: Child,
    shown: Arc<Mutex<Vec<u8>>>,
}

/// What was shown until it ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    text: String,
}

impl Ended {
    /// The second screen was taken and left, in this order.
    fn gave_back(&self) -> bool {
        match (self.text.rfind(TAKES), self.text.rfind(LEAVES)) {
            (Some(taken), Some(left)) => taken < left && self.text[left..].contains("\u{1b}[?25h"),
            _ => false,
        }
    }
}

impl Terminal {
    fn start(words: &[&str], environment: &[(&str, &Path)]) -> Result<Terminal> {
        let typed: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let line = format!("stty rows 24 cols 80; exec '{}' {}", pd_ctl()?.display(), typed.join(" "));
        let mut script = Command::new("script")
            .args(["--quiet", "--flush", "--return", "--command", &line, "/dev/null"])
            .envs(environment.iter().copied())
            .env_remove("PD_ADDR")
            .env("TERM", "xterm-256color")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("script")?;
        let shown = Arc::new(Mutex::new(Vec::new()));
        let mut from = script.stdout.take().context("its output")?;
        let into = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = from.read(&mut piece) {
                into.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..length]);
            }
        });
        Ok(Terminal { script, shown })
    }

    fn types(&mut self, keys: &str) -> Result<()> {
        let stdin = self.script.stdin.as_mut().context("its input")?;
        stdin.write_all(keys.as_bytes())?;
        Ok(stdin.flush()?)
    }

    fn text(&self) -> String {
        text(&self.shown.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Until these words stand on the screen, or have gone by on it.
    async fn shows(&self, words: &str) -> Result<()> {
        eventually(&format!("{words:?} on the screen"), PATIENCE, async || {
            let (text, screen) = (self.text(), screen(&self.text()));
            ensure!(text.contains(words) || screen.contains(words), "{screen}");
            Ok(())
        })
        .await
    }

    /// Sends a signal to the tool itself, which is the only child of `script`.
    fn signal(&self, signal: Signal) -> Result<()> {
        let script = self.script.id();
        let children = std::fs::read_to_string(format!("/proc/{script}/task/{script}/children"))?;
        let pid = children.split_whitespace().next().context("a child of script")?.parse()?;
        Ok(kill_process(Pid::from_raw(pid).context("its id")?, signal)?)
    }

    async fn ended(mut self) -> Result<Ended> {
        let code =
            eventually("the end of pd-ctl", PATIENCE, async || self.script.try_wait()?.context("it runs"))
                .await;
        let text = self.text();
        match code {
            Ok(status) => Ok(Ended { code: status.code(), text }),
            Err(error) => {
                self.script.kill()?;
                Err(error.context(text))
            }
        }
    }
}

/// What a terminal shows after it was told this: only letters that change are sent, each at its place.
fn screen(text: &str) -> String {
    let mut rows = vec![vec![' '; 80]; 24];
    let (mut row, mut column) = (0, 0);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\u{1b}' => {
                if letters.next() != Some('[') {
                    continue;
                }
                let mut numbers = String::new();
                let end = letters.by_ref().find(|c| {
                    numbers.push(*c);
                    ('@'..='~').contains(c)
                });
                match end {
                    Some('H') => {
                        let place = numbers.trim_end_matches('H').split(';').map(|n| n.parse().unwrap_or(1));
                        let place: Vec<usize> = place.collect();
                        row = place.first().map_or(0, |row| row.saturating_sub(1));
                        column = place.get(1).map_or(0, |column| column.saturating_sub(1));
                    }
                    Some('J') => rows.iter_mut().flatten().for_each(|cell| *cell = ' '),
                    _ => {}
                }
            }
            '\r' => column = 0,
            '\n' => row += 1,
            letter => {
                if let Some(cell) = rows.get_mut(row).and_then(|cells| cells.get_mut(column)) {
                    *cell = letter;
                }
                column += 1;
            }
        }
    }
    rows.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned() + "\n").collect()
}

#[test]
fn letters_land_at_their_places() {
    let shown = screen("\u{1b}[2J\u{1b}[1;1Hab\u{1b}[2;3H\u{1b}[1mx y\u{1b}[1;2Hc");
    assert!(shown.starts_with("ac\n  x y\n"), "{shown}");
}
