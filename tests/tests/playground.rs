//! The playground as the gate runs it: a leader of PD and a store are killed under load, and every promise is kept; a
//! promise broken on purpose is found out.

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Load, and then as long as it may take to mend everything, read all back and stop.
const CHAOS_SECONDS: u64 = 45;
const SABOTAGE_SECONDS: u64 = 10;
const ENDS_WITHIN: Duration = Duration::from_secs(300);
/// Members and stores that the playground starts when it is not told otherwise.
const STORES: u64 = 4;

/// The lines of the summary, in their order.
const NAMES: [&str; 11] = [
    "regions",
    "stores up",
    "regions with all replicas",
    "writes acknowledged",
    "writes lost",
    "timestamps taken",
    "timestamp fallbacks",
    "ids taken",
    "duplicate ids",
    "timestamp gap at the leader kill in ms",
    "longest write gap at the store kill in s",
];

#[test]
fn chaos_breaks_no_promise() -> Result<()> {
    let output = play(&["--seconds", &CHAOS_SECONDS.to_string(), "--chaos"])?;
    let said = said(&output);
    ensure!(output.status.success(), "ended with {}:\n{said}", output.status);
    let summary = summary(&output)?;
    println!("{summary:?}");
    let number = |name: &str| -> Result<u64> {
        let value = summary.get(name).with_context(|| format!("no line `{name}`:\n{said}"))?;
        value.parse().with_context(|| format!("{name}: {value}"))
    };
    ensure!(number("stores up")? == STORES, "{summary:?}");
    ensure!(number("regions with all replicas")? == number("regions")?, "{summary:?}");
    for promise in ["writes lost", "timestamp fallbacks", "duplicate ids"] {
        ensure!(number(promise)? == 0, "{promise}: {summary:?}");
    }
    for taken in ["regions", "writes acknowledged", "timestamps taken", "ids taken"] {
        ensure!(number(taken)? > 0, "no {taken}: {summary:?}");
    }
    // Both kills happened: their gaps were measured. How long they are is for benches to say.
    for gap in ["timestamp gap at the leader kill in ms", "longest write gap at the store kill in s"] {
        let value = &summary[gap];
        ensure!(value.parse::<f64>().is_ok(), "{gap} was not measured: {value}");
    }
    Ok(())
}

#[test]
fn a_lost_write_is_found_out() -> Result<()> {
    let output = play(&["--seconds", &SABOTAGE_SECONDS.to_string(), "--sabotage", "drop-one"])?;
    let said = said(&output);
    ensure!(output.status.code() == Some(1), "ended with {}:\n{said}", output.status);
    ensure!(
        summary(&output)?.get("writes lost").is_some_and(|lost| lost == "1"),
        "one write was hidden:\n{said}"
    );
    Ok(())
}

fn play(arguments: &[&str]) -> Result<Output> {
    let folder = tempfile::tempdir()?;
    let mut child = Command::new(env!("CARGO_BIN_EXE_playground"))
        .args(arguments)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // Read while it runs: a full pipe would stop it.
    let mut out = child.stdout.take().context("its output")?;
    let mut err = child.stderr.take().context("its errors")?;
    let out = std::thread::spawn(move || read_all(&mut out));
    let err = std::thread::spawn(move || read_all(&mut err));
    let deadline = Instant::now() + ENDS_WITHIN;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            bail!("{arguments:?} still ran after {ENDS_WITHIN:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let join = |reader: std::thread::JoinHandle<std::io::Result<Vec<u8>>>| {
        reader.join().map_err(|_| anyhow::anyhow!("a reader failed"))?.context("reading its output")
    };
    Ok(Output { status, stdout: join(out)?, stderr: join(err)? })
}

fn read_all(from: &mut impl std::io::Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The lines `name: value` at the end, which must be all there, in order, spelled as scripts expect.
fn summary(output: &Output) -> Result<BTreeMap<&'static str, String>> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    let known: Vec<(&str, String)> = lines
        .filter_map(|(name, value)| NAMES.iter().find(|it| **it == name).map(|it| (*it, value.to_string())))
        .collect();
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    ensure!(names == NAMES, "the summary has {names:?}:\n{}", said(output));
    Ok(known.into_iter().collect())
}

fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
