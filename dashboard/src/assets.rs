//! The files of the page: embedded, compressed once, served below a hash of them all. One hash for the whole tree, so that
//! modules import each other by relative paths and never mix with those of another version; what lies below a hash never
//! changes.
//!
//! Debug builds read the files from the folder instead, and look again whenever the page is loaded: edit, reload.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Response, StatusCode};
use parking_lot::Mutex;
use rust_embed::RustEmbed;

use crate::answer;
use crate::model::ApiError;

/// The page's shell: a template, served only filled in.
const SHELL: &str = "shell.html";

/// Between two looks whether a file was edited.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

#[derive(RustEmbed)]
#[folder = "ui/"]
struct Files;

/// The files of one version.
#[derive(Debug)]
pub struct Assets {
    /// Of all files, in 16 digits.
    pub hash: String,
    /// The template of the page.
    pub shell: String,
    by_path: BTreeMap<String, Asset>,
}

#[derive(Debug)]
struct Asset {
    kind: &'static str,
    plain: Bytes,
    packed: Bytes,
}

/// The newest version of the files.
pub struct Tree {
    newest: ArcSwap<Assets>,
    looked: Mutex<Instant>,
}

impl Tree {
    /// Reads all files.
    pub fn load() -> Self {
        Self { newest: ArcSwap::from_pointee(Assets::load()), looked: Mutex::new(Instant::now()) }
    }

    /// The version in use.
    pub fn current(&self) -> Arc<Assets> {
        self.newest.load_full()
    }

    /// The same, after a look whether a file was edited (debug builds only).
    pub fn look_again(&self) -> Arc<Assets> {
        if cfg!(debug_assertions) && self.is_due() {
            let now = Assets::load();
            if now.hash != self.newest.load().hash {
                self.newest.store(Arc::new(now));
            }
        }
        self.current()
    }

    /// Reading them all takes milliseconds: not for each of many pages.
    fn is_due(&self) -> bool {
        let mut looked = self.looked.lock();
        let is_due = looked.elapsed() >= LOOK_AGAIN;
        if is_due {
            *looked = Instant::now();
        }
        is_due
    }
}

impl Assets {
    fn load() -> Self {
        let mut paths: Vec<_> = Files::iter().filter(|path| is_served(path) || path == SHELL).collect();
        paths.sort_unstable();
        // Its keys are fixed: the same program makes the same hash on all members.
        let mut hasher = DefaultHasher::new();
        let (mut shell, mut by_path) = (String::new(), BTreeMap::new());
        for path in paths {
            let Some(file) = Files::get(&path) else { continue };
            (&*path, file.metadata.sha256_hash()).hash(&mut hasher);
            if path == SHELL {
                shell = String::from_utf8_lossy(&file.data).into_owned();
                continue;
            }
            let Some(kind) = kind_of(&path) else { continue };
            let plain = Bytes::from(file.data.into_owned());
            let packed = Bytes::from(answer::compressed(&plain, Compression::best()));
            by_path.insert(path.into_owned(), Asset { kind, plain, packed });
        }
        Self { hash: format!("{:016x}", hasher.finish()), shell, by_path }
    }

    /// The file at `path` of the version `hash`.
    pub fn get(&self, hash: &str, path: &str, gzip: bool) -> Response<Body> {
        let Some(asset) = self.by_path.get(path).filter(|_| hash == self.hash) else {
            let text = match hash == self.hash {
                true => format!("there is no file {path:?}"),
                false => "the page is of another version than the server: load it again".to_owned(),
            };
            return answer::error(StatusCode::NOT_FOUND, &ApiError::new("NOT_FOUND", text));
        };
        let body = if gzip { asset.packed.clone() } else { asset.plain.clone() };
        let mut response = answer::with_type(StatusCode::OK, asset.kind, body);
        if gzip {
            answer::mark_gzip(response.headers_mut());
        }
        let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
        response.headers_mut().insert(CACHE_CONTROL, forever);
        response
    }
}

/// What belongs to the page; types for editors and tests lie beside it.
fn is_served(path: &str) -> bool {
    kind_of(path).is_some() && !path.starts_with("test/") && !path.contains("node_modules/")
}

fn kind_of(path: &str) -> Option<&'static str> {
    match path.rsplit_once('.')?.1 {
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_belongs_to_the_page_is_served() {
        for (path, served) in [
            ("main.js", true),
            ("lib/signal.js", true),
            ("style.css", true),
            ("types.d.ts", false),
            ("test/format.js", false),
            ("shell.html", false),
            ("tsconfig.json", false),
        ] {
            assert_eq!(is_served(path), served, "{path}");
        }
    }

    #[test]
    fn another_version_is_not_mixed_in() {
        let assets = Assets::load();
        assert_eq!(assets.hash, Assets::load().hash);
        let path = assets.by_path.keys().next().unwrap();
        assert_eq!(assets.get(&assets.hash, path, true).status(), StatusCode::OK);
        assert_eq!(assets.get("0123456789abcdef", path, true).status(), StatusCode::NOT_FOUND);
        assert_eq!(assets.get(&assets.hash, "../Cargo.toml", false).status(), StatusCode::NOT_FOUND);
        assert!(!assets.shell.is_empty());
    }
}
