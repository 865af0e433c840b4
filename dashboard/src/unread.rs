//! Answers that are on their way: bounded together in bytes, and each in time, however slowly they are read.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use futures::stream;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Response};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Smaller answers are not counted: they fit into what the socket of a connection holds, and connections are bounded.
const SMALL_BYTES: usize = 64 << 10;
/// What is handed to a connection at a time.
const PIECE_BYTES: usize = 64 << 10;

/// Room for them.
pub struct Unread {
    runtime: Handle,
    /// In KiB.
    room: Arc<Semaphore>,
    limit: Duration,
}

/// There is no room.
#[derive(Debug)]
pub struct Full;

/// What is left of an answer.
struct Rest {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Unread {
    /// Room for `kib` KiB; what was not read within `limit` is given up. Time is kept on `runtime`.
    pub fn new(runtime: Handle, kib: usize, limit: Duration) -> Self {
        Self { runtime, room: Arc::new(Semaphore::new(kib)), limit }
    }

    /// The same answer, counted until it is read. Streams have bounds of their own and pass.
    ///
    /// # Errors
    /// Too much is unread already.
    pub async fn hold(&self, response: Response<Body>) -> Result<Response<Body>, Full> {
        let exact = response.body().size_hint().exact().and_then(|size| usize::try_from(size).ok());
        let Some(size) = exact.filter(|size| *size > SMALL_BYTES) else { return Ok(response) };
        let kib = u32::try_from(size.div_ceil(1 << 10)).map_err(|_| Full)?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(kib).map_err(|_| Full)?;
        let (mut head, body) = response.into_parts();
        // All of it is there already: its size is known.
        let bytes = body.collect().await.map_err(|_| Full)?.to_bytes();
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        let rest = Arc::new(Mutex::new(Some(Rest { bytes, _room: room })));
        let (late, limit) = (Arc::downgrade(&rest), self.limit);
        self.runtime.spawn(async move {
            tokio::time::sleep(limit).await;
            if let Some(rest) = late.upgrade() {
                rest.lock().take();
            }
        });
        let pieces = stream::unfold(rest, |rest| async move { Some((piece(&rest)?, rest)) });
        Ok(Response::from_parts(head, Body::from_stream(pieces)))
    }
}

/// The next piece, as bytes of its own, so that it does not keep the whole; none at the end.
fn piece(rest: &Mutex<Option<Rest>>) -> Option<io::Result<Bytes>> {
    match rest.lock().as_mut() {
        None => Some(Err(io::Error::new(io::ErrorKind::TimedOut, "it was read too slowly"))),
        Some(rest) if rest.bytes.is_empty() => None,
        Some(rest) => {
            let next = rest.bytes.split_to(rest.bytes.len().min(PIECE_BYTES));
            Some(Ok(Bytes::copy_from_slice(&next)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Response<Body> {
        Response::new(Body::from(vec![7_u8; 1 << 20]))
    }

    #[tokio::test]
    async fn answers_that_nobody_reads_are_bounded_in_bytes() {
        let unread = Unread::new(Handle::current(), 2_500, Duration::from_secs(600));
        let first = unread.hold(answer()).await.unwrap();
        assert_eq!(first.headers()[CONTENT_LENGTH], "1048576");
        let second = unread.hold(answer()).await.unwrap();
        assert!(unread.hold(answer()).await.is_err(), "there is room for two");
        assert!(unread.hold(Response::new(Body::from("small"))).await.is_ok());
        let read = first.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(read, vec![7_u8; 1 << 20], "whole and in order");
        let third = unread.hold(answer()).await.unwrap();
        assert!(unread.hold(answer()).await.is_err(), "what was read made room for one");
        drop((second, third));
        unread.hold(answer()).await.unwrap();
    }

    #[tokio::test]
    async fn answers_that_nobody_reads_are_given_up() {
        let unread = Unread::new(Handle::current(), 1_024, Duration::ZERO);
        let mut ignored = unread.hold(answer()).await.unwrap().into_body();
        // Its room comes back although it is still there.
        while unread.hold(answer()).await.is_err() {
            tokio::task::yield_now().await;
        }
        assert!(ignored.frame().await.unwrap().is_err(), "too late");
    }
}
