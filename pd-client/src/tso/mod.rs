//! Timestamps: many callers share one stream.
//!
//! One request is in flight at a time; what is asked meanwhile goes into the next one. A caller alone waits one round
//! trip, a thousand callers wait two, and the server sees one request instead of a thousand.

mod batch;
mod stream;
mod timestamp;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

pub use timestamp::{Timestamp, TimestampRange};

use crate::discovery::Discovery;
use crate::{Error, Options, Result};
use batch::Ask;

const TSO: &str = "Tso";

/// Asks that wait for a place in a request. When full, callers wait for room, up to their deadline.
const WAITING_MAX: usize = 8_192;
/// Timestamps of one ask, a quarter of what one millisecond has.
const COUNT_MAX: u32 = 1 << 16;

/// The callers' end. Clones share the stream; it closes when the last one is gone.
#[derive(Debug, Clone)]
pub(crate) struct Tso {
    asks: mpsc::Sender<Ask>,
    /// Why the stream failed last, for the error of a caller whose deadline passes.
    trouble: watch::Receiver<String>,
}

impl Tso {
    pub fn start(discovery: Arc<Discovery>, options: &Options) -> Tso {
        let (asks, waiting) = mpsc::channel(WAITING_MAX);
        let (report, trouble) = watch::channel("the stream had no answer yet".to_string());
        tokio::spawn(stream::serve(discovery, waiting, report, options.silence));
        Tso { asks, trouble }
    }

    /// `count` timestamps within `limit`.
    pub async fn get(&self, count: u32, limit: Duration) -> Result<TimestampRange> {
        if count == 0 || count > COUNT_MAX {
            let what = format!("{count} timestamps were asked for; expected 1 to {COUNT_MAX}");
            return Err(Error::BadArgument { call: TSO, what });
        }
        let started = Instant::now();
        let (ask, answer) = Ask::new(count);
        let wait = async {
            self.asks.send(ask).await.map_err(|_| Error::Closed)?;
            answer.await.map_err(|_| Error::Closed)?
        };
        match timeout_at(started + limit, wait).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let last = self.trouble.borrow().clone();
                Err(Error::Deadline { call: TSO, waited: started.elapsed(), last })
            }
        }
    }
}
