//! gRPC calls by method and outcome. One middleware sees them all; the outcome is in the trailers, so the body is watched
//! until they pass.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use bytes::Bytes;
use http::{HeaderMap, Response};
use hyper::body::{Frame, SizeHint};
use raft_core::Durations;

use super::exposition::{Exposition, Kind};
use crate::grpc;

/// Outcomes by number, as Go's libraries spell them.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];
const OK: usize = 0;
const CANCELED: usize = 1;
const UNKNOWN: usize = 2;

/// Methods that are streams on at least one side, and of which kind. All others are one question, one answer.
const STREAMS: &[(&str, &str)] = &[
    ("/grpc.health.v1.Health/Watch", "server_stream"),
    ("/meta_storagepb.MetaStorage/Watch", "server_stream"),
    ("/pdpb.PD/QueryRegion", "bidi_stream"),
    ("/pdpb.PD/RegionHeartbeat", "bidi_stream"),
    ("/pdpb.PD/ReportBuckets", "client_stream"),
    ("/pdpb.PD/Tso", "bidi_stream"),
    ("/resource_manager.ResourceManager/AcquireTokenBuckets", "bidi_stream"),
];
/// What asks for Regions: counted a second time under the name that boards know.
const REGION_QUERIES: &[&str] =
    &["BatchScanRegions", "GetPrevRegion", "GetRegion", "GetRegionByID", "QueryRegion", "ScanRegions"];

/// All calls.
pub struct Calls {
    by_path: BTreeMap<&'static str, Arc<Method>>,
}

struct Method {
    service: &'static str,
    name: &'static str,
    kind: &'static str,
    handled: [AtomicU64; CODES.len()],
    /// Of what is no stream: a stream lasts as long as its client wants.
    took: Durations,
}

impl Default for Calls {
    /// None was seen yet; every method that is served is there.
    fn default() -> Self {
        let by_path = grpc::SERVED.iter().map(|path| (*path, Arc::new(Method::of(path)))).collect();
        Self { by_path }
    }
}

impl Calls {
    /// Writes them all.
    pub fn write(&self, out: &mut Exposition) {
        let methods = || self.by_path.values();
        let labels = |method: &Method| {
            [("grpc_type", method.kind), ("grpc_service", method.service), ("grpc_method", method.name)]
        };
        let help = "Calls that ended, by method and outcome.";
        let mut handled = out.family("grpc_server_handled_total", Kind::Counter, help);
        for method in methods() {
            let [kind, service, name] = labels(method);
            for (code, count) in method.handled.iter().enumerate() {
                let count = count.load(Relaxed);
                if count > 0 || code == OK {
                    handled.put(&[kind, service, name, ("grpc_code", CODES[code])], count as f64);
                }
            }
        }
        let help = "Time from the question to the end of the answer; streams are not in it.";
        let mut took = out.family("grpc_server_handling_seconds", Kind::Histogram, help);
        for method in methods().filter(|method| method.kind == "unary") {
            took.tally(&labels(method), &method.took.tally(), 1e-9);
        }
        let mut queries =
            out.family("pd_server_region_request_cnt", Kind::Counter, "Calls that ask for Regions.");
        for method in methods().filter(|method| REGION_QUERIES.contains(&method.name)) {
            let all: u64 = method.handled.iter().map(|count| count.load(Relaxed)).sum();
            let good = method.handled[OK].load(Relaxed);
            queries.put(&[("request", method.name), ("event", "success")], good as f64);
            queries.put(&[("request", method.name), ("event", "failed")], (all - good.min(all)) as f64);
        }
    }
}

impl Method {
    fn of(path: &'static str) -> Self {
        let (service, name) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
        let kind = STREAMS.iter().find(|(stream, _)| *stream == path).map_or("unary", |(_, kind)| *kind);
        Self { service, name, kind, handled: Default::default(), took: Durations::default() }
    }

    fn ended(&self, code: usize, began: Instant) {
        self.handled[code].fetch_add(1, Relaxed);
        if self.kind == "unary" {
            self.took.record_time(began.elapsed(), 1);
        }
    }
}

/// Counts a call when it has ended.
pub async fn count(State(calls): State<Arc<Calls>>, request: Request, next: Next) -> Response<Body> {
    let Some(method) = calls.by_path.get(request.uri().path()).cloned() else {
        return next.run(request).await;
    };
    // A client that goes away before there is an answer drops this future, and with it the watch.
    let mut watch = Watch { method, began: Instant::now(), counted: false };
    let response = next.run(request).await;
    if let Some(code) = outcome(response.headers()) {
        watch.end(code);
        return response;
    }
    response.map(|body| Body::new(Watched { body, watch }))
}

/// What `grpc-status` says, if it is there.
fn outcome(headers: &HeaderMap) -> Option<usize> {
    let code = headers.get("grpc-status")?.to_str().ok()?.parse::<usize>().ok();
    Some(code.filter(|code| *code < CODES.len()).unwrap_or(UNKNOWN))
}

/// Counts its call once.
struct Watch {
    method: Arc<Method>,
    began: Instant,
    counted: bool,
}

impl Watch {
    fn end(&mut self, code: usize) {
        if !std::mem::replace(&mut self.counted, true) {
            self.method.ended(code, self.began);
        }
    }
}

impl Drop for Watch {
    /// Nobody reads on.
    fn drop(&mut self) {
        self.end(CANCELED);
    }
}

/// The body of an answer, watched for its end.
struct Watched {
    body: Body,
    watch: Watch,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(code) = frame.trailers_ref().and_then(outcome) {
                    self.watch.end(code);
                }
            }
            Poll::Ready(Some(Err(_)) | None) => self.watch.end(UNKNOWN),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_served_methods() {
        for (path, _) in STREAMS {
            assert!(grpc::SERVED.contains(path), "{path}");
        }
        for name in REGION_QUERIES {
            assert!(grpc::SERVED.contains(&format!("/pdpb.PD/{name}").as_str()), "{name}");
        }
    }

    #[test]
    fn an_answer_nobody_reads_to_its_end_was_cancelled() {
        let calls = Calls::default();
        let method = &calls.by_path["/pdpb.PD/Tso"];
        drop(Watch { method: Arc::clone(method), began: Instant::now(), counted: false });
        let mut watch = Watch { method: Arc::clone(method), began: Instant::now(), counted: false };
        watch.end(OK);
        drop(watch);
        let counts: Vec<u64> = method.handled.iter().map(|count| count.load(Relaxed)).collect();
        assert_eq!(counts[..3], [1, 1, 0]);
        let mut out = Exposition::default();
        calls.write(&mut out);
        let text = out.into_text();
        let line = "grpc_server_handled_total{grpc_type=\"bidi_stream\",grpc_service=\"pdpb.PD\",grpc_method=\"Tso\",\
                    grpc_code=\"Canceled\"} 1";
        assert!(text.contains(line), "{text}");
    }
}
