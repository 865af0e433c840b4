//! The heartbeat of a Store.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proto::pdpb::{StoreStats, TimeInterval};
use tracing::{info, warn};

use super::unix_seconds;
use crate::StoreCore;
use crate::region::Stage;

/// The disk of a Store.
#[derive(Clone, Debug)]
pub struct Disk {
    /// The Store's folder.
    pub folder: PathBuf,
    /// Most bytes that it may take; 0 for all.
    pub capacity_bytes: u64,
}

/// How full a disk is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Usage {
    capacity: u64,
    available: u64,
    used: u64,
}

impl Disk {
    fn usage(&self) -> io::Result<Usage> {
        let disk = rustix::fs::statvfs(&self.folder)?;
        let (total, free) = (disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize);
        let used = folder_bytes(&self.folder)?;
        Ok(usage(self.capacity_bytes, total, free, used))
    }
}

fn usage(limit: u64, total: u64, free: u64, used: u64) -> Usage {
    let capacity = if limit == 0 { total } else { limit.min(total) };
    Usage { capacity, available: capacity.saturating_sub(used).min(free), used }
}

/// Bytes of the files in a folder. Files that vanish meanwhile count nothing.
fn folder_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { folder_bytes(&entry.path()).unwrap_or(0) } else { metadata.len() };
    }
    Ok(bytes)
}

/// Snapshots under way: (sent by leaders here, being installed here).
fn snapshots(core: &StoreCore) -> (u32, u32) {
    let (mut sending, mut applying) = (0, 0);
    for peer in core.regions.all() {
        applying += u32::from(peer.stage_now() == Stage::Applying);
        let sent = core.handle().and_then(|handle| {
            peer.with_status(handle, |status| {
                status.progress.iter().filter(|progress| progress.snapshot).count()
            })
        });
        sending += u32::try_from(sent.unwrap_or(0)).unwrap_or(u32::MAX);
    }
    (sending, applying)
}

/// Sends heartbeats until dropped.
pub async fn run(core: Arc<StoreCore>, pd: pd_client::Client, disk: Disk) {
    let start_time = unix_seconds();
    let mut since = start_time;
    let mut version = String::new();
    let mut ticks = tokio::time::interval(core.tuning.store_heartbeat);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let of = disk.clone();
        let usage = match tokio::task::spawn_blocking(move || of.usage()).await {
            Ok(Ok(usage)) => usage,
            Ok(Err(error)) => {
                warn!(store = %core.id, %error, "the disk cannot be asked how full it is");
                continue;
            }
            Err(_) => return,
        };
        let now = unix_seconds();
        let flow = core.flow.take();
        let (sending, applying) = snapshots(&core);
        let stats = StoreStats {
            store_id: core.id.0,
            capacity: usage.capacity,
            available: usage.available,
            used_size: usage.used,
            region_count: u32::try_from(core.regions.len()).unwrap_or(u32::MAX),
            sending_snap_count: sending,
            applying_snap_count: applying,
            start_time: u32::try_from(start_time).unwrap_or(u32::MAX),
            bytes_written: flow.bytes_written,
            keys_written: flow.keys_written,
            bytes_read: flow.bytes_read,
            keys_read: flow.keys_read,
            interval: Some(TimeInterval { start_timestamp: since, end_timestamp: now }),
            ..StoreStats::default()
        };
        since = now;
        match pd.store_heartbeat(stats).await {
            Ok(answer) if answer.cluster_version != version => {
                info!(store = %core.id, version = answer.cluster_version, "cluster version");
                version = answer.cluster_version;
            }
            Ok(_) => {}
            Err(error) => warn!(store = %core.id, %error, "PD does not take the store's heartbeat"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_below_the_disk_counts() {
        assert_eq!(usage(0, 100, 60, 30), Usage { capacity: 100, available: 60, used: 30 });
        assert_eq!(usage(50, 100, 60, 30), Usage { capacity: 50, available: 20, used: 30 });
        assert_eq!(usage(50, 100, 10, 30), Usage { capacity: 50, available: 10, used: 30 });
        assert_eq!(usage(50, 100, 60, 70), Usage { capacity: 50, available: 0, used: 70 });
        assert_eq!(usage(500, 100, 60, 30).capacity, 100);
    }

    #[test]
    fn a_folder_is_weighed_with_what_is_below() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("below")).unwrap();
        std::fs::write(dir.path().join("below/a"), [0; 100]).unwrap();
        std::fs::write(dir.path().join("b"), [0; 11]).unwrap();
        assert_eq!(folder_bytes(dir.path()).unwrap(), 111);
    }
}
