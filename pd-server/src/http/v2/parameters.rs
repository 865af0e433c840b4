//! Parameters of v2 routes: each wrong one is refused by name.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use bytes::Bytes;

use super::refused::Refused;

/// A query as its names and values.
#[derive(Debug)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Takes only `known` names, each once.
    pub fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, Refused> {
        let mut taken: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.contains(&name.as_ref()) {
                let text = if known.is_empty() {
                    format!("there is no parameter {name:?}, nor any other")
                } else {
                    format!("there is no parameter {name:?}; there are: {}", known.join(", "))
                };
                return Err(Refused::parameter(&name, text));
            }
            if taken.iter().any(|(before, _)| *before == name) {
                return Err(Refused::parameter(&name, format!("{name} is given twice")));
            }
            taken.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(taken))
    }

    /// The value as it was given; none when it is missing or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        value.filter(|value| !value.is_empty())
    }

    /// A whole number from `least` to `most`.
    pub fn whole(&self, name: &str, least: usize, most: usize) -> Result<Option<usize>, Refused> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
            Ok(_) | Err(_) => Err(Refused::parameter(
                name,
                format!("{name} is {value:?}, it must be a whole number from {least} to {most}"),
            )),
        }
    }

    /// A key in hex; empty when it is missing.
    pub fn key(&self, name: &str) -> Result<Bytes, Refused> {
        let value = self.get(name).unwrap_or_default();
        hex::decode(value)
            .map(Bytes::from)
            .map_err(|error| Refused::parameter(name, format!("{name} must be a key in hex: {error}")))
    }
}

/// An id from a path: a positive whole number.
pub fn id(text: Result<Path<String>, PathRejection>) -> Result<u64, Refused> {
    let Path(text) = text.map_err(|rejection| Refused::parameter("id", rejection.to_string()))?;
    match text.parse() {
        Ok(id) if id > 0 => Ok(id),
        Ok(_) | Err(_) => {
            Err(Refused::parameter("id", format!("id is {text:?}, it must be a positive whole number")))
        }
    }
}
