//! Where requests are handed over from the server's tasks to the dashboard's own thread, in bounded number. Whatever a
//! request does there, slow or panicking, it does to itself only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::error;

use crate::answer;
use crate::model::ApiError;
use crate::unread::{Full, Unread};

/// Names a request in its answer and, when it fails, in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Requests that wait for a place. Fifty pages that are opened at once ask for some hundred files; more are told to come
/// again.
const WAITING_MAX: usize = 512;
/// How long a request may take, the wait included.
const LIMIT: Duration = Duration::from_secs(5);
/// Answers on their way, all together: eight of the largest.
const UNREAD_KIB_MAX: usize = 64 << 10;
/// How long a client may read at one: the largest at the speed of a slow line.
const READ_LIMIT: Duration = Duration::from_secs(60);
/// When to come again.
const RETRY_MS: u64 = 1_000;

/// The desk.
pub struct Desk {
    runtime: Handle,
    running: Arc<Semaphore>,
    waiting: Semaphore,
    panics: AtomicU64,
    shed: AtomicU64,
    unread: Unread,
    /// Begins the ids of requests: another one in each process, and at each desk.
    name: String,
    asked: AtomicU64,
    panic_word: Option<String>,
}

impl Desk {
    /// At most `places` requests run at once on `runtime`, and their ids begin with `name`. One whose query holds
    /// `panic=<panic_word>` panics: for tests.
    pub fn new(runtime: Handle, places: usize, name: String, panic_word: Option<String>) -> Self {
        Self {
            unread: Unread::new(runtime.clone(), UNREAD_KIB_MAX, READ_LIMIT),
            name,
            asked: AtomicU64::new(0),
            runtime,
            running: Arc::new(Semaphore::new(places)),
            waiting: Semaphore::new(WAITING_MAX),
            panics: AtomicU64::new(0),
            shed: AtomicU64::new(0),
            panic_word,
        }
    }

    /// Requests that panicked.
    pub fn panics(&self) -> u64 {
        self.panics.load(Relaxed)
    }

    /// Requests that were refused or given up because there were too many.
    pub fn shed(&self) -> u64 {
        self.shed.load(Relaxed)
    }

    async fn serve(&self, request: Request, next: Next, id: &str) -> Response<Body> {
        let deadline = Instant::now() + LIMIT;
        let place = {
            let Ok(_waits) = self.waiting.try_acquire() else {
                return self.busy(format!("{WAITING_MAX} requests wait already"));
            };
            match timeout_at(deadline, Arc::clone(&self.running).acquire_owned()).await {
                Ok(Ok(place)) => place,
                Ok(Err(_)) | Err(_) => return self.busy("no place was free in time".to_owned()),
            }
        };
        let path = request.uri().path().to_owned();
        let panics = self.is_to_panic(request.uri().query());
        let mut task = Task(self.runtime.spawn(async move {
            let _place = place;
            assert!(!panics, "a panic that was asked for");
            next.run(request).await
        }));
        match timeout_at(deadline, &mut task.0).await {
            Ok(Ok(response)) => match self.unread.hold(response).await {
                Ok(response) => response,
                Err(Full) => self.busy(format!("{UNREAD_KIB_MAX} KiB of answers are unread already")),
            },
            Ok(Err(ended)) if ended.is_panic() => {
                self.panics.fetch_add(1, Relaxed);
                error!(path, request = id, "a request of the dashboard panicked");
                let text = "a defect ended this request; it is in the log of this member";
                answer::error(StatusCode::INTERNAL_SERVER_ERROR, &ApiError::new("INTERNAL", text))
            }
            Ok(Err(_)) => self.busy("this member stops".to_owned()),
            Err(_) => self.busy(format!("it took longer than {} s", LIMIT.as_secs())),
        }
    }

    fn busy(&self, why: String) -> Response<Body> {
        self.shed.fetch_add(1, Relaxed);
        let error = ApiError::new("BUSY", why).retry_after_ms(RETRY_MS);
        answer::error(StatusCode::SERVICE_UNAVAILABLE, &error)
    }

    fn is_to_panic(&self, query: Option<&str>) -> bool {
        let (Some(word), Some(query)) = (&self.panic_word, query) else { return false };
        query.split('&').any(|parameter| parameter.strip_prefix("panic=") == Some(word))
    }
}

/// Ends with who waits for it: a client that is gone needs no answer.
struct Task(JoinHandle<Response<Body>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The layer round all routes of the dashboard.
pub async fn hand_over(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response<Body> {
    let id = format!("{}-{:x}", desk.name, desk.asked.fetch_add(1, Relaxed));
    let mut response = desk.serve(request, next, &id).await;
    answer::secure(response.headers_mut());
    // What another member answered has its id already: there its log tells more.
    if let (Ok(id), false) = (HeaderValue::from_str(&id), response.headers().contains_key(REQUEST_ID)) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}
