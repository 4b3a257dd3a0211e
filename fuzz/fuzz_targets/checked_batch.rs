//! See `src/checked_batch.rs`.
#![no_main]

#[path = "../src/bytes.rs"]
mod bytes;
#[path = "../src/draw.rs"]
mod draw;
#[path = "../src/checked_batch.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
