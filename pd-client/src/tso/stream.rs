//! The task behind the timestamps: one stream, on whoever leads, as long as it answers.

use std::sync::Arc;
use std::time::Duration;

use proto::pdpb::{TsoRequest, TsoResponse};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::batch::{Ask, Batch};
use super::{TSO, Timestamp, TimestampRange};
use crate::discovery::{Discovery, Lead};
use crate::retry::{Backoff, Failure};
use crate::{Error, header};

/// How far patience grows while nobody answers, as a multiple of where it starts.
const PATIENCE_GROWTH: u32 = 4;

/// Serves asks until the last caller's end is gone.
pub(super) async fn serve(
    discovery: Arc<Discovery>,
    waiting: mpsc::Receiver<Ask>,
    report: watch::Sender<String>,
    silence: Duration,
) {
    let mut server =
        Server { discovery, waiting, pending: Batch::default(), highest: None, silence, patience: silence };
    let mut backoff = Backoff::new();
    let mut let_down: Option<Lead> = None;
    loop {
        server.pending.drop_abandoned();
        server.pending.fill(&mut server.waiting);
        if server.pending.is_empty() {
            match server.waiting.recv().await {
                Some(ask) => server.pending.push(ask),
                None => return,
            }
            continue;
        }
        let failure = match server.discovery.find(let_down.as_ref()).await {
            Ok(lead) => {
                let mut answered = false;
                let end = server.one_stream(&lead, &mut answered).await;
                let_down = Some(lead);
                if answered {
                    backoff.reset();
                }
                match end {
                    Ok(()) => return,
                    Err(failure) => failure,
                }
            }
            Err(failure) => failure,
        };
        match failure {
            Failure::NotLeader(why) | Failure::Busy(why) => {
                tracing::debug!(why, "timestamp stream lost");
                report.send_replace(why);
            }
            Failure::Final(error) => {
                tracing::warn!(%error, "timestamps refused");
                server.pending.fail(&error);
                report.send_replace(error.to_string());
            }
        }
        backoff.pause().await;
    }
}

struct Server {
    discovery: Arc<Discovery>,
    waiting: mpsc::Receiver<Ask>,
    pending: Batch,
    /// The highest timestamp that was ever answered here.
    highest: Option<Timestamp>,
    silence: Duration,
    patience: Duration,
}

impl Server {
    /// Asks and answers on one stream; `pending` holds at least one ask. Ok when the callers are gone.
    async fn one_stream(&mut self, lead: &Lead, answered: &mut bool) -> Result<(), Failure> {
        // One request is in flight at most, so the channel never fills.
        let (requests, outgoing) = mpsc::channel(1);
        // The first request goes ahead of the opening: some servers open only when something has come.
        self.ask(&requests)?;
        let name = &lead.leader.name;
        let mut stub = self.discovery.stub(lead);
        let opening = timeout(self.patience, stub.tso(ReceiverStream::new(outgoing))).await;
        let mut answers = match opening {
            Ok(Ok(answers)) => answers.into_inner(),
            Ok(Err(status)) => return Err(Failure::of_status(TSO, name, &status)),
            Err(_) => return Err(self.lose_patience(name)),
        };
        loop {
            let Ok(answer) = timeout(self.patience, next_answer(&mut answers, name)).await else {
                return Err(self.lose_patience(name));
            };
            let range = self.judge(answer?, name)?;
            self.pending.answer(range);
            self.patience = self.silence;
            *answered = true;
            while self.pending.is_empty() {
                tokio::select! {
                    biased;
                    // Nothing is owed now: an answer would later be taken for that of another request.
                    extra = next_answer(&mut answers, name) => {
                        extra?;
                        return Err(Failure::NotLeader(format!("{name} answered without being asked")));
                    }
                    ask = self.waiting.recv() => match ask {
                        Some(ask) => self.pending.push(ask),
                        None => return Ok(()),
                    },
                }
            }
            self.pending.fill(&mut self.waiting);
            self.ask(&requests)?;
        }
    }

    fn ask(&self, requests: &mpsc::Sender<TsoRequest>) -> Result<(), Failure> {
        let request = TsoRequest {
            header: header::request_header(self.discovery.cluster_id()),
            count: self.pending.count(),
            dc_location: String::new(),
        };
        requests.try_send(request).map_err(|_| Failure::NotLeader("the stream takes no request".to_string()))
    }

    fn lose_patience(&mut self, name: &str) -> Failure {
        let waited = self.patience;
        self.patience = (waited * 2).min(self.silence * PATIENCE_GROWTH);
        Failure::NotLeader(format!("{name} owed timestamps for {} ms", waited.as_millis()))
    }

    /// The timestamps in an answer to the pending request.
    fn judge(&mut self, answer: TsoResponse, name: &str) -> Result<TimestampRange, Failure> {
        header::check(TSO, self.discovery.cluster_id(), answer.header.as_ref())?;
        let range = range_of(&answer, self.pending.count())
            .map_err(|what| Failure::NotLeader(format!("{name}: malformed answer: {what}")))?;
        if let Some(previous) = self.highest
            && range.first() <= previous
        {
            return Err(Failure::Final(Error::TimestampFell { previous, got: range.first() }));
        }
        self.highest = Some(range.last);
        Ok(range)
    }
}

async fn next_answer(answers: &mut Streaming<TsoResponse>, name: &str) -> Result<TsoResponse, Failure> {
    match answers.message().await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(Failure::NotLeader(format!("{name} closed the stream"))),
        Err(status) => Err(Failure::of_status(TSO, name, &status)),
    }
}

/// Reads an answer to a request of `asked` timestamps; the error says what is wrong with it.
fn range_of(answer: &TsoResponse, asked: u32) -> Result<TimestampRange, String> {
    if answer.count != asked {
        return Err(format!("{} timestamps instead of {asked}", answer.count));
    }
    let Some(highest) = &answer.timestamp else { return Err("no timestamp".to_string()) };
    if highest.suffix_bits != 0 {
        return Err(format!("{} suffix bits", highest.suffix_bits));
    }
    let last = Timestamp { physical_ms: highest.physical, logical: highest.logical };
    let range = TimestampRange { last, count: asked };
    if last.physical_ms <= 0 || range.first().logical < 0 || last.logical >= Timestamp::LOGICAL_END {
        return Err(format!("{asked} timestamps up to {last}"));
    }
    Ok(range)
}

#[cfg(test)]
mod tests {
    use proto::pdpb;

    use super::*;

    fn answer(count: u32, physical: i64, logical: i64) -> TsoResponse {
        let timestamp = pdpb::Timestamp { physical, logical, suffix_bits: 0 };
        TsoResponse { header: None, count, timestamp: Some(timestamp) }
    }

    #[test]
    fn answers_that_break_the_rule_are_refused() {
        assert_eq!(range_of(&answer(3, 5, 2), 3).unwrap().first().logical, 0);
        assert!(range_of(&answer(1, 5, Timestamp::LOGICAL_END - 1), 1).is_ok());
        for (bad, asked) in [
            (answer(2, 5, 9), 3),
            (answer(3, 5, 1), 3),
            (answer(1, 5, Timestamp::LOGICAL_END), 1),
            (answer(1, 0, 9), 1),
            (TsoResponse { header: None, count: 1, timestamp: None }, 1),
        ] {
            assert!(range_of(&bad, asked).is_err(), "{bad:?} was accepted");
        }
        let mut with_suffix = answer(1, 5, 9);
        with_suffix.timestamp.as_mut().unwrap().suffix_bits = 2;
        assert!(range_of(&with_suffix, 1).is_err());
    }
}
