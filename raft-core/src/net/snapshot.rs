//! A snapshot's way over the network: its Raft message first, then the file in chunks, each with its checksum.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::{Stream, StreamExt};
use proto::raftcore::{Envelope, SnapshotChunk};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};

use super::{Gatekeeper, GreetError, IDENTITY, connect_admitted, failure};

/// Bytes of the file in one message.
const CHUNK_BYTES: usize = 1 << 20;
/// A sender that is silent for longer is gone.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(30);

/// Sends it on a connection of its own, so that heartbeats do not queue behind it.
pub(super) async fn send(
    address: &str,
    gatekeeper: &dyn Gatekeeper,
    envelope: Envelope,
    file: std::fs::File,
) -> Result<(), GreetError> {
    let unreadable = |e: std::io::Error| GreetError::Unreachable {
        address: address.into(),
        reason: format!("our own file: {e}"),
    };
    let total = file.metadata().map_err(unreadable)?.len();
    let mut client = connect_admitted(address, gatekeeper).await?;
    let mut request = Request::new(chunks(envelope, total, File::from_std(file)));
    request.metadata_mut().insert_bin(IDENTITY, MetadataValue::from_bytes(&gatekeeper.greeting()));
    client.snapshot(request).await.map(|_| ()).map_err(|status| failure(address, &status))
}

/// The file as messages. A read error ends it early, which the receiver notices.
fn chunks(envelope: Envelope, total_bytes: u64, file: File) -> impl Stream<Item = SnapshotChunk> + Send {
    let state = (Some(envelope), file, 0);
    futures::stream::unfold(state, move |(mut envelope, mut file, offset)| async move {
        let first = envelope.is_some();
        if !first && offset >= total_bytes {
            return None;
        }
        let mut data = vec![0; CHUNK_BYTES.min(usize::try_from(total_bytes - offset).unwrap_or(CHUNK_BYTES))];
        if let Err(error) = file.read_exact(&mut data).await {
            tracing::warn!(%error, offset, "a snapshot file cannot be read");
            return None;
        }
        let crc32 = crc32fast::hash(&data);
        let next = offset + data.len() as u64;
        let chunk =
            SnapshotChunk { envelope: envelope.take(), total_bytes, offset, data: data.into(), crc32 };
        Some((chunk, (envelope, file, next)))
    })
}

/// Receives one into a file in `dir`; nothing is left of one that fails.
pub(super) async fn receive(
    chunks: impl Stream<Item = Result<SnapshotChunk, Status>> + Send,
    dir: &Path,
) -> Result<(Envelope, PathBuf), Status> {
    let path = dir.join(format!("{:016x}.part", rand::random::<u64>()));
    let received = receive_into(chunks, &path).await;
    if received.is_err() {
        let _ = tokio::fs::remove_file(&path).await;
    }
    received.map(|envelope| (envelope, path))
}

async fn receive_into(
    chunks: impl Stream<Item = Result<SnapshotChunk, Status>> + Send,
    path: &Path,
) -> Result<Envelope, Status> {
    let io = |e: std::io::Error| Status::internal(format!("{}: {e}", path.display()));
    let mut chunks = std::pin::pin!(chunks);
    let mut file = File::create_new(path).await.map_err(io)?;
    let (mut envelope, mut total, mut received) = (None, 0, 0);
    loop {
        let next = tokio::time::timeout(CHUNK_TIMEOUT, chunks.next()).await;
        let Some(chunk) = next.map_err(|_| Status::deadline_exceeded("the next chunk did not come"))? else {
            break;
        };
        let chunk = chunk?;
        if envelope.is_none() {
            envelope = chunk.envelope;
            total = chunk.total_bytes;
        }
        if envelope.as_ref().is_none_or(|e| e.message.is_none()) {
            return Err(Status::invalid_argument("the first chunk holds no message"));
        }
        if chunk.offset != received || received + chunk.data.len() as u64 > total {
            return Err(Status::data_loss(format!(
                "chunk at {} of {total} where {received} was due",
                chunk.offset
            )));
        }
        if crc32fast::hash(&chunk.data) != chunk.crc32 {
            return Err(Status::data_loss(format!("the chunk at {received} does not match its checksum")));
        }
        file.write_all(&chunk.data).await.map_err(io)?;
        received += chunk.data.len() as u64;
    }
    // The whole file is checked against the snapshot's descriptor and synced before Raft sees it.
    file.flush().await.map_err(io)?;
    match envelope {
        Some(envelope) if received == total => Ok(envelope),
        Some(_) => Err(Status::data_loss(format!("{received} of {total} bytes came"))),
        None => Err(Status::invalid_argument("no chunk came")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::eraftpb::Message;

    fn envelope() -> Envelope {
        Envelope { group_id: 3, message: Some(Message::default()), ..Envelope::default() }
    }

    async fn sent(bytes: &[u8], dir: &Path) -> Vec<SnapshotChunk> {
        let path = dir.join("made");
        std::fs::write(&path, bytes).unwrap();
        let file = File::open(path).await.unwrap();
        chunks(envelope(), bytes.len() as u64, file).collect().await
    }

    async fn take(chunks: Vec<SnapshotChunk>, dir: &Path) -> Result<(Envelope, PathBuf), Status> {
        receive(futures::stream::iter(chunks.into_iter().map(Ok)), dir).await
    }

    #[tokio::test]
    async fn files_of_every_size_arrive() {
        for size in [0, 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 17] {
            let dir = tempfile::tempdir().unwrap();
            let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            let (got, file) = take(sent(&bytes, dir.path()).await, dir.path()).await.unwrap();
            assert_eq!(got, envelope());
            assert_eq!(std::fs::read(file).unwrap(), bytes);
        }
    }

    #[tokio::test]
    async fn a_damaged_file_is_refused_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let good = sent(&vec![7; 3 * CHUNK_BYTES], dir.path()).await;
        std::fs::remove_file(dir.path().join("made")).unwrap();
        let mut flipped = good.clone();
        flipped[1].data = vec![8; CHUNK_BYTES].into();
        let mut headless = good.clone();
        headless[0].envelope = None;
        let without = |at: usize| {
            let mut chunks = good.clone();
            chunks.remove(at);
            chunks
        };
        for (bad, word) in [
            (flipped, "checksum"),
            (without(1), "was due"),
            (without(2), "bytes came"),
            (headless, "no message"),
            (Vec::new(), "no chunk"),
        ] {
            let refused = take(bad, dir.path()).await.unwrap_err();
            assert!(refused.message().contains(word), "{refused}");
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    }
}
