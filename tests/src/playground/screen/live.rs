//! Drawing.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use crossterm::cursor::{Hide, MoveToColumn, MoveUp, Show};
use crossterm::terminal::{self, Clear, ClearType};
use crossterm::{QueueableCommand, execute};

/// The screen of one run. Restores the terminal when dropped.
#[derive(Debug)]
pub struct Screen {
    terminal: bool,
    drawn: Mutex<Drawn>,
}

/// The lines that are redrawn.
#[derive(Debug, Default)]
struct Drawn {
    lines: Vec<String>,
    /// How many of them stand on the screen now.
    shown: usize,
}

/// Size where the terminal does not tell.
const USUAL_SIZE: (u16, u16) = (100, 24);

impl Screen {
    /// Takes the terminal, if there is one at both ends: keys come unbuffered from then on.
    pub fn open() -> Screen {
        let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
        let terminal = terminal && terminal::enable_raw_mode().is_ok();
        if terminal {
            let _ = execute!(std::io::stdout(), Hide);
        }
        Screen { terminal, drawn: Mutex::default() }
    }

    /// Whether lines are redrawn and keys are read.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// A line that stays.
    pub fn print(&self, line: &str) {
        let mut drawn = self.lock();
        // A closed pipe must not end the run: the cluster is to be stopped in order.
        let _ = self.write(&mut drawn, Some(line));
    }

    /// The lines that are redrawn, from now on these. Nothing without a terminal.
    pub fn redraw(&self, lines: Vec<String>) {
        if self.terminal {
            let mut drawn = self.lock();
            drawn.lines = lines;
            let _ = self.write(&mut drawn, None);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Drawn> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, drawn: &mut Drawn, stays: Option<&str>) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if !self.terminal {
            return match stays {
                Some(line) => writeln!(out, "{line}"),
                None => Ok(()),
            };
        }
        let (width, height) = terminal::size().unwrap_or(USUAL_SIZE);
        if drawn.shown > 0 {
            out.queue(MoveUp(u16::try_from(drawn.shown).unwrap_or(u16::MAX)))?;
        }
        out.queue(MoveToColumn(0))?;
        // Each line clears its own rest, so that nothing flickers; what is left over below goes at the end.
        let fit = |line: &str| line.chars().take(usize::from(width.saturating_sub(1))).collect::<String>();
        // Not `lines`: an empty text is an empty line.
        for line in stays.into_iter().flat_map(|text| text.split('\n')) {
            out.write_all(line.as_bytes())?;
            out.queue(Clear(ClearType::UntilNewLine))?;
            out.write_all(b"\r\n")?;
        }
        // More lines than the screen has would scroll away from under the cursor.
        drawn.shown = drawn.lines.len().min(usize::from(height.saturating_sub(1)));
        for line in drawn.lines.iter().take(drawn.shown) {
            out.write_all(fit(line).as_bytes())?;
            out.queue(Clear(ClearType::UntilNewLine))?;
            out.write_all(b"\r\n")?;
        }
        out.queue(Clear(ClearType::FromCursorDown))?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.terminal {
            let _ = execute!(std::io::stdout(), Show);
            let _ = terminal::disable_raw_mode();
        }
    }
}
