//! Every input has a bound: bodies that are declared too large are refused before anything is done with them. They are
//! read to their end first, as far as that is bearable: who still sends does not see an answer.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::json;

/// Largest body of a request. The largest that tools send, a set of rules, is far below it.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// What a refusal says.
pub const TOO_LARGE: &str = "the body is larger than 1 MiB, the most that is taken";

/// Bytes of a refused body that are read and thrown away.
const DRAINED_BYTES_MAX: usize = 64 << 20;
/// How long that may take.
const DRAINED_FOR: Duration = Duration::from_secs(2);

/// Lets a request through unless it declares a body above the limit. (One that declares nothing is cut off by its
/// reader.)
pub async fn enforce(request: Request, next: Next) -> Response<Body> {
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let declared: usize = declared.and_then(|length| length.parse().ok()).unwrap_or(0);
    if declared <= BODY_BYTES_MAX {
        return next.run(request).await;
    }
    let _ = timeout(DRAINED_FOR, drain(request.into_body())).await;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    json::with_type(StatusCode::PAYLOAD_TOO_LARGE, kind, Body::from(format!("{TOO_LARGE}\n")))
}

async fn drain(mut body: Body) {
    let mut drained = 0;
    while let Some(Ok(frame)) = body.frame().await {
        drained += frame.data_ref().map_or(0, bytes::Bytes::len);
        if drained > DRAINED_BYTES_MAX {
            return;
        }
    }
}
