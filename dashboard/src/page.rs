//! The page as HTML, made by the server: verdict, its lines and the figures are in it, so that it is there before any script
//! and works without one. Scripts take over from there.

use axum::body::Body;
use http::{Response, StatusCode};

use crate::answer;
use crate::assets::Assets;
use crate::html;
use crate::model::{ApiError, Check, CheckCause, Figure, Health, Subject};
use crate::moment;
use crate::snapshot::Snapshot;

/// Lines shown before any script: more than that is a list, and lists are the script's.
const LINES_MAX: usize = 50;

/// The page with what is known now.
pub fn render(assets: &Assets, snapshot: &Snapshot, version: &str, gzip: bool) -> Response<Body> {
    if assets.shell.is_empty() {
        let text =
            "this program was built without the files of the page; the API is there: /pd/api/v2/health";
        return answer::error(StatusCode::NOT_FOUND, &ApiError::new("NO_PAGE", text));
    }
    let now_ms = snapshot.as_of_ms;
    let health = snapshot.health.as_ref();
    let verdict = health.map_or("unknown", |health| health.verdict.word());
    let mut lines = String::new();
    for check in health.iter().flat_map(|health| &health.checks).take(LINES_MAX) {
        push_line(&mut lines, check, now_ms);
    }
    let mut figures = String::new();
    for figure in snapshot.stats.iter().flat_map(|stats| &stats.figures) {
        push_figure(&mut figures, figure);
    }
    let as_of = match snapshot.revision {
        0 => "nothing is known yet".to_owned(),
        _ => moment::moment(now_ms, now_ms),
    };
    let base = format!("assets/{}/", assets.hash);
    let values = [
        ("base", base.as_str()),
        ("api", "pd/api/v2/"),
        ("hash", &assets.hash),
        ("version", &html::text(version)),
        ("verdict", verdict),
        ("lines", &lines),
        ("figures", &figures),
        ("cluster", &html::text(snapshot.cluster_id.as_deref().unwrap_or("unknown"))),
        (
            "leader",
            &html::text(&health.map_or_else(|| "unknown".to_owned(), |health| leader(health, now_ms))),
        ),
        ("member", &html::text(&snapshot.member)),
        ("as_of", &as_of),
        ("as_of_ms", &now_ms.to_string()),
    ];
    answer::text("text/html; charset=utf-8", html::fill(&assets.shell, &values).into_bytes(), gzip)
}

fn leader(health: &Health, now_ms: u64) -> String {
    match (&health.leader, health.no_leader_since_ms) {
        (Some(name), _) => name.clone(),
        (None, Some(since)) => format!("none since {}", moment::moment(since, now_ms)),
        (None, None) => "none".to_owned(),
    }
}

fn push_line(out: &mut String, check: &Check, now_ms: u64) {
    let mut meta = vec![moment::count(check.count)];
    meta.extend(check.since_ms.map(|since| format!("since {}", moment::moment(since, now_ms))));
    meta.extend(check.cause.as_ref().map(cause));
    out.push_str("<li class=\"line\" data-severity=\"");
    html::push_text(out, check.severity.word());
    out.push_str("\"><span class=\"mark\" aria-hidden=\"true\"></span><strong>");
    html::push_text(out, &check.summary);
    out.push_str("</strong> <span class=\"meta\">");
    html::push_text(out, &meta.join(" · "));
    out.push_str("</span>");
    for command in &check.next {
        out.push_str(" <code class=\"cmd\">");
        html::push_text(out, command);
        out.push_str("</code>");
    }
    out.push_str("</li>\n");
}

fn cause(cause: &CheckCause) -> String {
    match &cause.subject {
        Some(subject) => format!("{} {}", cause.code, named(subject)),
        None => cause.code.to_string(),
    }
}

fn named(subject: &Subject) -> String {
    match subject {
        Subject::Region(id) => format!("region {id}"),
        Subject::Store(id) => format!("store {id}"),
        Subject::Rule(name) => format!("rule {name}"),
        Subject::Member(name) => format!("member {name}"),
        Subject::Range(range) => format!("range {range}"),
    }
}

fn push_figure(out: &mut String, figure: &Figure) {
    out.push_str("<div class=\"figure\"><dt>");
    html::push_text(out, &figure.label);
    out.push_str("</dt><dd>");
    match figure.value {
        Some(value) => html::push_text(out, &moment::figure(value, &figure.unit)),
        None => out.push_str("unknown"),
    }
    if let Some(note) = &figure.note {
        out.push_str(" <small>");
        html::push_text(out, note);
        out.push_str("</small>");
    }
    out.push_str("</dd></div>\n");
}
