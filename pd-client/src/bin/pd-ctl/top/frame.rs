//! One frame: the verdict first, then why, then what is behind it.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph};

use super::look::{Look, Tone};
use super::picture::Picture;
use super::screen::{Page, Screen};
use super::strip;
use super::tables;
use crate::health::Check;
use crate::units;

/// Older than this, what is shown is old: a pulse comes each second.
const STALE_MS: u64 = 3_000;

/// What goes on in the next line stands so much further in.
const INDENT: usize = 2;

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, picture: &Picture, screen: &Screen, look: Look, now_ms: u64) {
    let area = frame.area();
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let reasons = reasons(picture, look, now_ms, width, (height / 4).max(1));
    let strip_height = if height >= 16 && screen.page != Page::Keys { 2 } else { 0 };
    let [head, why, middle, keys, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(u16::try_from(reasons.len()).unwrap_or(0)),
        Constraint::Min(0),
        Constraint::Length(strip_height),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(
        Paragraph::new(shortened(first_line(picture, screen, look, now_ms), width, look)),
        head,
    );
    frame.render_widget(Paragraph::new(reasons), why);
    let lines = usize::from(middle.height);
    let mut body = match screen.page {
        Page::Overview => overview(picture, screen, look, now_ms, width, lines),
        Page::Stores => tables::stores(picture, screen, look, width, lines),
        Page::Operators => tables::operators(picture, screen, now_ms, width, lines),
        Page::Keys => key_space(picture, screen, look, width, lines),
        Page::Members => tables::members(picture, screen, look, width, lines),
    };
    if now_ms.saturating_sub(picture.heard_ms) > STALE_MS {
        let old = look.style(Tone::Unknown);
        body.iter_mut().flat_map(|line| &mut line.spans).for_each(|span| span.style = old);
    }
    frame.render_widget(Paragraph::new(body), middle);
    if strip_height > 0 {
        let title =
            Line::from(Span::styled(clipped(&format!("KEYS  {}", strip::legend(look)), width), bold()));
        frame.render_widget(Paragraph::new(vec![title, strip::line(&picture.map, width, look)]), keys);
    }
    frame.render_widget(Paragraph::new(footer(screen, width)), foot);
    if let Some(pane) = &screen.pane {
        draw_pane(frame, pane, screen.scroll);
    }
}

/// The verdict, whose it is, and how old.
fn first_line(picture: &Picture, screen: &Screen, look: Look, now_ms: u64) -> Line<'static> {
    let health = &picture.health;
    let age = now_ms.saturating_sub(picture.heard_ms);
    let (shape, tone) = look.verdict(&health.verdict);
    let word =
        if health.verdict.is_empty() { "no verdict yet".to_owned() } else { units::plain(&health.verdict) };
    let fresh = if age > STALE_MS { look.style(Tone::Unknown) } else { look.style(tone) };
    let mut facts = Vec::new();
    facts.push(match (&health.leader, health.no_leader_since_ms) {
        (Some(leader), _) => format!("leader {leader} term {}", health.term),
        (None, Some(since)) => format!("no leader since {}", units::clock(since)),
        (None, None) => "no leader known".to_owned(),
    });
    facts.extend(health.heard.filter(|heard| heard.regions_permille < 1000).map(|heard| {
        format!("learning, {}.{} % heard", heard.regions_permille / 10, heard.regions_permille % 10)
    }));
    facts.extend(health.cluster_id.as_ref().map(|id| format!("cluster {id}")));
    if !health.by_leader && !health.member.is_empty() {
        facts.push(format!("view of {}", health.member));
    }
    let pulse = match (&picture.broken, screen.paused) {
        (_, true) => "paused".to_owned(),
        (Some(why), _) if age > STALE_MS => format!("reconnecting: {why}"),
        _ if picture.heard_ms == 0 => "connecting".to_owned(),
        _ if age > STALE_MS => "no news".to_owned(),
        _ => "live".to_owned(),
    };
    let is_old = age > STALE_MS && picture.heard_ms > 0;
    facts.push(if is_old { format!("{pulse}, {} old", units::span(age)) } else { pulse });
    let rest = units::plain(&format!("  {}", facts.join("  ")));
    Line::from(vec![
        Span::styled(format!("{shape} {word}"), fresh.add_modifier(Modifier::BOLD)),
        Span::raw(rest),
    ])
}

