//! Answers as rows and columns.

use serde_json::Value;

/// The columns of a list that we know.
#[derive(Debug)]
pub struct Columns {
    /// Where the list is in the answer, as a JSON pointer; the answer itself may also be one row.
    pub list: &'static str,
    /// Header, and where the value is in a row; `*` stands for all items of a list.
    pub columns: &'static [(&'static str, &'static str)],
}

/// Stores.
pub const STORES: Columns = Columns {
    list: "/stores",
    columns: &[
        ("ID", "/store/id"),
        ("ADDRESS", "/store/address"),
        ("STATE", "/store/state_name"),
        ("CAPACITY", "/status/capacity"),
        ("AVAILABLE", "/status/available"),
        ("LEADERS", "/status/leader_count"),
        ("REGIONS", "/status/region_count"),
        ("VERSION", "/store/version"),
        ("LAST HEARTBEAT", "/status/last_heartbeat_ts"),
    ],
};

/// Regions.
pub const REGIONS: Columns = Columns {
    list: "/regions",
    columns: &[
        ("ID", "/id"),
        ("START", "/start_key"),
        ("END", "/end_key"),
        ("LEADER", "/leader/store_id"),
        ("STORES", "/peers/*/store_id"),
        ("SIZE MiB", "/approximate_size"),
        ("KEYS", "/approximate_keys"),
    ],
};

/// Members.
pub const MEMBERS: Columns = Columns {
    list: "/members",
    columns: &[
        ("NAME", "/name"),
        ("ID", "/member_id"),
        ("CLIENT URLS", "/client_urls/*"),
        ("PEER URLS", "/peer_urls/*"),
        ("PRIORITY", "/leader_priority"),
        ("VERSION", "/binary_version"),
    ],
};

/// Members and whether they are well.
pub const HEALTH: Columns = Columns {
    list: "",
    columns: &[
        ("NAME", "/name"),
        ("ID", "/member_id"),
        ("CLIENT URLS", "/client_urls/*"),
        ("HEALTH", "/health"),
    ],
};

/// Any answer as a table: a list by its columns, or by the fields of its rows; an object as names and values.
pub fn of(value: &Value, columns: Option<&Columns>) -> String {
    if let Some(columns) = columns {
        let header = columns.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let row = |item: &Value| columns.columns.iter().map(|(_, path)| cell(item, path)).collect();
        let rows = match value.pointer(columns.list) {
            Some(Value::Array(items)) => items.iter().map(row).collect(),
            _ => vec![row(value)],
        };
        return lines(header, rows);
    }
    match value {
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let mut names: Vec<&String> = Vec::new();
            for name in items.iter().filter_map(Value::as_object).flat_map(|fields| fields.keys()) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            let rows =
                items.iter().map(|item| names.iter().map(|name| plain(&item[name.as_str()])).collect());
            lines(names.iter().map(|name| name.to_uppercase()).collect(), rows.collect())
        }
        Value::Array(items) => items.iter().map(|item| plain(item) + "\n").collect(),
        Value::Object(_) => {
            let mut rows = Vec::new();
            flatten("", value, &mut rows);
            lines(vec!["NAME".into(), "VALUE".into()], rows)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => plain(value) + "\n",
    }
}

/// Columns as wide as their widest cell, two spaces between.
pub fn lines(header: Vec<String>, rows: Vec<Vec<String>>) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in std::iter::once(&header).chain(&rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn cell(item: &Value, path: &str) -> String {
    match path.split_once("/*") {
        Some((list, rest)) => {
            let items = item.pointer(list).and_then(Value::as_array).into_iter().flatten();
            items.map(|item| cell(item, rest)).collect::<Vec<_>>().join(",")
        }
        None => item.pointer(path).map(plain).unwrap_or_default(),
    }
}

fn flatten(path: &str, value: &Value, rows: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, field) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, field, rows);
            }
        }
        _ => rows.push(vec![path.to_owned(), plain(value)]),
    }
}

/// A value without the quotes of a text; control characters would move the columns (or the terminal's cursor).
fn plain(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let text = if value.is_null() { String::new() } else { text };
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::{REGIONS, of};
    use serde_json::json;

    #[test]
    fn known_lists_have_their_columns() {
        let regions = json!({"count": 1, "regions": [{"id": 7, "start_key": "", "end_key": "74",
            "peers": [{"store_id": 1}, {"store_id": 20}], "leader": {"store_id": 1}, "approximate_size": 3}]});
        let expected = "ID  START  END  LEADER  STORES  SIZE MiB  KEYS\n7          74   1       1,20    3\n";
        assert_eq!(of(&regions, Some(&REGIONS)), expected);
        assert_eq!(of(&regions["regions"][0], Some(&REGIONS)), expected, "a single one, too");
    }

    #[test]
    fn any_answer_becomes_a_table() {
        assert_eq!(of(&json!({"a": {"b": 1}, "c": "x"}), None), "NAME  VALUE\na.b   1\nc     x\n");
        assert_eq!(of(&json!([{"a": 1}, {"b": "é\u{1b}"}]), None), "A  B\n1\n   é\u{fffd}\n");
        assert_eq!(of(&json!(["x", "y"]), None), "x\ny\n");
    }
}
