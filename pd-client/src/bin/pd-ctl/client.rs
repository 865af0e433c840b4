//! Plain HTTP to the members: endpoints in order until one answers.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::timeout;

use crate::failure::{Failure, Kind};

/// Making a connection. A member on the same continent answers in a tenth of that.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// From the request to the answer's head, and between two pieces of its body. A follower waits 3 s for a leader itself;
/// a list of a million Regions takes longer as a whole, but never pauses so long.
const SILENCE: Duration = Duration::from_secs(10);

/// The largest answer that is taken: a million Regions with all their fields are about half of it. Beyond it the command
/// fails and names those that ask in pieces.
const ANSWER_BYTES_MAX: usize = 1 << 30;

/// Tells a member to answer by itself instead of passing on to the leader.
pub const OWN_ANSWER: &str = "PD-Allow-follower-handle";

/// The members that may be asked.
#[derive(Debug)]
pub struct Http {
    endpoints: Vec<String>,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: String,
}

/// Where members are, from a list such as `127.0.0.1:2379,pd://pd-2:2379`.
///
/// # Errors
/// Names the part that is no address, or asks for what is not there yet.
pub fn endpoints(list: &str) -> Result<Vec<String>, Failure> {
    let parts = list.split(',').map(str::trim).filter(|part| !part.is_empty());
    let endpoints = parts.map(endpoint).collect::<Result<Vec<_>, _>>()?;
    if endpoints.is_empty() {
        return Err(Failure::typed("no address of a member\n").advise("name one by -u URL or in PD_ADDR"));
    }
    Ok(endpoints)
}

fn endpoint(part: &str) -> Result<String, Failure> {
    let authority = match part.split_once("://") {
        None => part,
        Some(("http" | "pd" | "tikv", rest)) => rest,
        Some(("https", _)) => {
            return Err(Failure::typed(format!("{part}: TLS is not there yet\n"))
                .advise("ask on a plain address (http://HOST:PORT), through a tunnel if it is far away"));
        }
        Some((scheme, _)) => {
            return Err(Failure::typed(format!("{part}: unknown scheme {scheme}\n"))
                .advise("an address is HOST:PORT, with http://, pd:// or tikv:// before it if you like"));
        }
    };
    let authority = authority.trim_end_matches('/');
    let parsed = url::Url::parse(&format!("http://{authority}"));
    match parsed {
        Ok(url) if url.host_str().is_some_and(|host| !host.is_empty()) && url.query().is_none() => {
            Ok(format!("http://{authority}"))
        }
        _ => Err(Failure::typed(format!("{part:?} is no address\n")).advise("an address is HOST:PORT")),
    }
}

impl Http {
    /// For these endpoints, as [`endpoints`] gives them.
    pub fn new(endpoints: Vec<String>) -> Http {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_WITHIN));
        connector.set_nodelay(true);
        Http { endpoints, client: Client::builder(TokioExecutor::new()).build(connector) }
    }

    /// Where it asks, in order.
    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// Asks one endpoint after the other until one answers. A 503 says that this one cannot serve now: the next is
    /// asked. What a write's silence means nobody knows: it is not repeated.
    ///
    /// # Errors
    /// When none answers.
    pub async fn send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        own: bool,
    ) -> Result<Reply, Failure> {
        let mut unavailable = None;
        let mut unreached = Vec::new();
        for endpoint in &self.endpoints {
            match self.one(endpoint, method, path, body, own).await {
                Ok(reply) if reply.status == StatusCode::SERVICE_UNAVAILABLE => unavailable = Some(reply),
                Ok(reply) => return Ok(reply),
                Err(Silent { why, may_be_done: true }) if method != Method::GET => {
                    return Err(Failure {
                        kind: Kind::Nobody,
                        ..Failure::here(format!("{method} {endpoint}{path}: {why}\n"))
                            .advise("it may have been done or not: look before you repeat it")
                    });
                }
                Err(silent) => unreached.push(format!("{endpoint}: {}", silent.why)),
            }
        }
        match unavailable {
            Some(reply) => Ok(reply),
            None => Err(Failure {
                kind: Kind::Nobody,
                ..Failure::here(format!("no member answered: {}\n", unreached.join("; ")))
            }),
        }
    }

    /// Asks this endpoint only.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ask(
        &self,
        endpoint: &str,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        own: bool,
    ) -> Result<Reply, Failure> {
        let asked = self.one(endpoint, method, path, body, own).await;
        asked.map_err(|silent| Failure {
            kind: Kind::Nobody,
            ..Failure::here(format!("{endpoint}: {}\n", silent.why))
        })
    }

    /// Opens an answer whose body goes on.
    ///
    /// # Errors
    /// When the endpoint does not answer.
    pub async fn open(
        &self,
        endpoint: &str,
        path: &str,
    ) -> Result<http::Response<hyper::body::Incoming>, Failure> {
        let opened = self.head(endpoint, &Method::GET, path, None, false).await;
        opened.map_err(|silent| Failure {
            kind: Kind::Nobody,
            ..Failure::here(format!("{endpoint}: {}\n", silent.why))
        })
    }

    async fn one(
        &self,
        endpoint: &str,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        own: bool,
    ) -> Result<Reply, Silent> {
        let answer = self.head(endpoint, method, path, body, own).await?;
        let status = answer.status();
        let mut incoming = answer.into_body();
        let mut bytes = Vec::new();
        loop {
            let piece = timeout(SILENCE, incoming.frame()).await;
            match piece.map_err(|_| Silent::after(format!("the answer stopped for {SILENCE:?}")))? {
                None => break,
                Some(Err(error)) => return Err(Silent::after(format!("the answer broke off: {error}"))),
                Some(Ok(frame)) => bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
            }
            if bytes.len() > ANSWER_BYTES_MAX {
                return Err(Silent::after(format!(
                    "the answer has more than {ANSWER_BYTES_MAX} bytes; `region scan` and `region keys` ask in pieces"
                )));
            }
        }
        Ok(Reply { status, body: text(bytes) })
    }

    async fn head(
        &self,
        endpoint: &str,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        own: bool,
    ) -> Result<http::Response<hyper::body::Incoming>, Silent> {
        let mut request = Request::builder().method(method).uri(format!("{endpoint}{path}"));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if own {
            request = request.header(OWN_ANSWER, "true");
        }
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = request.body(Full::new(bytes)).map_err(|error| Silent::before(error.to_string()))?;
        match timeout(SILENCE, self.client.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if error.is_connect() => Err(Silent::before(innermost(&error))),
            Ok(Err(error)) => Err(Silent::after(innermost(&error))),
            Err(_) => Err(Silent::after(format!("no answer within {SILENCE:?}"))),
        }
    }
}

