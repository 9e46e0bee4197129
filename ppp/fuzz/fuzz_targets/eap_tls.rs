#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cygnet_ppp::fuzzing::eap_tls(data));
