//! The address of a member: `http://host:port`, or `host:port` for short.

use std::fmt;

use tonic::transport::Uri;

use crate::{Error, Result};

/// A checked address, in the form in which it is dialled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address(String);

impl Address {
    /// Checks `text`: scheme `http` or none, a host and a port, nothing behind.
    pub fn parse(text: &str) -> Result<Address> {
        let bad =
            |reason: &str| Error::BadEndpoint { endpoint: text.to_string(), reason: reason.to_string() };
        let trimmed = text.trim();
        let full = if trimmed.contains("://") { trimmed.to_string() } else { format!("http://{trimmed}") };
        let uri: Uri = full.parse().map_err(|_| bad("it does not parse"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(bad("https is not supported yet")),
            Some(_) | None => return Err(bad("the scheme must be http")),
        }
        let Some(authority) = uri.authority() else { return Err(bad("the host is missing")) };
        if authority.host().is_empty() {
            return Err(bad("the host is missing"));
        }
        if authority.as_str().contains('@') {
            return Err(bad("a user has no place in it"));
        }
        let Some(port) = authority.port_u16() else { return Err(bad("the port is missing")) };
        if port == 0 {
            return Err(bad("port 0 cannot be dialled"));
        }
        if !(uri.path().is_empty() || uri.path() == "/") || uri.query().is_some() {
            return Err(bad("a path has no place in it"));
        }
        Ok(Address(format!("http://{authority}")))
    }

    /// With scheme.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_addresses_get_one_form() {
        for text in ["127.0.0.1:2379", "http://127.0.0.1:2379", " http://127.0.0.1:2379/ "] {
            assert_eq!(Address::parse(text).unwrap().as_str(), "http://127.0.0.1:2379");
        }
        assert_eq!(Address::parse("[::1]:2379").unwrap().as_str(), "http://[::1]:2379");
        assert_eq!(Address::parse("pd-0.pd.svc:80").unwrap().as_str(), "http://pd-0.pd.svc:80");
    }

    #[test]
    fn bad_addresses_are_named() {
        for (text, reason) in [
            ("", "parse"),
            ("http://", "parse"),
            ("127.0.0.1", "port is missing"),
            ("127.0.0.1:0", "port 0"),
            ("127.0.0.1:70000", "port is missing"),
            (":2379", "host is missing"),
            ("https://127.0.0.1:2379", "https"),
            ("ftp://127.0.0.1:2379", "scheme"),
            ("http://127.0.0.1:2379/pd", "path"),
            ("http://me@127.0.0.1:2379", "user"),
            ("a b:1", "parse"),
        ] {
            let Err(Error::BadEndpoint { endpoint, reason: got }) = Address::parse(text) else {
                panic!("`{text}` was accepted");
            };
            assert_eq!(endpoint, text);
            assert!(got.contains(reason), "`{text}`: {got}");
        }
    }
}
