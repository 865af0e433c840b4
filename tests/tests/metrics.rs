//! Metrics of a live group, against the table that says which names are here, the docs, the alerts and the board.
//!
//! `UPDATE=1 cargo test -p tests --test metrics` writes docs/metrics.md anew.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use tests::cluster::{Cluster, PATIENCE, Setup, eventually, http};

/// Names that may have no sample yet on a healthy group.
const MAY_BE_EMPTY: [&str; 2] = ["pd_planner_refusals_total", "pd_scheduler_balance_direction"];

#[tokio::test]
async fn the_table_the_docs_the_alerts_and_the_board_name_what_a_live_member_shows() -> Result<()> {
    let mut cluster = Cluster::start(Setup::of_a_test(3, 3)).await?;
    let leader = cluster.pd_leader().await?;
    cluster.client().await?.get_timestamp().await?;
    let url = format!("{}/metrics", cluster.member(leader).client_url());
    // The first Region gets its replicas: then each part has had something to do.
    let mut text = String::new();
    let shown = eventually("an operator that is counted as finished", PATIENCE, async || {
        text = String::from_utf8(http::get(&url).await?.to_vec())?;
        let shown = Shown::parse(&text)?;
        let finished = shown.samples.get("pd_schedule_operators_count");
        let finished =
            finished.is_some_and(|all| all.iter().any(|labels| labels.contains("event=\"finish\"")));
        ensure!(finished, "no operator has finished");
        Ok(shown)
    })
    .await?;

    calls_ended_well(&text)?;
    let table = Table::read()?;
    table.agrees_with(&shown)?;
    table.covers_the_reference()?;
    let docs = table.docs(&shown)?;
    let path = repository().join("docs/metrics.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &docs)?;
    }
    let written = std::fs::read_to_string(&path)?;
    ensure!(
        written == docs,
        "docs/metrics.md is not what the table says: UPDATE=1 cargo test -p tests --test metrics"
    );

    for file in ["deploy/prometheus/alerts.yml", "deploy/grafana/board.json"] {
        let text = std::fs::read_to_string(repository().join(file))?;
        let named = named(&text);
        ensure!(!named.is_empty(), "{file} names no metric");
        for name in &named {
            ensure!(shown.has(name), "{file} names {name}, which a live member does not show");
        }
    }

    let follower = (0..3).find(|index| *index != leader).context("a follower")?;
    let url = format!("{}/metrics", cluster.member(follower).client_url());
    let text = http::get(&url).await?;
    let text = std::str::from_utf8(&text)?;
    ensure!(text.contains("\netcd_server_is_leader 0\n"), "a follower says so:\n{text}");
    ensure!(
        !text.contains("\npd_cluster_status{"),
        "only the leader tells of stores: sums over members stay right"
    );
    check_with_promtool(text)?;
    cluster.passed()
}

/// The outcome of a call is in the trailers of its answer: it was seen there, and not taken for a call that was cut off.
fn calls_ended_well(text: &str) -> Result<()> {
    let handled = |line: &&str| line.starts_with("grpc_server_handled_total{grpc_type=\"unary\"");
    let heartbeats = text.lines().filter(handled).filter(|line| line.contains("\"StoreHeartbeat\""));
    let counts: Vec<(&str, &str)> = heartbeats.filter_map(|line| line.rsplit_once(' ')).collect();
    ensure!(matches!(counts[..], [(ok, count)] if ok.contains("\"OK\"") && count != "0"), "{counts:?}");
    Ok(())
}

/// What a member shows.
struct Shown {
    help: BTreeMap<String, String>,
    kinds: BTreeMap<String, String>,
    /// The label parts of all samples, by name of the family.
    samples: BTreeMap<String, Vec<String>>,
}

impl Shown {
    fn parse(text: &str) -> Result<Shown> {
        let mut shown = Shown { help: BTreeMap::new(), kinds: BTreeMap::new(), samples: BTreeMap::new() };
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').context("HELP without a text")?;
                let again = shown.help.insert(name.to_owned(), help.to_owned());
                ensure!(again.is_none(), "{name} begins twice");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').context("TYPE without a kind")?;
                shown.kinds.insert(name.to_owned(), kind.to_owned());
            } else {
                let end = line.find(['{', ' ']).with_context(|| format!("no sample: {line}"))?;
                let (name, rest) = line.split_at(end);
                let family = shown.family(name).with_context(|| format!("{name} has no TYPE"))?;
                let labels = rest.rsplit_once(' ').map_or("", |(labels, _)| labels);
                shown.samples.entry(family).or_default().push(labels.to_owned());
            }
        }
        Ok(shown)
    }

    fn family(&self, name: &str) -> Option<String> {
        let endings = ["", "_bucket", "_sum", "_count"];
        let families = endings.iter().filter_map(|ending| name.strip_suffix(ending));
        families.map(str::to_owned).find(|family| self.kinds.contains_key(family))
    }

    fn has(&self, name: &str) -> bool {
        self.family(name).is_some()
    }
}

/// `tests/data/metrics-judged.tsv`.
struct Table {
    /// Name to labels.
    here: BTreeMap<String, BTreeSet<String>>,
    /// Name or beginning with `*`, and why.
    absent: Vec<(String, String)>,
    reference: Vec<String>,
}

