#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cygnet_l2tp::fuzzing::data(data));
