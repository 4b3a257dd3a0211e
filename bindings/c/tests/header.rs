//! The header is what the crate says.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

/// What cbindgen makes of the sources now.
fn made() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    let builder = cbindgen::Builder::new().with_config(config);
    let builder = ["types.rs", "lib.rs"]
        .iter()
        .fold(builder, |b, file| b.with_src(root.join("src").join(file)));
    let mut text = Vec::new();
    builder.generate().expect("bindings").write(&mut text);
    String::from_utf8(text).expect("UTF-8")
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include/ctc_wgpu.h")
}

#[test]
fn the_header_is_what_cbindgen_makes_of_the_crate() {
    let kept = std::fs::read_to_string(path()).expect("include/ctc_wgpu.h");
    assert!(
        kept == made(),
        "include/ctc_wgpu.h is not of these sources: cargo test -p ctc-wgpu-c --test header -- --ignored"
    );
}

#[test]
#[ignore = "writes include/ctc_wgpu.h"]
fn write_the_header() {
    std::fs::write(path(), made()).expect("include/ctc_wgpu.h");
}
