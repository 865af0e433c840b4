//! `etcdserverpb.Cluster` among our own members: how a newcomer asks to be taken in, and a leader its heir to remove it.
//! Served on client and peer URLs. The newcomer says who it is beside the message, which has no room for it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use proto::etcdserverpb::cluster_client::ClusterClient;
use proto::etcdserverpb::cluster_server::{Cluster, ClusterServer};
use proto::etcdserverpb::{
    self as etcd, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse,
    MemberRemoveRequest, MemberRemoveResponse,
};
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use super::changes::{ChangeError, Membership};
use super::{Member, MemberId, MemberRole};

/// Carries the newcomer's greeting.
const NEWCOMER: &str = "pd-member-bin";

/// How long one question to another member may take: longer than a change of the members.
const ASK_MAX: Duration = Duration::from_secs(6);

/// A member that does not take a connection within this is not there.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// The service. It answers "not started" until this member runs in its group.
#[derive(Clone, Default)]
pub struct ClusterService {
    membership: Arc<OnceLock<Membership>>,
}

/// What another member answered, if not what was asked for.
#[derive(Debug)]
pub(super) enum Asked {
    /// It has decided: asking again would not change it.
    Refused(String),
    /// Not there, or not the leader, or not now.
    Unanswered(String),
}

impl ClusterService {
    /// Answers from now on.
    pub(crate) fn open(&self, membership: Membership) {
        // Opened once, when the member runs.
        let _ = self.membership.set(membership);
    }

    /// As a service for a router.
    pub fn server(self) -> ClusterServer<Self> {
        ClusterServer::new(self)
    }

    fn membership(&self) -> Result<&Membership, Status> {
        self.membership.get().ok_or_else(|| Status::unavailable("server not started"))
    }
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn member_add(
        &self,
        request: Request<MemberAddRequest>,
    ) -> Result<Response<MemberAddResponse>, Status> {
        let membership = self.membership()?;
        let greeting = request.metadata().get_bin(NEWCOMER).and_then(|value| value.to_bytes().ok());
        let Some(greeting) = greeting else {
            let text = "a member joins by itself: start it with --join and a URL of this group";
            return Err(Status::failed_precondition(text));
        };
        let member = membership.add(&greeting).await.map_err(|error| refusal(&error))?;
        Ok(Response::new(MemberAddResponse {
            header: Some(header(membership)),
            member: Some(to_wire(&member, true)),
            members: members(membership),
        }))
    }

    async fn member_remove(
        &self,
        request: Request<MemberRemoveRequest>,
    ) -> Result<Response<MemberRemoveResponse>, Status> {
        let membership = self.membership()?;
        membership.remove(MemberId(request.into_inner().id)).await.map_err(|error| refusal(&error))?;
        Ok(Response::new(MemberRemoveResponse {
            header: Some(header(membership)),
            members: members(membership),
        }))
    }

    /// As far as this member knows.
    async fn member_list(
        &self,
        _request: Request<MemberListRequest>,
    ) -> Result<Response<MemberListResponse>, Status> {
        let membership = self.membership()?;
        Ok(Response::new(MemberListResponse {
            header: Some(header(membership)),
            members: members(membership),
        }))
    }
}

/// Asks a member to take in the one whose greeting this is. Its members then, the newcomer among them.
pub(super) async fn ask_to_join(
    url: &str,
    peer_urls: Vec<String>,
    greeting: &[u8],
) -> Result<Vec<etcd::Member>, Asked> {
    let mut client = connect(url).await?;
    let mut request = Request::new(MemberAddRequest { peer_ur_ls: peer_urls, is_learner: true });
    request.metadata_mut().insert_bin(NEWCOMER, MetadataValue::from_bytes(greeting));
    request.set_timeout(ASK_MAX);
    Ok(client.member_add(request).await.map_err(asked)?.into_inner().members)
}

/// Asks a member who belongs to its group.
pub(super) async fn ask_for_members(url: &str) -> Result<Vec<etcd::Member>, Asked> {
    let mut client = connect(url).await?;
    let mut request = Request::new(MemberListRequest { linearizable: false });
    request.set_timeout(ASK_MAX);
    Ok(client.member_list(request).await.map_err(asked)?.into_inner().members)
}

/// Asks the leader to remove a member.
pub(super) async fn ask_to_remove(leader: &Member, id: MemberId) -> Result<(), Asked> {
    let url = leader.client_urls.first().map_or("", String::as_str);
    let mut client = connect(url).await?;
    let mut request = Request::new(MemberRemoveRequest { id: id.0 });
    request.set_timeout(ASK_MAX);
    client.member_remove(request).await.map_err(asked)?;
    Ok(())
}

async fn connect(url: &str) -> Result<ClusterClient<Channel>, Asked> {
    let unanswered = |error: tonic::transport::Error| {
        // tonic's own text is "transport error"; the cause says what happened.
        let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        Asked::Unanswered(cause)
    };
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(unanswered)?;
    let channel = endpoint.connect_timeout(CONNECT_MAX).timeout(ASK_MAX).connect().await;
    Ok(ClusterClient::new(channel.map_err(unanswered)?))
}

fn asked(status: Status) -> Asked {
    match status.code() {
        Code::FailedPrecondition | Code::NotFound => Asked::Refused(status.message().to_owned()),
        _ => Asked::Unanswered(status.message().to_owned()),
    }
}

fn refusal(error: &ChangeError) -> Status {
    let text = error.to_string();
    match error {
        ChangeError::NotLeader(_)
        | ChangeError::NotHandedOver { .. }
        | ChangeError::Slow
        | ChangeError::Kv(_) => Status::unavailable(text),
        ChangeError::NotFound => Status::not_found("etcdserver: member not found"),
        ChangeError::LastVoter { .. } | ChangeError::NoQuorum { .. } | ChangeError::Unwanted(_) => {
            Status::failed_precondition(text)
        }
    }
}

fn header(membership: &Membership) -> etcd::ResponseHeader {
    etcd::ResponseHeader {
        cluster_id: membership.kv().cluster_id().unwrap_or(0),
        member_id: membership.members().own().id.0,
        revision: i64::try_from(membership.kv().revision().0).unwrap_or(i64::MAX),
        raft_term: membership.leadership().state().term.0,
    }
}

fn members(membership: &Membership) -> Vec<etcd::Member> {
    let states = membership.members().states();
    states.iter().map(|state| to_wire(&state.member, state.role == MemberRole::Learner)).collect()
}

fn to_wire(member: &Member, is_learner: bool) -> etcd::Member {
    etcd::Member {
        id: member.id.0,
        name: member.name.clone(),
        peer_ur_ls: member.peer_urls.clone(),
        client_ur_ls: member.client_urls.clone(),
        is_learner,
    }
}
