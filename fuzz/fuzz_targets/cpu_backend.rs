//! See `src/cpu_backend.rs`.
#![no_main]

#[path = "../src/bytes.rs"]
mod bytes;
#[path = "../src/draw.rs"]
mod draw;
#[path = "../src/cpu_backend.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
