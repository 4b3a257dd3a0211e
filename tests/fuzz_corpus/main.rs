//! The inputs that the fuzzers found worth keeping, each once through its target, without a fuzzer: see fuzz/README.md.

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
#[path = "../../fuzz/src/draw.rs"]
mod draw;
#[allow(dead_code, reason = "the tool uses the rest")]
#[path = "../../src/bin/ctc-wgpu/fault.rs"]
mod fault;
#[allow(dead_code, reason = "the tool uses the rest")]
#[path = "../../src/bin/ctc-wgpu/npz.rs"]
mod npz;
#[path = "../../fuzz/src/problem.rs"]
mod problem;
#[path = "../../fuzz/src/read.rs"]
mod read;
#[path = "../../fuzz/src/twin.rs"]
mod twin;

/// Runs each file of a target's corpus; its name is printed, so that a failure says which.
fn each(target: &str, run: fn(&[u8])) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        run(&std::fs::read(path).unwrap());
        count += 1;
    }
    assert!(count >= 20, "only {count} inputs of `{target}`");
}

#[test]
fn any_bytes_are_a_batch_or_a_fault_of_one_line() {
    each("batch_file", read::run);
}

#[test]
fn any_arrays_and_any_shape_are_taken_or_refused_with_words() {
    each("problem", problem::run);
}

#[test]
fn the_twin_and_the_reference_agree() {
    each("twin", twin::run);
}
