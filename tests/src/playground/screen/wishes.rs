//! What the person wants: keys and signals.

use std::time::Duration;

use anyhow::Result;
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// Something that a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Kill the leader of PD.
    KillLeader,
    /// Move everything off a store.
    DrainStore,
    /// One store more.
    AddStore,
}

/// Where wishes come in. Stops are counted apart: the first asks for a clean end, the second for one at once.
#[derive(Debug)]
pub struct Wishes {
    wishes: mpsc::Receiver<Wish>,
    stops: watch::Receiver<u32>,
}

/// Wishes not yet looked at; more are dropped, as a person presses again.
const WAITING_MAX: usize = 16;
/// How long the key thread waits before it looks whether anybody listens still.
const KEY_WAIT: Duration = Duration::from_millis(200);

impl Wishes {
    /// Listens to SIGINT and SIGTERM, and to keys if `keys`.
    pub fn listen(keys: bool) -> Result<Wishes> {
        let (stop, stops) = watch::channel(0);
        let (wish, wishes) = mpsc::channel(WAITING_MAX);
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut terminations = signal(SignalKind::terminate())?;
        let by_signal = stop.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupts.recv() => {}
                    _ = terminations.recv() => {}
                }
                by_signal.send_modify(|count| *count += 1);
            }
        });
        if keys {
            // Reading keys blocks, so it has a thread; it ends when nobody listens.
            std::thread::spawn(move || read_keys(&wish, &stop));
        }
        Ok(Wishes { wishes, stops })
    }

    /// The next wish; never, if keys are not read.
    pub async fn next(&mut self) -> Wish {
        match self.wishes.recv().await {
            Some(wish) => wish,
            None => std::future::pending().await,
        }
    }

    /// Sees stops.
    pub fn stops(&self) -> watch::Receiver<u32> {
        self.stops.clone()
    }
}

/// Returns at the `count`th stop.
pub async fn stopped(mut stops: watch::Receiver<u32>, count: u32) {
    if stops.wait_for(|stops| *stops >= count).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn read_keys(wish: &mpsc::Sender<Wish>, stop: &watch::Sender<u32>) {
    while !wish.is_closed() {
        match event::poll(KEY_WAIT) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(_) => return,
        }
        let Ok(Event::Key(key)) = event::read() else { continue };
        if key.kind != KeyEventKind::Press {
            continue;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => stop.send_modify(|count| *count += 1),
            KeyCode::Char('q') => stop.send_modify(|count| *count = (*count).max(1)),
            KeyCode::Char('k') => drop(wish.try_send(Wish::KillLeader)),
            KeyCode::Char('d') => drop(wish.try_send(Wish::DrainStore)),
            KeyCode::Char('a') => drop(wish.try_send(Wish::AddStore)),
            _ => {}
        }
    }
}
