//! The cache of compiled kernels. The best adapter of the tests is a Vulkan adapter, whose driver
//! supports pipeline caches.

use std::fs;
use std::path::Path;

use crate::support::{command, data, scratch};

/// Returns the losses that a run prints, with its cache in `folder`.
fn losses(folder: &Path) -> serde_json::Value {
    let batch = data("ocr/keras_ocr_trained.npz");
    let mut command = command();
    command.env("CTC_WGPU_CACHE_DIR", folder);
    let arguments = ["loss", &batch, "--backend", "gpu", "--runs", "0", "--json"];
    let output = command.args(arguments).output().expect("the tool starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stderr, "");
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let losses = printed["loss"].clone();
    assert_eq!(losses.as_array().map(Vec::len), Some(32));
    losses
}

#[test]
fn the_cache_is_one_file_per_adapter_and_changes_no_loss() {
    let folder = scratch("pipeline_cache");
    let first = losses(&folder);
    let files: Vec<_> = fs::read_dir(&folder)
        .expect("the folder that the tool created")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    let [file] = &files[..] else {
        panic!("{files:?}");
    };
    assert_eq!(losses(&folder), first);

    for damaged in [&b""[..], b"abc", b"0000 and what was never a cache"] {
        fs::write(file, damaged).expect("writing over it");
        assert_eq!(losses(&folder), first);
        assert_ne!(fs::read(file).expect("a file"), damaged, "not replaced");
    }
}

#[test]
fn a_cache_folder_that_cannot_be_created_is_ignored() {
    let file = scratch("a_file_not_a_folder");
    fs::write(&file, "").expect("a file");
    losses(&file.join("below"));
    assert_eq!(fs::read(&file).expect("the file"), b"");
}
