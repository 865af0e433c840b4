//! Frames as people see them, compared with the files in `frames/`. `UPDATE_FRAMES=1` writes them anew.

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::events::Event;
use super::look::Look;
use super::picture::Picture;
use super::screen::Screen;
use super::{frame, lines, plain_frame};

/// The moment of all frames.
const NOW_MS: u64 = 1_700_000_100_000;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (40, 15)];

fn picture(events: &[(&str, String)]) -> Picture {
    let mut picture = Picture::default();
    for (topic, data) in events {
        picture.take(&Event { topic: (*topic).to_owned(), data: data.clone() }, NOW_MS - 1_000);
    }
    picture
}

fn health(rest: &str) -> (&'static str, String) {
    let text = format!(
        r#"{{"as_of_ms": 1700000099000, "member": "pd-1", "term": 3, "cluster_id": "7312", "bootstrapped": true, {rest}}}"#
    );
    ("health", text)
}

fn stores(count: u64, liveness_of_last: &str) -> (&'static str, String) {
    let row = |id: u64| {
        let liveness = if id == count { liveness_of_last } else { "Connected" };
        let capacity = 1_u64 << 40;
        format!(
            r#"{{"id": {id}, "address": "10.0.0.{id}:20160", "state": "Up", "node_state": "Serving", "liveness": "{liveness}",
            "used_bytes": {}, "capacity_bytes": {capacity}, "regions": {}, "leaders": 21, "sending_snaps": 0, "receiving_snaps": 1}}"#,
            capacity / 100 * (id * 13 % 100),
            1200 + id
        )
    };
    let rows: Vec<String> = (1..=count).map(row).collect();
    ("stores", format!(r#"{{"full": true, "rows": [{}]}}"#, rows.join(",")))
}

fn operators() -> (&'static str, String) {
    let rows = r#"{"full": true, "rows": [
        {"id": 1, "region": 107, "kind": "region", "desc": "balance-region", "state": "running", "created_ms": 1700000040000,
         "steps": ["add learner on store 4", "promote", "remove peer on store 1"], "step": 0},
        {"id": 2, "region": 9, "kind": "replica", "desc": "replace-down-replica", "state": "waiting", "created_ms": 1700000095000,
         "steps": ["add learner on store 2"], "step": 0, "waiting_for": "snapshot limit of store 2"},
        {"id": 3, "region": 5, "desc": "old", "state": "finished"}]}"#;
    ("operators", rows.to_owned())
}

fn map() -> (&'static str, String) {
    let text = r#"{"keys": ["", "74", ""], "regions": [30, 30], "heat": {"write": {"v": "AP4="}}, "trouble": {"1": {"regions": 2, "example": 9}}, "ops": {"0": 1}}"#;
    ("map", text.to_owned())
}

