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

/// The data of an answer. A list of a million Regions is held once: as the text that is printed.
#[derive(Debug, Clone)]
pub struct Data {
    /// The JSON, when the text is not that itself.
    pub json: Option<String>,
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
    pub fn json(mut body: String, columns: Option<&'static Columns>) -> Answer {
        body.push('\n');
        Answer { text: body, data: Some(Data { json: None, columns }), code: 0 }
    }

    /// JSON that ends in exactly one newline.
    pub fn json_trimmed(mut body: String, columns: Option<&'static Columns>) -> Answer {
        body.truncate(body.trim_end().len());
        Answer::json(body, columns)
    }

    /// A text for people, and the JSON that it was made of.
    pub fn told(text: String, json: String) -> Answer {
        Answer { text, data: Some(Data { json: Some(json), columns: None }), code: 0 }
    }

    /// What is printed.
    pub fn shown(self, form: Form) -> String {
        let Answer { text, data, .. } = self;
        match (form, data) {
            (Form::Usual, _) | (Form::Table, None) => text,
            (Form::Json, None) => format!("{}\n", json!({ "message": text.trim_end() })),
            (Form::Json, Some(data)) => {
                let mut json = data.json.unwrap_or(text);
                json.truncate(json.trim_end().len());
                json.push('\n');
                json
            }
            (Form::Table, Some(data)) => {
                match serde_json::from_str::<Value>(data.json.as_ref().unwrap_or(&text)) {
                    Ok(value) => table::of(&value, data.columns),
                    // Not JSON after all: better the text than nothing.
                    Err(_) => text,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Form};

    #[test]
    fn three_forms_of_data_and_of_words() {
        let forms = [Form::Usual, Form::Json, Form::Table];
        let data = forms.map(|form| Answer::json("{\"a\": 1}\n".into(), None).shown(form));
        assert_eq!(data, ["{\"a\": 1}\n\n", "{\"a\": 1}\n", "NAME  VALUE\na     1\n"]);
        let words = forms.map(|form| Answer::words("Success!\n").shown(form));
        assert_eq!(words, ["Success!\n", "{\"message\":\"Success!\"}\n", "Success!\n"]);
        let told = forms.map(|form| Answer::told("well\n".into(), "{\"a\":1}\n".into()).shown(form));
        assert_eq!(told, ["well\n", "{\"a\":1}\n", "NAME  VALUE\na     1\n"]);
    }
}
