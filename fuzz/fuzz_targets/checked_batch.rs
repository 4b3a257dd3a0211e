//! The libFuzzer entry point of `crates/fuzz-targets/src/checked_batch.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ctc_wgpu_fuzz_targets::checked_batch::run(data));
