//! See `cardea_proxy::fuzzing::canonical`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cardea_proxy::fuzzing::canonical(data));
