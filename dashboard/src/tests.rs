//! The whole dashboard, over its router, with a source that shows what a test wants shown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures::FutureExt;
use futures::future::{BoxFuture, pending};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

use crate::model::{
    Check, CheckCause, Code, Figure, Health, Liveness, MemberList, MemberRole, MemberRow, NodeState,
    Severity, StoreRow, StoreState, Subject, View,
};
use crate::{Dashboard, Depth, Look, Options, Source, check_prefix};

pub(crate) fn health(verdict: Severity) -> Health {
    Health {
        verdict,
        as_of_ms: 1_795_521_787_000,
        member: "pd-1".into(),
        leader: Some("pd-1".into()),
        by_leader: true,
        term: 3,
        no_leader_since_ms: None,
        cluster_id: Some("7".into()),
        bootstrapped: Some(true),
        heard: None,
        checks: Vec::new(),
    }
}

pub(crate) fn members() -> MemberList {
    MemberList {
        as_of_ms: 7,
        from: "pd-1".into(),
        leader: Some("pd-1".into()),
        term: 3,
        leads_since_ms: None,
        no_leader_since_ms: None,
        rows: vec![a_member()],
        changes: Vec::new(),
        timestamps: None,
        safe_points: Vec::new(),
    }
}

fn a_member() -> MemberRow {
    MemberRow {
        id: "18446744073709551615".into(),
        name: "pd-1".into(),
        role: MemberRole::Leader,
        client_urls: vec!["http://127.0.0.1:2379".into()],
        healthy: Some(true),
        term: Some(3),
        applied: Some(9),
        lag: Some(0),
        fsync_mean_ms: None,
        fsync_p99_ms: None,
        clock_offset_ms: None,
        clock_ms: None,
        version: "0.1.0".into(),
        data_bytes: None,
        last_heard_ms: None,
    }
}

pub(crate) fn a_store(id: u64, address: &str) -> StoreRow {
    StoreRow {
        id,
        address: address.into(),
        status_address: String::new(),
        labels: BTreeMap::new(),
        state: if id == 9 { StoreState::Tombstone } else { StoreState::Up },
        node_state: NodeState::Serving,
        liveness: Liveness::Connected,
        used_bytes: Some(1),
        available_bytes: Some(1),
        capacity_bytes: Some(2),
        full_in_s: None,
        regions: None,
        leaders: None,
        learners: None,
        pending: None,
        region_score: None,
        leader_score: None,
        slow_score: None,
        sending_snaps: None,
        receiving_snaps: None,
        limits: Vec::new(),
        version: "8.5.0".into(),
        started_ms: None,
        last_heartbeat_ms: None,
    }
}

pub(crate) fn a_view(stores: Vec<StoreRow>) -> View {
    View {
        as_of_ms: 7,
        from: "pd-1".into(),
        leads_since_ms: None,
        health: health(Severity::Ok),
        figures: vec![Figure {
            name: "regions".into(),
            label: "Regions".into(),
            unit: String::new(),
            value: Some(1_204.0),
            note: Some("<b>worst</b>".into()),
            series: None,
            step_ms: 0,
        }],
        timestamps: None,
        stores: Some(stores),
        operators: Some(Vec::new()),
    }
}

/// Shows a view; may hang or panic.
#[derive(Default)]
struct Shown {
    view: Mutex<Option<View>>,
    hangs: AtomicBool,
    panics: AtomicBool,
    stirred: watch::Sender<u64>,
}

impl Source for Shown {
    fn own(&self) -> MemberRow {
        a_member()
    }

    fn lead_view(&self, _depth: Depth) -> BoxFuture<'static, Option<View>> {
        if self.hangs.load(Relaxed) {
            return pending().boxed();
        }
        let view = self.view.lock().clone();
        async { view }.boxed()
    }

    fn look(&self, _depth: Depth) -> BoxFuture<'static, Look> {
        assert!(!self.panics.load(Relaxed), "asked for");
        let view = self.view.lock().clone();
        let look = Look {
            as_of_ms: 1_795_521_787_000,
            member: "pd-1".into(),
            cluster_id: Some("7".into()),
            own_health: health(Severity::Down),
            view,
            members: members(),
        };
        async { look }.boxed()
    }

    fn stirred(&self) -> watch::Receiver<u64> {
        self.stirred.subscribe()
    }
}

