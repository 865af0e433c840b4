//! One request of a command: what is asked, and how its answer is shown.

use http::Method;
use serde_json::Value;

use crate::answer::Answer;
use crate::failure::Failure;
use crate::jq;
use crate::session::Session;
use crate::table::Columns;

/// A request with the way its outcome is told.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The method.
    pub method: Method,
    /// Path and query, from `/pd/` on.
    pub path: String,
    /// The body, as JSON.
    pub body: Option<Value>,
    /// Answered by the member that is asked, never passed on to the leader.
    pub own: bool,
    /// What tikv/pd's `pd-ctl` says before `[status] body`.
    pub failed: String,
    /// Whether it takes the white space off the failure's end.
    pub trims: bool,
    /// How success looks.
    pub show: Show,
    /// The columns of a table.
    pub columns: Option<&'static Columns>,
    /// A filter on the answer.
    pub jq: Option<String>,
}

/// How a successful answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// The body and a newline.
    Body,
    /// The body with one newline at its end.
    Trimmed,
    /// The body without the numbers of states, which have names beside them; one newline.
    Stores,
    /// `Success!`.
    Done,
    /// `Success!` and the server's text.
    Told,
    /// `Success!` and the body as it came.
    ToldRaw,
}

impl Ask {
    /// Reads `path`.
    pub fn get(path: impl Into<String>) -> Ask {
        Ask {
            method: Method::GET,
            path: path.into(),
            body: None,
            own: false,
            failed: String::new(),
            trims: false,
            show: Show::Body,
            columns: None,
            jq: None,
        }
    }

    /// Writes `body` to `path`; outcomes are told as `Success! ..` and `Failed! ..`.
    pub fn post(path: impl Into<String>, body: Value) -> Ask {
        let get = Ask::get(path);
        Ask {
            method: Method::POST,
            body: Some(body),
            failed: "Failed! ".into(),
            trims: true,
            show: Show::Told,
            ..get
        }
    }

    /// Deletes `path`; success is `Success!`.
    pub fn delete(path: impl Into<String>) -> Ask {
        Ask { method: Method::DELETE, show: Show::Done, ..Ask::get(path) }
    }

    /// The same, failing with these words before the server's, white space kept.
    #[must_use]
    pub fn or_say(self, failed: impl Into<String>) -> Ask {
        Ask { failed: failed.into(), trims: false, ..self }
    }

    /// The same, shown so.
    #[must_use]
    pub fn show(self, show: Show) -> Ask {
        Ask { show, ..self }
    }

    /// The same with columns for a table.
    #[must_use]
    pub fn columns(self, columns: &'static Columns) -> Ask {
        Ask { columns: Some(columns), ..self }
    }

    /// The same through a filter, if one is given.
    #[must_use]
    pub fn filtered(self, jq: Option<&str>) -> Ask {
        Ask { jq: jq.map(str::to_owned), ..self }
    }

    /// Sends it and tells what came.
    ///
    /// # Errors
    /// When no member answers or one refuses: in tikv/pd's words.
    pub async fn send(&self, session: &Session) -> Result<Answer, Failure> {
        let sent = session.http.send(&self.method, &self.path, self.body.as_ref(), self.own).await;
        let reply = sent.map_err(|failure| failure.after(&self.failed))?;
        if !reply.status.is_success() {
            let body = if self.trims { reply.body.trim() } else { &reply.body };
            let words = format!("{}[{}] {body}\n", self.failed, reply.status.as_u16());
            return Err(Failure::refused(reply.status, words));
        }
        self.answer(reply.body)
    }

    fn answer(&self, body: String) -> Result<Answer, Failure> {
        if let Some(filter) = &self.jq {
            let body = if self.show == Show::Stores { without_state_numbers(&body) } else { body };
            return Ok(Answer::words(format!("{}\n", jq::filter(filter, &body)?)));
        }
        Ok(match self.show {
            Show::Body => Answer::json(body, self.columns),
            Show::Trimmed => Answer::json_trimmed(body, self.columns),
            Show::Stores => Answer::json_trimmed(without_state_numbers(&body), self.columns),
            Show::Done => Answer::words("Success!\n"),
            Show::Told => Answer::words(format!("Success! {}\n", body.trim().trim_matches('"'))),
            Show::ToldRaw => Answer::words(format!("Success! {body}\n")),
        })
    }
}

/// The lines of indented JSON but those of the fields `state` and `node_state`, which never end an object.
fn without_state_numbers(body: &str) -> String {
    let is_number_of_state = |line: &str| {
        let line = line.trim();
        let value = line.strip_prefix("\"state\": ").or_else(|| line.strip_prefix("\"node_state\": "));
        value.is_some_and(|value| value.strip_suffix(',').is_some_and(|n| n.parse::<u32>().is_ok()))
    };
    body.split_inclusive('\n').filter(|line| !is_number_of_state(line)).collect()
}

/// The text as a part of a path or a query.
pub fn escaped(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut escaped, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => {
                escaped.push('%');
                escaped.push_str(&hex::encode_upper([byte]));
            }
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::{escaped, without_state_numbers};

    #[test]
    fn only_numbers_of_states_go() {
        let body = "{\n  \"id\": 1,\n  \"state\": 1,\n  \"node_state\": 2,\n  \"key\": \"state\",\n  \"state_name\": \"Offline\"\n}\n";
        let kept = "{\n  \"id\": 1,\n  \"key\": \"state\",\n  \"state_name\": \"Offline\"\n}\n";
        assert_eq!(without_state_numbers(body), kept);
    }

    #[test]
    fn what_a_path_cannot_hold_is_escaped() {
        assert_eq!(escaped("a/b?c=é"), "a%2Fb%3Fc%3D%C3%A9");
    }
}
