//! What keys and values of labels look like, of stores and in the configuration: tikv/pd's rules, and a bound of their
//! length.

/// Longest key or value, in bytes: that of a label of Kubernetes, from where most come, has some 300.
const BYTES_MAX: usize = 512;

/// A key is letters, digits and `-_./` between two of the first two kinds, perhaps behind a `$`.
///
/// # Errors
/// Another form; the text tells it.
pub(crate) fn check_key(key: &str) -> Result<(), String> {
    check_length("key", key)?;
    let bare = key.strip_prefix('$').unwrap_or(key);
    let ends = |end: Option<char>| end.is_some_and(|c| c.is_ascii_alphanumeric());
    if bare.chars().all(is_inner) && ends(bare.chars().next()) && ends(bare.chars().last()) {
        return Ok(());
    }
    Err(format!("{key} does not match format \"^[$]?[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?$\""))
}

/// A value is letters, digits and `-_./`, or empty.
///
/// # Errors
/// Another form; the text tells it.
pub(crate) fn check_value(value: &str) -> Result<(), String> {
    check_length("value", value)?;
    if value.chars().all(is_inner) {
        return Ok(());
    }
    Err(format!("{value} does not match format \"^[-A-Za-z0-9_./]*$\""))
}

fn check_length(what: &str, text: &str) -> Result<(), String> {
    if text.len() <= BYTES_MAX {
        return Ok(());
    }
    Err(format!("the {what} of a label has at most {BYTES_MAX} bytes, not {}", text.len()))
}

fn is_inner(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_forms_are_refused() {
        for good in ["zone", "$zone", "a", "topology.kubernetes.io/zone", "a-b_c"] {
            assert_eq!(check_key(good), Ok(()), "{good}");
        }
        for bad in ["", "$", "-a", "a-", "a b", "ä", "zone;", &"k".repeat(513)] {
            assert!(check_key(bad).is_err(), "{bad}");
        }
        assert_eq!([check_value(""), check_value("-z1/")], [Ok(()), Ok(())]);
        assert!(check_value("a b").is_err() && check_value(&"v".repeat(513)).is_err());
    }
}
