//! What the web page shows of this server: the dashboard's one question, answered from what the owners publish.
//!
//! All of it runs on the dashboard's own thread. The planner's owner is asked one question at a time ([`view`]); while
//! that one waits, no other is put, so that a page never adds to the load of an owner that is behind.

mod fetch;
mod folder;
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
use dashboard::model::{MemberRow, View};
use dashboard::{Dashboard, Depth, Look, Options, Source, answer};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, Response};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::grpc::Gate;
use crate::verdict;
use fetch::Fetch;
use folder::Folder;
use leaders::Leaders;
use members::Others;
use meter::Meter;
use view::Viewer;

/// A request with `panic=<its value>` in its query panics: tests prove by it that a panic ends that request only. Builds for
/// people do not know it; a member that sees it says so at its start.
const PANIC_WORD: &str = "PD_TEST_DASHBOARD_PANIC";

/// Starts the dashboard; its routes, all of the v2 API, and with it `api` below each place of the page, so that a proxy
/// needs one rule for both. What of these the dashboard does not answer itself runs on its thread and within its limits,
/// too.
///
/// # Errors
/// Its thread cannot be started.
pub fn start(gate: &Gate, api: &Router, stop: &CancellationToken) -> io::Result<Router> {
    let leaders = Leaders::follow(&gate.pd, stop.clone());
    let folder = Folder::new(gate.pd.config.data_dir.clone());
    let source = Arc::new(Page {
        folder,
        gate: gate.clone(),
        meter: Arc::new(Meter::default()),
        fetch: Fetch::new(),
        others: Arc::default(),
        viewer: Arc::default(),
        leaders,
    });
    let panic_word = std::env::var(PANIC_WORD).ok().filter(|word| cfg!(debug_assertions) && !word.is_empty());
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
    let v2 = crate::http::v2_routes(gate);
    let below = dashboard.guard(api.clone().merge(v2.clone())).layer(middleware::from_fn(only_read));
    let nested = dashboard.prefixes().iter().fold(Router::new(), |all, at| all.nest(at, below.clone()));
    let page = dashboard.router().merge(nested).merge(dashboard.guard(v2));
    gate.metrics.follow_dashboard(dashboard);
    Ok(page)
}

/// What is reached through the page's own places can be read, and changes nothing.
async fn only_read(request: Request, next: Next) -> Response<Body> {
    let mut response = if matches!(*request.method(), Method::GET | Method::HEAD) {
        next.run(request).await
    } else {
        answer::only_get().await
    };
    answer::secure(response.headers_mut());
    response
}

/// This member, as its page sees it.
struct Page {
    gate: Gate,
    folder: Arc<Folder>,
    meter: Arc<Meter>,
    fetch: Fetch,
    others: Arc<Others>,
    viewer: Arc<Viewer>,
    leaders: Arc<Leaders>,
}

impl Source for Page {
    fn own(&self) -> MemberRow {
        members::own(&self.gate, &self.meter, &self.folder)
    }

    fn lead_view(&self, depth: Depth) -> BoxFuture<'static, Option<View>> {
        let (gate, viewer, meter) = (self.gate.clone(), Arc::clone(&self.viewer), Arc::clone(&self.meter));
        let leaders = Arc::clone(&self.leaders);
        async move {
            let view = viewer.view(&gate, &meter, depth).await?;
            Some(View { leads_since_ms: leaders.since_ms(), ..view })
        }
        .boxed()
    }

    fn look(&self, depth: Depth) -> BoxFuture<'static, Look> {
        let own_view = self.lead_view(depth);
        let (gate, meter, fetch) = (self.gate.clone(), Arc::clone(&self.meter), self.fetch.clone());
        let (others, leaders, folder) =
            (Arc::clone(&self.others), Arc::clone(&self.leaders), Arc::clone(&self.folder));
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
                others.rows(&gate, members::Means { meter: &meter, folder: &folder, fetch: &fetch }, depth),
                verdict::health(&gate)
            );
            let as_of_ms = now_ms();
            let health = view.as_ref().map_or(&own_health, |view| &view.health);
            let members = members::list(&gate, rows, &leaders, health, view.as_ref(), as_of_ms);
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
