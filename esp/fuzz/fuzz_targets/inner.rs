//! Any octets as a datagram on port 4500 and as an inner packet.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cygnet_esp::fuzzing::inner(data));
