//! What is accepted, what is refused, and with which words.

use clap::Parser;

use super::*;

fn flags(line: &str) -> Flags {
    Flags::try_parse_from(std::iter::once("pd-server").chain(line.split_whitespace())).unwrap()
}

fn load(line: &str, file: &str) -> Result<Config, ConfigError> {
    Config::resolve(&flags(line), &File::parse(file)?, "here")
}

fn texts(urls: &[ServerUrl]) -> Vec<String> {
    urls.iter().map(ToString::to_string).collect()
}

#[test]
fn without_anything_it_is_a_group_of_one() {
    let config = load("", "").unwrap();
    assert_eq!((config.name.as_str(), config.data_dir.as_path()), ("pd-here", Path::new("default.pd-here")));
    assert_eq!(texts(&config.client_urls), ["http://127.0.0.1:2379"]);
    assert_eq!(texts(&config.advertise_peer_urls), ["http://127.0.0.1:2380"]);
    let alone = InitialMember { name: "pd-here".into(), peer_urls: config.peer_urls.clone() };
    assert_eq!(config.initial_cluster, [alone]);
    assert!(config.stated.is_empty() && config.flagged.is_empty());
    assert_eq!(
        (config.log.level, config.log.format, config.log.file),
        (LogLevel::Info, LogFormat::Text, None)
    );
    assert!(config.without_effect.is_empty());
}

#[test]
fn flags_win_over_the_file() {
    let file = r#"
        name = "pd2"
        data-dir = "/data/pd2"
        client-urls = "http://0.0.0.0:2379"
        advertise-client-urls = "http://10.0.0.2:2379"
        lease = 3
        labels = { zone = "z1" }

        [log]
        level = "warn"
        format = "json"

        [schedule]
        max-store-down-time = "1h"
        halt-scheduling = "true"
        leader-schedule-limit = 8
        hot-region-schedule-limit = 2
        schedulers = [{ type = "balance-region" }]

        [replication]
        max-replicas = 5
        location-labels = ["zone", "host"]
    "#;
    let config = load("--name pd3 -L error --client-urls http://127.0.0.1:9379", file).unwrap();
    assert_eq!((config.name.as_str(), config.data_dir.as_path()), ("pd3", Path::new("/data/pd2")));
    assert_eq!(texts(&config.client_urls), ["http://127.0.0.1:9379"]);
    assert_eq!(texts(&config.advertise_client_urls), ["http://10.0.0.2:2379"]);
    assert_eq!((config.log.level, config.log.format), (LogLevel::Error, LogFormat::Json));
    let stated = |name: &str| config.stated.get(name).cloned();
    assert_eq!(
        stated("schedule.max-store-down-time"),
        Some("1h0m0s".into()),
        "in the form in which it is shown"
    );
    assert_eq!(stated("schedule.halt-scheduling"), Some("true".into()));
    assert_eq!(stated("schedule.leader-schedule-limit"), Some(8.into()));
    assert_eq!(stated("replication.location-labels"), Some("zone,host".into()));
    assert_eq!(stated("replication.max-replicas"), Some(5.into()));
    let schedulers = stated("schedule.schedulers-v2").unwrap();
    assert_eq!(
        schedulers.as_array().map(Vec::len),
        Some(5),
        "the file adds to the default ones: {schedulers}"
    );
    assert_eq!(config.flagged.into_iter().collect::<Vec<_>>(), ["client-urls", "log.level", "name"]);
    let idle = ["labels", "lease", "schedule.hot-region-schedule-limit"];
    assert_eq!(config.without_effect, idle);
}

#[test]
fn three_members() {
    let line = "--name pd2 --peer-urls http://127.0.0.1:2382 \
                --initial-cluster pd1=http://127.0.0.1:2381,pd2=http://127.0.0.1:2382,pd3=http://127.0.0.1:2383";
    let config = load(line, "").unwrap();
    let names: Vec<_> = config.initial_cluster.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["pd1", "pd2", "pd3"]);
}