impl Table {
    fn read() -> Result<Table> {
        let data = repository().join("tests/data");
        let reference = std::fs::read_to_string(data.join("metrics.tsv"))?;
        let reference =
            reference.lines().skip(1).filter_map(|line| line.split('\t').next()).map(str::to_owned);
        let mut table = Table { here: BTreeMap::new(), absent: Vec::new(), reference: reference.collect() };
        let judged = std::fs::read_to_string(data.join("metrics-judged.tsv"))?;
        for line in judged.lines().filter(|line| !line.starts_with('#')) {
            let columns: Vec<&str> = line.split('\t').collect();
            match columns[..] {
                [name, "here", labels] => {
                    let labels = labels.split(',').filter(|label| *label != "-").map(str::to_owned).collect();
                    table.here.insert(name.to_owned(), labels);
                }
                [name, "absent", why] => table.absent.push((name.to_owned(), why.to_owned())),
                _ => bail!("not a row: {line}"),
            }
        }
        Ok(table)
    }

    fn agrees_with(&self, shown: &Shown) -> Result<()> {
        for (name, labels) in &self.here {
            ensure!(shown.has(name), "{name} is said to be here, and a live member does not show it");
            let samples = shown.samples.get(name).map_or(&[][..], Vec::as_slice);
            ensure!(!samples.is_empty() || MAY_BE_EMPTY.contains(&name.as_str()), "{name} has no sample");
            for sample in samples {
                let found: BTreeSet<String> = label_names(sample).filter(|label| label != "le").collect();
                ensure!(found == *labels, "{name}{sample}: its labels are to be {labels:?}");
            }
        }
        for name in shown.kinds.keys() {
            ensure!(
                self.here.contains_key(name),
                "{name} is shown and stands in no table: metrics-judged.tsv"
            );
        }
        Ok(())
    }

    fn covers_the_reference(&self) -> Result<()> {
        for name in &self.reference {
            let absent = self.why_absent(name).is_some();
            ensure!(
                absent != self.here.contains_key(name),
                "{name} must be either here or absent with a reason"
            );
        }
        for (pattern, _) in &self.absent {
            ensure!(
                self.reference.iter().any(|name| matches(pattern, name)),
                "{pattern} is no name of metrics.tsv"
            );
        }
        Ok(())
    }

    fn why_absent(&self, name: &str) -> Option<&str> {
        self.absent.iter().find(|(pattern, _)| matches(pattern, name)).map(|(_, why)| why.as_str())
    }

    fn docs(&self, shown: &Shown) -> Result<String> {
        let row = |name: &String| -> Result<String> {
            let labels =
                self.here[name].iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
            let help = shown.help.get(name).with_context(|| format!("{name} has no HELP"))?;
            Ok(format!("| `{name}` | {} | {labels} | {help} |\n", shown.kinds[name]))
        };
        let (known, own): (Vec<&String>, Vec<&String>) =
            self.here.keys().partition(|name| self.reference.contains(name));
        let mut text = String::from(HEAD);
        text +=
            "\n## Names of tikv/pd that are here\n\n| name | kind | labels | meaning |\n|---|---|---|---|\n";
        for name in known {
            text += &row(name)?;
        }
        text += "\n## Our own\n\n| name | kind | labels | meaning |\n|---|---|---|---|\n";
        for name in own {
            text += &row(name)?;
        }
        text += "\n## Names of tikv/pd that are not here\n\n| name | why |\n|---|---|\n";
        for (pattern, why) in &self.absent {
            text += &format!("| `{pattern}` | {why} |\n");
        }
        Ok(text)
    }
}

const HEAD: &str = "\
# Metrics

`GET /metrics` of each member, in the text form of Prometheus. Every member tells of itself; what is known of stores, Regions
and the planner is told by the leader alone, so that sums over all members are right. Names and labels are tikv/pd's where
the thing exists here, so that its boards and alerts work. Counters of what belongs to a lead (planner, limits) begin
anew with each lead.

The label values by which tikv/pd's boards filter are there too, except `store_regions_write_rate_bytes` and
`store_regions_write_rate_keys` of `pd_scheduler_store_status` (not measured apart from the store's own rates), the event
`check` of `pd_schedule_operators_count` and the type `push` of `pd_scheduler_region_heartbeat` (nothing of the kind here).

This file is made by `tests/tests/metrics.rs` from a live group and `tests/data/metrics-judged.tsv`.
";

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

/// The names in `{a="x",b="y"}`; no value of ours holds `="`.
fn label_names(labels: &str) -> impl Iterator<Item = String> + '_ {
    let before = labels.split("=\"").collect::<Vec<_>>();
    let count = before.len().saturating_sub(1);
    let name = |part: &str| part.rsplit([',', '{']).next().unwrap_or_default().to_owned();
    before.into_iter().take(count).map(name).collect::<Vec<_>>().into_iter()
}

/// Everything in a text that is a name of ours by its looks.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let starts = ["pd_", "etcd_", "grpc_server_", "process_", "service_member_", "tso_"];
    let is_name = |word: &&str| starts.iter().any(|start| word.starts_with(start));
    words.filter(is_name).map(str::to_owned).collect()
}

/// Prometheus' own reader takes the text. What it thinks of the names is not asked: they are tikv/pd's.
fn check_with_promtool(text: &str) -> Result<()> {
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut tool = match started {
        Ok(tool) => tool,
        Err(error) => {
            ensure!(
                std::env::var("CI").as_deref() != Ok("true"),
                "promtool is missing ({error}): apt-get install prometheus"
            );
            eprintln!("skipped: promtool is missing; apt-get install prometheus");
            return Ok(());
        }
    };
    tool.stdin.take().context("its input")?.write_all(text.as_bytes())?;
    let done = tool.wait_with_output()?;
    // 3: read, with remarks about names.
    ensure!(matches!(done.status.code(), Some(0 | 3)), "promtool: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
