//! The line to one address: connects, greets, streams what its queue holds, and begins again when it breaks.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use proto::raftcore::Envelope;
use tonic::metadata::MetadataValue;

use super::queue::Queue;
use super::{Gatekeeper, GreetError, IDENTITY, connect_admitted, failure};
use crate::Handle;

/// The first pause after a failure; it doubles up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
/// A member that comes back is heard of within this.
const LONGEST_PAUSE: Duration = Duration::from_millis(800);
/// A line without traffic for this long is given up: its address may never be used again.
const IDLE: Duration = Duration::from_secs(60);

/// One destination.
pub(super) struct Line {
    pub address: String,
    pub queue: Queue,
}

impl Line {
    pub fn new(address: String) -> Self {
        Self { address, queue: Queue::default() }
    }

    /// Serves the queue until nothing has come for a while. `reports` tells whom to report failures to, once known.
    pub async fn serve(self: &Arc<Self>, gatekeeper: &dyn Gatekeeper, reports: impl Fn() -> Option<Handle>) {
        let mut pause = SHORTEST_PAUSE;
        let mut said = None;
        while self.queue.filled(IDLE).await {
            match self.stream(gatekeeper, &mut said).await {
                Ok(()) => pause = SHORTEST_PAUSE,
                Err(error) => {
                    if said.as_ref() != Some(&error) {
                        tracing::warn!(address = self.address, %error, "no line to a raft peer");
                        said = Some(error);
                    }
                    self.give_up_waiting(reports().as_ref());
                    tokio::time::sleep(pause).await;
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// One connection's life.
    async fn stream(
        self: &Arc<Self>,
        gatekeeper: &dyn Gatekeeper,
        said: &mut Option<GreetError>,
    ) -> Result<(), GreetError> {
        let mut client = connect_admitted(&self.address, gatekeeper).await?;
        if said.take().is_some() {
            tracing::info!(address = self.address, "the line to a raft peer is up again");
        }
        let batches = futures::stream::unfold(self.clone(), |line| async move {
            let batch = line.queue.next(IDLE).await?;
            Some((batch, line))
        });
        let mut request = tonic::Request::new(batches);
        request.metadata_mut().insert_bin(IDENTITY, MetadataValue::from_bytes(&gatekeeper.greeting()));
        // Ends with the stream when it was idle, or with the connection.
        client.send(request).await.map(|_| ()).map_err(|status| failure(&self.address, &status))
    }

    /// What waited is stale by the time there is a line again; Raft is told so that it probes.
    fn give_up_waiting(&self, reports: Option<&Handle>) {
        let lost = self.queue.take_all();
        let Some(handle) = reports else { return };
        let targets: HashSet<(u64, u64)> = lost.iter().filter_map(target).collect();
        for (group, to) in targets {
            handle.report_unreachable(group, to);
        }
    }
}

fn target(envelope: &Envelope) -> Option<(u64, u64)> {
    envelope.message.as_ref().map(|m| (envelope.group_id, m.to))
}
