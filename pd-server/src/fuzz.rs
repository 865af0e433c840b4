//! Parsers of this crate as functions of bytes: none may panic, whatever it is given. `fuzz/` has a program for each; the
//! test below gives each some thousand inputs. Not part of the program.

use std::borrow::Cow;

pub use crate::config::fuzz::{config_change, config_file, config_value, server_urls};
pub use crate::http::fuzz::{http_query, json_body, operator_body};
use crate::keys::{decode_be, decode_decimal, decode_hex, encode_be, encode_decimal, encode_hex};
pub use crate::member::fuzz::greeting;
pub use crate::state::fuzz::{state_command, state_key};

/// Numbers of the replicated state: what is read is written so that it is read again.
pub fn key_number(data: &[u8]) {
    if let Ok(number) = decode_be(data) {
        assert_eq!(encode_be(number), data);
    }
    if let Ok(number) = decode_hex(data) {
        assert_eq!(decode_hex(&encode_hex(number)), Ok(number));
    }
    if let Ok(number) = decode_decimal(data) {
        assert_eq!(decode_decimal(&encode_decimal(number)), Ok(number));
    }
}

/// Bytes as text.
pub(crate) fn text(data: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(data)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

    type Parser = fn(&[u8]);

    /// Each parser with inputs that it takes, to begin from.
    const PARSERS: [(Parser, &[&str]); 11] = [
        (
            super::config_file,
            &["[schedule]\nleader-schedule-limit = 4\n", "name = \"pd1\"\n[log]\nlevel = \"info\"\n"],
        ),
        (super::config_change, &["{\"leader-schedule-limit\": 8}", "{\"replication.max-replicas\": \"5\"}"]),
        (super::config_value, &["1h30m5s", "96MiB", "1.5GiB", "true", "250ms"]),
        (super::server_urls, &["http://127.0.0.1:2379,http://[::1]:2380", "https://pd.example:1"]),
        (super::http_query, &["key=%61%FF&limit=7&format=hex", "start=6100&cells=9", "%zz&=&+"]),
        (super::json_body, &["{\"a\": [1, -2.5e3, \"\\u00e9\", null, true]}", "[[[{}]]]"]),
        (
            super::operator_body,
            &["{\"name\": \"add-peer\", \"region_id\": 1, \"store_id\": 2}", "{\"delay\": 30}"],
        ),
        (super::key_number, &["\0\0\0\0\0\0\0\u{1}", "0x00000000000000ff", "18446744073709551615"]),
        (super::greeting, &["\n\u{3}pd1\u{10}\u{7}"]),
        (super::state_command, &["\u{8}\u{3}\u{12}\0", "\u{8}\u{1}\u{1a}\u{2}\n\0"]),
        (super::state_key, &["d\0\u{1}\0\0\0\0\0\0\0\u{7}\0\0\0\u{1}", "h\0\0\0\0\0\0\0\u{7}\0\0\0\u{1}"]),
    ];

    /// Inputs in all.
    const CASES: u32 = 22_000;

    #[test]
    fn no_parser_panics_whatever_it_is_given() {
        let bytes = prop::collection::vec(any::<u8>(), 0..96);
        let cut = (any::<prop::sample::Index>(), any::<prop::sample::Index>());
        // What is wholly made up, and what was right until a piece of it was replaced.
        let case = (0..PARSERS.len(), any::<prop::sample::Index>(), cut, bytes, any::<bool>());
        let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let outcome = runner.run(&case, |(parser, example, (from, to), bytes, is_made_up)| {
            let (parse, examples) = PARSERS[parser];
            let mut input = example.get(examples).as_bytes().to_vec();
            if is_made_up {
                input = bytes;
            } else {
                let (from, to) = (from.index(input.len() + 1), to.index(input.len() + 1));
                let few = bytes.into_iter().take(4);
                input.splice(from.min(to)..from.max(to), few);
            }
            parse(&input);
            Ok(())
        });
        outcome.unwrap();
        for (parse, examples) in PARSERS {
            examples.iter().for_each(|example| parse(example.as_bytes()));
        }
    }
}
