//! Plays an event log from standard input and prints what the planner answers and wants done, line by line:
//! `cargo run -p scheduler --example replay -- <seed> < events.log`. The same log and seed print the same bytes.

#![expect(clippy::disallowed_methods, reason = "a program around the planner reads and writes")]

use std::io::{BufRead, Write};
use std::process::ExitCode;

use scheduler::{Config, Event, Planner, Time};

fn main() -> ExitCode {
    let seed = std::env::args().nth(1).and_then(|seed| seed.parse().ok()).unwrap_or(0);
    match replay(seed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn replay(seed: u64) -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    let mut planner: Option<Planner> = None;
    for line in std::io::stdin().lock().lines() {
        let event: Event = line?.parse()?;
        let planner = planner.get_or_insert_with(|| Planner::new(Config::default(), seed, event.at));
        write_played(&mut out, planner, event)?;
    }
    writeln!(out, "next wakeup {}", planner.map_or(Time(0), |p| p.next_wakeup()))?;
    Ok(())
}

fn write_played(out: &mut impl Write, planner: &mut Planner, event: Event) -> std::io::Result<()> {
    let (answer, effects) = planner.play(event);
    match answer {
        Ok(answer) if answer.is_empty() => {}
        Ok(answer) => writeln!(out, "answer {answer}")?,
        Err(refusal) => writeln!(out, "refused {refusal}")?,
    }
    effects.iter().try_for_each(|effect| writeln!(out, "{effect:?}"))
}
