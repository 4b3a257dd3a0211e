//! The libFuzzer entry point of `crates/fuzz-targets/src/cpu_backend.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ctc_wgpu_fuzz_targets::cpu_backend::run(data));
