//! Headers of requests and answers: every answer has one, and PD's own errors travel in it with gRPC status OK.

use proto::pdpb::{self, ErrorType};
use raft_core::ProposeError;
use tonic::{Response, Status};

use crate::cluster::{CallError, StoreRefusal};
use crate::ids::IdError;
use crate::state::KvError;

/// Why a call was not done.
#[derive(Debug)]
pub enum Refusal {
    /// In the header of an answer whose gRPC status is OK: what clients take as PD's own word.
    Header(ErrorType, String),
    /// As a gRPC status.
    Status(Status),
}

impl Refusal {
    /// A refusal in the header that has no type of its own.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::Header(ErrorType::Unknown, message.into())
    }

    /// The cluster has no first store yet.
    pub fn not_bootstrapped() -> Self {
        Self::Header(ErrorType::NotBootstrapped, NOT_BOOTSTRAPPED.to_owned())
    }

    /// This member does not lead (any more).
    pub fn not_leader() -> Self {
        Self::Status(not_leader())
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Store(StoreRefusal::Tombstone(_)) => {
                Self::Header(ErrorType::StoreTombstone, error.to_string())
            }
            CallError::Store(refusal) => Self::unknown(refusal.to_string()),
            CallError::Planner(scheduler::Refusal::Halted) => Self::unknown(HALTED),
            CallError::Planner(refusal) => Self::unknown(refusal.to_string()),
            CallError::Write(error) => error.into(),
            CallError::Ids(error) => error.into(),
            CallError::Busy(_) => Self::Status(Status::resource_exhausted(error.to_string())),
            CallError::Over => Self::not_leader(),
        }
    }
}

impl From<KvError> for Refusal {
    fn from(error: KvError) -> Self {
        match &error {
            // The lead went while the write was under way: it may be there or not, and the next leader knows.
            KvError::Fenced { .. } => Self::not_leader(),
            KvError::Propose(ProposeError::Busy(_)) => Self::Status(Status::unavailable(error.to_string())),
            KvError::Propose(_) => Self::not_leader(),
            KvError::Compacted { .. }
            | KvError::Future { .. }
            | KvError::TooManyOperations { .. }
            | KvError::TooManyBytes { .. }
            | KvError::EmptyKey
            | KvError::DuplicateKey { .. }
            | KvError::Storage(_) => Self::unknown(error.to_string()),
        }
    }
}

impl From<IdError> for Refusal {
    fn from(error: IdError) -> Self {
        match error {
            IdError::Reserve(error) => error.into(),
            IdError::Exhausted(_) | IdError::Broken(_) | IdError::Contended => {
                Self::unknown(error.to_string())
            }
        }
    }
}

/// What stores and tools read when scheduling is halted.
pub const HALTED: &str = "[PD:cluster:ErrSchedulingIsHalted]scheduling is halted";

/// What stores read when there is no cluster yet.
pub const NOT_BOOTSTRAPPED: &str = "cluster is not bootstrapped";

/// The text is part of the protocol: clients look for it and ask the members for the leader.
pub fn not_leader() -> Status {
    Status::unavailable("not leader")
}

/// A header without an error.
pub fn header(cluster_id: u64) -> pdpb::ResponseHeader {
    pdpb::ResponseHeader { cluster_id, error: None }
}

/// A header that refuses.
pub fn refused(cluster_id: u64, kind: ErrorType, message: String) -> pdpb::ResponseHeader {
    pdpb::ResponseHeader { cluster_id, error: Some(pdpb::Error { r#type: kind.into(), message }) }
}

/// A request that names the cluster it is meant for.
pub trait Asked: Send + 'static {
    /// The cluster id in its header, 0 without one.
    fn cluster_id(&self) -> u64;
}

/// An answer with a header.
pub trait Answer: Default {
    /// The header, to be filled in.
    fn header_mut(&mut self) -> &mut Option<pdpb::ResponseHeader>;
}

/// Puts the header on an answer, or the refusal into an otherwise empty one.
pub fn answer<A: Answer>(cluster_id: u64, result: Result<A, Refusal>) -> Result<Response<A>, Status> {
    let answer = match result {
        Ok(mut answer) => {
            *answer.header_mut() = Some(header(cluster_id));
            answer
        }
        Err(Refusal::Header(kind, message)) => {
            let mut answer = A::default();
            *answer.header_mut() = Some(refused(cluster_id, kind, message));
            answer
        }
        Err(Refusal::Status(status)) => return Err(status),
    };
    Ok(Response::new(answer))
}

macro_rules! asked {
    ($($request:ident)*) => {
        $(impl Asked for pdpb::$request {
            fn cluster_id(&self) -> u64 {
                self.header.as_ref().map_or(0, |header| header.cluster_id)
            }
        })*
    };
}

macro_rules! answers {
    ($($response:ident)*) => {
        $(impl Answer for pdpb::$response {
            fn header_mut(&mut self) -> &mut Option<pdpb::ResponseHeader> {
                &mut self.header
            }
        })*
    };
}

asked! {
    AllocIdRequest AskBatchSplitRequest AskSplitRequest BatchScanRegionsRequest BootstrapRequest GetAllStoresRequest
    GetGcSafePointRequest GetRegionByIdRequest GetRegionRequest GetStoreRequest IsBootstrappedRequest PutStoreRequest QueryRegionRequest
    RegionHeartbeatRequest ReportBatchSplitRequest ReportBucketsRequest ReportMinResolvedTsRequest
    ScanRegionsRequest StoreHeartbeatRequest TsoRequest UpdateGcSafePointRequest
}

answers! {
    AllocIdResponse AskBatchSplitResponse AskSplitResponse BatchScanRegionsResponse BootstrapResponse GetAllStoresResponse
    GetClusterInfoResponse GetGcSafePointResponse GetMembersResponse GetRegionResponse GetStoreResponse
    IsBootstrappedResponse IsSnapshotRecoveringResponse PutStoreResponse QueryRegionResponse ReportBatchSplitResponse
    ReportBucketsResponse ReportMinResolvedTsResponse ScanRegionsResponse StoreHeartbeatResponse
    UpdateGcSafePointResponse
}

#[cfg(test)]
mod tests {
    use super::{Refusal, answer};
    use proto::pdpb::{AllocIdResponse, ErrorType};
    use tonic::Status;

    #[test]
    fn every_answer_carries_the_cluster_id() {
        let good = answer::<AllocIdResponse>(7, Ok(AllocIdResponse { id: 3, ..Default::default() })).unwrap();
        let header = good.into_inner().header.unwrap();
        assert_eq!((header.cluster_id, header.error), (7, None));

        let refused = answer::<AllocIdResponse>(7, Err(Refusal::not_bootstrapped())).unwrap().into_inner();
        assert_eq!(refused.id, 0);
        let header = refused.header.unwrap();
        assert_eq!(header.cluster_id, 7);
        assert_eq!(header.error.unwrap().r#type(), ErrorType::NotBootstrapped);

        let status = answer::<AllocIdResponse>(7, Err(Refusal::Status(Status::unknown("EOF")))).unwrap_err();
        assert_eq!((status.code(), status.message()), (tonic::Code::Unknown, "EOF"));
    }
}
