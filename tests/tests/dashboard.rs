//! The page on real members: it shows the leader's view on each of them, outlives the leader, and whatever happens to it
//! happens to nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use anyhow::{Context, Result, bail, ensure};
use hyper::{Method, StatusCode};
use pd_client::Client;
use tests::cluster::{Cluster, Member, PATIENCE, Setup, eventually, http};
use tests::pages::{Events, Pages};
use tokio::task::JoinHandle;

/// Each route of the page and of the v2 API, the latter below a place of the page as well.
const ROUTES: [&str; 26] = [
    "/dashboard",
    "/dashboard/",
    "/dashboard/assets/0/main.js",
    "/dashboard/nothing",
    "/dashboard/pd/api/v1/members",
    "/dashboard/pd/api/v2/config",
    "/dashboard/pd/api/v2/docs/",
    "/dashboard/pd/api/v2/health",
    "/dashboard/pd/api/v2/map",
    "/dashboard/pd/api/v2/stores",
    "/dashboard/pd/api/v2/why/store/1",
    "/pd/api/v2/config",
    "/pd/api/v2/docs",
    "/pd/api/v2/docs/",
    "/pd/api/v2/health",
    "/pd/api/v2/map",
    "/pd/api/v2/openapi.json",
    "/pd/api/v2/why/region/1",
    "/pd/api/v2/why/store/1",
    "/pd/api/v2/stores",
    "/pd/api/v2/operators",
    "/pd/api/v2/members",
    "/pd/api/v2/stats",
    "/pd/api/v2/stream",
    "/pd/api/v2/view",
    "/pd/api/v2/member",
];
/// Timestamps that must come after something happened to the page.
const TIMESTAMPS: u64 = 50;

/// Takes timestamps all the time; each is above the last.
struct Taker {
    taken: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<Result<()>>,
}

impl Taker {
    fn start(client: Client) -> Taker {
        let (taken, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (counted, told) = (taken.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let mut last = (0, 0);
            while !told.load(Relaxed) {
                let stamp = client.get_timestamp().await?;
                let stamp = (stamp.physical_ms, stamp.logical);
                ensure!(stamp > last, "timestamp {stamp:?} after {last:?}");
                last = stamp;
                counted.fetch_add(1, Relaxed);
            }
            Ok(())
        });
        Taker { taken, stop, task }
    }

    /// Waits for some more.
    async fn goes_on(&self) -> Result<()> {
        let before = self.taken.load(Relaxed);
        eventually("timestamps go on", PATIENCE, async || {
            ensure!(!self.task.is_finished(), "the taker has ended");
            ensure!(self.taken.load(Relaxed) >= before + TIMESTAMPS, "too few yet");
            Ok(())
        })
        .await
    }

    async fn stop(self) -> Result<()> {
        self.stop.store(true, Relaxed);
        self.task.await?
    }
}

