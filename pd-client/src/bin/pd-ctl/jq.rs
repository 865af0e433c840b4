//! `--jq`: filters of jq's language on an answer, without a `jq` on the machine.

use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data, unwrap_valr};
use jaq_json::{Val, read};

use crate::failure::Failure;

/// What the filter makes of the JSON: one compact value a line, as `jq -c` prints them.
///
/// # Errors
/// When the filter is not of jq's language, or does not fit the answer.
pub fn filter(code: &str, json: &str) -> Result<String, Failure> {
    let input = read::parse_single(json.as_bytes())
        .map_err(|error| Failure::here(format!("the answer is no JSON: {error}\n")))?;
    let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let arena = Arena::default();
    let wrong = || Failure::typed(format!("--jq: {code:?} is no filter of jq's language\n"));
    let modules = Loader::new(defs).load(&arena, File { code, path: () }).map_err(|_| wrong())?;
    let program = Compiler::default().with_funs(funs).compile(modules).map_err(|_| wrong())?;
    let context = Ctx::<data::JustLut<Val>>::new(&program.lut, Vars::new([]));
    let mut shown = String::new();
    for value in program.id.run((context, input)).map(unwrap_valr) {
        let value = value.map_err(|error| Failure::typed(format!("--jq: {error}\n")))?;
        shown.push_str(&value.to_string());
        shown.push('\n');
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn one_compact_value_a_line_in_the_order_of_the_filter() {
        let stores =
            r#"{"stores": [{"store": {"address": "a:1", "id": 1}}, {"store": {"address": "b:1", "id": 2}}]}"#;
        let shown = filter(".stores[].store|{id,address}", stores).unwrap();
        assert_eq!(shown, "{\"id\":1,\"address\":\"a:1\"}\n{\"id\":2,\"address\":\"b:1\"}\n");
    }

    #[test]
    fn big_numbers_stay_whole() {
        assert_eq!(filter(".a", r#"{"a": 18446744073709551615}"#).unwrap(), "18446744073709551615\n");
    }

    #[test]
    fn a_wrong_filter_is_named() {
        assert!(filter(".[", "{}").unwrap_err().words.contains("\".[\""));
        assert!(filter("nothing_of_the_kind", "{}").unwrap_err().words.contains("nothing_of_the_kind"));
        assert!(filter(".a.b", r#"{"a": 1}"#).unwrap_err().words.contains("--jq"));
    }
}
