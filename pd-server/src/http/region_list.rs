//! Lists of Regions, streamed: a part of the index is read when the client has taken the one before, so that a million
//! Regions cost no more memory than a thousand. The owner of the planner is not asked.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::Response;
use scheduler::{Glance, RegionReader, RegionView};
use serde::Serialize;
use tracing::warn;

use super::json;
use super::region_view::Region;
use crate::cluster::Routes;

/// A list of up to that many Regions is answered in one go, and its count is exact.
const AT_ONCE_MAX: usize = 512;
/// Bytes of a streamed part: large enough to be cheap, small enough to wait in a socket.
const PART_BYTES: usize = 64 << 10;
/// Pages of the index (128 Regions each) that are looked at before other tasks have their turn.
const PAGES_PER_TURN: usize = 32;

/// Which Regions a list has. It runs for every Region there is: it must be cheap.
pub type Select = Arc<dyn Fn(&Glance<'_>) -> bool + Send + Sync>;

/// A pass over the Regions between two keys, in key order, a page at a time.
pub struct Pass {
    /// Where to go on; none when all is seen.
    next: Option<Bytes>,
    end: Bytes,
    is_first: bool,
    pages: usize,
}

impl Pass {
    /// From the Region that holds `start` up to `end` (empty: to the end).
    pub fn new(start: &[u8], end: &[u8]) -> Self {
        let is_range = end.is_empty() || start < end;
        Self {
            next: is_range.then(|| Bytes::copy_from_slice(start)),
            end: Bytes::copy_from_slice(end),
            is_first: true,
            pages: 0,
        }
    }

    /// Looks at the next page; false when there is none.
    pub fn page(&mut self, reader: &RegionReader, mut look: impl FnMut(&Glance<'_>)) -> bool {
        let Some(from) = self.next.take() else { return false };
        // Between two pages Regions may have merged: one that reaches back over what was seen is left out. Only the one
        // that holds the key to go on from can.
        let mut may_reach_back = !std::mem::take(&mut self.is_first);
        self.next = reader.glance_page(&from, &self.end, |region| {
            if !std::mem::take(&mut may_reach_back) || region.start_key() >= from {
                look(region);
            }
        });
        self.pages += 1;
        true
    }

    /// Looks at all that is left, with pauses for other tasks. `look` gives false when it has seen enough.
    pub async fn rest(&mut self, reader: &RegionReader, mut look: impl FnMut(&Glance<'_>) -> bool) {
        let mut goes_on = true;
        while goes_on && self.page(reader, |region| goes_on = goes_on && look(region)) {
            if self.pages.is_multiple_of(PAGES_PER_TURN) {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// `{"count":N,"regions":[...]}` of the Regions that `select` wants, in key order, at most `limit`. The count of a long
/// list is of the moment at which the answer began.
pub async fn select(routes: &Routes, limit: usize, select: Select) -> Response<Body> {
    let reader = routes.heard().clone();
    let (mut count, mut first) = (0, Vec::new());
    Pass::new(&[], &[])
        .rest(&reader, |region| {
            if select(region) {
                count += 1;
                if first.len() < AT_ONCE_MAX {
                    first.push(region.view());
                }
            }
            count < limit
        })
        .await;
    if count <= AT_ONCE_MAX {
        return whole(&first);
    }
    stream_all(reader, count.min(limit), limit, select)
}

/// All Regions.
pub fn all(routes: &Routes) -> Response<Body> {
    if routes.heard().is_empty() {
        // At most the one that was bootstrapped and was not heard of yet.
        return whole(&routes.scan(&[], &[], 1));
    }
    stream_all(routes.heard().clone(), routes.len(), usize::MAX, Arc::new(|_| true))
}

#[derive(Serialize)]
struct List {
    count: usize,
    regions: Vec<Region>,
}

/// A list that is there already.
pub fn whole(views: &[RegionView]) -> Response<Body> {
    compact(&List { count: views.len(), regions: views.iter().map(Region::from).collect() })
}

/// One Region.
pub fn one(view: &RegionView) -> Response<Body> {
    compact(&Region::from(view))
}

fn compact<T: Serialize>(value: &T) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(bytes) => json::stream(Body::from(bytes)),
        Err(error) => json::error(http::StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn stream_all(reader: RegionReader, count: usize, limit: usize, select: Select) -> Response<Body> {
    let listing = Listing {
        reader,
        select,
        pass: Pass::new(&[], &[]),
        head: Some(format!("{{\"count\":{count},\"regions\":[")),
        left: limit,
        is_first: true,
        is_over: false,
    };
    json::stream(Body::from_stream(stream::unfold(listing, |mut listing| async move {
        let part = listing.part().await?;
        Some((Ok::<_, std::convert::Infallible>(part), listing))
    })))
}

/// Where a streamed list stands.
struct Listing {
    reader: RegionReader,
    select: Select,
    pass: Pass,
    head: Option<String>,
    left: usize,
    is_first: bool,
    is_over: bool,
}

impl Listing {
    /// The next part; none after the last.
    async fn part(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        let mut out = self.head.take().unwrap_or_default().into_bytes();
        let mut pages = 0_usize;
        while out.len() < PART_BYTES {
            let (select, left, is_first) = (&self.select, &mut self.left, &mut self.is_first);
            let more = self.pass.page(&self.reader, |region| {
                if *left == 0 || !select(region) {
                    return;
                }
                *left -= 1;
                if !std::mem::take(is_first) {
                    out.push(b',');
                }
                if let Err(error) = serde_json::to_writer(&mut out, &Region::from(&region.view())) {
                    warn!(region = region.id().0, %error, "a region could not be written");
                }
            });
            if !more || self.left == 0 {
                out.extend_from_slice(b"]}");
                self.is_over = true;
                break;
            }
            pages += 1;
            if pages.is_multiple_of(PAGES_PER_TURN) {
                tokio::task::yield_now().await;
            }
        }
        Some(out.into())
    }
}
