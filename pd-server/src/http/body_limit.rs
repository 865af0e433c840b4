//! Every input has a bound, in bytes and in time: bodies are read whole before anything is done with them, so a request
//! that breaks off changes nothing. Those that are too large are read to their end as far as that is bearable: who still
//! sends does not see an answer.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Response, StatusCode, Version, header};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::time::timeout;

use super::refusal::refusal;

/// Largest body of a request. The largest that tools send, a set of rules, is far below it.
const BODY_BYTES_MAX: usize = 1 << 20;
/// How long a body may take, as long as a header: it holds one of the connections meanwhile.
const BODY_MAX: Duration = Duration::from_secs(30);
/// Bytes of a refused body that are read and thrown away.
const DRAINED_BYTES_MAX: usize = 64 << 20;
/// How long that may take.
const DRAINED_FOR: Duration = Duration::from_secs(2);

/// Why a body is not taken.
enum Unread {
    TooLarge,
    TooSlow,
    BrokenOff(axum::Error),
}

/// The request with its whole body, or what is answered instead.
pub async fn whole(request: Request) -> Result<http::Request<Bytes>, Response<Body>> {
    whole_within(BODY_MAX, request).await
}

async fn whole_within(limit: Duration, request: Request) -> Result<http::Request<Bytes>, Response<Body>> {
    let (parts, body) = request.into_parts();
    let unread = match timeout(limit, read(body)).await {
        Ok(Ok(body)) => return Ok(http::Request::from_parts(parts, body)),
        Ok(Err(unread)) => unread,
        Err(_) => Unread::TooSlow,
    };
    let (status, text) = match unread {
        Unread::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is larger than {} MiB, the most that is taken", BODY_BYTES_MAX >> 20),
        ),
        Unread::TooSlow => (
            StatusCode::REQUEST_TIMEOUT,
            format!("the body did not arrive within {limit:?}; nothing was done"),
        ),
        Unread::BrokenOff(error) => {
            (StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}; nothing was done"))
        }
    };
    let mut refused = refusal(&parts.uri, status, &text);
    // What is left of the body would be taken for the next request. (HTTP/2 has streams, and no such header.)
    if parts.version < Version::HTTP_2 {
        refused.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Err(refused)
}

async fn read(mut body: Body) -> Result<Bytes, Unread> {
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut whole = BytesMut::new();
    let mut fits = declared <= BODY_BYTES_MAX;
    while fits && let Some(frame) = body.frame().await {
        // What is no data is a trailer, which nobody asks for.
        if let Ok(data) = frame.map_err(Unread::BrokenOff)?.into_data() {
            fits = whole.len() + data.len() <= BODY_BYTES_MAX;
            if fits {
                whole.extend_from_slice(&data);
            }
        }
    }
    if fits {
        return Ok(whole.freeze());
    }
    let _ = timeout(DRAINED_FOR, drain(body)).await;
    Err(Unread::TooLarge)
}

async fn drain(mut body: Body) {
    let mut drained = 0;
    while let Some(Ok(frame)) = body.frame().await {
        drained += frame.data_ref().map_or(0, Bytes::len);
        if drained > DRAINED_BYTES_MAX {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{StreamExt, stream};

    /// Parts of a body whose length is not told before.
    fn parts(parts: Vec<Result<Bytes, std::io::Error>>) -> Body {
        Body::from_stream(stream::iter(parts))
    }

    async fn refused(limit: Duration, body: Body) -> (StatusCode, String) {
        let request = Request::builder().uri("/pd/api/v1/config").body(body).unwrap();
        let answer = whole_within(limit, request).await.unwrap_err();
        assert_eq!(answer.headers()[header::CONNECTION], "close");
        let status = answer.status();
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(text.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_body_is_taken_whole_or_not_at_all() {
        let half = || Ok(Bytes::from(vec![b' '; BODY_BYTES_MAX / 2]));
        let request = Request::builder().body(parts(vec![half(), half()])).unwrap();
        assert_eq!(whole(request).await.unwrap().into_body().len(), BODY_BYTES_MAX);

        let one_too_many = parts(vec![half(), half(), Ok(Bytes::from_static(b" "))]);
        for large in [one_too_many, Body::from(vec![b' '; BODY_BYTES_MAX + 1])] {
            let (status, text) = refused(BODY_MAX, large).await;
            assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
            assert_eq!(text, "the body is larger than 1 MiB, the most that is taken\n");
        }

        let broken = parts(vec![half(), Err(std::io::Error::other("gone"))]);
        let (status, text) = refused(BODY_MAX, broken).await;
        assert_eq!((status, text.contains("gone")), (StatusCode::BAD_REQUEST, true), "{text}");
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let begins = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{"))]);
        let never_ends = Body::from_stream(begins.chain(stream::pending()));
        let (status, text) = refused(Duration::from_millis(20), never_ends).await;
        assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
        assert_eq!(text, "the body did not arrive within 20ms; nothing was done\n");
    }
}
