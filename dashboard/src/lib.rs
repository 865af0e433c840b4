//! The web page of the placement driver: its files, its HTML, and the encodings of what it shows.
//!
//! What is shown comes through a trait, [`Source`]; this crate knows neither server nor planner. All its work is done on
//! one thread of its own, in bounded number, from immutable snapshots: whatever a page does, timestamps and heartbeats do
//! not wait for it.

pub mod answer;
mod assets;
mod desk;
#[doc(hidden)]
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod html;
mod lists;
mod lookout;
pub mod model;
mod moment;
mod page;
mod query;
mod routes;
mod series;
mod snapshot;
mod source;
mod stream;
mod table;
#[cfg(test)]
mod tests;
mod unread;

use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::{Router, middleware};
use tokio_util::sync::CancellationToken;

pub use routes::openapi;
pub use source::{Depth, Look, Source};

use assets::Tree;
use desk::Desk;
use lookout::Lookout;
use routes::Shared;
use stream::Streams;

/// Where the page is.
pub const PREFIX: &str = "/dashboard";

/// Requests of the page's own routes under way at once: they share one thread.
const OWN_MAX: usize = 8;
/// The same of guarded routes: they wait for owners and for other members more than they work, and the verdict must find a
/// place while others wait.
const OTHERS_MAX: usize = 64;

/// What a dashboard is told.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The version of the program.
    pub version: &'static str,
    /// The page is served; the API is in any case.
    pub page: bool,
    /// A further place of the page, for a proxy that passes paths on as they are (`public-path-prefix`).
    pub prefix: Option<String>,
    /// For tests: a request with `panic=<word>` in its query panics.
    pub panic_word: Option<String>,
}

/// A running dashboard.
pub struct Dashboard {
    shared: Arc<Shared>,
    desk: Arc<Desk>,
    /// Of [`Dashboard::guard`]: what is slow there takes no place from the page.
    other_desk: Arc<Desk>,
    options: Options,
}

/// A prefix under which the page cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "public-path-prefix {0:?} cannot be used: it must be like /ops/pd, of letters, digits and -._~, outside of /pd, \
     /metrics and /dashboard"
)]
pub struct BadPrefix(pub String);

impl Dashboard {
    /// Starts its thread, which ends at `stop`.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(source: Arc<dyn Source>, options: Options, stop: CancellationToken) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let lookout = Lookout::new();
        let run = Arc::clone(&lookout).run(Arc::clone(&source), stop);
        // When it ends, requests that are under way end with it, and later ones are refused.
        std::thread::Builder::new().name("dashboard".to_owned()).spawn(move || runtime.block_on(run))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let era = u64::try_from(now.as_micros()).unwrap_or_default();
        let streams = Streams::new(era);
        let shared =
            Arc::new(Shared { lookout, tree: Tree::load(), streams, source, version: options.version });
        let desk = |places, name: char| {
            let name = format!("{name}{era:x}");
            Arc::new(Desk::new(handle.clone(), places, name, options.panic_word.clone()))
        };
        Ok(Self { shared, desk: desk(OWN_MAX, 'p'), other_desk: desk(OTHERS_MAX, 'a'), options })
    }

    /// All routes: `/pd/api/v2/{stores,operators,members,stats,stream,view,member}`, and the page.
    pub fn router(&self) -> Router {
        let mut router = routes::api();
        for prefix in self.prefixes() {
            router = router.merge(routes::page(&prefix));
        }
        let layer = middleware::from_fn_with_state(Arc::clone(&self.desk), desk::hand_over);
        router.layer(layer).with_state(Arc::clone(&self.shared))
    }

    /// Other routes, to be answered on the thread of the dashboard, within its limits and with its headers.
    pub fn guard(&self, routes: Router) -> Router {
        routes.layer(middleware::from_fn_with_state(Arc::clone(&self.other_desk), desk::hand_over))
    }

    /// Where the page is; nowhere when it is off.
    #[must_use]
    pub fn prefixes(&self) -> Vec<String> {
        let more = self.options.prefix.as_ref().filter(|more| *more != PREFIX && check_prefix(more).is_ok());
        let all = [PREFIX.to_owned()].into_iter().chain(more.cloned());
        all.filter(|_| self.options.page).collect()
    }

    /// Counts for metrics.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            streams: self.shared.streams.open(),
            panics: self.desk.panics() + self.other_desk.panics(),
            shed: self.desk.shed() + self.other_desk.shed(),
            looks_failed: self.shared.lookout.failed(),
        }
    }
}

/// What a dashboard counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Open streams.
    pub streams: usize,
    /// Requests that panicked.
    pub panics: u64,
    /// Requests refused or given up because there were too many.
    pub shed: u64,
    /// Looks at the server that failed.
    pub looks_failed: u64,
}

/// Whether the page can be at `prefix` too.
///
/// # Errors
/// It is no path of plain words, or belongs to others.
pub fn check_prefix(prefix: &str) -> Result<(), BadPrefix> {
    let plain = |word: &str| {
        !word.is_empty()
            && !word.chars().all(|letter| letter == '.')
            && word.chars().all(|letter| letter.is_ascii_alphanumeric() || "-._~".contains(letter))
    };
    let words: Vec<&str> = prefix.strip_prefix('/').map(|path| path.split('/').collect()).unwrap_or_default();
    let taken = words.first().is_none_or(|first| ["pd", "metrics", "dashboard"].contains(first));
    let ours = prefix == PREFIX;
    if ours || (!taken && words.iter().all(|word| plain(word))) {
        return Ok(());
    }
    Err(BadPrefix(prefix.to_owned()))
}
