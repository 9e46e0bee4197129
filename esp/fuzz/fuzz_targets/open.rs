//! Octets from a stranger, and authentic octets with any trailer, into an inbound SA.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cygnet_esp::fuzzing::open(data));
