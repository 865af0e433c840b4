//! Ports on loopback for servers that are about to start.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};
use rand::Rng;

/// Where free ports are looked for: below the range from which the system draws ports of outgoing connections, so
/// that none of those takes a port between our look and the server's start.
const RANGE: std::ops::Range<u16> = 11_000..32_000;
/// Tries before giving up: with half of the range busy, all of them fail once in 2^64.
const TRIES: u32 = 64;

/// Ports that this process has given out: they stay reserved while their server is down.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port that nobody listens on and that was not given out before. Drawn at random, because test processes that run
/// side by side know nothing of each other.
pub fn free() -> Result<u16> {
    for _ in 0..TRIES {
        let port = rand::rng().random_range(RANGE);
        if claim(port) {
            return Ok(port);
        }
    }
    bail!("no free port among {TRIES} between {} and {}", RANGE.start, RANGE.end)
}

/// Takes `port` if it is free.
pub fn claim(port: u16) -> bool {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    !given.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && given.insert(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_out_once_and_a_busy_one_never() {
        let port = free().unwrap();
        assert!(!claim(port));
        let busy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!claim(busy.local_addr().unwrap().port()));
    }
}
