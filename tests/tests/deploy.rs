//! What `deploy/` holds is read by the programs that it is for: our own loaders and flag parsers, systemd, Prometheus; and
//! what probes and health checks ask is answered by real processes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_yaml_ng::Value;
use tests::cluster::{Cluster, Setup, binaries, http};

#[test]
fn toml_files_are_read_without_a_remark() -> Result<()> {
    for n in 1..=3 {
        let said = check_line(
            "/pd-server",
            &[format!("--config={}", deploy(&format!("config/pd-{n}.toml")).display())],
        )?;
        ensure!(said.contains("without effect yet: none"), "pd-{n}.toml: {said}");
    }
    check_line("/store", &[format!("--config={}", deploy("config/store.toml").display())])?;
    Ok(())
}

#[test]
fn a_mistake_in_a_line_is_seen() {
    // What the other tests rest on.
    assert!(check_line("/pd-server", &["--initial-clutser=a=http://a:2380".into()]).is_err());
    assert!(
        check_line("/pd-server", &["--name=a".into(), "--initial-cluster=b=http://b:2380".into()]).is_err()
    );
    assert!(check_line("/store", &["--addr=nowhere".into()]).is_err());
}

#[test]
fn unit_files_start_what_there_is() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut units = Vec::new();
    for (unit, file) in [("pd-server.service", "pd-1.toml"), ("store.service", "store.toml")] {
        let text = std::fs::read_to_string(deploy("systemd").join(unit))?;
        let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).context("ExecStart")?;
        let mut words = line.split_whitespace();
        let program = words.next().context("a program")?;
        // What the unit reads on its machine is a file of ours here.
        let arguments = words.map(|word| {
            if word.starts_with("/etc/pd/") {
                deploy("config").join(file).display().to_string()
            } else {
                word.to_owned()
            }
        });
        check_line(program, &arguments.collect::<Vec<_>>())?;
        let own = folder.path().join(unit);
        std::fs::write(&own, text.replace(program, &binary(program)?.display().to_string()))?;
        units.push(own);
    }
    let said = tool("systemd-analyze", "systemd", |tool| {
        tool.args(["verify", "--man=no"]).args(&units);
    })?;
    ensure!(said.trim().is_empty(), "systemd-analyze verify: {said}");
    Ok(())
}

#[test]
fn the_container_runs_as_nobody_and_asks_itself() -> Result<()> {
    let text = std::fs::read_to_string(deploy("container/Containerfile"))?.replace("\\\n", " ");
    let words = |instruction: &str| -> Result<Vec<String>> {
        let line = text.lines().rfind(|line| line.starts_with(instruction));
        let line = line.with_context(|| format!("{instruction} is missing"))?;
        let list = line.find('[').with_context(|| format!("{instruction} is no list: there is no shell"))?;
        Ok(serde_json::from_str(&line[list..])?)
    };
    let user = text.lines().rfind(|line| line.starts_with("USER ")).context("USER")?;
    ensure!(user["USER ".len()..].split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{user}");
    ensure!(
        text.lines().rfind(|line| line.starts_with("FROM ")) == Some("FROM scratch"),
        "the image is not empty"
    );
    let entry = words("ENTRYPOINT ")?;
    check_line(&entry[0], &words("CMD ")?)?;
    let health = words("HEALTHCHECK ")?;
    ensure!(health[0] == "/pd-ctl", "{health:?}");
    ensure!(
        run(&binary("/pd-ctl")?, &health[1..], &["--help"]).is_ok(),
        "{health:?} is no command of pd-ctl"
    );
    Ok(())
}

#[test]
fn compose_starts_three_and_three() -> Result<()> {
    let mut compose: Value =
        serde_yaml_ng::from_str(&std::fs::read_to_string(deploy("container/compose.yml"))?)?;
    compose.apply_merge()?;
    let services = compose["services"].as_mapping().context("services")?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, service) in services {
        let name = name.as_str().context("a name")?;
        let program = service["entrypoint"][0].as_str().unwrap_or("/pd-server");
        check_line(program, &texts(&service["command"])?).with_context(|| name.to_owned())?;
        *counts.entry(program).or_default() += 1;
        for volume in texts(&service["volumes"])? {
            let volume = volume.split(':').next().unwrap_or_default().to_owned();
            ensure!(compose["volumes"].get(&volume).is_some(), "{name}: volume {volume} is not declared");
        }
    }
    ensure!(counts == BTreeMap::from([("/pd-server", 3), ("/store", 3)]), "{counts:?}");
    Ok(())
}

