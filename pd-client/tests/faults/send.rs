//! Every call can be spawned: its future is `Send`.

use pd_client::{Client, HeartbeatEvents, HeartbeatSender};
use proto::{metapb, pdpb};

fn sendable<F: Future + Send>(_: F) {}

#[expect(dead_code, reason = "compiled, never run")]
fn all_calls(client: &Client, sender: &HeartbeatSender, events: &mut HeartbeatEvents) {
    sendable(Client::connect(["127.0.0.1:2379"]));
    sendable(Client::connect(vec![String::new()]));
    sendable(client.get_members());
    sendable(client.get_timestamps(1));
    sendable(client.alloc_ids(1));
    sendable(client.is_bootstrapped());
    sendable(client.bootstrap(metapb::Store::default(), metapb::Region::default()));
    sendable(client.put_store(metapb::Store::default()));
    sendable(client.get_store(1));
    sendable(client.get_all_stores(true));
    sendable(client.store_heartbeat(pdpb::StoreStats::default()));
    sendable(client.get_region(""));
    sendable(client.get_prev_region(""));
    sendable(client.get_region_by_id(1));
    sendable(client.scan_regions("", "", 0));
    sendable(client.ask_batch_split(metapb::Region::default(), 1, pdpb::SplitReason::Size));
    sendable(client.report_batch_split(Vec::new()));
    sendable(sender.send(pdpb::RegionHeartbeatRequest::default()));
    sendable(events.next());
}
