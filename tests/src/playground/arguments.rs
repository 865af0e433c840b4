//! What the playground is told.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Starts placement drivers and stores as real processes on loopback, puts a load on them, and lets you break things.
///
/// Without --seconds it goes on until you press q. With it, it ends by itself, reads everything back, asks the stores
/// for their replicas, and prints a summary; the exit code is 0 only if every promise held.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(name = "playground")]
pub struct Arguments {
    /// End by itself after so many seconds of load
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(10..=86_400))]
    pub seconds: Option<u64>,
    /// Kill -9 the leader of PD once and a store once, and start both again; needs --seconds
    #[arg(long, requires = "seconds")]
    pub chaos: bool,
    /// Cheat on purpose, to see that it is found out
    #[arg(long, value_name = "HOW", requires = "seconds")]
    pub sabotage: Option<Sabotage>,
    /// Leave data and logs behind
    #[arg(long)]
    pub keep: bool,
    /// Where data and logs go [default: a new folder for temporary files]
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Members of PD
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = members)]
    pub members: usize,
    /// Stores
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = stores)]
    pub stores: usize,
    /// Level of the programs' logs: debug, info, warn, error
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: String,
}

/// A way to cheat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sabotage {
    /// Count a write as acknowledged that was never sent
    DropOne,
}

fn members(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ (1 | 3)) => Ok(count),
        Ok(_) | Err(_) => Err("expected 1 or 3".to_string()),
    }
}

fn stores(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 3..=16) => Ok(count),
        Ok(_) | Err(_) => Err("expected 3 to 16".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_the_makefile_and_bad_ones() {
        let parse = |line: &str| Arguments::try_parse_from(line.split_whitespace());
        let chaos = parse("playground --seconds 90 --chaos").unwrap();
        assert_eq!((chaos.seconds, chaos.chaos, chaos.members, chaos.stores), (Some(90), true, 3, 4));
        assert!(parse("playground --seconds 45 --chaos --sabotage drop-one").is_ok());
        for bad in ["--chaos", "--seconds 3", "--members 2", "--stores 2", "--sabotage drop-two --seconds 20"]
        {
            assert!(parse(&format!("playground {bad}")).is_err(), "{bad}");
        }
    }
}
