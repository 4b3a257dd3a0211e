//! Compares the committed header with the one that cbindgen generates from the sources.

#![allow(clippy::expect_used, reason = "a test that cannot continue fails")]

use std::path::{Path, PathBuf};

fn generate_header() -> String {
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

fn header_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include/ctc_wgpu.h")
}

#[test]
fn the_header_is_up_to_date() {
    let header = std::fs::read_to_string(header_path()).expect("include/ctc_wgpu.h");
    assert!(
        header == generate_header(),
        "include/ctc_wgpu.h is out of date: cargo test -p ctc-wgpu-c --test header -- --ignored"
    );
}

#[test]
#[ignore = "writes include/ctc_wgpu.h"]
fn write_the_header() {
    std::fs::write(header_path(), generate_header()).expect("include/ctc_wgpu.h");
}
