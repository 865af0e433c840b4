//! The terminal while `top` has it: taken once, given back whatever happens.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crossterm::event::Event as Input;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use tokio::sync::mpsc;

/// Keys that wait for the screen; more than anybody types between two frames.
const KEYS_MAX: usize = 64;

/// How long the reader of keys looks before it asks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal in raw mode on its second screen. Dropping it gives it back.
pub struct Taken {
    /// Where frames are drawn.
    pub terminal: Terminal<CrosstermBackend<io::Stdout>>,
}

impl Taken {
    /// Takes the terminal. A panic gives it back before it is told.
    ///
    /// # Errors
    /// When this is no terminal that can be taken.
    pub fn take() -> io::Result<Taken> {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            told(panic);
        }));
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        let entered = execute!(io::stdout(), EnterAlternateScreen, cursor::Hide);
        match entered.and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout()))) {
            Ok(terminal) => Ok(Taken { terminal }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Puts a text into the clipboard of the person's own terminal, however far away that is (OSC 52).
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout();
        write!(stdout, "\u{1b}]52;c;{}\u{7}", STANDARD.encode(text))?;
        stdout.flush()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// Once, whoever comes first: the end, a panic, a signal.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // There is nothing better to do when the terminal is gone already.
        let _ = execute!(io::stdout(), LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
    }
}

/// What is typed, read on a thread of its own, which ends when the terminal is given back or nobody listens.
pub fn keys() -> mpsc::Receiver<Input> {
    let (typed, keys) = mpsc::channel(KEYS_MAX);
    std::thread::spawn(move || {
        while TAKEN.load(Ordering::SeqCst) {
            match crossterm::event::poll(LOOK) {
                Ok(false) => {}
                Ok(true) => {
                    let Ok(input) = crossterm::event::read() else { return };
                    if typed.blocking_send(input).is_err() {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    });
    keys
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::Taken;

    /// Set in the process that panics.
    const INSIDE: &str = "PD_CTL_TEST_PANICS";

    /// This test runs itself in a pseudo-terminal, where it takes the terminal and panics.
    #[test]
    fn a_panic_gives_the_terminal_back_before_it_is_told() {
        if std::env::var_os(INSIDE).is_some() {
            let taken = Taken::take().unwrap();
            assert!(taken.terminal.size().is_err(), "this is the panic");
            return;
        }
        let test = std::env::current_exe().unwrap();
        let name = "top::terminal::tests::a_panic_gives_the_terminal_back_before_it_is_told";
        let line = format!("'{}' --exact {name} --nocapture", test.display());
        let script = Command::new("script")
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env(INSIDE, "1")
            .env("TERM", "xterm")
            .output();
        let Ok(output) = script else {
            assert!(std::env::var_os("CI").is_none(), "`script` is missing: install the package bsdutils");
            println!("skipped: `script` is missing: install the package bsdutils");
            return;
        };
        let shown = String::from_utf8_lossy(&output.stdout);
        let told = shown.find("this is the panic");
        let left = shown.find("\u{1b}[?1049l");
        assert!(left.is_some() && told > left, "{shown}");
        assert_eq!(output.status.code(), Some(101), "{shown}");
    }
}
