//! GetMembers and GetClusterInfo: what any member answers, and what clients find the leader by.

use proto::pdpb;
use tonic::{Request, Response, Status};

use super::gate::{Gate, member_to_wire};

/// The members and the leader that can serve timestamps now; without one the answer waits for one, up to the bound of
/// [`crate::leadership::NAME_LEADER_WAIT`]. Nothing is cached: a stale leader costs clients their few retries.
pub async fn get_members(
    gate: &Gate,
    _request: Request<pdpb::GetMembersRequest>,
) -> Result<Response<pdpb::GetMembersResponse>, Status> {
    let leader = gate.pd.leadership.leader_to_name().await;
    let leader = leader.as_ref().map(member_to_wire);
    let members = gate.pd.members.list().iter().map(member_to_wire).collect();
    gate.any(Ok(pdpb::GetMembersResponse {
        header: None,
        members,
        etcd_leader: leader.clone(),
        leader,
        ..Default::default()
    }))
}

/// This is one whole PD: timestamps are served by it.
pub fn get_cluster_info(gate: &Gate) -> Result<Response<pdpb::GetClusterInfoResponse>, Status> {
    gate.any(Ok(pdpb::GetClusterInfoResponse {
        service_modes: vec![pdpb::ServiceMode::PdSvcMode.into()],
        ..Default::default()
    }))
}
