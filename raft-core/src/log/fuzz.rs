//! The reader of the log's own files, fed with anything.

use super::tail::{FILE_HEADER_BYTES, MAGIC, Tail, examine};

/// The end of a file: where it is cut, it is whole then, and cutting again changes nothing.
pub fn log_tail(data: &[u8]) {
    // Most inputs should come past the header.
    for bytes in [data.to_vec(), [head(), data.to_vec()].concat()] {
        if let Tail::Unfinished { offset } = examine(&bytes, 1) {
            assert!(offset <= bytes.len());
            let cut = &bytes[..offset];
            assert!(offset == 0 || examine(cut, 1) == Tail::Whole, "cut at {offset}");
        }
    }
}

fn head() -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&2_u64.to_be_bytes());
    head.extend_from_slice(&0_u64.to_be_bytes());
    head.truncate(FILE_HEADER_BYTES);
    head
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_file_makes_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), zeros in 0_usize..600) {
            super::log_tail(&bytes);
            super::log_tail(&[bytes, vec![0; zeros]].concat());
        }
    }
}
