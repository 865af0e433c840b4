//! Every answer carries a header; every header is checked.

use proto::pdpb::{
    AllocIdResponse, AskBatchSplitResponse, BootstrapResponse, ErrorType, GetAllStoresResponse,
    GetRegionResponse, GetStoreResponse, IsBootstrappedResponse, PutStoreResponse, ReportBatchSplitResponse,
    RequestHeader, ResponseHeader, ScanRegionsResponse, StoreHeartbeatResponse,
};

use crate::Error;
use crate::retry::{Failure, says_not_leader};

/// What this client calls itself in every request, so that a server's log and counters can tell callers apart.
const COMPONENT: &str = "pd-client-rs";

/// The header of a request to `cluster_id`.
pub(crate) fn request_header(cluster_id: u64) -> Option<RequestHeader> {
    Some(RequestHeader { cluster_id, caller_component: COMPONENT.to_string(), ..RequestHeader::default() })
}

/// Refuses an answer without header, with an error in it, or of another cluster.
pub(crate) fn check(
    call: &'static str,
    cluster_id: u64,
    header: Option<&ResponseHeader>,
) -> Result<(), Failure> {
    let Some(header) = header else {
        let what = "it has no header".to_string();
        return Err(Failure::Final(Error::Malformed { call, what }));
    };
    if let Some(error) = &header.error
        && error.r#type != ErrorType::Ok as i32
    {
        // Not `error.r#type()`: that takes a kind of a later PD for Ok.
        let kind = ErrorType::try_from(error.r#type).unwrap_or(ErrorType::Unknown);
        // A leader that falls in the middle of a call may say so here instead of in a status.
        if kind == ErrorType::Unknown && says_not_leader(&error.message) {
            return Err(Failure::NotLeader(error.message.clone()));
        }
        let message = error.message.clone();
        return Err(Failure::Final(Error::Header { call, kind, message }));
    }
    if header.cluster_id != cluster_id {
        let (got, ours) = (header.cluster_id, cluster_id);
        return Err(Failure::Final(Error::WrongCluster { call, got, ours }));
    }
    Ok(())
}

/// An answer that carries a header.
pub(crate) trait Answer {
    fn header(&self) -> Option<&ResponseHeader>;
}

macro_rules! answers {
    ($($message:ty),+ $(,)?) => {
        $(impl Answer for $message {
            fn header(&self) -> Option<&ResponseHeader> {
                self.header.as_ref()
            }
        })+
    };
}

answers!(
    AllocIdResponse,
    AskBatchSplitResponse,
    BootstrapResponse,
    GetAllStoresResponse,
    GetRegionResponse,
    GetStoreResponse,
    IsBootstrappedResponse,
    PutStoreResponse,
    ReportBatchSplitResponse,
    ScanRegionsResponse,
    StoreHeartbeatResponse,
);

#[cfg(test)]
mod tests {
    use proto::pdpb;

    use super::*;

    fn header(cluster_id: u64, error: Option<(i32, &str)>) -> ResponseHeader {
        let error = error.map(|(kind, text)| pdpb::Error { r#type: kind, message: text.to_string() });
        ResponseHeader { cluster_id, error }
    }

    #[test]
    fn a_healthy_header_passes() {
        assert!(check("Call", 7, Some(&header(7, None))).is_ok());
        assert!(check("Call", 7, Some(&header(7, Some((ErrorType::Ok as i32, ""))))).is_ok());
    }

    #[test]
    fn kind_and_text_of_an_error_are_kept_even_without_cluster_id() {
        let refused = header(0, Some((ErrorType::NotBootstrapped as i32, "no cluster")));
        let Err(Failure::Final(Error::Header { call: "Call", kind, message })) =
            check("Call", 7, Some(&refused))
        else {
            panic!("accepted");
        };
        assert_eq!((kind, message.as_str()), (ErrorType::NotBootstrapped, "no cluster"));
    }

    #[test]
    fn a_kind_of_a_later_pd_is_an_error_too() {
        let refused = header(7, Some((999, "new trouble")));
        assert!(matches!(
            check("Call", 7, Some(&refused)),
            Err(Failure::Final(Error::Header { kind: ErrorType::Unknown, .. }))
        ));
    }

    #[test]
    fn missing_header_other_cluster_and_lost_leadership_are_told_apart() {
        assert!(matches!(check("Call", 7, None), Err(Failure::Final(Error::Malformed { .. }))));
        assert!(matches!(
            check("Call", 7, Some(&header(8, None))),
            Err(Failure::Final(Error::WrongCluster { got: 8, ours: 7, .. }))
        ));
        let fallen = header(7, Some((ErrorType::Unknown as i32, "alloc failed: not leader")));
        assert!(matches!(check("Call", 7, Some(&fallen)), Err(Failure::NotLeader(_))));
    }
}