/// The problems, at most so many lines, and the last change of the leader.
fn reasons(picture: &Picture, look: Look, now_ms: u64, width: usize, most: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = Vec::new();
    let checks = &picture.health.checks;
    for (at, check) in checks.iter().enumerate() {
        let told = reason(check, look, now_ms, width);
        // The last line is kept for how many are left.
        let room = most.saturating_sub(lines.len() + usize::from(at + 1 < checks.len()));
        if told.len() > room {
            lines.push(Line::from(format!("  and {} more: pd-ctl status", checks.len() - at)));
            break;
        }
        lines.extend(told);
    }
    if let Some(change) = picture.change.as_ref().filter(|_| lines.len() < most) {
        lines.push(Line::from(Span::styled(
            format!("  {}", units::plain(change)),
            look.style(Tone::Attention),
        )));
    }
    lines.truncate(most);
    lines.into_iter().map(|line| shortened(line, width, look)).collect()
}

/// One problem on one line, or its cause and what to type on a second one where the screen is narrow.
fn reason(check: &Check, look: Look, now_ms: u64, width: usize) -> Vec<Line<'static>> {
    let (shape, tone) = look.verdict(&check.severity);
    let head = format!("  {shape} {}", units::plain(&check.severity));
    let since = check.since_ms.map(|since| format!(" ({})", units::span(now_ms.saturating_sub(since))));
    let summary = units::plain(&format!(" {}{}", check.summary, since.unwrap_or_default()));
    let mut behind = Vec::new();
    behind.extend(check.cause.as_ref().map(|cause| format!("because of {cause}")));
    behind.extend(check.next.first().cloned());
    let behind = units::plain(&behind.join("  "));
    let first = vec![Span::styled(head.clone(), look.style(tone)), Span::raw(summary.clone())];
    if behind.is_empty() {
        return vec![Line::from(first)];
    }
    if head.chars().count() + summary.chars().count() + behind.chars().count() + 2 <= width {
        let rest = Span::raw(format!("  {behind}"));
        return vec![Line::from([first, vec![rest]].concat())];
    }
    vec![Line::from(first), Line::from(format!("      {behind}"))]
}

/// Stores above, operators below: as many as there is room for, at least a few of each.
fn overview(
    picture: &Picture,
    screen: &Screen,
    look: Look,
    now_ms: u64,
    width: usize,
    lines: usize,
) -> Vec<Line<'static>> {
    let running = picture.open_operators().count();
    let for_operators = (running + 1).clamp(2, (lines / 3).max(2));
    let for_stores = lines.saturating_sub(for_operators).min(picture.live_stores().count() + 1);
    let mut body = tables::stores(picture, screen, look, width, for_stores);
    // The cursor of the overview is among the stores.
    let quiet = Screen::unattended();
    body.extend(tables::operators(picture, &quiet, now_ms, width, lines.saturating_sub(for_stores)));
    body
}

fn key_space(
    picture: &Picture,
    screen: &Screen,
    look: Look,
    width: usize,
    lines: usize,
) -> Vec<Line<'static>> {
    let map = &picture.map;
    let mut body = vec![
        Line::from(Span::styled(clipped(&format!("KEYS  {}", strip::legend(look)), width), bold())),
        strip::line(map, width, look),
        Line::default(),
    ];
    let header = ["FROM", "TO", "REGIONS", "IN TROUBLE", "ASK"];
    let rows = map.trouble.iter().map(|(cell, trouble)| {
        let at = usize::try_from(*cell).unwrap_or(usize::MAX);
        let key = |at: usize| map.keys.get(at).cloned().unwrap_or_default();
        let ask = trouble.example.map(|region| format!("why region {region}")).unwrap_or_default();
        let regions = map.regions.get(at).copied().unwrap_or(0);
        [
            key(at),
            key(at.saturating_add(1)),
            units::count(regions),
            units::count(trouble.regions + trouble.holes),
            ask,
        ]
        .map(Span::raw)
        .to_vec()
    });
    body.extend(tables::table(
        &header,
        rows.collect(),
        &[40, 40, 12, 12, 40],
        screen.row,
        width,
        lines.saturating_sub(3),
    ));
    body
}

