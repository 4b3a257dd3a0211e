//! The libFuzzer entry point of `src/cpu_backend.rs`.
#![no_main]

#[path = "../src/bytes.rs"]
mod bytes;
#[path = "../src/options.rs"]
mod options;
#[path = "../src/cpu_backend.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
