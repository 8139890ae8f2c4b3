//! See `cardea_core::fuzzing::config` for resources, and `cardea::fuzzing::configuration` for `cardea.toml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| match data.strip_prefix(cardea::fuzzing::MARK) {
    Some(text) => cardea::fuzzing::configuration(text),
    None => cardea_core::fuzzing::config(data),
});