struct Bed {
    dashboard: Dashboard,
    router: Router,
    shown: Arc<Shown>,
    _stop: DropGuard,
}

impl Bed {
    fn new(options: Options) -> Self {
        let (shown, stop) = (Arc::new(Shown::default()), CancellationToken::new());
        let source: Arc<dyn Source> = Arc::clone(&shown) as _;
        let dashboard = Dashboard::start(source, options, stop.clone()).unwrap();
        Self { router: dashboard.router(), dashboard, shown, _stop: stop.drop_guard() }
    }

    fn with_stores(stores: Vec<StoreRow>) -> Self {
        let bed = Self::new(options());
        *bed.shown.view.lock() = Some(a_view(stores));
        bed
    }

    async fn ask(&self, method: Method, path: &str) -> Response<Body> {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let response = self.ask(Method::GET, path).await;
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn json(&self, path: &str) -> serde_json::Value {
        let (_, text) = self.get(path).await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }
}

fn options() -> Options {
    Options { version: "0.1.0", page: true, prefix: Some("/ops/pd".into()), panic_word: None }
}

/// All routes, each with a path that it answers.
const ROUTES: [&str; 12] = [
    "/dashboard",
    "/dashboard/",
    "/dashboard/assets/0/main.js",
    "/dashboard/nothing",
    "/dashboard/pd/api/v2/stores",
    "/pd/api/v2/stores",
    "/pd/api/v2/operators",
    "/pd/api/v2/members",
    "/pd/api/v2/stats",
    "/pd/api/v2/stream",
    "/pd/api/v2/view",
    "/pd/api/v2/member",
];

#[tokio::test]
async fn every_answer_has_the_headers_and_only_get_is_answered() {
    let bed = Bed::with_stores(vec![]);
    let mut ids = std::collections::BTreeSet::new();
    for path in ROUTES {
        for (method, allowed) in [(Method::GET, true), (Method::HEAD, true), (Method::POST, false)] {
            let response = bed.ask(method.clone(), path).await;
            let refused = response.status() == StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(refused, !allowed, "{method} {path}: {}", response.status());
            let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
            assert_eq!(header("content-security-policy"), Some(crate::answer::POLICY), "{path}");
            assert_eq!(header("x-content-type-options"), Some("nosniff"), "{path}");
            assert_eq!(header("referrer-policy"), Some("no-referrer"), "{path}");
            assert_eq!(header("cross-origin-opener-policy"), Some("same-origin"), "{path}");
            assert_eq!(header("cross-origin-resource-policy"), Some("same-origin"), "{path}");
            assert_eq!(header("cache-control"), Some("no-store"), "{path}");
            assert!(ids.insert(header("x-request-id").unwrap().to_owned()), "{path}: an id of its own");
        }
    }
}

#[tokio::test]
async fn the_page_has_the_verdict_in_it_and_markup_is_text() {
    let bed = Bed::with_stores(vec![]);
    let check = Check {
        code: Code::StoreDown,
        severity: Severity::Degraded,
        count: 4_000,
        bytes: None,
        since_ms: Some(1_795_521_700_000),
        oldest_ms: None,
        summary: "store at <script>alert(1)</script>{{member}} is down".into(),
        cause: Some(CheckCause { code: Code::StoreDown, subject: Some(Subject::Store(4)) }),
        subjects: vec![],
        more: 0,
        next: vec!["pd-ctl why store 4".into()],
        muted_until_ms: None,
    };
    let mut view = a_view(vec![]);
    view.health = Health { checks: vec![check], ..health(Severity::Degraded) };
    *bed.shown.view.lock() = Some(view);
    // The first page may be faster than the first look.
    bed.json("/pd/api/v2/stores").await;
    let (status, page) = bed.get("/dashboard/").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("degraded"), "{page}");
    assert!(page.contains("4,000 · since 12:01:40 UTC · STORE_DOWN store 4"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;{{member}} is down"), "{page}");
    assert!(page.contains("<dd>1,204 <small>&lt;b&gt;worst&lt;/b&gt;</small></dd>"), "{page}");
    assert!(!page.contains("<script>alert"), "{page}");
    assert_eq!(page.matches("{{").count(), 1, "a marker was not filled: {page}");
}

#[tokio::test]
async fn the_page_s_files_lie_below_their_hash() {
    let bed = Bed::with_stores(vec![]);
    for folder in ["/dashboard/", "/ops/pd/"] {
        let (_, page) = bed.get(folder).await;
        let begin = page.find("assets/").expect("the page names its files");
        let base: String = page[begin..].chars().take_while(|letter| *letter != '"').collect();
        let folder_of_hash: Vec<&str> = base.split('/').take(2).collect();
        let path = format!("{folder}{}/main.js", folder_of_hash.join("/"));
        let response = bed.ask(Method::GET, &path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(response.headers()["content-type"], "text/javascript; charset=utf-8");
    }
    let moved = bed.ask(Method::GET, "/ops/pd").await;
    assert_eq!(
        (moved.status(), &moved.headers()["location"]),
        (StatusCode::PERMANENT_REDIRECT, &"pd/".parse().unwrap())
    );
    assert_eq!(bed.get("/ops/pd/pd/api/v2/stores").await.0, StatusCode::OK);
    let off = Bed::new(Options { page: false, ..options() });
    *off.shown.view.lock() = Some(a_view(vec![]));
    assert_eq!(off.get("/dashboard/").await.0, StatusCode::NOT_FOUND);
    assert_eq!(off.get("/pd/api/v2/stores").await.0, StatusCode::OK);
}

#[test]
fn a_prefix_that_belongs_to_others_is_refused() {
    for good in ["/dashboard", "/ops", "/ops/pd", "/~a/b-c_d.e"] {
        assert!(check_prefix(good).is_ok(), "{good}");
    }
    for bad in
        ["", "/", "ops", "/pd", "/pd/x", "/metrics", "/dashboard/x", "/a//b", "/a/", "/{x}", "/a/..", "/ü"]
    {
        assert!(check_prefix(bad).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn lists_are_pages_and_wrong_parameters_are_named() {
    let bed = Bed::with_stores((1..=9).map(|id| a_store(id, "a:1")).collect());
    let first = bed.json("/pd/api/v2/stores?limit=5&state=up").await;
    assert_eq!((&first["total"], first["rows"].as_array().unwrap().len()), (&8.into(), 5));
    assert_eq!((&first["as_of_ms"], &first["from"]), (&7.into(), &"pd-1".into()));
    let next = first["next"].as_str().unwrap();
    let second = bed.json(&format!("/pd/api/v2/stores?limit=5&state=up&cursor={next}")).await;
    assert_eq!((&second["rows"][0]["id"], &second["next"]), (&6.into(), &serde_json::Value::Null));
    for (path, field) in [
        ("/pd/api/v2/stores?limit=0", "limit"),
        ("/pd/api/v2/stores?limit=1001", "limit"),
        ("/pd/api/v2/stores?limit=x", "limit"),
        ("/pd/api/v2/stores?cursor=x", "cursor"),
        ("/pd/api/v2/stores?state=x", "state"),
        ("/pd/api/v2/stores?%3Cb%3E=x", "<b>"),
        ("/pd/api/v2/operators?kind=x", "kind"),
        ("/pd/api/v2/operators?region=-1", "region"),
        ("/pd/api/v2/members?a=1", "a"),
        ("/pd/api/v2/member?a=1", "a"),
        ("/pd/api/v2/stats?series=heat", "series"),
        ("/pd/api/v2/stream?topics=heat", "topics"),
        ("/pd/api/v2/view?rows=2", "rows"),
    ] {
        let (status, text) = bed.get(path).await;
        let error: crate::model::ApiError = serde_json::from_str(&text).unwrap();
        assert_eq!((status, error.code.as_str()), (StatusCode::BAD_REQUEST, "BAD_PARAMETER"), "{path}");
        assert_eq!(error.field.as_deref(), Some(field), "{path}");
    }
    assert_eq!(bed.json("/pd/api/v2/stats?series=regions").await["figures"][0]["value"], 1_204.0);
}

#[tokio::test]
async fn without_a_leader_s_view_the_own_verdict_is_shown() {
    let bed = Bed::new(options());
    assert_eq!(bed.json("/pd/api/v2/members").await["leader"], "pd-1");
    assert_eq!(bed.json("/pd/api/v2/stores").await["code"], "NO_VIEW");
    assert_eq!(bed.json("/pd/api/v2/stats").await["code"], "NO_VIEW");
    assert_eq!(bed.json("/pd/api/v2/view").await["code"], "NOT_LEADER");
    let (_, page) = bed.get("/dashboard/").await;
    assert!(page.contains("down"), "{page}");
}

#[tokio::test]
async fn a_panic_ends_its_request_only() {
    let bed = Bed::new(Options { panic_word: Some("now".into()), ..options() });
    *bed.shown.view.lock() = Some(a_view(vec![]));
    for (number, path) in ROUTES.iter().enumerate() {
        let (status, text) = bed.get(&format!("{path}?panic=now")).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{path}: {text}");
        assert_eq!(bed.dashboard.counts().panics, number as u64 + 1);
        assert_eq!(bed.get("/pd/api/v2/member").await.0, StatusCode::OK);
    }
    let careful = Bed::with_stores(vec![]);
    assert_eq!(careful.get("/pd/api/v2/stores?panic=now").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(careful.dashboard.counts().panics, 0);
}

#[tokio::test]
async fn a_look_that_panics_leaves_the_last_one() {
    let bed = Bed::with_stores(vec![a_store(1, "a:1")]);
    assert_eq!(bed.json("/pd/api/v2/stores").await["total"], 1);
    bed.shown.panics.store(true, Relaxed);
    while bed.dashboard.counts().looks_failed == 0 {
        assert_eq!(bed.json("/pd/api/v2/stores").await["total"], 1);
    }
    *bed.shown.view.lock() = Some(a_view(vec![]));
    bed.shown.panics.store(false, Relaxed);
    while bed.json("/pd/api/v2/stores").await["total"] != 0 {}
}

#[tokio::test]
async fn the_sixty_fifth_stream_is_told_to_ask_now_and_then() {
    let bed = Bed::with_stores(vec![]);
    let mut open = Vec::new();
    for _ in 0..crate::stream::STREAMS_MAX {
        let response = bed.ask(Method::GET, "/pd/api/v2/stream").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        open.push(response);
    }
    let refused = bed.ask(Method::GET, "/pd/api/v2/stream").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let refused = bed.json("/pd/api/v2/stream").await;
    assert_eq!((&refused["code"], &refused["retry_after_ms"]), (&"TOO_MANY_STREAMS".into(), &10_000.into()));
    open.pop();
    while bed.ask(Method::GET, "/pd/api/v2/stream?topics=stores").await.status() != StatusCode::OK {}
}

#[tokio::test]
async fn requests_that_hang_are_given_up_and_make_room() {
    let bed = Bed::with_stores(vec![]);
    bed.shown.hangs.store(true, Relaxed);
    let views = (0..8).map(|_| bed.get("/pd/api/v2/view"));
    // It has to wait for one of them, and they take all the time that it has.
    let (views, member) = tokio::join!(futures::future::join_all(views), bed.get("/pd/api/v2/member"));
    for (status, text) in views {
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.contains("BUSY"), "{text}");
    }
    assert!([StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE].contains(&member.0));
    assert!(bed.dashboard.counts().shed >= 8);
    assert_eq!(bed.get("/pd/api/v2/member").await.0, StatusCode::OK);
}

#[tokio::test]
async fn guarded_routes_that_wait_leave_places_for_others() {
    let bed = Bed::new(options());
    let routes = Router::new()
        .route("/hang", get(|| async { pending::<&str>().await }))
        .route("/quick", get(|| async { "quick" }));
    let routes = bed.dashboard.guard(routes);
    let ask = |path: &str| {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        routes.clone().oneshot(request)
    };
    let hang = futures::future::join_all((0..16).map(|_| ask("/hang")));
    let quick = tokio::select! {
        biased;
        _ = hang => panic!("what hangs was answered first"),
        quick = ask("/quick") => quick.unwrap(),
    };
    assert_eq!(quick.status(), StatusCode::OK);
    assert_eq!(quick.headers()["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn the_document_names_each_route_of_the_api() {
    let document = crate::openapi();
    let mut documented: Vec<_> = document.paths.paths.keys().cloned().collect();
    documented.sort_unstable();
    let mut routes: Vec<_> =
        ROUTES.iter().filter(|path| path.starts_with("/pd/api/")).map(|path| (*path).to_owned()).collect();
    routes.sort_unstable();
    assert_eq!(documented, routes);
}
