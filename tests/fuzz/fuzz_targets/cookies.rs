//! See `cardea_proxy::fuzzing::cookies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cardea_proxy::fuzzing::cookies(data));
