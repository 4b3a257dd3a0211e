//! The libFuzzer entry point of `src/read_batch_file.rs`.
#![no_main]

#[allow(dead_code, reason = "the tool uses the rest")]
#[path = "../../src/bin/ctc-wgpu/batch_file.rs"]
mod batch_file;
#[allow(dead_code, reason = "the tool uses the rest")]
#[path = "../../src/bin/ctc-wgpu/error.rs"]
mod error;
#[allow(dead_code, reason = "the tool uses the rest")]
#[path = "../../src/bin/ctc-wgpu/npz.rs"]
mod npz;
#[path = "../src/read_batch_file.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
