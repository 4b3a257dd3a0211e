//! The inputs that the fuzzers found worth keeping, each through its target, as it is and changed at random: a short run
//! without a fuzzer. See fuzz/README.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a test that panics has failed, and its numbers are small"
)]
#![allow(unreachable_pub, reason = "modules of other programs")]

#[allow(dead_code, reason = "the tool uses the rest")]
#[path = "../../src/bin/ctc-wgpu/batch_file.rs"]
mod batch_file;
#[path = "../../fuzz/src/bytes.rs"]
mod bytes;
#[path = "../../fuzz/src/checked_batch.rs"]
mod checked_batch;
#[path = "../../fuzz/src/cpu_backend.rs"]
mod cpu_backend;
#[path = "../../fuzz/src/draw.rs"]
mod draw;
#[allow(dead_code, reason = "the tool uses the rest")]
#[path = "../../src/bin/ctc-wgpu/fault.rs"]
mod fault;
#[allow(dead_code, reason = "the tool uses the rest")]
#[path = "../../src/bin/ctc-wgpu/npz.rs"]
mod npz;
#[path = "../../fuzz/src/read.rs"]
mod read;

use ctc_wgpu::conformance::random::Rng;

/// Changed inputs for each that is kept.
const CHANGES: u64 = 256;

/// Runs each file of a target's corpus, and changes of it; their names are printed, so that a failure says which.
fn each(target: &str, run: fn(&[u8])) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        let kept = std::fs::read(path).unwrap();
        run(&kept);
        for seed in 0..CHANGES {
            println!("  changed, seed {seed}");
            run(&changed(&kept, seed));
        }
        count += 1;
    }
    assert!(count >= 20, "only {count} inputs of `{target}`");
}

/// With some bytes set, flipped, left out or repeated.
fn changed(kept: &[u8], seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    let mut bytes = kept.to_vec();
    for _ in 0..=rng.below(6) {
        let at = rng.below(bytes.len().max(1));
        let end = (at + 1 + rng.below(16)).min(bytes.len());
        match rng.below(5) {
            0 => bytes.truncate(at),
            1 if at < end => drop(bytes.drain(at..end)),
            2 if at < end => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            3 if at < end => bytes[at] ^= 1 << rng.below(8),
            _ if at < end => bytes[at] = rng.bits() as u8,
            _ => bytes.push(rng.bits() as u8),
        }
    }
    bytes
}

#[test]
fn any_bytes_are_a_batch_or_a_fault_of_one_line() {
    each("batch_file", read::run);
}

#[test]
fn any_arrays_and_any_shape_are_taken_or_refused_with_words() {
    each("checked_batch", checked_batch::run);
}

#[test]
fn the_twin_and_the_reference_agree() {
    each("cpu_backend", cpu_backend::run);
}
