//! The tables: stores, operators, members. Narrow screens drop the columns to the right.

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::frame::{bold, clipped};
use super::look::{Look, Tone};
use super::picture::Picture;
use super::rows::StoreRow;
use super::screen::Screen;
use crate::units;

/// Of a number that nobody knows.
const UNKNOWN: &str = "?";

/// Stores, in at most `lines` lines.
pub fn stores(
    picture: &Picture,
    screen: &Screen,
    look: Look,
    width: usize,
    lines: usize,
) -> Vec<Line<'static>> {
    let header = ["STORE", "STATE", "USED", "REGIONS", "LEADERS", "IN/OUT", "FULL IN", "ADDRESS"];
    let rows = picture.live_stores().map(|store| store_cells(store, look)).collect();
    table(&header, rows, &[21, 20, 16, 12, 12, 8, 9, 60], screen.row, width, lines)
}

/// Operators under way, in at most `lines` lines.
pub fn operators(
    picture: &Picture,
    screen: &Screen,
    now_ms: u64,
    width: usize,
    lines: usize,
) -> Vec<Line<'static>> {
    let header = ["OPERATOR", "REGION", "STEP", "AGE", "DOES"];
    let rows: Vec<Vec<Span<'static>>> = picture
        .open_operators()
        .map(|operator| {
            let step = operator.steps.get(operator.step).map_or("", String::as_str);
            let does = match &operator.waiting_for {
                Some(what) => format!("{step} (waits: {what})"),
                None => step.to_owned(),
            };
            let age = now_ms.saturating_sub(operator.created_ms);
            let place = format!("{}/{}", (operator.step + 1).min(operator.steps.len()), operator.steps.len());
            [operator.desc.clone(), operator.region.to_string(), place, units::span(age), does]
                .map(|text| Span::raw(units::plain(&text)))
                .to_vec()
        })
        .collect();
    if rows.is_empty() {
        let all = [Line::from(Span::styled("OPERATORS", bold())), Line::from("nothing moves")];
        return all.into_iter().take(lines).collect();
    }
    table(&header, rows, &[32, 21, 8, 9, 200], screen.row, width, lines)
}

/// Members, in at most `lines` lines.
pub fn members(
    picture: &Picture,
    screen: &Screen,
    look: Look,
    width: usize,
    lines: usize,
) -> Vec<Line<'static>> {
    let header = ["MEMBER", "ROLE", "TERM", "APPLIED", "BEHIND", "CLOCK", "VERSION", "ADDRESS"];
    let rows = picture.members.values().map(|member| {
        let (role, tone) = match (member.healthy, member.role.as_str()) {
            (Some(false), _) => ("does not answer", Tone::AtRisk),
            (None, "" | "unknown") => ("unknown", Tone::Unknown),
            (_, role) => (role, Tone::Ok),
        };
        let known = |number: Option<u64>| number.map_or_else(|| UNKNOWN.to_owned(), units::count);
        let clock = member.clock_offset_ms.map_or_else(|| UNKNOWN.to_owned(), |ms| format!("{ms:+} ms"));
        let mut cells =
            vec![Span::raw(units::plain(&member.name)), Span::styled(units::plain(role), look.style(tone))];
        let rest = [
            known(member.term),
            known(member.applied),
            known(member.lag),
            clock,
            member.version.clone(),
            member.client_urls.join(","),
        ];
        cells.extend(rest.map(|text| Span::raw(units::plain(&text))));
        cells
    });
    table(&header, rows.collect(), &[24, 17, 10, 16, 12, 12, 20, 80], screen.row, width, lines)
}

fn store_cells(store: &StoreRow, look: Look) -> Vec<Span<'static>> {
    let (shape, tone) = look.store(&store.node_state, &store.liveness);
    let word = match (store.node_state.as_str(), store.liveness.as_str()) {
        ("Serving", "Connected") => "Up",
        (state, "Connected") => state,
        (_, liveness) => liveness,
    };
    let known = |number: Option<u64>| number.map_or_else(|| UNKNOWN.to_owned(), units::count);
    let percent = store.used_percent();
    let used = percent.map_or_else(|| UNKNOWN.to_owned(), |percent| format!("{percent}%"));
    let full = match percent {
        Some(percent) if percent >= 90 => Tone::AtRisk,
        Some(percent) if percent >= 80 => Tone::Attention,
        Some(_) => Tone::Ok,
        None => Tone::Unknown,
    };
    let flow = format!("{}/{}", known(store.receiving_snaps), known(store.sending_snaps));
    let full_in = store.full_in_s.map_or_else(|| "-".to_owned(), |s| units::span(s * 1000));
    let mut cells = vec![
        Span::raw(store.id.to_string()),
        Span::styled(format!("{shape} {}", units::plain(word)), look.style(tone)),
        Span::styled(format!("{} {used}", look.bar(percent)), look.style(full)),
    ];
    let rest = [known(store.regions), known(store.leaders), flow, full_in, units::plain(&store.address)];
    cells.extend(rest.map(Span::raw));
    cells
}

/// A table of `lines` lines whose visible part holds the row that is pointed at; what is beneath is counted.
pub fn table(
    header: &[&'static str],
    rows: Vec<Vec<Span<'static>>>,
    widths: &[usize],
    pointed: usize,
    width: usize,
    lines: usize,
) -> Vec<Line<'static>> {
    if lines == 0 {
        return Vec::new();
    }
    let total = rows.len();
    let room = lines - 1;
    // The last line tells how many are left when not all fit.
    let visible = if total > room { room.saturating_sub(1) } else { total };
    let first = if visible == 0 || pointed >= total { 0 } else { (pointed + 1).saturating_sub(visible) };
    let widths = fitted(header, &rows, widths);
    let widths = widths.as_slice();
    let titles: Vec<Span<'static>> = header.iter().map(|title| Span::styled(*title, bold())).collect();
    let mut shown = vec![line(titles, widths, width, false)];
    for (at, row) in rows.into_iter().enumerate().skip(first).take(visible) {
        shown.push(line(row, widths, width, at == pointed));
    }
    if total > visible && shown.len() < lines {
        shown.push(Line::from(format!(
            "{} of {} shown",
            units::count(visible as u64),
            units::count(total as u64)
        )));
    }
    shown
}

/// Each column as wide as its widest cell and a space, and no wider than it may be. All rows count, so that nothing
/// moves when one goes through them.
fn fitted(header: &[&'static str], rows: &[Vec<Span<'static>>], most: &[usize]) -> Vec<usize> {
    let widest = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.content.chars().count());
        cells.chain([header[at].chars().count()]).max().unwrap_or(0)
    };
    (0..header.len()).map(|at| (widest(at) + 1).min(most[at])).collect()
}

fn line(cells: Vec<Span<'static>>, widths: &[usize], width: usize, pointed: bool) -> Line<'static> {
    let mut spans = Vec::with_capacity(cells.len());
    let mut used = 0;
    for (cell, wanted) in cells.into_iter().zip(widths) {
        if used >= width {
            break;
        }
        let room = (*wanted).min(width - used);
        // A space stands between two columns; behind the last there is none.
        let gap = usize::from(used + room < width);
        let text = clipped(&cell.content, room - gap);
        spans.push(Span::styled(format!("{text:room$}"), cell.style));
        used += room;
    }
    let style = if pointed { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
    Line::from(spans).style(style)
}