/// Sets a variable of the environment for a member that is not started yet.
fn with_variable(member: &mut Member, variable: &str) {
    let start = member.process_mut().start_mut();
    let program = std::mem::replace(&mut start.program, "/usr/bin/env".into());
    start.arguments.splice(0..0, [variable.to_string(), program.to_string_lossy().into_owned()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_each_route_leaves_timestamps_alone() -> Result<()> {
    // Not `of_a_test`: panics in the log are what it is about.
    let mut cluster = Cluster::prepare(Setup::new(1, 0))?;
    with_variable(cluster.member(0), "PD_TEST_DASHBOARD_PANIC=now");
    cluster.start_members()?;
    cluster.wait_for_pd_leader().await?;
    let url = cluster.member(0).client_url();
    let taker = Taker::start(cluster.client().await?);
    for path in ROUTES {
        let (status, body) = http::request(Method::GET, &format!("{url}{path}?panic=now")).await?;
        ensure!(status == StatusCode::INTERNAL_SERVER_ERROR, "{path}: {status}: {body:?}");
        ensure!(String::from_utf8_lossy(&body).contains("INTERNAL"), "{path}: {body:?}");
        taker.goes_on().await?;
        http::get(&format!("{url}/pd/api/v2/member")).await?;
    }
    let (status, _) = http::request(Method::GET, &format!("{url}/pd/api/v2/member?panic=later")).await?;
    ensure!(status == StatusCode::BAD_REQUEST, "only the word that was set makes it panic");
    taker.stop().await?;
    let log = cluster.member(0).process().log_text()?;
    let panics = log.matches(" panicked at ").count();
    ensure!(panics == ROUTES.len(), "{panics} panics in the log");
    ensure!(
        cluster.member(0).process().starts() == 1 && cluster.member(0).process().premature_end().is_none()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_of_the_v2_api_has_its_headers_and_errors_are_json() -> Result<()> {
    let mut cluster = Cluster::prepare(Setup::of_a_test(1, 0))?;
    cluster.start_members()?;
    cluster.wait_for_pd_leader().await?;
    let url = cluster.member(0).client_url();
    let mut routes: Vec<(Method, &str)> = ROUTES.map(|path| (Method::GET, path)).to_vec();
    routes.extend([(Method::GET, "/pd/api/v2/nothing"), (Method::GET, "/pd//api/v2//health")]);
    routes.extend([(Method::POST, "/pd/api/v2/health"), (Method::DELETE, "/pd/api/v2/stores")]);
    for (method, path) in routes.iter().filter(|(_, path)| !path.contains("stream")) {
        let answer = http::whole(method.clone(), &format!("{url}{path}"), "").await?;
        let (status, headers, body) = (answer.status(), answer.headers(), answer.body());
        for (name, value) in [("x-content-type-options", "nosniff"), ("cache-control", "no-store")] {
            ensure!(headers.get(name).is_some_and(|found| found == value), "{method} {path}: {headers:?}");
        }
        ensure!(headers.contains_key("content-security-policy"), "{method} {path}: {headers:?}");
        if status.is_client_error() || status.is_server_error() {
            let error: serde_json::Value =
                serde_json::from_slice(body).with_context(|| format!("{method} {path}"))?;
            ensure!(error["code"].is_string() && error["message"].is_string(), "{method} {path}: {error}");
        }
    }
    let (status, ..) = http::send(Method::GET, &format!("{url}/pd/api/v2/nothing"), "").await?;
    ensure!(status == StatusCode::NOT_FOUND, "{status}");
    let (status, ..) = http::send(Method::POST, &format!("{url}/pd/api/v2/health"), "").await?;
    ensure!(status == StatusCode::METHOD_NOT_ALLOWED, "{status}");
    // The page that browses the API is found from wherever it is asked for.
    let moved = http::whole(Method::GET, &format!("{url}/dashboard/pd/api/v2/docs"), "").await?;
    ensure!(moved.headers().get("location").is_some_and(|to| to == "docs/"), "{moved:?}");
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn since_when_one_leads_is_the_same_on_each_member_also_on_one_that_came_later() -> Result<()> {
    let mut cluster = Cluster::prepare(Setup::of_a_test(3, 0))?;
    cluster.start_members()?;
    let leader = cluster.wait_for_pd_leader().await?;
    let own = cluster.member(leader).client_url();
    let told = eventually("the leader knows since when", PATIENCE, async || {
        let members = http::get_json(&format!("{own}/pd/api/v2/members")).await?;
        ensure!(members["leads_since_ms"].is_u64(), "{members}");
        Ok(members["leads_since_ms"].clone())
    })
    .await?;
    let later = (leader + 1) % 3;
    cluster.member(later).kill()?;
    cluster.member(later).start()?;
    let url = cluster.member(later).client_url();
    eventually("the member that came later says the same", PATIENCE, async || {
        let members = http::get_json(&format!("{url}/pd/api/v2/members")).await?;
        ensure!(members["leader"].is_string() && members["leads_since_ms"] == told, "{told}: {members}");
        ensure!(members["changes"].as_array().is_some_and(Vec::is_empty), "it saw no change: {members}");
        let rows = members["rows"].as_array().context("no rows")?;
        ensure!(rows.iter().all(|row| row["data_bytes"].as_u64() > Some(0)), "{members}");
        Ok(())
    })
    .await?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_variable_nothing_panics_and_off_is_off() -> Result<()> {
    let mut cluster = Cluster::prepare(Setup::of_a_test(1, 0))?;
    cluster.member(0).process_mut().start_mut().arguments.push("--dashboard=off".to_string());
    cluster.start_members()?;
    cluster.wait_for_pd_leader().await?;
    let url = cluster.member(0).client_url();
    for path in ["/dashboard", "/dashboard/", "/dashboard/pd/api/v2/stores"] {
        let (status, _) = http::request(Method::GET, &format!("{url}{path}")).await?;
        ensure!(status == StatusCode::NOT_FOUND, "{path}: {status}");
    }
    let (status, _) = http::request(Method::GET, &format!("{url}/pd/api/v2/stores?panic=now")).await?;
    ensure!(status == StatusCode::BAD_REQUEST);
    let stores = http::get_json(&format!("{url}/pd/api/v2/stores")).await?;
    ensure!(stores["total"] == 0, "{stores}");
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_pages_and_two_hundred_calls_leave_timestamps_going() -> Result<()> {
    let mut cluster = Cluster::start(Setup::of_a_test(1, 3)).await?;
    let url = cluster.member(0).client_url();
    let taker = Taker::start(cluster.client().await?);
    let pages = Pages::open(&url, 50, 200).await?;
    let count = pages.count.clone();
    eventually("pages are shown for a while", PATIENCE, async || {
        let (events, answered) = (count.events.load(Relaxed), count.answered.load(Relaxed));
        ensure!(events >= 50 * 5 * 3 && answered >= 600, "{events} events, {answered} answers");
        Ok(())
    })
    .await?;
    taker.goes_on().await?;
    let count = pages.close().await?;
    println!(
        "{} events, {} answers, {} told to come again, {} timestamps meanwhile",
        count.events.load(Relaxed),
        count.answered.load(Relaxed),
        count.shed.load(Relaxed),
        taker.taken.load(Relaxed)
    );
    taker.stop().await?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_on_a_follower_outlives_the_leader() -> Result<()> {
    let mut cluster = Cluster::start(Setup::of_a_test(3, 3)).await?;
    let leader = cluster.wait_for_pd_leader().await?;
    let follower = (leader + 1) % 3;
    let (leader_name, url) =
        (cluster.member(leader).name().to_string(), cluster.member(follower).client_url());

    // Lists of the leader, through the follower.
    let full = eventually("the leader's view on a follower", PATIENCE, async || {
        let stores = http::get_json(&format!("{url}/pd/api/v2/stores?liveness=connected")).await?;
        ensure!(stores["total"] == 3 && stores["from"] == *leader_name, "{stores}");
        let store = &stores["rows"][0];
        ensure!(store["regions"].as_u64() > Some(0) && store["capacity_bytes"].as_u64() > Some(0), "{store}");
        Ok(stores)
    })
    .await?;
    let members = eventually("all members answer", PATIENCE, async || {
        let members = http::get_json(&format!("{url}/pd/api/v2/members")).await?;
        let rows = members["rows"].as_array().context("no rows")?;
        let healthy = rows.iter().filter(|row| row["healthy"] == true && row["applied"].as_u64() > Some(0));
        ensure!(healthy.count() == 3, "{members}");
        Ok(members)
    })
    .await?;
    ensure!(members["from"] == *cluster.member(follower).name(), "{members}");
    let leads = members["rows"].as_array().into_iter().flatten().filter(|row| row["role"] == "leader");
    ensure!(leads.map(|row| &row["name"]).collect::<Vec<_>>() == [&leader_name], "{members}");

    let mut events = Events::open(&url, "health,stores,members", None).await?;
    let first = events.wait_for("stores", |data| data["full"] == true).await?;
    ensure!(first.data["rows"].as_array().map(Vec::len) == Some(3), "{first:?} {full}");

    cluster.member(leader).kill()?;
    // The same stream: the rows stay, and come again from the next leader.
    let (lost, was) = (|data: &serde_json::Value| data["leader"] != *leader_name, leader_name.clone());
    events.wait_for("members", lost).await?;
    let moved =
        events.wait_for("members", |data| data["leader"].is_string() && data["leader"] != *was).await?;
    let change = &moved.data["changes"][0];
    ensure!(change["from"] == *leader_name && change["to"] == moved.data["leader"], "{change}");
    ensure!(change["gap_ms"].as_u64().is_some(), "{change}");
    let new_leader = moved.data["leader"].as_str().context("no leader")?.to_string();
    eventually("the next leader's view", PATIENCE, async || {
        let stores = http::get_json(&format!("{url}/pd/api/v2/stores?liveness=connected")).await?;
        ensure!(stores["total"] == 3 && stores["from"] == *new_leader, "{stores}");
        Ok(())
    })
    .await?;
    let health = events.wait_for("health", |data| data["leader"] == *new_leader).await?;
    ensure!(health.data["member"].is_string(), "{health:?}");
    let dead = events.wait_for("members", |data| {
        data["rows"].as_array().is_some_and(|rows| {
            rows.iter().any(|row| row["name"] == *was && row["healthy"] == false && row["role"] == "unknown")
        })
    });
    dead.await?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_where_it_was_or_says_resync() -> Result<()> {
    let mut cluster = Cluster::start(Setup::of_a_test(1, 1)).await?;
    let url = cluster.member(0).client_url();
    let mut events = Events::open(&url, "stores", None).await?;
    let first = events.next().await?;
    ensure!(first.kind == "stores" && first.data["full"] == true, "{first:?}");
    let id = first.id.context("the only event of a burst has an id")?;
    drop(events);
    let mut events = Events::open(&url, "stores", Some(&id)).await?;
    let next = events.next().await?;
    ensure!(next.kind == "stores" && next.data["full"] == false, "{next:?}");
    drop(events);

    cluster.member(0).kill()?;
    cluster.start_members()?;
    cluster.wait_for_pd_leader().await?;
    let mut events = Events::open(&url, "stores", Some(&id)).await?;
    let resync = events.next().await?;
    ensure!(resync.kind == "resync", "{resync:?}");
    let anew = events.wait_for("stores", |_| true).await?;
    ensure!(anew.data["full"] == true, "{anew:?}");
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_s_own_places_only_read() -> Result<()> {
    let mut cluster = Cluster::prepare(Setup {
        pd_toml: "[dashboard]\npublic-path-prefix = \"/ops/pd\"\n".into(),
        ..Setup::of_a_test(1, 0)
    })?;
    cluster.start_members()?;
    cluster.wait_for_pd_leader().await?;
    let url = cluster.member(0).client_url();
    for place in ["/dashboard", "/ops/pd"] {
        let page = http::get(&format!("{url}{place}/")).await?;
        let page = String::from_utf8(page.to_vec())?;
        ensure!(page.contains("data-api=\"pd/api/v2/\"") && !page.contains("{{"), "{page}");
        http::get(&format!("{url}{place}/pd/api/v2/health")).await?;
        http::get(&format!("{url}{place}/pd/api/v1/members")).await?;
        let change = format!("{url}{place}/pd/api/v1/config");
        let (status, _, body) = http::send(Method::POST, &change, "{\"halt-scheduling\":true}").await?;
        if status != StatusCode::METHOD_NOT_ALLOWED {
            bail!("{change}: {status}: {body:?}");
        }
    }
    cluster.passed()
}
