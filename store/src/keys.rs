//! How keys lie in the engine: one tree for all Regions of a Store, so that a split moves nothing and a batch is
//! atomic over data and the Region's own record.
//!
//! | first byte | then | value |
//! |---|---|---|
//! | `r` | Region id, 8 bytes, big endian | [`crate::region::RegionState`] |
//! | `z` | user key | user value |

use crate::{KeyRange, RegionId};

const STATE: u8 = b'r';
const DATA: u8 = b'z';

/// Where a user key lies.
pub fn data_key(user: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(user.len() + 1);
    key.push(DATA);
    key.extend_from_slice(user);
    key
}

/// The bounds of a range of user keys; the upper one is never empty.
pub fn data_bounds(range: &KeyRange) -> (Vec<u8>, Vec<u8>) {
    let end = if range.end.is_empty() { vec![DATA + 1] } else { data_key(&range.end) };
    (data_key(&range.start), end)
}

/// The user key of an engine key that was met between [`data_bounds`].
pub fn user_key(key: &[u8]) -> &[u8] {
    key.get(1..).unwrap_or_default()
}

/// Where a Region's record lies.
pub fn state_key(region: RegionId) -> Vec<u8> {
    let mut key = Vec::with_capacity(9);
    key.push(STATE);
    key.extend_from_slice(&region.0.to_be_bytes());
    key
}

/// The bounds of all Region records.
pub fn state_bounds() -> (Vec<u8>, Vec<u8>) {
    (vec![STATE], vec![STATE + 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_all_data_and_nothing_else() {
        let (start, end) = data_bounds(&KeyRange::default());
        for user in [&b""[..], b"\x00", b"\xff\xff\xff", b"key"] {
            let key = data_key(user);
            assert!(start <= key && key < end);
            assert_eq!(user_key(&key), user);
        }
        let state = state_key(RegionId(u64::MAX));
        assert!(state < start);
        let (low, high) = state_bounds();
        assert!(low <= state_key(RegionId(0)) && state < high);
    }
}
