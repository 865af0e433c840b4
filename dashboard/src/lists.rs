//! Lists of stores and operators: filtered, in pages, from the newest snapshot.

use axum::body::Body;
use http::{HeaderMap, Response, StatusCode};
use serde::Serialize;

use crate::answer;
use crate::model::{
    ApiError, Liveness, OperatorList, OperatorRow, OperatorState, StoreList, StoreRow, StoreState,
};
use crate::query::{BadParameter, Query};
use crate::snapshot::{Cluster, Snapshot};

/// Rows of a page unless asked otherwise.
const LIMIT_DEFAULT: usize = 100;
/// Most rows of a page.
pub const LIMIT_MAX: usize = 1_000;

/// The order of rows, from which a page goes on: group, place, id.
pub(crate) type Place = (u64, u64, u64);

/// A page of stores.
pub fn stores(snapshot: &Snapshot, query: Option<&str>, headers: &HeaderMap) -> Response<Body> {
    let answer = || {
        let query = Query::read(query, &["limit", "cursor", "state", "liveness"])?;
        let state = query.word("state", &STATES, state_word)?;
        let liveness = query.word("liveness", &LIVENESS, liveness_word)?;
        let page = Page::read(&query)?;
        Ok(with_cluster(snapshot, headers, |cluster| {
            let fits = |row: &&StoreRow| {
                state.is_none_or(|state| row.state == state)
                    && liveness.is_none_or(|liveness| row.liveness == liveness)
            };
            let (total, rows, next) = page.cut(cluster.stores.iter().filter(fits), |row| (0, 0, row.id));
            StoreList { as_of_ms: cluster.as_of_ms, from: cluster.from.clone(), total, rows, next }
        }))
    };
    answer().unwrap_or_else(|bad: BadParameter| bad.response())
}

/// A page of operators.
pub fn operators(snapshot: &Snapshot, query: Option<&str>, headers: &HeaderMap) -> Response<Body> {
    let answer = || {
        let query = Query::read(query, &["limit", "cursor", "state", "kind", "store", "region"])?;
        let state = query.word("state", &OperatorState::ALL, OperatorState::word)?;
        let kind = query.word("kind", &KINDS, |kind| kind)?;
        let (store, region) = (query.number::<u64>("store")?, query.number::<u64>("region")?);
        let page = Page::read(&query)?;
        Ok(with_cluster(snapshot, headers, |cluster| {
            let fits = |row: &&OperatorRow| {
                state.is_none_or(|state| row.state == state)
                    && kind.is_none_or(|kind| row.kind == kind)
                    && store.is_none_or(|store| row.stores.contains(&store))
                    && region.is_none_or(|region| row.region == region)
            };
            let mut rows: Vec<_> = cluster.operators.iter().filter(fits).collect();
            rows.sort_by_key(|row| place(row));
            let (total, rows, next) = page.cut(rows.into_iter(), place);
            OperatorList { as_of_ms: cluster.as_of_ms, from: cluster.from.clone(), total, rows, next }
        }))
    };
    answer().unwrap_or_else(|bad: BadParameter| bad.response())
}

const STATES: [StoreState; 3] = [StoreState::Up, StoreState::Offline, StoreState::Tombstone];
const LIVENESS: [Liveness; 4] =
    [Liveness::Connected, Liveness::Disconnected, Liveness::Down, Liveness::Unknown];
/// What operators count as.
const KINDS: [&str; 4] = ["admin", "replica", "region", "leader"];

fn state_word(state: StoreState) -> &'static str {
    match state {
        StoreState::Up => "Up",
        StoreState::Offline => "Offline",
        StoreState::Tombstone => "Tombstone",
    }
}

fn liveness_word(liveness: Liveness) -> &'static str {
    match liveness {
        Liveness::Connected => "Connected",
        Liveness::Disconnected => "Disconnected",
        Liveness::Down => "Down",
        Liveness::Unknown => "Unknown",
    }
}

/// Running, waiting, then ended from the newest.
fn place(row: &OperatorRow) -> Place {
    match row.state {
        OperatorState::Running => (0, 0, row.id),
        OperatorState::Waiting => (1, 0, row.id),
        OperatorState::Finished
        | OperatorState::Failed
        | OperatorState::Cancelled
        | OperatorState::Timeout
        | OperatorState::Replaced => (2, u64::MAX - row.finished_ms.unwrap_or(0), row.id),
    }
}

/// The answer, unless no leader's view was ever had.
fn with_cluster<T: Serialize>(
    snapshot: &Snapshot,
    headers: &HeaderMap,
    list: impl FnOnce(&Cluster) -> T,
) -> Response<Body> {
    let Some(cluster) = &snapshot.cluster else {
        let text = "this member has not had a leader's view yet";
        let error = ApiError::new("NO_VIEW", text).retry_after_ms(1_000);
        return answer::error(StatusCode::SERVICE_UNAVAILABLE, &error);
    };
    answer::packed_json(&list(cluster), headers)
}

/// Which part of a list is wanted.
struct Page {
    limit: usize,
    after: Option<Place>,
}

impl Page {
    fn read(query: &Query) -> Result<Self, BadParameter> {
        let limit = query.number("limit")?.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let text = format!("limit is {limit}, it must be 1 to {LIMIT_MAX}");
            return Err(BadParameter::new("limit", text));
        }
        let after = query.text("cursor").map(|text| {
            let wrong = || BadParameter::new("cursor", "cursor is not one that a list gave as next");
            decode(text).ok_or_else(wrong)
        });
        Ok(Self { limit, after: after.transpose()? })
    }

    /// How many rows there are, those of this page, and where the next begins.
    fn cut<'a, R: Clone + 'a>(
        &self,
        rows: impl Iterator<Item = &'a R>,
        place: impl Fn(&R) -> Place,
    ) -> (usize, Vec<R>, Option<String>) {
        let (mut total, mut page, mut more) = (0, Vec::new(), false);
        for row in rows {
            total += 1;
            if self.after.is_some_and(|after| place(row) <= after) {
                continue;
            }
            more = page.len() == self.limit;
            if !more {
                page.push(row.clone());
            }
        }
        let next = page.last().filter(|_| more).map(|last| encode(place(last)));
        (total, page, next)
    }
}

pub(crate) fn encode((group, order, id): Place) -> String {
    format!("{group:x}.{order:x}.{id:x}")
}

pub(crate) fn decode(text: &str) -> Option<Place> {
    let mut parts = text.split('.').map(|part| u64::from_str_radix(part, 16).ok());
    let place = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_and_end() {
        let rows: Vec<u64> = (1..=5).collect();
        let mut page = Page { limit: 2, after: None };
        let mut seen = Vec::new();
        loop {
            let (total, part, next) = page.cut(rows.iter(), |row| (0, 0, *row));
            assert_eq!(total, 5);
            seen.extend(part);
            let Some(next) = next else { break };
            page.after = Some(decode(&next).unwrap());
        }
        assert_eq!(seen, rows);
        let (_, part, next) = Page { limit: 5, after: None }.cut(rows.iter(), |row| (0, 0, *row));
        assert_eq!((part.len(), next), (5, None), "a full page that is the last one");
        assert_eq!(decode("1.2"), None);
        assert_eq!(decode("1.2.3.4"), None);
        assert_eq!(decode("x.2.3"), None);
    }
}
