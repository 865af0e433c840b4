//! What keys and values look like on the wire.
//!
//! Keys of all writers alternate over the whole key space, so that every Region has several writers. A value says which
//! write it is, and that of which key, in a form that no other write shares.

use super::Content;

/// Writers; key `n` belongs to writer `n % WRITERS`.
pub const WRITERS: u64 = 8;
/// Keys that each writer spreads its writes over. With all of them written, about 4 MB: some 50 small Regions.
pub const KEYS_EACH: u64 = 512;
/// Bytes of a value. With the keys of all writers enough for several dozen small Regions within a minute.
const VALUE_BYTES: usize = 1_000;

/// Keys behind all writers' keys in one step of the tail, which grows until it has split off, so that no writer's key
/// lies in the last Region: see [`WRITERS_END`].
pub const TAIL_STEP: u64 = 32;
/// The end of the writers' keys. A scan of the stock client that ends within the last Region goes on from the first
/// one, so scans are compared only up to here, and only once the last Region begins behind it.
pub const WRITERS_END: &[u8] = b"v";

/// The pair of this number behind all writers' keys.
pub fn tail(number: u64) -> (Vec<u8>, Vec<u8>) {
    (format!("{}{number:08}", String::from_utf8_lossy(WRITERS_END)).into_bytes(), value(number, 0))
}

/// The key of this number.
pub fn key(number: u64) -> Vec<u8> {
    format!("user{number:08}").into_bytes()
}

/// The number of a key of ours.
pub fn key_number(key: &[u8]) -> Option<u64> {
    std::str::from_utf8(key).ok()?.strip_prefix("user")?.parse().ok()
}

/// The `n`th key of a writer.
pub fn key_of(writer: u64, n: u64) -> u64 {
    n * WRITERS + writer
}

/// The value that write `number` puts at `key`.
pub fn value(key: u64, number: u64) -> Vec<u8> {
    let mut value = format!("write {number} of key {key} ").into_bytes();
    value.resize(VALUE_BYTES, b'.');
    value
}

/// What a found value says. A value that no write of this key can have written is told as it is.
pub fn content(key: u64, found: Option<&[u8]>) -> Result<Content, String> {
    let Some(found) = found else { return Ok(Content::Absent) };
    let head = String::from_utf8_lossy(&found[..found.len().min(64)]).into_owned();
    let number = head.strip_prefix("write ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    match number {
        Some(number) if value(key, number) == found => Ok(Content::Value(number)),
        Some(_) | None => Err(format!("{} bytes that nobody wrote there: {head}", found.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_lies_behind_every_writer() {
        assert!(key(WRITERS * KEYS_EACH).as_slice() < WRITERS_END);
        assert!(tail(0).0.as_slice() > WRITERS_END);
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let (k, v) = (key_of(3, 17), value(key_of(3, 17), 99));
        assert_eq!(key_number(&key(k)), Some(k));
        assert_eq!(k % WRITERS, 3);
        assert_eq!(content(k, Some(&v)), Ok(Content::Value(99)));
        assert_eq!(content(k, None), Ok(Content::Absent));
        assert!(content(k + 1, Some(&v)).is_err(), "the value of another key");
        assert!(content(k, Some(&v[..v.len() - 1])).is_err(), "a value cut short");
        assert!(content(k, Some(b"")).is_err());
    }
}