fn footer(screen: &Screen, width: usize) -> Line<'static> {
    let text = match (&screen.search, &screen.notice) {
        (Some(typed), _) => format!("/{typed}_"),
        (None, Some(notice)) => notice.clone(),
        (None, None) => {
            "g o/s/p/k/m pages  j k rows  w why  / search  y copy URL  Space hold  ? help  q quit".to_owned()
        }
    };
    Line::from(Span::styled(
        clipped(&units::plain(&text), width),
        Style::new().add_modifier(Modifier::REVERSED),
    ))
}

fn draw_pane(frame: &mut Frame<'_>, lines: &[String], scroll: usize) {
    let area = frame.area();
    let lines = folded(lines, usize::from(area.width));
    let room = pane_room(area.height);
    let height = u16::try_from(lines.len().min(room) + 2).unwrap_or(u16::MAX).max(3).min(area.height);
    let pane = Rect { y: area.y + area.height.saturating_sub(height + 1), height, ..area };
    let first = scroll.min(lines.len().saturating_sub(room));
    let last = (first + room).min(lines.len());
    let title = match lines.len() > room {
        true => format!(" Esc closes  j k: lines {} to {last} of {} ", first + 1, lines.len()),
        false => " Esc closes ".to_owned(),
    };
    let text: Vec<Line<'_>> = lines[first..last].iter().map(|line| Line::from(line.as_str())).collect();
    let block = Block::new().borders(Borders::TOP | Borders::BOTTOM).title(title);
    frame.render_widget(Clear, pane);
    frame.render_widget(Paragraph::new(text).block(block), pane);
}

/// Lines of the pane that a screen of this height shows: the verdict and the footer stay, and the pane has two borders.
fn pane_room(height: u16) -> usize {
    usize::from(height.saturating_sub(4)).max(1)
}

/// How far the pane can be scrolled.
pub fn scroll_max(pane: &[String], width: u16, height: u16) -> usize {
    folded(pane, usize::from(width)).len().saturating_sub(pane_room(height))
}

/// The lines as they fit the screen: long ones go on in the next line, between words where there are any.
fn folded(lines: &[String], width: usize) -> Vec<String> {
    let mut folded = Vec::new();
    for line in lines {
        let line = units::plain(line);
        let indent = line.chars().take_while(|letter| *letter == ' ').count() + INDENT;
        // On the narrowest screens an indent leaves no room.
        let indent = if indent * 2 > width { 0 } else { indent };
        let mut rest: Vec<char> = line.chars().collect();
        while rest.len() > width.max(1) {
            let at = rest[..=width].iter().rposition(|letter| *letter == ' ').filter(|at| *at > indent);
            let cut = at.unwrap_or(width.max(1));
            let tail = rest.split_off(cut);
            folded.push(rest.into_iter().collect());
            let tail = tail.into_iter().skip_while(|letter| *letter == ' ');
            rest = std::iter::repeat_n(' ', indent).chain(tail).collect();
        }
        folded.push(rest.into_iter().collect());
    }
    folded
}

/// A line no longer than the screen is wide; where something is left out, that is shown.
fn shortened(line: Line<'static>, width: usize, look: Look) -> Line<'static> {
    let length = |line: &Line<'_>| line.spans.iter().map(|span| span.content.chars().count()).sum::<usize>();
    if length(&line) <= width {
        return line;
    }
    let more = if look.unicode { "…" } else { "..." };
    let mut room = width.saturating_sub(more.chars().count());
    let mut spans = Vec::new();
    for span in line.spans {
        let content: String = span.content.chars().take(room).collect();
        room -= content.chars().count();
        spans.push(Span::styled(content, span.style));
    }
    spans.push(Span::raw(clipped(more, width)));
    Line::from(spans)
}

/// The text, no longer than the screen is wide.
pub fn clipped(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

/// The style of headers.
pub fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}
