//! The verdict as a member tells it (`GET /pd/api/v2/health`). What a newer member may tell otherwise is kept as text.

use std::fmt;

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::failure::{Failure, Kind};
use crate::request::Ask;
use crate::session::Session;

/// Where it is asked.
pub const PATH: &str = "/pd/api/v2/health";

/// Exit code when no member tells a verdict.
const NO_VERDICT: u8 = 3;

/// How the cluster is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Health {
    /// One of the verdict's words.
    pub verdict: String,
    /// When it was made, in ms since 1970.
    pub as_of_ms: u64,
    /// Who says so.
    pub member: String,
    /// Who leads.
    pub leader: Option<String>,
    /// Whether the leader itself says so.
    pub by_leader: bool,
    /// The term.
    pub term: u64,
    /// Since when nobody leads, in ms since 1970.
    pub no_leader_since_ms: Option<u64>,
    /// The cluster's id.
    pub cluster_id: Option<String>,
    /// Whether a store ever began the cluster.
    pub bootstrapped: Option<bool>,
    /// What the leader knows.
    pub heard: Option<Heard>,
    /// The problems, the worst first.
    pub checks: Vec<Check>,
    /// What members say that do not reach the leader, which itself tells this verdict: a sentence each.
    #[serde(skip)]
    pub otherwise: Vec<String>,
    /// Where it was found, when that is not the first endpoint that answers.
    #[serde(skip)]
    pub endpoint: Option<String>,
}

/// What the leader has heard since it leads.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Heard {
    /// Share of the Regions, 0 to 1,000.
    pub regions_permille: u64,
    /// Stores heard.
    pub stores: u64,
    /// Stores that should be.
    pub stores_expected: u64,
}

/// One problem.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Check {
    /// Its code.
    pub code: String,
    /// One of the verdict's words.
    pub severity: String,
    /// How many.
    pub count: u64,
    /// How much.
    pub bytes: Option<u64>,
    /// Since when, in ms since 1970.
    pub since_ms: Option<u64>,
    /// The age of the oldest case, in ms.
    pub oldest_ms: Option<u64>,
    /// One sentence.
    pub summary: String,
    /// What is to blame.
    pub cause: Option<Cause>,
    /// Commands to type next.
    pub next: Vec<String>,
    /// Until when it is muted, in ms since 1970.
    pub muted_until_ms: Option<u64>,
}

/// What is to blame.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Cause {
    /// Its code.
    pub code: String,
    /// Where.
    pub subject: Option<Value>,
}

/// The verdict as it came and as read: of the first member that answers, unless it cannot ask the leader and another one
/// of those that were named can.
///
/// # Errors
/// When there is none; the exit code says so.
pub async fn ask(session: &Session) -> Result<(String, Health), Failure> {
    let (text, first) = ask_any(session).await?;
    if first.by_leader {
        return Ok((text, first));
    }
    for endpoint in session.http.endpoints() {
        let Ok(reply) = session.http.ask(endpoint, &Method::GET, PATH, None, false).await else { continue };
        let Some(health) = serde_json::from_str::<Health>(&reply.body).ok().filter(|health| health.by_leader)
        else {
            continue;
        };
        // The one that was asked first may have found the leader meanwhile.
        let otherwise = if health.member == first.member { Vec::new() } else { vec![first.said()] };
        return Ok((reply.body, Health { otherwise, endpoint: Some(endpoint.clone()), ..health }));
    }
    Ok((text, first))
}

async fn ask_any(session: &Session) -> Result<(String, Health), Failure> {
    let asked = Ask::get(PATH).or_say("no verdict: ").send(session).await;
    let answer = asked.map_err(|failure| match failure.kind {
        Kind::Refused(status) if status.as_u16() == 404 => {
            failure.advise("this server tells no verdict; `pd-ctl health` tells how its members are")
        }
        _ => failure,
    });
    let answer = answer.map_err(|failure| Failure { code: NO_VERDICT, ..failure })?;
    match serde_json::from_str(&answer.text) {
        Ok(health) => Ok((answer.text, health)),
        Err(error) => Err(Failure {
            code: NO_VERDICT,
            ..Failure::here(format!("no verdict: the answer cannot be read: {error}\n"))
        }),
    }
}