/// The body as text; bytes that are none are shown as marks.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Why an endpoint gave no answer.
struct Silent {
    why: String,
    /// Whether the request may have reached it.
    may_be_done: bool,
}

impl Silent {
    fn before(why: String) -> Silent {
        Silent { why, may_be_done: false }
    }

    fn after(why: String) -> Silent {
        Silent { why, may_be_done: true }
    }
}

/// The error at the bottom says what people can act on ("connection refused").
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::{Failure, Http, Method, endpoints};

    /// A member that reads a request and hangs up, or answers; how many requests came.
    async fn member(answer: Option<&'static str>) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                if stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                    count.fetch_add(1, Ordering::SeqCst);
                    let _ = stream.write_all(answer.unwrap_or_default().as_bytes()).await;
                }
            }
        });
        (endpoint, asked)
    }

    const DONE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ndone";
    const NO_LEADER: &str = "HTTP/1.1 503 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno";

    async fn asked(http: &Http, method: Method) -> Result<String, Failure> {
        http.send(&method, "/a", None, false)
            .await
            .map(|reply| format!("{} {}", reply.status.as_u16(), reply.body))
    }

    #[tokio::test]
    async fn a_question_goes_on_to_the_next_and_a_write_that_was_sent_does_not() {
        let (hangs_up, first) = member(None).await;
        let (answers, second) = member(Some(DONE)).await;
        let http = Http::new(vec!["http://127.0.0.1:1".to_owned(), hangs_up, answers]);
        assert_eq!(asked(&http, Method::GET).await.unwrap(), "200 done");
        assert_eq!((first.load(Ordering::SeqCst), second.load(Ordering::SeqCst)), (1, 1));
        let failure = asked(&http, Method::POST).await.unwrap_err();
        assert!(failure.advice.unwrap().contains("may have been done"), "{}", failure.words);
        assert_eq!((first.load(Ordering::SeqCst), second.load(Ordering::SeqCst)), (2, 1));
    }

    #[tokio::test]
    async fn a_member_without_a_leader_is_asked_last() {
        let (without, _) = member(Some(NO_LEADER)).await;
        let (answers, _) = member(Some(DONE)).await;
        let both = Http::new(vec![without.clone(), answers]);
        assert_eq!(asked(&both, Method::POST).await.unwrap(), "200 done", "nothing was done there");
        let alone = Http::new(vec![without, "http://127.0.0.1:1".to_owned()]);
        assert_eq!(asked(&alone, Method::GET).await.unwrap(), "503 no", "better than nobody");
    }

    #[test]
    fn schemes_that_mean_plain_http() {
        let list = "127.0.0.1:2379, pd://a:1/,tikv://b:2,http://[::1]:3";
        let parsed = endpoints(list).unwrap();
        assert_eq!(parsed, ["http://127.0.0.1:2379", "http://a:1", "http://b:2", "http://[::1]:3"]);
    }

    #[test]
    fn what_cannot_be_asked_is_named() {
        assert!(endpoints("https://a:1").unwrap_err().words.contains("TLS"));
        assert!(endpoints("ftp://a:1").unwrap_err().words.contains("ftp"));
        assert!(endpoints("").is_err());
        assert!(endpoints("http://").is_err());
        assert!(endpoints("a b:1").is_err());
    }
}
