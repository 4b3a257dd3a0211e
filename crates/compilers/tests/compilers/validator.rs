//! Runs the validators of other projects. Any output of them is a failure.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use rayon::prelude::*;

use super::cases::{self, Case};
use ctc_wgpu_compilers::module::Module;

/// Files per run of a validator, since starting one takes longer than validating a file.
const AT_ONCE: usize = 32;

/// Runs a validator.
///
/// # Errors
/// If it prints anything other than the names of the files, or if its exit status is not 0. The
/// error is its output.
///
/// # Panics
/// If the program is missing.
pub(crate) fn run_validator(
    program: &str,
    package: &str,
    arguments: &[&str],
    files: &[TemporaryFile],
) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .args(files.iter().map(TemporaryFile::path))
        .output()
        .unwrap_or_else(|error| {
            panic!(
                "{program} cannot be run ({error}): on Debian or Ubuntu `apt-get install {package}`"
            )
        });
    let message = [output.stdout, output.stderr].concat();
    let message = String::from_utf8_lossy(&message);
    let message: Vec<_> = message
        .lines()
        .filter(|line| !line.is_empty() && files.iter().all(|file| file.path() != *line))
        .collect();
    if output.status.success() && message.is_empty() {
        Ok(())
    } else {
        Err(format!("{} ({})", message.join("\n"), output.status))
    }
}

/// A temporary file, which is deleted on drop.
pub(crate) struct TemporaryFile(PathBuf);

impl TemporaryFile {
    pub(crate) fn new(name: &str, content: &[u8]) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // If this fails, the next run overwrites the file.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The translations that a test has validated. A quarter of the cases differ in name only.
#[derive(Default)]
pub(crate) struct Translations(Mutex<HashSet<Vec<u8>>>);

impl Translations {
    /// Adds a translation, and returns whether it is new.
    pub(crate) fn add(&self, content: &[u8]) -> bool {
        self.0.lock().unwrap().insert(content.to_vec())
    }
}

/// Validates every case that `wanted` selects, in parallel chunks, and panics with all errors.
pub(crate) fn all_pass(
    wanted: impl Fn(&Case) -> bool,
    validate: impl Fn(&[(usize, &Case, Module)]) -> Result<(), String> + Sync,
) {
    let cases: Vec<_> = cases::all()
        .iter()
        .filter(|case| wanted(case))
        .enumerate()
        .collect();
    assert!(!cases.is_empty());
    println!("{} pipelines", cases.len());
    let found: Vec<_> = cases
        .par_chunks(AT_ONCE)
        .filter_map(|cases| {
            let cases: Vec<_> = cases
                .iter()
                .map(|(number, case)| (*number, *case, Module::of(case)))
                .collect();
            validate(&cases).err()
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}
