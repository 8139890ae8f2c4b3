//! See `cardea_identity::fuzzing::tokens`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cardea_identity::fuzzing::tokens(data));
