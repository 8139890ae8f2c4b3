//! See `cardea_proxy::fuzzing::header_rules`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cardea_proxy::fuzzing::header_rules(data));
