//! Parts of a path as handlers take them. What is no UTF-8 becomes replacement characters, so that a route refuses it in its
//! own words, as it refuses every other id or name that does not exist.

use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath};
use http::request::Parts;
use http::{Response, StatusCode};

use super::{json, query};

/// The parts of a path for which its route has a place.
#[derive(Debug)]
pub struct Path<T>(pub T);

/// One part, or several, in the order of the path.
pub trait Places: Sized {
    /// Takes them.
    fn take(parts: &mut dyn Iterator<Item = String>) -> Option<Self>;
}

impl Places for String {
    fn take(parts: &mut dyn Iterator<Item = String>) -> Option<Self> {
        parts.next()
    }
}

impl Places for (String, String) {
    fn take(parts: &mut dyn Iterator<Item = String>) -> Option<Self> {
        Some((parts.next()?, parts.next()?))
    }
}

impl<T: Places, S: Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Response<Body>;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        T::take(&mut places(route, parts.uri.path()).into_iter()).map(Self).ok_or_else(|| {
            let text = format!("the route {route} has fewer places in its path than are asked for");
            json::error(StatusCode::INTERNAL_SERVER_ERROR, &text)
        })
    }
}

/// What stands in `path` where `route` has a name in braces. Counted from the end: a route that is nested keeps the
/// beginning of its name, and its path does not.
fn places(route: &str, path: &str) -> Vec<String> {
    let pairs = route.rsplit('/').zip(path.rsplit('/'));
    let mut found: Vec<String> =
        pairs.filter(|(name, _)| name.starts_with('{')).map(|(_, part)| text(part)).collect();
    found.reverse();
    found
}

/// A plus sign is one, other than in a query.
fn text(part: &str) -> String {
    let decoded = query::decode(&part.replace('+', "%2B"));
    decoded.map_or_else(|_| part.to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::places;

    #[test]
    fn places_are_found_whatever_stands_there() {
        for (route, path, found) in [
            ("/store/{id}", "/store/7", vec!["7"]),
            ("/x/store/{id}/label", "/store/%ff%41+/label", vec!["\u{fffd}A+"]),
            ("/rule/{group}/{id}", "/rule/a%2Fb/", vec!["a/b", ""]),
            ("/rule/{group}/{id}", "/rule/%zz/%", vec!["%zz", "%"]),
            ("/stores", "/stores", vec![]),
        ] {
            assert_eq!(places(route, path), found, "{route} {path}");
        }
    }
}
