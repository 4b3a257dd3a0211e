//! Other projects' programs as judges: silence is consent, all else is a failure.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use rayon::prelude::*;

use super::cases::{self, Case};
use super::module::Module;

/// Files that one run of a judge reads: to start one takes longer than to judge.
const AT_ONCE: usize = 32;

/// Runs a judge: what it says on either stream, but for the names of what it reads, if it says anything or exits with an
/// error.
///
/// # Panics
/// If the program is not there: a judge that is missing has not agreed.
pub(crate) fn asked(
    program: &str,
    package: &str,
    arguments: &[&str],
    files: &[Given],
) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .args(files.iter().map(Given::path))
        .output()
        .unwrap_or_else(|error| {
            panic!(
                "{program} cannot be run ({error}): on Debian or Ubuntu `apt-get install {package}`"
            )
        });
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let said: Vec<_> = said
        .lines()
        .filter(|line| !line.is_empty() && files.iter().all(|file| file.path() != *line))
        .collect();
    if output.status.success() && said.is_empty() {
        Ok(())
    } else {
        Err(format!("{} ({})", said.join("\n"), output.status))
    }
}

/// A file for a judge to read, gone after.
pub(crate) struct Given(PathBuf);

impl Given {
    pub(crate) fn new(name: &str, content: &[u8]) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        // If it stays, the next run writes over it.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The translations that a test has judged. A quarter of the cases differ in name only.
#[derive(Default)]
pub(crate) struct Translations(Mutex<HashSet<Vec<u8>>>);

impl Translations {
    /// Adds a translation, and returns whether it is new.
    pub(crate) fn add(&self, content: &[u8]) -> bool {
        self.0.lock().unwrap().insert(content.to_vec())
    }
}

/// Judges every case that `wanted` takes, in runs of some at once, and says all that was found together.
pub(crate) fn all_pass(
    wanted: impl Fn(&Case) -> bool,
    judge: impl Fn(&[(usize, &Case, Module)]) -> Result<(), String> + Sync,
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
            judge(&cases).err()
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}
