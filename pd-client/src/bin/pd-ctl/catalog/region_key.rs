//! The three ways to write a key: bytes as they are, with escapes, in hexadecimal.

use crate::command::{Args, Flag};
use crate::failure::Failure;

/// `--format`.
pub const FORMAT: Flag = Flag::text("format", Some("hex"), "the key format");

/// The bytes of a key as `--format` says; the errors are those of tikv/pd's tool.
pub fn key(args: &Args, text: &str) -> Result<Vec<u8>, Failure> {
    match args.flag("format") {
        Some("raw") => Ok(text.as_bytes().to_vec()),
        Some("encode") => unescaped(text).ok_or_else(|| {
            Failure::typed(format!("Error:  invalid escape in {text:?}\n"))
                .advise("escapes are \\n \\r \\t \\a \\b \\f \\v \\\\ \\' \\\" \\xHH and \\OOO")
        }),
        Some("hex") | None => from_hex(text),
        Some(other) => Err(Failure::typed(format!("Error:  unknown format {other}\n"))
            .advise("formats are raw, encode and hex")),
    }
}

fn from_hex(text: &str) -> Result<Vec<u8>, Failure> {
    let advice = "give hexadecimal digits, or say --format=raw or --format=encode";
    if let Some(wrong) = text.chars().find(|c| !c.is_ascii_hexdigit()) {
        let code = u32::from(wrong);
        let words = format!("Error:  encoding/hex: invalid byte: U+{code:04X} '{wrong}'\n");
        return Err(Failure::typed(words).advise(advice));
    }
    hex::decode(text)
        .map_err(|_| Failure::typed("Error:  encoding/hex: odd length hex string\n").advise(advice))
}

/// Escapes as C and Go write them; nothing when one is wrong.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next()? {
            b'a' => 7,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            kept @ (b'\\' | b'\'' | b'"') => kept,
            b'x' | b'X' => number([rest.next()?, rest.next()?], 16)?,
            first @ b'0'..=b'3' => number([first, rest.next()?, rest.next()?], 8)?,
            _ => return None,
        });
    }
    Some(bytes)
}

fn number<const N: usize>(digits: [u8; N], radix: u32) -> Option<u8> {
    let digits =
        digits.iter().try_fold(0, |sum, digit| Some(sum * radix + char::from(*digit).to_digit(radix)?));
    digits.and_then(|sum| u8::try_from(sum).ok())
}

#[cfg(test)]
mod tests {
    use super::key;
    use crate::command::Args;

    fn as_format(format: &str, text: &str) -> Result<Vec<u8>, String> {
        let flags = [("format".to_owned(), format.to_owned())].into();
        key(&Args { words: Vec::new(), flags }, text).map_err(|failure| failure.words)
    }

    #[test]
    fn the_same_key_in_three_ways() {
        assert_eq!(as_format("hex", "740A00ff").unwrap(), b"t\n\0\xff");
        assert_eq!(as_format("encode", r"t\n\000\xFF").unwrap(), b"t\n\0\xff");
        assert_eq!(as_format("raw", "t\\n").unwrap(), b"t\\n");
    }

    #[test]
    fn wrong_keys_are_told_as_the_tool_tells_them() {
        let words = as_format("hex", "t00007").unwrap_err();
        assert_eq!(words, "Error:  encoding/hex: invalid byte: U+0074 't'\n");
        assert_eq!(as_format("hex", "740").unwrap_err(), "Error:  encoding/hex: odd length hex string\n");
        for wrong in [r"\", r"\q", r"\x1", r"\xzz", r"\40", r"\777"] {
            assert!(as_format("encode", wrong).is_err(), "{wrong}");
        }
        assert!(as_format("base64", "").is_err());
    }
}
