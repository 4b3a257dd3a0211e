//! The libFuzzer entry point of `crates/fuzz-targets/src/read_batch_file.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ctc_wgpu_fuzz_targets::read_batch_file::run(data));
