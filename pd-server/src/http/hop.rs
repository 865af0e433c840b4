//! The one hop to the leader: a connection, the request as it goes there, the answer as it comes back.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::grpc::Gate;
use crate::leadership::LeadershipState;
use crate::member::{Member, MemberId};

/// How long one try to reach the leader takes at most.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// How long the leader may think before it begins to answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Marks a request that was passed on, with the name of the member that did.
pub const REDIRECTOR: HeaderName = HeaderName::from_static("pd-redirector");
/// Marks the refusal of a member that was taken for the leader. It has done nothing.
pub const NOT_LEADER: HeaderName = HeaderName::from_static("pd-not-leader");

/// Headers that belong to one connection and are not passed on, beside those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// A connection to the leader.
pub struct Reached {
    leader: MemberId,
    stream: TcpStream,
    authority: String,
}

/// Why there is no answer of the leader's.
pub enum Lost {
    /// The request was not carried out.
    Nothing(String),
    /// Nobody here knows whether it was.
    Unknown(String),
}

/// A connection to a member, on the first of its client URLs that takes one.
pub async fn reach(member: &Member) -> Option<Reached> {
    for url in &member.client_urls {
        let Some(authority) = url.strip_prefix("http://") else {
            warn!(url, "the leader's client URL is not plain HTTP, which is all that is spoken yet");
            continue;
        };
        let authority = authority.trim_end_matches('/').to_owned();
        match timeout(CONNECT_MAX, TcpStream::connect(&authority)).await {
            Ok(Ok(stream)) => return Some(Reached { leader: member.id, stream, authority }),
            Ok(Err(error)) => debug!(url, %error, "the leader is not reached"),
            Err(_) => debug!(url, "the leader is not reached in time"),
        }
    }
    None
}

/// Sends the request over and streams the answer back. Once another member leads, `last_words` is how long the old leader
/// still has to answer.
pub async fn send(
    gate: &Gate,
    reached: Reached,
    request: &Request<Bytes>,
    last_words: Duration,
) -> Result<Response<Body>, Lost> {
    let Reached { leader, stream, authority } = reached;
    let Some(outgoing) = outgoing(request, &authority, &gate.pd.members.own().name) else {
        return Err(Lost::Nothing("the path cannot be passed on".to_owned()));
    };
    let (mut sender, connection) = match hyper::client::conn::http1::handshake(TokioIo::new(stream)).await {
        Ok(made) => made,
        Err(error) => return Err(Lost::Nothing(error.to_string())),
    };
    // Ends when the answer is read to its end or dropped, or with the leader.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!(%error, "connection to the leader ended");
        }
    });
    let mut leadership = gate.pd.leadership.subscribe();
    let leads_no_more = |state: &LeadershipState| state.leader.as_ref().map(|known| known.id) != Some(leader);
    let given_up = async {
        // A leader that hangs answers nothing; who comes after it can.
        let _ = leadership.wait_for(leads_no_more).await;
        sleep(last_words).await;
    };
    let answered = tokio::select! {
        answered = timeout(ANSWER_MAX, sender.send_request(outgoing)) => answered,
        () = given_up => return Err(Lost::Unknown("the leader changed before it answered".to_owned())),
    };
    match answered {
        Ok(Ok(answer)) if answer.headers().contains_key(NOT_LEADER) => {
            Err(Lost::Nothing("the leader changed before it was reached".to_owned()))
        }
        Ok(Ok(answer)) => {
            let (parts, body) = answer.into_parts();
            let mut response = Response::new(Body::new(body));
            *response.status_mut() = parts.status;
            *response.headers_mut() = passed_on(parts.headers);
            Ok(response)
        }
        Ok(Err(error)) => Err(Lost::Unknown(error.to_string())),
        Err(_) => Err(Lost::Unknown(format!("the leader does not answer within {} s", ANSWER_MAX.as_secs()))),
    }
}

/// The request as it goes to the leader; none when its path cannot be sent.
fn outgoing(request: &Request<Bytes>, authority: &str, own_name: &str) -> Option<Request<Full<Bytes>>> {
    let target = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let mut outgoing = Request::new(Full::new(request.body().clone()));
    *outgoing.method_mut() = request.method().clone();
    *outgoing.uri_mut() = target.parse().ok()?;
    *outgoing.headers_mut() = passed_on(request.headers().clone());
    // A name that is no header value is still a mark.
    let mark = HeaderValue::from_str(own_name).unwrap_or(HeaderValue::from_static("pd"));
    outgoing.headers_mut().insert(REDIRECTOR, mark);
    outgoing.headers_mut().insert(header::HOST, HeaderValue::from_str(authority).ok()?);
    Some(outgoing)
}

fn passed_on(mut headers: HeaderMap) -> HeaderMap {
    let lists = headers.get_all(header::CONNECTION).iter().filter_map(|list| list.to_str().ok());
    let named = lists.flat_map(|list| list.split(',')).filter_map(|name| name.trim().parse().ok());
    let named: Vec<HeaderName> = named.collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::{REDIRECTOR, outgoing};
    use bytes::Bytes;
    use http::Request;

    #[test]
    fn what_belongs_to_the_connection_stays_behind() {
        let request = Request::post("http://old:1/pd//x?y=%ff")
            .header("connection", "keep-alive, X-Mine")
            .header("connection", "te")
            .header("keep-alive", "timeout=5")
            .header("proxy-connection", "keep-alive")
            .header("transfer-encoding", "chunked")
            .header("x-mine", "1")
            .header("x-caller-id", "me")
            .header("pd-redirector", "somebody")
            .body(Bytes::from_static(b"{}"))
            .unwrap();
        let outgoing = outgoing(&request, "leader:2", "pd-1").unwrap();
        assert_eq!(outgoing.uri(), "/pd//x?y=%ff");
        let headers = outgoing.headers();
        let names: Vec<&str> = headers.keys().map(http::HeaderName::as_str).collect();
        assert_eq!(headers.len(), 3, "{names:?}");
        assert_eq!(
            (&headers["host"], &headers[REDIRECTOR], &headers["x-caller-id"]),
            (&"leader:2".parse().unwrap(), &"pd-1".parse().unwrap(), &"me".parse().unwrap())
        );
    }
}
