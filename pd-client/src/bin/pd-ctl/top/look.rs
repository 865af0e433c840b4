//! Words, shapes and colours. The word and the shape say it all; colour comes on top where the terminal has it.

use ratatui::style::{Color, Modifier, Style};

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Whether colours may be used.
    pub colour: bool,
    /// Whether letters beyond ASCII may be used.
    pub unicode: bool,
}

/// How good or bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Ok,
    /// Worth a look.
    Attention,
    /// Harm is near.
    AtRisk,
    /// Nobody knows.
    Unknown,
}

impl Look {
    /// From the environment: `NO_COLOR`, and the locale of letters.
    pub fn of_environment() -> Look {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
        let locale = locale.to_lowercase();
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        Look {
            colour: set("NO_COLOR").is_none() && !dumb,
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    /// The style of a tone. Blue, yellow, orange and grey stay apart for colour-blind eyes.
    pub fn style(self, tone: Tone) -> Style {
        if !self.colour {
            return match tone {
                Tone::AtRisk => Style::new().add_modifier(Modifier::BOLD),
                Tone::Ok | Tone::Attention | Tone::Unknown => Style::new(),
            };
        }
        match tone {
            Tone::Ok => Style::new().fg(Color::Indexed(74)),
            Tone::Attention => Style::new().fg(Color::Indexed(221)),
            Tone::AtRisk => Style::new().fg(Color::Indexed(209)).add_modifier(Modifier::BOLD),
            Tone::Unknown => Style::new().fg(Color::Indexed(247)),
        }
    }

    /// The shape and the tone of a verdict's word.
    pub fn verdict(self, word: &str) -> (&'static str, Tone) {
        let (fine, plain, tone) = match word {
            "ok" => ("●", "+", Tone::Ok),
            "learning" => ("◌", "~", Tone::Unknown),
            "attention" => ("◆", "*", Tone::Attention),
            "blocked" => ("■", "#", Tone::Attention),
            "degraded" => ("▲", "^", Tone::Attention),
            "at-risk" | "down" => ("✖", "X", Tone::AtRisk),
            _ => ("?", "?", Tone::Unknown),
        };
        (if self.unicode { fine } else { plain }, tone)
    }

    /// The shape and the tone of a store.
    pub fn store(self, node_state: &str, liveness: &str) -> (&'static str, Tone) {
        let (fine, plain, tone) = match (node_state, liveness) {
            (_, "Down") => ("✖", "x", Tone::AtRisk),
            (_, "Disconnected") => ("◐", "~", Tone::Attention),
            ("Removing", "Connected") => ("↓", "v", Tone::Attention),
            ("Preparing", "Connected") => ("↑", "^", Tone::Ok),
            (_, "Connected") => ("●", "+", Tone::Ok),
            _ => ("?", "?", Tone::Unknown),
        };
        (if self.unicode { fine } else { plain }, tone)
    }

    /// A bar of eight places.
    pub fn bar(self, percent: Option<u64>) -> String {
        let (full, empty) = if self.unicode { ('█', '░') } else { ('#', '.') };
        let Some(percent) = percent else { return "?".repeat(8) };
        let places = usize::try_from((percent.min(100) * 8).div_ceil(100)).unwrap_or(8);
        (0..8).map(|at| if at < places { full } else { empty }).collect()
    }
}
