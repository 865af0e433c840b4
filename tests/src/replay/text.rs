//! Error texts that print a whole message: Go's text form (`id:50 address:"..." `) is an accident of the language, so
//! only the words round it must be the same.

/// A piece of an error text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// Words that are part of the interface.
    Fixed(String),
    /// A printed message; the ids that it names at its top must be named by ours, too.
    Printed { ids: Vec<String> },
}

/// Whether our text says what the recorded one says, up to the form of messages printed inside.
#[must_use]
pub fn agree(recorded: &str, ours: &str) -> bool {
    let pieces = pieces(recorded);
    if !pieces.iter().any(|piece| matches!(piece, Piece::Printed { .. })) {
        return recorded == ours;
    }
    let mut rest = ours;
    let mut printed: Option<&Vec<String>> = None;
    for piece in &pieces {
        match piece {
            Piece::Fixed(words) => {
                let Some(at) = rest.find(words.as_str()) else { return false };
                let fits = match printed {
                    Some(ids) => names_all(&rest[..at], ids),
                    None => at == 0,
                };
                if !fits {
                    return false;
                }
                printed = None;
                rest = &rest[at + words.len()..];
            }
            Piece::Printed { ids } => printed = Some(ids),
        }
    }
    match printed {
        Some(ids) => names_all(rest, ids),
        None => rest.is_empty(),
    }
}

fn names_all(printed: &str, ids: &[String]) -> bool {
    let numbers: Vec<&str> = printed.split(|c: char| !c.is_ascii_digit()).collect();
    !printed.trim().is_empty() && ids.iter().all(|id| numbers.contains(&id.as_str()))
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut fixed = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let starts_word = fixed.is_empty() || fixed.ends_with(' ');
        if starts_word && let Some((ids, length)) = printed_message(rest) {
            if !fixed.is_empty() {
                pieces.push(Piece::Fixed(std::mem::take(&mut fixed)));
            }
            pieces.push(Piece::Printed { ids });
            rest = &rest[length..];
        } else if let Some(next) = rest.chars().next() {
            fixed.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    if !fixed.is_empty() {
        pieces.push(Piece::Fixed(fixed));
    }
    pieces
}

/// A run of `name:value ` fields at the start of `text`: the ids among them and the length of the run.
fn printed_message(text: &str) -> Option<(Vec<String>, usize)> {
    let mut ids = Vec::new();
    let mut length = 0;
    while let Some((name, value, field)) = printed_field(&text[length..]) {
        if name == "id" {
            ids.push(value.to_string());
        }
        length += field;
    }
    (length > 0).then_some((ids, length))
}

/// One `name:value ` at the start of `text`: name, value, length with the blank behind it.
fn printed_field(text: &str) -> Option<(&str, &str, usize)> {
    let colon = text.find(':')?;
    let name = &text[..colon];
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return None;
    }
    let value = &text[colon + 1..];
    let length = match value.chars().next()? {
        '"' => quoted(value)?,
        '<' => nested(value)?,
        _ => value.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-' && c != '.')?,
    };
    let follows = value[length..].starts_with(' ');
    (length > 0 && follows).then(|| (name, &value[..length], colon + 1 + length + 1))
}

fn quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn nested(text: &str) -> Option<usize> {
    let mut depth = 0_u32;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        match c {
            '"' => {
                at += quoted(&text[at..])?;
                continue;
            }
            '<' => depth += 1,
            '>' if depth == 1 => return Some(at + 1),
            '>' => depth -= 1,
            _ => {}
        }
        at += c.len_utf8();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::agree;

    #[test]
    fn plain_texts_must_be_equal() {
        assert!(agree("store 99 not found", "store 99 not found"));
        assert!(!agree("store 99 not found", "store 99 not found."));
        let halted = "[PD:cluster:ErrSchedulingIsHalted]scheduling is halted";
        assert!(agree(halted, halted));
        assert!(!agree(halted, "scheduling is halted"));
        let version = "version should compatible with version  8.5.0, got 1.0.0";
        assert!(!agree(version, "version should compatible with version 8.5.0, got 1.0.0"));
    }

    #[test]
    fn a_printed_message_may_take_another_form() {
        let recorded =
            "invalid put store id:52 address:\"127.0.0.1:20552\" version:\"bogus\" , error: bogus is bad";
        assert!(agree(recorded, recorded));
        assert!(agree(recorded, "invalid put store {\"id\":52}, error: bogus is bad"));
        assert!(!agree(recorded, "invalid put store {\"id\":53}, error: bogus is bad"), "another id");
        assert!(!agree(recorded, "invalid put store {\"id\":52}, error: bogus"), "other words behind");
        assert!(!agree(recorded, "cannot put store {\"id\":52}, error: bogus is bad"), "other words before");
        assert!(!agree(recorded, "invalid put store , error: bogus is bad"), "nothing printed");
    }

    #[test]
    fn a_printed_message_at_the_end_may_be_followed_by_advice() {
        let recorded = "duplicated store address: id:50 address:\"a\" , already registered by id:1 labels:<key:\"z\" value:\"<\" > ";
        assert!(agree(recorded, recorded));
        assert!(agree(
            recorded,
            "duplicated store address: id:50 , already registered by id:1 ; DELETE /pd/api/v1/store/1"
        ));
        assert!(!agree(recorded, "duplicated store address: id:50 , already registered by id:2"));
    }
}
