//! Runs the fuzzing targets on the inputs of the corpus and on random mutations of them, without a
//! fuzzer. See fuzz/README.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a test that panics has failed, and its numbers are small"
)]
use ctc_wgpu_conformance::random::Rng;
use ctc_wgpu_fuzz_targets::{checked_batch, cpu_backend, read_batch_file};

/// Mutations of each input.
const MUTATIONS: u64 = 256;

/// Runs a target on each file of its corpus and on mutations of it. Prints each file and seed, so
/// that the output of a failure ends with the input that caused it.
fn run_corpus(target: &str, run: fn(&[u8])) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        let input = std::fs::read(path).unwrap();
        run(&input);
        for seed in 0..MUTATIONS {
            println!("  mutated, seed {seed}");
            run(&mutated(&input, seed));
        }
        count += 1;
    }
    assert!(count >= 20, "only {count} inputs of `{target}`");
}

/// Returns the input with some bytes set, flipped, removed or repeated.
fn mutated(input: &[u8], seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    let mut bytes = input.to_vec();
    for _ in 0..=rng.below(6) {
        let at = rng.below(bytes.len().max(1));
        let end = (at + 1 + rng.below(16)).min(bytes.len());
        match rng.below(5) {
            0 => bytes.truncate(at),
            1 if at < end => drop(bytes.drain(at..end)),
            2 if at < end => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            3 if at < end => bytes[at] ^= 1 << rng.below(8),
            _ if at < end => bytes[at] = rng.bits() as u8,
            _ => bytes.push(rng.bits() as u8),
        }
    }
    bytes
}

#[test]
fn any_bytes_are_a_batch_or_an_error_of_one_line() {
    run_corpus("batch_file", read_batch_file::run);
}

#[test]
fn any_arrays_and_any_shape_are_accepted_or_rejected_with_a_message() {
    run_corpus("checked_batch", checked_batch::run);
}

#[test]
fn the_cpu_backend_and_the_reference_agree() {
    run_corpus("cpu_backend", cpu_backend::run);
}
