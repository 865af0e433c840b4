//! A small writer of HTML: every value is text.

use std::fmt::Write;

/// Appends `text` so that it is text wherever it stands, in an element or in a quoted attribute.
pub fn push_text(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Not allowed in a document, and of no use to a reader.
            control if control.is_control() && !matches!(control, '\n' | '\t') => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(control));
            }
            other => out.push(other),
        }
    }
}

/// The same as a string of its own.
pub fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_text(&mut out, text);
    out
}

/// Fills the markers `{{name}}` of a template, in one pass: what a value holds is never taken for a marker. Values are
/// HTML already. A marker that is not known stays, so that a test sees it.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len() + 1_024);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let marker = after.split_once("}}");
        let value = marker.and_then(|(name, _)| values.iter().find(|(known, _)| *known == name));
        match (marker, value) {
            (Some((_, behind)), Some((_, value))) => {
                out.push_str(value);
                rest = behind;
            }
            _ => {
                out.push_str("{{");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_text() {
        assert_eq!(
            text("<img src=x onerror=\"alert('1')\">&\0"),
            "&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;\\u{0}"
        );
    }

    #[test]
    fn markers_are_filled_once() {
        let values = [("a", "1"), ("b", "{{a}}")];
        assert_eq!(fill("<p>{{a}} {{b}} {{c}} {{", &values), "<p>1 {{a}} {{c}} {{");
    }
}
