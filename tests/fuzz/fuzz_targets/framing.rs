//! See `cardea_proxy::fuzzing::framing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cardea_proxy::fuzzing::framing(data));
