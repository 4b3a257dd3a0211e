//! Fuzzes the reader of batch files: for any bytes it returns a batch or a one-line error.
//!
//! The first byte of an input selects the form of the rest. 0: the rest is an archive. Otherwise
//! the rest is a list of arrays, each a name and the bytes of its `.npy`, from which an archive
//! with valid checksums is built, so that the code that parses the arrays is reached.

use std::io::{Cursor, Write};
use std::path::PathBuf;

use ctc_wgpu::{Blank, CheckedBatch, Layout, Options};
use indicatif::ProgressBar;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use ctc_wgpu_npz::{BatchFile, NAMES};

/// Runs the target on one input, and panics if the property does not hold.
pub fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let archive = match kind {
        0 => rest.to_vec(),
        _ => build_archive(rest, kind & 1 == 0),
    };
    let path = temporary_path();
    std::fs::write(&path, &archive).expect("a temporary file");
    for layout in [Layout::BatchMajor, Layout::TimeMajor] {
        match BatchFile::read(&path, layout, ProgressBar::hidden()) {
            Err(error) => assert!(!error.to_string().contains('\n')),
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

/// Builds an archive from a list of arrays. An array is one byte that selects its name, two bytes
/// of length, and as many bytes of data, or all that remain.
fn build_archive(mut rest: &[u8], deflated: bool) -> Vec<u8> {
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
        // `start_file` fails for a repeated name; that array is left out.
        if archive.start_file(format!("{name}.npy"), options).is_ok() {
            archive.write_all(bytes).expect("writing to memory");
        }
        rest = left;
    }
    archive.finish().expect("writing to memory").into_inner()
}

/// Returns the path of a file that only this process uses.
fn temporary_path() -> PathBuf {
    std::env::temp_dir().join(format!("ctc-wgpu-fuzz-{}.npz", std::process::id()))
}
