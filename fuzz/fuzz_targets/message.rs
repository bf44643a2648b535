#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| switchhook::sip::fuzz::message(bytes));
