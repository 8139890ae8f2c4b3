//! See `cardea_core::fuzzing::config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cardea_core::fuzzing::config(data));
