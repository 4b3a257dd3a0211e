//! Fuzzes the reader of batch files: any bytes must give a batch or an error of one line.
//!
//! If the first byte is 0, the rest is an archive. Otherwise the rest is a list of arrays, each a
//! name and the bytes of its `.npy`, which are put into an archive with valid checksums, so that
//! the fuzzer reaches the code behind the checksums.

use std::io::{Cursor, Write};
use std::path::PathBuf;

use ctc_wgpu::{Blank, CheckedBatch, Layout, Options};
use indicatif::ProgressBar;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::batch_file::{BatchFile, NAMES};

pub(crate) fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let archive = match kind {
        0 => rest.to_vec(),
        _ => archived(rest, kind & 1 == 0),
    };
    let path = scratch();
    std::fs::write(&path, &archive).expect("a scratch file");
    for layout in [Layout::BatchMajor, Layout::TimeMajor] {
        match BatchFile::read(&path, layout, ProgressBar::hidden()) {
            Err(error) => assert!(!error.one_line().contains('\n')),
            Ok(file) => {
                let options =
                    Options::default().blank(file.blank.map_or(Blank::Index(0), Blank::Index));
                if let Err(error) = CheckedBatch::new(&file.batch(), &options) {
                    assert!(!error.to_string().is_empty());
                }
            }
        }
    }
}

/// Builds an archive of arrays: one byte for the name, two for the length, and that many bytes, or
/// as many as are left.
fn archived(mut rest: &[u8], deflated: bool) -> Vec<u8> {
    let method = if deflated {
        CompressionMethod::Deflated
    } else {
        CompressionMethod::Stored
    };
    let options = SimpleFileOptions::default().compression_method(method);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    while let [name, low, high, after @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
        let (bytes, left) = after.split_at(length);
        let name = NAMES[usize::from(*name) % NAMES.len()];
        // Skips repeated names, which an archive cannot contain.
        if archive.start_file(format!("{name}.npy"), options).is_ok() {
            archive.write_all(bytes).expect("memory");
        }
        rest = left;
    }
    archive.finish().expect("memory").into_inner()
}

/// Returns a path that only this process uses.
fn scratch() -> PathBuf {
    std::env::temp_dir().join(format!("ctc-wgpu-fuzz-{}.npz", std::process::id()))
}
