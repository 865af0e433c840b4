//! The key space as one row of half blocks: above what is written, below what is wrong.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};

use super::look::{Look, Tone};
use super::rows::KeyMap;

/// Heat from which a cell counts as written: the lower third of the logarithm is noise.
const WARM: u8 = 85;

/// Ten steps of heat from the dark to the bright, even for the eye, also for colour-blind ones.
const RAMP: [u8; 10] = [17, 18, 24, 60, 66, 102, 143, 179, 221, 229];

/// A cell of the screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cell {
    heat: Option<u8>,
    trouble: bool,
    busy: bool,
}

/// One row of `width` letters.
pub fn line(map: &KeyMap, width: usize, look: Look) -> Line<'static> {
    let cells = cells(map, width);
    if cells.is_empty() {
        return Line::from(Span::styled("not known yet", look.style(Tone::Unknown)));
    }
    Line::from(cells.into_iter().map(|cell| letter(cell, look)).collect::<Vec<_>>())
}

/// What the letters mean.
pub fn legend(look: Look) -> &'static str {
    match (look.unicode, look.colour) {
        (true, true) => "above: writes, dark to bright   below: trouble (orange), moving (yellow)",
        (true, false) => "\u{2580} written  \u{2584} trouble  \u{2588} both  \u{25aa} moving  \u{b7} quiet",
        (false, _) => "- written  ! trouble  # both  o moving  . quiet",
    }
}

fn letter(cell: Cell, look: Look) -> Span<'static> {
    let warm = cell.heat.is_some_and(|heat| heat >= WARM);
    if look.colour && look.unicode {
        let above = cell
            .heat
            .map_or(Color::Indexed(240), |heat| Color::Indexed(RAMP[usize::from(heat) * RAMP.len() / 256]));
        let below = match (cell.trouble, cell.busy) {
            (true, _) => Color::Indexed(209),
            (false, true) => Color::Indexed(221),
            (false, false) => Color::Indexed(236),
        };
        return Span::styled("\u{2580}", Style::new().fg(above).bg(below));
    }
    let (fine, plain) = match (cell.trouble, warm, cell.busy) {
        (true, true, _) => ("\u{2588}", "#"),
        (true, false, _) => ("\u{2584}", "!"),
        (false, _, true) => ("\u{25aa}", "o"),
        (false, true, false) => ("\u{2580}", "-"),
        (false, false, false) => ("\u{b7}", "."),
    };
    let tone = if cell.trouble { Tone::AtRisk } else { Tone::Unknown };
    Span::styled(if look.unicode { fine } else { plain }, look.style(tone))
}

/// The map's cells spread over the screen's; trouble in any of those that share a letter shows.
fn cells(map: &KeyMap, width: usize) -> Vec<Cell> {
    let count = map.regions.len();
    if count == 0 || width == 0 {
        return Vec::new();
    }
    let heat = STANDARD.decode(&map.heat.write.v).unwrap_or_default();
    let mut cells = vec![Cell::default(); width];
    for at in 0..count {
        let first = at * width / count;
        let last = ((at + 1) * width).div_ceil(count).max(first + 1).min(width);
        for cell in &mut cells[first..last] {
            let key = u64::try_from(at).unwrap_or(u64::MAX);
            cell.trouble |= map.trouble.get(&key).is_some_and(|trouble| trouble.regions + trouble.holes > 0);
            cell.busy |= map.ops.get(&key).is_some_and(|ops| *ops > 0);
            let own = heat.get(at).copied().filter(|heat| *heat != 255);
            cell.heat = cell.heat.max(own);
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::{KeyMap, Look, cells, line};

    fn map() -> KeyMap {
        // Heat 0, 255, 254, 1.
        serde_json::from_str(
            r#"{"regions": [1, 1, 1, 1], "heat": {"write": {"v": "AP/+AQ=="}}, "trouble": {"3": {"regions": 2}}, "ops": {"1": 1}}"#,
        )
        .unwrap()
    }

    #[test]
    fn trouble_is_never_lost_however_narrow_the_screen() {
        for width in 1..12 {
            let cells = cells(&map(), width);
            assert_eq!(cells.len(), width);
            assert!(cells[width - 1].trouble, "{width}");
        }
        assert!(cells(&map(), 0).is_empty());
    }

    #[test]
    fn letters_alone_tell_it() {
        let text = |unicode| line(&map(), 4, Look { colour: false, unicode }).to_string();
        assert_eq!(text(false), ".o-!");
        assert_eq!(text(true), "\u{b7}\u{25aa}\u{2580}\u{2584}");
    }
}