#[test]
fn kubernetes_manifests_hang_together() -> Result<()> {
    for file in ["pd.yml", "store.yml"] {
        let documents = manifests(file)?;
        let of_kind = |kind: &'static str| documents.iter().filter(move |d| d["kind"] == kind);
        let set = of_kind("StatefulSet").next().context("a StatefulSet")?;
        let (name, spec) = (text(&set["metadata"]["name"])?, &set["spec"]);
        let labels = &spec["template"]["metadata"]["labels"];
        ensure!(spec["selector"]["matchLabels"] == *labels, "{file}: the set does not select its own pods");
        let headless = of_kind("Service").find(|s| s["metadata"]["name"] == spec["serviceName"]);
        let headless = headless.with_context(|| format!("{file}: serviceName names no service"))?;
        ensure!(
            headless["spec"]["clusterIP"] == "None",
            "{file}: the service of the set has an address of its own"
        );
        ensure!(
            headless["spec"]["publishNotReadyAddresses"] == true,
            "{file}: members cannot find each other at first"
        );
        for service in of_kind("Service") {
            ensure!(service["spec"]["selector"] == *labels, "{file}: a service selects other pods");
        }
        let budget = of_kind("PodDisruptionBudget").next().context("a PodDisruptionBudget")?;
        ensure!(
            budget["spec"]["selector"]["matchLabels"] == *labels && budget["spec"]["maxUnavailable"] == 1,
            "{file}"
        );
        let pod = &spec["template"]["spec"];
        ensure!(pod["securityContext"]["runAsNonRoot"] == true, "{file}: runs as root");
        let container = &pod["containers"][0];
        ensure!(container["securityContext"]["readOnlyRootFilesystem"] == true, "{file}");
        for n in 0..spec["replicas"].as_u64().context("replicas")? {
            let pod_name = format!("{name}-{n}");
            let line = texts(&container["args"])?.into_iter();
            let line =
                line.map(|word| word.replace("$(POD_NAME)", &pod_name).replace("$(NODE_NAME)", "node-1"));
            check_line(text(&container["command"][0])?, &line.collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn probes_and_the_health_check_are_answered() -> Result<()> {
    let mut cluster = Cluster::start(Setup::of_a_test(1, 1)).await?;
    for (file, url) in
        [("pd.yml", cluster.member(0).client_url()), ("store.yml", cluster.store(0).status_url())]
    {
        let documents = manifests(file)?;
        let set = documents.iter().find(|d| d["kind"] == "StatefulSet").context("a StatefulSet")?;
        let container = &set["spec"]["template"]["spec"]["containers"][0];
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let Some(path) = container[probe]["httpGet"]["path"].as_str() else { continue };
            http::get(&format!("{url}{path}")).await.with_context(|| format!("{file}: {probe}"))?;
        }
    }
    let url = cluster.member(0).client_url();
    let tool = binary("/pd-ctl")?;
    run(&tool, &["-u".to_owned(), url.clone(), "ping".to_owned()], &[])?;
    cluster.member(0).kill()?;
    ensure!(
        run(&tool, &["-u".to_owned(), url, "ping".to_owned()], &[]).is_err(),
        "nobody is there, and ping says well"
    );
    cluster.passed()
}

#[test]
fn prometheus_reads_its_files_and_alerts_fire_when_they_should() -> Result<()> {
    for (words, file) in [
        (["check", "config"], "scrape.yml"),
        (["check", "rules"], "alerts.yml"),
        (["test", "rules"], "alerts_test.yml"),
    ] {
        tool("promtool", "prometheus", |tool| {
            tool.args(words).arg(deploy("prometheus").join(file));
        })?;
    }
    Ok(())
}

#[test]
fn the_board_draws_each_panel_from_something() -> Result<()> {
    let board: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(deploy("grafana/board.json"))?)?;
    let panels = board["panels"].as_array().context("panels")?;
    let drawn: Vec<_> = panels.iter().filter(|panel| panel["type"] != "row").collect();
    ensure!(drawn.len() >= 20, "{} panels", drawn.len());
    for panel in drawn {
        let targets = panel["targets"].as_array().context("targets")?;
        let expressions = targets.iter().filter_map(|target| target["expr"].as_str());
        let rules: Vec<String> = expressions
            .enumerate()
            .map(|(n, expr)| {
                let expr = expr.replace("$__rate_interval", "1m").replace("$job", "pd");
                format!("      - {{record: 'panel:{n}', expr: {}}}\n", serde_json::Value::from(expr))
            })
            .collect();
        ensure!(!rules.is_empty(), "{} draws nothing", panel["title"]);
        // As rules, so that Prometheus' own parser reads the expressions.
        let file = tempfile::Builder::new().suffix(".yml").tempfile()?;
        std::fs::write(file.path(), format!("groups:\n  - name: board\n    rules:\n{}", rules.concat()))?;
        tool("promtool", "prometheus", |tool| {
            tool.args(["check", "rules"]).arg(file.path());
        })
        .with_context(|| panel["title"].to_string())?;
    }
    Ok(())
}

/// Has the program of this path (in the image or on its machine) read a command line without starting.
fn check_line(program: &str, arguments: &[String]) -> Result<String> {
    run(&binary(program)?, arguments, &["--config-check"])
}

fn run(program: &Path, arguments: &[String], more: &[&str]) -> Result<String> {
    let done = Command::new(program).args(arguments).args(more).output()?;
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{} {arguments:?} {more:?}: {said}", program.display());
    Ok(said)
}

fn binary(program: &str) -> Result<PathBuf> {
    match program.rsplit('/').next().unwrap_or_default() {
        "pd-server" => binaries::pd_server(),
        "store" => binaries::store(),
        "pd-ctl" => binaries::pd_ctl(),
        other => bail!("{other} is no program of ours"),
    }
}

/// What a tool of the machine says; nothing when it is missing, unless that must not be.
fn tool(name: &str, package: &str, arguments: impl FnOnce(&mut Command)) -> Result<String> {
    let mut command = Command::new(name);
    arguments(&mut command);
    match command.output() {
        Ok(done) => {
            let said =
                String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
            ensure!(done.status.success(), "{command:?}: {said}");
            Ok(said)
        }
        Err(error) => {
            let line = format!("{name} is missing ({error}): apt-get install {package}");
            ensure!(std::env::var("CI").as_deref() != Ok("true"), "{line}");
            eprintln!("skipped: {line}");
            Ok(String::new())
        }
    }
}

fn manifests(file: &str) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(deploy("kubernetes").join(file))?;
    let documents = serde_yaml_ng::Deserializer::from_str(&text);
    documents.map(|one| Ok(serde::Deserialize::deserialize(one)?)).collect()
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("{value:?} is no text"))
}

fn texts(value: &Value) -> Result<Vec<String>> {
    let all = value.as_sequence().with_context(|| format!("{value:?} is no list"))?;
    all.iter().map(|one| text(one).map(str::to_owned)).collect()
}

fn deploy(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy")).join(path)
}
