//! The v2 API is asked all that its OpenAPI document allows, and more, by schemathesis: no error of the server, no answer
//! of another form than the document says. It lives in an environment of its own below `target/`; without Python's venv
//! this is skipped with a line that says so, and with `CI=true` fails.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use tests::cluster::http;
use tests::replay::dynamic::Wire;
use tests::replay::feed::Feed;
use tests::replay::ids::Raise;
use tests::replay::record;
use tests::replay::server::Server;

/// The recorded cluster stays as it is.
const HALTED: &str = "[schedule]\nhalt-scheduling = true\n";
/// The same requests in each run.
const SEED: &str = "20261124";
/// Requests by chance for each route, beside those that try each rule of the document.
const EXAMPLES: &str = "60";
/// A document cannot say that a page begins where the one before ended, nor that a range has its ends in order: that all
/// that it allows is taken is not asked for.
const NOT_ASKED: &str = "positive_data_acceptance";
/// It never ends, so nothing that waits for the end of an answer can ask it (`dashboard.rs` does).
const ENDLESS: &str = "/pd/api/v2/stream";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_v2_api_does_what_its_document_says() -> Result<()> {
    let folder = target()?.join("schemathesis");
    let Some(program) = installed(&folder)? else { return Ok(()) };
    let server = Server::start(HALTED).await?;
    let connection = server.connect(&Wire::compiled()?).await?;
    let mut feed = Feed::new(record::state()?, connection, server.cluster_id().await?, Raise(0));
    feed.bootstrap().await?;
    feed.all().await.with_context(|| server.log_tail())?;

    let document = format!("{}/pd/api/v2/openapi.json", server.client_url());
    ensure!(http::get_json(&document).await?["paths"][ENDLESS].is_object(), "{ENDLESS} is not described");
    let output = tokio::task::spawn_blocking(move || {
        Command::new(program)
            .args(["run", &document, "--seed", SEED, "--max-examples", EXAMPLES])
            .args(["--exclude-checks", NOT_ASKED, "--exclude-path", ENDLESS])
            .args(["--continue-on-failure", "--no-color"])
            .current_dir(folder)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
    })
    .await??;
    let text = shown(&output);
    ensure!(output.status.success(), "{}\n{text}", output.status);
    let summary = text.lines().filter(|line| line.contains("Tested:") || line.contains("generated"));
    println!("{}", summary.map(str::trim).collect::<Vec<_>>().join(", "));
    server.passed()
}

/// The program, installed when what is wanted has changed; none where that cannot be.
fn installed(folder: &Path) -> Result<Option<PathBuf>> {
    let wanted = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis/requirements.txt");
    let text = std::fs::read_to_string(&wanted)?;
    let (program, mark) = (folder.join("bin/schemathesis"), folder.join("installed.txt"));
    if program.is_file() && std::fs::read_to_string(&mark).is_ok_and(|there| there == text) {
        return Ok(Some(program));
    }
    let can = Command::new("python3").args(["-m", "ensurepip", "--version"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        let line = "schemathesis is not asked: install the Debian package python3-venv";
        ensure!(std::env::var("CI").as_deref() != Ok("true"), "{line}");
        println!("SKIPPED: {line}");
        return Ok(None);
    }
    std::fs::create_dir_all(folder)?;
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
    let pip = folder.join("bin/pip");
    let options = ["install", "--quiet", "--no-input", "--disable-pip-version-check", "--requirement"];
    run(Command::new(pip).args(options).arg(&wanted))?;
    std::fs::write(mark, text)?;
    Ok(Some(program))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}\n{}", output.status, shown(&output));
    }
    Ok(())
}

fn shown(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// `target/`: this test lies at `target/<profile>/deps/<test>`.
fn target() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    Ok(here.ancestors().nth(3).context("this test lies outside a target folder")?.to_path_buf())
}