fn scenes() -> Vec<(&'static str, Picture)> {
    let leads = r#""leader": "pd-1", "by_leader": true"#;
    let heard = r#""heard": {"regions_permille": 1000, "stores": 3, "stores_expected": 3}"#;
    vec![
        (
            "ok",
            picture(&[
                health(&format!(r#""verdict": "ok", {leads}, {heard}"#)),
                stores(3, "Connected"),
                map(),
            ]),
        ),
        (
            "at-risk",
            picture(&[
                health(&format!(
                    r#""verdict": "at-risk", {leads}, {heard}, "checks": [
                    {{"code": "REGION_LAST_REPLICA", "severity": "at-risk", "count": 2, "since_ms": 1700000040000,
                      "summary": "2 regions are on their last healthy replica", "cause": {{"code": "STORE_DOWN", "subject": {{"store": 3}}}},
                      "next": ["pd-ctl why region 9"]}},
                    {{"code": "STORE_DOWN", "severity": "degraded", "count": 1, "since_ms": 1700000040000, "summary": "store 3 is down"}}]"#
                )),
                stores(3, "Down"),
                operators(),
                map(),
            ]),
        ),
        (
            "learning",
            picture(&[
                health(&format!(
                    r#""verdict": "learning", {leads}, "heard": {{"regions_permille": 831, "stores": 2, "stores_expected": 3}}"#
                )),
                stores(3, "Unknown"),
            ]),
        ),
        (
            "no-leader",
            picture(&[
                health(r#""verdict": "ok", "leader": "pd-2", "by_leader": false"#),
                stores(3, "Connected"),
                health(
                    r#""verdict": "down", "leader": null, "by_leader": false, "no_leader_since_ms": 1700000085000, "checks": [
                    {"code": "NO_LEADER", "severity": "down", "count": 1, "since_ms": 1700000085000, "summary": "no member leads"}]"#,
                ),
            ]),
        ),
        (
            "300-stores",
            picture(&[
                health(&format!(r#""verdict": "ok", {leads}, {heard}"#)),
                stores(300, "Connected"),
                operators(),
                map(),
            ]),
        ),
    ]
}

#[test]
fn frames_are_as_they_were() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/pd-ctl/top/frames");
    let look = Look { colour: true, unicode: true };
    let mut wrong = Vec::new();
    for (name, picture) in scenes() {
        for (width, height) in SIZES {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|frame| frame::draw(frame, &picture, &Screen::default(), look, NOW_MS)).unwrap();
            let drawn = lines(&terminal).join("\n") + "\n";
            let path = format!("{folder}/{name}-{width}x{height}.txt");
            if std::env::var_os("UPDATE_FRAMES").is_some() {
                std::fs::create_dir_all(folder).unwrap();
                std::fs::write(&path, &drawn).unwrap();
            }
            let expected = std::fs::read_to_string(&path).unwrap_or_default();
            if drawn != expected {
                wrong.push(format!("{path}:\n{drawn}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_frame_names_the_verdict_and_the_footer_stays() {
    for (name, picture) in scenes() {
        for (width, height) in SIZES {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            let look = Look { colour: false, unicode: false };
            terminal.draw(|frame| frame::draw(frame, &picture, &Screen::default(), look, NOW_MS)).unwrap();
            let lines = lines(&terminal);
            assert!(lines[0].contains(&picture.health.verdict), "{name}: {}", lines[0]);
            assert!(lines[usize::from(height) - 1].starts_with("g o/s"), "{name}: {lines:?}");
            assert!(
                lines.iter().all(|line| line.is_ascii()),
                "{name}: ASCII only where the locale asks: {lines:?}"
            );
        }
    }
}

#[test]
fn a_long_answer_is_read_to_its_end() {
    let (_, picture) = scenes().remove(0);
    let look = Look { colour: false, unicode: true };
    let reason = "store 517 holds 7 replicas and gets no more: store 517 uses 26 per mille of its target of 7.0 MiB, heard 3 s ago";
    let mut screen = Screen::default();
    screen.show((1..=30).map(|line| format!("{line}. {reason}")).collect());
    let drawn = |screen: &Screen, width, height| {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| frame::draw(frame, &picture, screen, look, NOW_MS)).unwrap();
        lines(&terminal)
    };
    let first = drawn(&screen, 80, 24).join(" ");
    let words = first.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(&format!("1. {reason} 2. ")), "{words}");
    assert!(words.contains("j k: lines 1 to 20 of 60"), "{words}");
    screen.scroll = frame::scroll_max(screen.pane.as_deref().unwrap(), 80, 24);
    let last = drawn(&screen, 80, 24);
    assert!(last.iter().any(|line| line.ends_with("heard 3 s ago")), "{last:#?}");
    assert!(last.join(" ").contains("lines 41 to 60 of 60"), "{last:#?}");
    for (width, height) in [(1, 1), (3, 2), (10, 3), (11, 5)] {
        drawn(&screen, width, height);
    }
}

#[test]
fn what_is_left_out_is_shown() {
    let health = health(
        r#""verdict": "attention", "leader": "pd-1", "by_leader": true, "checks": [
        {"code": "STORE_LOW_SPACE", "severity": "attention", "count": 1, "since_ms": 1700000040000,
         "summary": "store 517 is above its low-space ratio: 91 % of its disk is used, the limit is 80 %"}]"#,
    );
    let picture = picture(&[health]);
    for (unicode, end) in [(true, "…"), (false, "...")] {
        let text = plain_frame(&picture, Look { colour: false, unicode }, NOW_MS, 60, 24).unwrap();
        let line = text.lines().nth(1).unwrap();
        assert!(line.contains("store 517 is above") && line.ends_with(end), "{line}");
        assert_eq!(line.chars().count(), 60, "{line}");
    }
}

#[test]
fn no_screen_is_too_small() {
    for (_, picture) in scenes() {
        for (width, height) in [(1, 1), (3, 2), (10, 3), (500, 5)] {
            plain_frame(&picture, Look { colour: true, unicode: true }, NOW_MS, width, height).unwrap();
        }
    }
}

#[test]
fn what_is_old_is_said_to_be() {
    let (_, picture) = scenes().remove(0);
    let look = Look { colour: false, unicode: true };
    let text = plain_frame(&picture, look, NOW_MS + 60_000, 120, 24).unwrap();
    assert!(text.lines().next().unwrap().contains("no news, 1m 1s old"), "{text}");
}
