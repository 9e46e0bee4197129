//! Sealing, loss, reordering and forgery on an SA pair, against a receiver that remembers everything.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cygnet_esp::fuzzing::model(data));
