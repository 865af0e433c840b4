//! What a command answers, and the three forms in which it can be shown.

use serde_json::{Value, json};

use crate::table::{self, Columns};

/// What a command brought back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// As tikv/pd's `pd-ctl` prints it, final newline included.
    pub text: String,
    /// The data behind it; nothing when it is only words.
    pub data: Option<Data>,
    /// The exit code: 0, but for commands whose answer is a judgement.
    pub code: u8,
}

/// The data of an answer.
#[derive(Debug, Clone)]
pub struct Data {
    /// JSON as the server wrote it.
    pub json: String,
    /// The columns that matter, when it is a list that we know.
    pub columns: Option<&'static Columns>,
}

/// How answers are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As tikv/pd's `pd-ctl` shows them.
    Usual,
    /// JSON, also where that has only words.
    Json,
    /// Rows and columns for people.
    Table,
}

impl Form {
    /// The form that `-o` names.
    pub fn named(name: Option<&str>) -> Option<Form> {
        match name {
            None => Some(Form::Usual),
            Some("json") => Some(Form::Json),
            Some("table") => Some(Form::Table),
            Some(_) => None,
        }
    }
}

impl Answer {
    /// Words only, newline included.
    pub fn words(text: impl Into<String>) -> Answer {
        Answer { text: text.into(), data: None, code: 0 }
    }

    /// JSON that is printed as it came, with a newline behind it.
    pub fn json(body: String, columns: Option<&'static Columns>) -> Answer {
        Answer { text: format!("{body}\n"), data: Some(Data { json: body, columns }), code: 0 }
    }

    /// JSON that ends in exactly one newline.
    pub fn json_trimmed(body: &str, columns: Option<&'static Columns>) -> Answer {
        Answer::json(body.trim_end().to_owned(), columns)
    }

    /// What is printed.
    pub fn shown(&self, form: Form) -> String {
        match (form, &self.data) {
            (Form::Usual, _) | (Form::Table, None) => self.text.clone(),
            (Form::Json, Some(data)) => format!("{}\n", data.json.trim_end()),
            (Form::Json, None) => format!("{}\n", json!({ "message": self.text.trim_end() })),
            (Form::Table, Some(data)) => match serde_json::from_str::<Value>(&data.json) {
                Ok(value) => table::of(&value, data.columns),
                // Not JSON after all: better the text than nothing.
                Err(_) => self.text.clone(),
            },
        }
    }
}
