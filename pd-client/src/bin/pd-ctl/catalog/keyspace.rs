//! `keyspace range`: where a keyspace's keys are, computed here.

use serde_json::json;

use super::number;
use crate::answer::Answer;
use crate::command::{Args, Command, Flag, Work};
use crate::failure::Failure;

/// The largest keyspace id: 24 bits.
const KEYSPACE_MAX: u64 = 0xff_ffff;

/// `keyspace`.
pub fn command() -> Command {
    Command::group(
        "keyspace",
        "keyspace commands",
        vec![Command::group(
            "range",
            "show keyspace range",
            vec![
                Command::new("id", "<keyspace-id>", "show keyspace range by id", Work::Local(range))
                    .flag(Flag::switch("raw", None, "show the range of raw keys")),
            ],
        )],
    )
}

fn range(args: &Args) -> Result<Answer, Failure> {
    let [id] = args.exactly()?;
    let id = checked(number(id)?)?;
    let (start, end) = bounds(if args.is_set("raw") { b'r' } else { b'x' }, id);
    let shown = json!({ "end_key": hex::encode(end), "start_key": hex::encode(start) });
    Ok(Answer::json_trimmed(format!("{shown:#}"), None))
}

/// The id, if keyspaces go so far.
///
/// # Errors
/// Names the range.
pub fn checked(id: u64) -> Result<u64, Failure> {
    if id > KEYSPACE_MAX {
        return Err(Failure::typed(format!(
            "invalid keyspace id {id}. It must be in the range of [0, {KEYSPACE_MAX}]\n"
        )));
    }
    Ok(id)
}

/// First key of a table in a keyspace and first key behind it, as regions have them.
pub fn table_bounds(keyspace: u64, table: i64) -> (Vec<u8>, Vec<u8>) {
    let [.., high, middle, low] = keyspace.to_be_bytes();
    let prefix = [b'x', high, middle, low, b't'];
    // Keys sort as bytes: the sign is turned over, so that negative numbers come first.
    let key = |table: i64| {
        let number = (table.cast_unsigned() ^ (1 << 63)).to_be_bytes();
        encoded(&[&prefix[..], &number].concat())
    };
    let end = match table.checked_add(1) {
        Some(next) => key(next),
        None => encoded(&[b'x', high, middle, low, b't' + 1]),
    };
    (key(table), end)
}

/// First key of a keyspace and first key behind it, as regions have them.
pub fn bounds(mode: u8, id: u64) -> (Vec<u8>, Vec<u8>) {
    let prefix = |mode: u8, id: u64| {
        let [.., high, middle, low] = id.to_be_bytes();
        encoded(&[mode, high, middle, low])
    };
    let end = if id == KEYSPACE_MAX { prefix(mode + 1, 0) } else { prefix(mode, id + 1) };
    (prefix(mode, id), end)
}

/// The memcomparable form: groups of eight bytes, each with a mark that says how many of them are filling.
pub fn encoded(key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity((key.len() / 8 + 1) * 9);
    let mut rest = key;
    loop {
        let (group, behind) = rest.split_at(rest.len().min(8));
        let filling = 8 - group.len();
        bytes.extend_from_slice(group);
        bytes.extend(std::iter::repeat_n(0, filling));
        bytes.push(u8::MAX - u8::try_from(filling).unwrap_or(8));
        if filling > 0 {
            return bytes;
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::{bounds, encoded, table_bounds};

    #[test]
    fn ranges_follow_each_other() {
        assert_eq!(hex::encode(bounds(b'x', 0).0), "7800000000000000fb");
        assert_eq!(hex::encode(bounds(b'x', 0).1), "7800000100000000fb");
        assert_eq!(bounds(b'x', 6).1, bounds(b'x', 7).0);
        assert_eq!(hex::encode(bounds(b'x', 0xff_ffff).1), "7900000000000000fb");
    }

    #[test]
    fn tables_follow_each_other_within_their_keyspace() {
        let (start, end) = table_bounds(1, 5);
        assert_eq!(hex::encode(start), "7800000174800000ff0000000005000000fc");
        assert_eq!(table_bounds(1, 6).0, end);
        assert!(table_bounds(1, -1).0 < table_bounds(1, 0).0);
        assert!(table_bounds(1, i64::MAX).1 < bounds(b'x', 1).1);
    }

    #[test]
    fn a_whole_group_is_followed_by_an_empty_one() {
        assert_eq!(hex::encode(encoded(b"12345678")), "3132333435363738ff0000000000000000f7");
        assert_eq!(hex::encode(encoded(b"")), "0000000000000000f7");
    }
}