#[test]
fn what_is_wrong_is_named() {
    let table = [
        ("", "nmae = 'pd1'", "unknown key nmae; did you mean name?"),
        ("", "max-replicas = 3", "unknown key max-replicas; did you mean replication.max-replicas?"),
        ("", "[schedule]\nhalt = true", "unknown key schedule.halt"),
        ("", "[replication]\nmax_replicas = 3", "did you mean replication.max-replicas?"),
        ("", "[nonsense]\na = 1", "unknown key nonsense"),
        ("", "name = ", "is not TOML"),
        ("", "name = 'a'\nname = 'b'", "duplicate key"),
        ("", "name = 3", "name: text is expected, not 3"),
        ("", "name = 'a b'", "\"a b\" is no name"),
        ("--name a=b", "", "\"a=b\" is no name"),
        ("", "[schedule]\nmax-store-down-time = 30", "a duration such as \"30m\" is expected, not 30"),
        ("", "[schedule]\nmax-store-down-time = '30'", "schedule.max-store-down-time: \"30\" is no duration"),
        ("", "[schedule]\nleader-schedule-limit = -1", "at least 0 is expected, not -1"),
        ("", "[schedule]\nleader-schedule-limit = 'x'", "schedule.leader-schedule-limit: a whole number"),
        ("", "[schedule]\nhalt-scheduling = 'yes'", "neither true nor false"),
        (
            "",
            "[replication]\nmax-replicas = 0",
            "replication.max-replicas: max-replicas should between 1 and 64",
        ),
        ("", "[replication]\nisolation-level = 'rack'", "isolation-level must be one of location-labels"),
        ("", "[schedule]\nlow-space-ratio = 0.5", "low-space-ratio should be larger than high-space-ratio"),
        (
            "",
            "cluster-version = '8'",
            "cluster-version: [PD:semver:ErrSemverNewVersion]8 is not in dotted-tri",
        ),
        ("", "[schedule.store-limit.x]\nadd-peer = 1", "schedule.store-limit: store-limit: an object"),
        (
            "",
            "[[schedule.schedulers]]\nkind = 'x'",
            "schedule.schedulers: schedulers-v2: a list of objects with type",
        ),
        ("", "quota-backend-bytes = 'much'", "quota-backend-bytes: \"much\" is no size"),
        ("", "[log]\nlevel = 'loud'", "log.level: \"loud\" is none of debug"),
        ("-L loud", "", "log.level: \"loud\" is none of debug"),
        ("--client-urls 127.0.0.1:2379", "", "client-urls: \"127.0.0.1:2379\""),
        ("--client-urls http://127.0.0.1", "", "the port is missing"),
        ("--peer-urls https://127.0.0.1:2380", "", "https is not served yet"),
        ("--peer-urls http://127.0.0.1:2379", "", "is also a client URL"),
        ("--advertise-client-urls http://a:1/x", "", "advertise-client-urls"),
        ("--join http://127.0.0.1:2379", "", "join: http://127.0.0.1:2379 is this member's own"),
        ("", "join = '127.0.0.1:3379'", "join: \"127.0.0.1:3379\""),
        (
            "--name a --join http://127.0.0.1:9 --initial-cluster a=http://127.0.0.1:2380",
            "",
            "join: a member either begins a group with initial-cluster or joins a running one",
        ),
        ("--initial-cluster pd1", "", "\"pd1\" is not of the form name=http://host:port"),
        ("--name a --initial-cluster b=http://127.0.0.1:2380", "", "this member, a, is not in it, only b"),
        (
            "--name a --initial-cluster a=http://127.0.0.1:9",
            "",
            "it has a at http://127.0.0.1:9, but advertise-peer-urls are http://127.0.0.1:2380",
        ),
        ("--name a --initial-cluster a=http://127.0.0.1:2380,b=http://127.0.0.1:2380", "", "is listed twice"),
    ];
    for (line, file, words) in table {
        let error = load(line, file).expect_err(&format!("{line} {file}")).to_string();
        assert!(error.contains(words), "{line} {file}: {error}");
    }
    let many = (0..10).map(|i| format!("m{i}=http://127.0.0.1:{}", 2380 + i)).collect::<Vec<_>>().join(",");
    let error = load(&format!("--name m0 --initial-cluster {many}"), "").unwrap_err().to_string();
    assert_eq!(error, "initial-cluster: 10 members, at most 9 make sense");
}

#[test]
fn empty_texts_in_the_file_mean_the_default() {
    let config = load("", "name = ''\ndata-dir = ''\njoin = ''\nclient-urls = ''").unwrap();
    assert_eq!((config.name.as_str(), config.data_dir.as_path()), ("pd-here", Path::new("default.pd-here")));
    assert_eq!(texts(&config.client_urls), ["http://127.0.0.1:2379"]);
}

#[test]
fn files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent.toml");
    let error =
        Config::load(&Flags { config: Some(absent.clone()), ..Flags::default() }).unwrap_err().to_string();
    assert!(error.contains(&absent.display().to_string()), "{error}");
    let broken = dir.path().join("broken.toml");
    std::fs::write(&broken, "name = 'a'\n= 3\n").unwrap();
    let error =
        Config::load(&Flags { config: Some(broken.clone()), ..Flags::default() }).unwrap_err().to_string();
    assert!(error.contains(&broken.display().to_string()) && error.contains("line 2"), "{error}");
}

/// What is read of the configuration acts, so it is not told to be without effect.
#[test]
fn what_the_code_asks_for_is_not_told_to_have_no_effect() {
    // Shown, as a metric or in an answer, and checked against others: nothing acts on these.
    let shown_only = [
        "schedule.merge-schedule-limit",
        "schedule.hot-region-schedule-limit",
        "schedule.high-space-ratio",
        "replication.isolation-level",
        "pd-server.min-resolved-ts-persistence-interval",
    ];
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut asked = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // In config/ all items are named; what of them is for others stands in settings.rs.
            let is_table = path.parent().unwrap().ends_with("config") && name != "settings.rs";
            if is_table || name.contains("tests") || !name.ends_with(".rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for word in text.split('"').skip(1).step_by(2) {
                let Some(item) = items::shown(word).filter(|item| item.duty.is_replicated()) else {
                    continue;
                };
                asked += 1;
                let told = item.has_effect() || shown_only.contains(&word) || word == "label-property";
                assert!(told, "{word} is asked for in {} and told to have no effect", path.display());
            }
        }
    }
    assert!(asked > 30, "only {asked} items are asked for");
}
