//! JSON in request bodies, with the error texts that tools of the ecosystem know: those of Go's `encoding/json`.

use std::fmt::Write;

use serde::de::DeserializeOwned;

/// Why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub text: String,
    /// Bytes read until then; none when it is JSON of another form than wanted.
    pub offset: Option<usize>,
}

/// Reads a body.
///
/// # Errors
/// It is not JSON, or of another form than `T`.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Malformed> {
    serde_json::from_slice(body).map_err(|error| match Scanner::new(body).find_error() {
        Some((text, offset)) => Malformed { text, offset: Some(offset) },
        None => Malformed { text: format!("json: {error}"), offset: None },
    })
}

/// What may come next.
#[derive(Clone, Copy)]
enum Expect {
    Value,
    /// A value, or the end of a list that has just begun.
    ValueOrEnd,
    /// A key, or the end of an object that has just begun.
    KeyOrEnd,
    Key,
    Colon,
    /// After a whole value.
    Behind,
}

/// What is open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    List,
    Object,
}

/// Finds the first place where a text is no JSON. Without recursion: the depth is the sender's choice.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    open: Vec<Open>,
}

/// The first mistake: its text and how far it was read. `Ok` goes on.
type Step = Result<(), (String, usize)>;

impl<'a> Scanner<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, open: Vec::new() }
    }

    fn find_error(mut self) -> Option<(String, usize)> {
        self.scan().err()
    }

    fn scan(&mut self) -> Step {
        let mut expect = Expect::Value;
        loop {
            self.skip_space();
            let Some(byte) = self.peek() else {
                let whole = matches!(expect, Expect::Behind) && self.open.is_empty();
                return if whole { Ok(()) } else { self.ended() };
            };
            expect = match (expect, byte) {
                (Expect::ValueOrEnd, b']') | (Expect::KeyOrEnd, b'}') => self.close(),
                (Expect::Value | Expect::ValueOrEnd, _) => self.value(byte)?,
                (Expect::Key | Expect::KeyOrEnd, b'"') => {
                    self.string()?;
                    Expect::Colon
                }
                (Expect::Key | Expect::KeyOrEnd, _) => {
                    return self.wrong("looking for beginning of object key string");
                }
                (Expect::Colon, b':') => {
                    self.at += 1;
                    Expect::Value
                }
                (Expect::Colon, _) => return self.wrong("after object key"),
                (Expect::Behind, _) => self.behind(byte)?,
            };
        }
    }

    fn value(&mut self, byte: u8) -> Result<Expect, (String, usize)> {
        match byte {
            b'{' => {
                self.at += 1;
                self.open.push(Open::Object);
                return Ok(Expect::KeyOrEnd);
            }
            b'[' => {
                self.at += 1;
                self.open.push(Open::List);
                return Ok(Expect::ValueOrEnd);
            }
            b'"' => self.string()?,
            b'-' | b'0'..=b'9' => self.number()?,
            b't' => self.literal("true")?,
            b'f' => self.literal("false")?,
            b'n' => self.literal("null")?,
            _ => self.wrong("looking for beginning of value")?,
        }
        Ok(Expect::Behind)
    }

    fn behind(&mut self, byte: u8) -> Result<Expect, (String, usize)> {
        match (self.open.last(), byte) {
            (Some(Open::List), b',') => {
                self.at += 1;
                Ok(Expect::Value)
            }
            (Some(Open::Object), b',') => {
                self.at += 1;
                Ok(Expect::Key)
            }
            (Some(Open::List), b']') | (Some(Open::Object), b'}') => Ok(self.close()),
            (Some(Open::List), _) => self.wrong("after array element").map(|()| Expect::Behind),
            (Some(Open::Object), _) => self.wrong("after object key:value pair").map(|()| Expect::Behind),
            (None, _) => self.wrong("after top-level value").map(|()| Expect::Behind),
        }
    }

    fn close(&mut self) -> Expect {
        self.at += 1;
        self.open.pop();
        Expect::Behind
    }

    fn string(&mut self) -> Step {
        self.at += 1;
        loop {
            match self.peek() {
                None => return self.ended(),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape()?;
                }
                Some(0..0x20) => return self.wrong("in string literal"),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Step {
        match self.peek() {
            None => self.ended(),
            Some(b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    self.expect(|byte| byte.is_ascii_hexdigit(), "in \\u hexadecimal character escape")?;
                }
                Ok(())
            }
            Some(_) => self.wrong("in string escape code"),
        }
    }

    fn number(&mut self) -> Step {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn digits(&mut self, place: &str) -> Step {
        self.expect(|byte| byte.is_ascii_digit(), place)?;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn literal(&mut self, word: &str) -> Step {
        self.at += 1;
        for wanted in word.bytes().skip(1) {
            let place = format!("in literal {word} (expecting '{}')", char::from(wanted));
            self.expect(|byte| byte == wanted, &place)?;
        }
        Ok(())
    }

    fn expect(&mut self, fits: impl Fn(u8) -> bool, place: &str) -> Step {
        match self.peek() {
            None => self.ended(),
            Some(byte) if fits(byte) => {
                self.at += 1;
                Ok(())
            }
            Some(_) => self.wrong(place),
        }
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn ended(&self) -> Step {
        Err(("unexpected end of JSON input".to_owned(), self.at))
    }

    fn wrong(&self, place: &str) -> Step {
        let mut shown = String::new();
        match self.peek() {
            None => return self.ended(),
            Some(b'\'') => shown.push_str("'\\''"),
            Some(byte) if byte.is_ascii_control() => {
                let _ = write!(shown, "'{}'", byte.escape_ascii());
            }
            Some(byte) => {
                let _ = write!(shown, "'{}'", char::from(byte));
            }
        }
        Err((format!("invalid character {shown} {place}"), self.at + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use serde_json::Value;

    #[test]
    fn mistakes_have_the_texts_that_tools_know() {
        for (body, text) in [
            ("", "unexpected end of JSON input"),
            ("{\"a\": ", "unexpected end of JSON input"),
            ("not json", "invalid character 'o' in literal null (expecting 'u')"),
            ("xyz", "invalid character 'x' looking for beginning of value"),
            ("{1: 2}", "invalid character '1' looking for beginning of object key string"),
            ("{\"a\" 2}", "invalid character '2' after object key"),
            ("{\"a\": 1 \"b\"}", "invalid character '\"' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("1 2", "invalid character '2' after top-level value"),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
            ("-a", "invalid character 'a' in numeric literal"),
            ("1.", "unexpected end of JSON input"),
            ("'a'", "invalid character '\\'' looking for beginning of value"),
        ] {
            assert_eq!(parse::<Value>(body.as_bytes()).unwrap_err().text, text, "{body}");
        }
        assert_eq!(parse::<Value>(b"").unwrap_err().offset, Some(0));
    }

    #[test]
    fn json_of_another_form_names_what_was_wanted() {
        let refused = parse::<String>(b"{\"a\": 1}").unwrap_err();
        assert!(refused.text.contains("expected a string") && refused.offset.is_none(), "{refused:?}");
        let deep = "[".repeat(100_000);
        assert_eq!(parse::<Value>(deep.as_bytes()).unwrap_err().text, "unexpected end of JSON input");
        let closed = deep + &"]".repeat(100_000);
        assert!(parse::<Value>(closed.as_bytes()).unwrap_err().text.contains("recursion limit"));
    }
}
