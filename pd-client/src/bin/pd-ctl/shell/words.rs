//! A typed line into words, with quotes and backslashes as shells have them.

/// The words of a line.
///
/// # Errors
/// Says which quote is open.
pub fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            quote @ ('"' | '\'') => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        None => return Err(format!("the quote {quote} is not closed")),
                        Some(end) if end == quote => break,
                        Some('\\') if quote == '"' => match letters.next() {
                            Some(kept @ ('"' | '\\')) => word.push(kept),
                            Some(other) => word.extend(['\\', other]),
                            None => return Err(format!("the quote {quote} is not closed")),
                        },
                        Some(inner) => word.push(inner),
                    }
                }
            }
            '\\' => match letters.next() {
                Some(kept) => word.get_or_insert_default().push(kept),
                None => return Err("nothing stands behind the backslash at the end".to_owned()),
            },
            space if space.is_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn quotes_keep_spaces_and_may_be_empty() {
        let words = split(r#"store  --jq=".stores[].store|{id, \"a\"}" isolation-level "" 'a\b' c\ d "\n" "#)
            .unwrap();
        assert_eq!(
            words,
            ["store", "--jq=.stores[].store|{id, \"a\"}", "isolation-level", "", "a\\b", "c d", "\\n"]
        );
        assert_eq!(split("  ").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_is_open_is_named() {
        assert!(split("a \"b").unwrap_err().contains('"'));
        assert!(split("a 'b").unwrap_err().contains('\''));
        assert!(split("a\\").unwrap_err().contains("backslash"));
    }
}
