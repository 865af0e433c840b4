//! The results: a table for people, `target/bench.json` for programs.

use std::path::Path;
use std::{fs, io};

use serde::Serialize;

/// One measured figure.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Its name, stable over time.
    pub name: &'static str,
    /// What was measured.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
    /// The target of the design, in the same unit, and whether more or less is better.
    #[serde(skip)]
    pub target: Target,
}

/// What the design asks for.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// At least so much.
    AtLeast(f64),
    /// At most so much.
    AtMost(f64),
}

impl Figure {
    /// Whether the target is reached.
    pub fn reached(&self) -> bool {
        match self.target {
            Target::AtLeast(want) => self.value >= want,
            Target::AtMost(want) => self.value <= want,
        }
    }
}

/// Prints the table.
pub fn print(figures: &[Figure]) {
    println!("{:<26} {:>14} {:>14}  {:<24}", "name", "value", "target", "unit");
    for figure in figures {
        let target = match figure.target {
            Target::AtLeast(want) => format!(">= {}", short(want)),
            Target::AtMost(want) => format!("<= {}", short(want)),
        };
        let verdict = if figure.reached() { "" } else { "  below target" };
        println!("{:<26} {:>14} {:>14}  {}{verdict}", figure.name, short(figure.value), target, figure.unit);
    }
}

/// Writes the list as JSON.
pub fn write(figures: &[Figure], path: &Path) -> io::Result<()> {
    fs::write(path, serde_json::to_vec_pretty(figures)?)
}

/// Three significant digits with k and M.
fn short(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{:.2} M", v / 1e6),
        v if v >= 1e4 => format!("{:.1} k", v / 1e3),
        v if v >= 100.0 => format!("{v:.0}"),
        v => format!("{v:.2}"),
    }
}
