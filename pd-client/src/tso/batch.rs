//! Asks merged into one request, and its answer shared out among them.

use tokio::sync::{mpsc, oneshot};

use super::{COUNT_MAX, TimestampRange};
use crate::{Error, Result};

/// One caller's wish.
#[derive(Debug)]
pub(super) struct Ask {
    count: u32,
    reply: oneshot::Sender<Result<TimestampRange>>,
}

impl Ask {
    pub fn new(count: u32) -> (Ask, oneshot::Receiver<Result<TimestampRange>>) {
        let (reply, answer) = oneshot::channel();
        (Ask { count, reply }, answer)
    }
}

/// The asks of one request. They stay in it until answered: after a broken stream the same ones are asked again, which
/// is safe because their callers still wait and any later timestamp serves them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    asks: Vec<Ask>,
    count: u32,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.asks.is_empty()
    }

    /// Timestamps that are asked for; below twice [`COUNT_MAX`], hence within one millisecond's worth.
    pub fn count(&self) -> u32 {
        self.count
    }

    pub fn push(&mut self, ask: Ask) {
        // A caller whose deadline has passed needs none.
        if !ask.reply.is_closed() {
            self.count += ask.count;
            self.asks.push(ask);
        }
    }

    /// Takes in what waits, until the request is big enough.
    pub fn fill(&mut self, waiting: &mut mpsc::Receiver<Ask>) {
        while self.count < COUNT_MAX
            && let Ok(ask) = waiting.try_recv()
        {
            self.push(ask);
        }
    }

    /// Forgets the asks whose callers have gone.
    pub fn drop_abandoned(&mut self) {
        self.asks.retain(|ask| !ask.reply.is_closed());
        self.count = self.asks.iter().map(|ask| ask.count).sum();
    }

    /// Gives everyone their own part of `range`, which has [`Batch::count`] timestamps; first come, lowest.
    pub fn answer(&mut self, mut range: TimestampRange) {
        self.count = 0;
        for ask in self.asks.drain(..) {
            // A caller that left meanwhile leaves its part unused.
            let _ = ask.reply.send(Ok(range.split_off_first(ask.count)));
        }
    }

    /// Gives everyone the same error.
    pub fn fail(&mut self, error: &Error) {
        self.count = 0;
        for ask in self.asks.drain(..) {
            let _ = ask.reply.send(Err(error.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    #[test]
    fn everyone_gets_their_own_part_and_the_abandoned_nothing() {
        let mut batch = Batch::default();
        let (a, mut of_a) = Ask::new(2);
        let (b, of_b) = Ask::new(3);
        let (c, mut of_c) = Ask::new(1);
        [a, b, c].into_iter().for_each(|ask| batch.push(ask));
        drop(of_b);
        batch.drop_abandoned();
        assert_eq!(batch.count(), 3);
        batch.answer(TimestampRange { last: Timestamp { physical_ms: 9, logical: 12 }, count: 3 });
        let got = |range: TimestampRange| range.iter().map(|ts| ts.logical).collect::<Vec<_>>();
        assert_eq!(got(of_a.try_recv().unwrap().unwrap()), [10, 11]);
        assert_eq!(got(of_c.try_recv().unwrap().unwrap()), [12]);
        assert!(batch.is_empty() && batch.count() == 0);
    }

    #[test]
    fn a_request_stops_growing_at_its_bound() {
        let (asks, mut waiting) = mpsc::channel(8);
        let mut answers = Vec::new();
        for _ in 0..4 {
            let (ask, answer) = Ask::new(COUNT_MAX / 2 + 1);
            asks.try_send(ask).unwrap();
            answers.push(answer);
        }
        let mut batch = Batch::default();
        batch.fill(&mut waiting);
        assert_eq!(batch.count(), COUNT_MAX + 2);
        assert_eq!(waiting.len(), 2);
    }
}
