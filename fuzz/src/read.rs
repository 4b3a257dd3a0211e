//! The reader of batch files: any bytes are a batch or a fault that says one line, and nothing else.
//!
//! The first byte says what the others are: 0 an archive as it is; else arrays, each a name and the bytes of its `.npy`,
//! which are put into an archive whose checksums are right, so that what is behind those is reached.

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
            Err(fault) => assert!(!fault.line().contains('\n')),
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

/// Arrays: a byte for the name, two for the length, and as many bytes, or as there are.
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
        // A name that comes again is left out, as an archive has it once.
        if archive.start_file(format!("{name}.npy"), options).is_ok() {
            archive.write_all(bytes).expect("memory");
        }
        rest = left;
    }
    archive.finish().expect("memory").into_inner()
}

/// A file of this process's own.
fn scratch() -> PathBuf {
    std::env::temp_dir().join(format!("ctc-wgpu-fuzz-{}.npz", std::process::id()))
}