impl Health {
    /// What this member says, in a sentence.
    fn said(&self) -> String {
        let summary = self.checks.first().map_or(self.verdict.as_str(), |check| &check.summary);
        format!("{} does not reach the leader and says: {summary}", self.member)
    }

    /// What `status` and `top --once` end with.
    pub fn code(&self) -> u8 {
        match self.verdict.as_str() {
            "at-risk" | "down" => 2,
            "attention" | "learning" | "ok" if self.by_leader => 0,
            // "degraded", "blocked", one member's view, and a word that only a newer member knows: not known to be well.
            _ => 1,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        self.subject.as_ref().map_or(Ok(()), |at| write!(f, " {}", subject(at)))
    }
}

/// `{"store": 4}` as `store 4`.
pub fn subject(subject: &Value) -> String {
    let named = subject.as_object().and_then(|fields| fields.iter().next());
    named.map_or_else(String::new, |(kind, which)| match which.as_str() {
        Some(text) => format!("{kind} {text}"),
        None => format!("{kind} {which}"),
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::{Health, ask};
    use crate::answer::Form;
    use crate::client::Http;
    use crate::session::Session;

    async fn member(body: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                if stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                    let length = body.len();
                    let head =
                        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                    let _ = stream.write_all((head + body).as_bytes()).await;
                }
            }
        });
        endpoint
    }

    #[tokio::test]
    async fn the_leader_s_verdict_is_told_when_another_endpoint_reaches_it() {
        let alone = member(
            r#"{"verdict": "down", "member": "pd-1", "checks": [{"code": "NO_LEADER", "summary": "no leader for 9 s"}]}"#,
        )
        .await;
        let well = member(r#"{"verdict": "attention", "member": "pd-2", "by_leader": true}"#).await;
        let asked = async |endpoints: &[&String]| {
            let endpoints = endpoints.iter().map(|endpoint| (*endpoint).clone()).collect();
            ask(&Session { http: Http::new(endpoints).into(), form: Form::Usual }).await.unwrap()
        };
        let gone = "http://127.0.0.1:1".to_owned();
        let (json, health) = asked(&[&alone, &gone, &well]).await;
        assert_eq!((health.member.as_str(), health.code()), ("pd-2", 0));
        assert!(json.contains("attention"));
        assert_eq!(health.otherwise, ["pd-1 does not reach the leader and says: no leader for 9 s"]);
        let (_, health) = asked(&[&alone, &gone]).await;
        assert_eq!((health.member.as_str(), health.code(), health.otherwise.len()), ("pd-1", 2, 0));
    }

    #[test]
    fn words_give_exit_codes() {
        let of =
            |verdict: &str, by_leader| Health { verdict: verdict.to_owned(), by_leader, ..Health::default() };
        let code = |verdict: &str| of(verdict, true).code();
        assert_eq!(
            ["at-risk", "down", "degraded", "blocked", "attention", "learning", "ok"].map(code),
            [2, 2, 1, 1, 0, 0, 0]
        );
        assert_eq!(code("of a newer version"), 1);
        assert_eq!(["down", "learning", "ok"].map(|verdict| of(verdict, false).code()), [2, 1, 1]);
    }

    #[test]
    fn an_answer_with_more_and_with_less_is_read() {
        let text = r#"{"verdict": "degraded", "new": [], "checks": [{"code": "REGION_SHORT", "cause": {"code": "STORE_DOWN", "subject": {"store": 4}}}]}"#;
        let health: Health = serde_json::from_str(text).unwrap();
        assert_eq!(health.checks[0].cause.as_ref().unwrap().to_string(), "STORE_DOWN store 4");
    }
}
