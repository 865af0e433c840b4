//! What the web page shows of this server: the dashboard's one question, answered from what the owners publish.
//!
//! All of it runs on the dashboard's own thread. The planner's owner is asked one question at a time ([`view`]); while
//! that one waits, no other is put, so that a page never adds to the load of an owner that is behind.

mod fetch;
mod fullness;
mod leaders;
mod members;
mod meter;
mod operators;
mod stores;
mod view;

use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::{Router, middleware};
use dashboard::model::{ApiError, MemberRow, View};
use dashboard::{Dashboard, Depth, Look, Options, Source, answer};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, Response, StatusCode};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::grpc::Gate;
use crate::verdict;
use fetch::Fetch;
use leaders::Leaders;
use members::Others;
use meter::Meter;
use view::Viewer;

/// A request with `panic=<its value>` in its query panics: tests prove by it that a panic ends that request only. Never
/// set where people work; a member that sees it says so at its start.
const PANIC_WORD: &str = "PD_TEST_DASHBOARD_PANIC";

/// Starts the dashboard; its routes, and `gate` with its API below each place of the page, so that a proxy needs one rule
/// for both.
///
/// # Errors
/// Its thread cannot be started.
pub fn start(gate: &Gate, api: &Router, stop: &CancellationToken) -> io::Result<Router> {
    let leaders = Leaders::follow(&gate.pd, stop.clone());
    let source = Arc::new(Page {
        gate: gate.clone(),
        meter: Arc::new(Meter::default()),
        fetch: Fetch::new(),
        others: Arc::default(),
        viewer: Arc::default(),
        leaders,
    });
    let panic_word = std::env::var(PANIC_WORD).ok().filter(|word| !word.is_empty());
    if panic_word.is_some() {
        warn!(variable = PANIC_WORD, "set: requests of the dashboard may ask for a panic; for tests only");
    }
    let config = &gate.pd.config.dashboard;
    let prefix = Some(config.public_path_prefix.clone());
    if let Some(Err(error)) = prefix.as_deref().map(dashboard::check_prefix) {
        warn!(%error, "the page is below /dashboard only");
    }
    let options = Options { version: crate::OWN_VERSION, page: config.enabled, prefix, panic_word };
    let dashboard = Dashboard::start(source, options, stop.clone())?;
    let api = api.clone().layer(middleware::from_fn(only_read));
    let nested = dashboard.prefixes().iter().fold(Router::new(), |all, at| all.nest(at, api.clone()));
    let page = dashboard.router().merge(nested);
    gate.metrics.follow_dashboard(dashboard);
    Ok(page)
}

/// What is reached through the page's own places can be read, and changes nothing.
async fn only_read(request: Request, next: Next) -> Response<Body> {
    let mut response = if matches!(*request.method(), Method::GET | Method::HEAD) {
        next.run(request).await
    } else {
        let error = ApiError::new("METHOD_NOT_ALLOWED", "the page only reads: GET");
        answer::error(StatusCode::METHOD_NOT_ALLOWED, &error)
    };
    answer::secure(response.headers_mut());
    response
}

/// This member, as its page sees it.
struct Page {
    gate: Gate,
    meter: Arc<Meter>,
    fetch: Fetch,
    others: Arc<Others>,
    viewer: Arc<Viewer>,
    leaders: Arc<Leaders>,
}

impl Source for Page {
    fn own(&self) -> MemberRow {
        members::own(&self.gate, &self.meter)
    }

    fn lead_view(&self, depth: Depth) -> BoxFuture<'static, Option<View>> {
        let (gate, viewer, meter) = (self.gate.clone(), Arc::clone(&self.viewer), Arc::clone(&self.meter));
        async move { viewer.view(&gate, &meter, depth).await }.boxed()
    }

    fn look(&self, depth: Depth) -> BoxFuture<'static, Look> {
        let own_view = self.lead_view(depth);
        let (gate, meter, fetch) = (self.gate.clone(), Arc::clone(&self.meter), self.fetch.clone());
        let (others, leaders) = (Arc::clone(&self.others), Arc::clone(&self.leaders));
        async move {
            let leader = gate.pd.leadership.state().leader;
            let own = gate.pd.members.own();
            let (view, rows, own_health) = tokio::join!(
                async {
                    match &leader {
                        Some(leader) if leader.id == own.id => own_view.await,
                        Some(leader) => fetch.view(leader, depth).await,
                        None => None,
                    }
                },
                others.rows(&gate, &meter, &fetch, depth),
                verdict::health(&gate)
            );
            let as_of_ms = now_ms();
            let health = view.as_ref().map_or(&own_health, |view| &view.health);
            let timestamps = view.as_ref().and_then(|view| view.timestamps.clone());
            let members = members::list(&gate, rows, &leaders, health, timestamps, as_of_ms);
            let cluster_id = Some(gate.pd.cluster_id()).filter(|id| *id != 0).map(|id| id.to_string());
            Look { as_of_ms, member: own.name.clone(), cluster_id, own_health, view, members }
        }
        .boxed()
    }

    fn stirred(&self) -> watch::Receiver<u64> {
        self.leaders.changed()
    }
}

/// Milliseconds since 1970: for what people read, never for decisions.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
