//! Other projects' programs as judges: silence is consent, all else is a failure.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use rayon::prelude::*;

use super::cases::{self, Case};

/// Runs a judge: what it says on either stream, if it says anything or exits with an error.
///
/// # Panics
/// If the program is not there: a judge that is missing has not agreed.
pub(crate) fn asked(program: &str, package: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| {
            panic!("{program} cannot be run ({error}): on Debian or Ubuntu `apt-get install {package}`")
        });
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    if output.status.success() && said.is_empty() {
        Ok(())
    } else {
        Err(format!("{said} ({})", output.status))
    }
}

/// A file for a judge to read, of this content, gone after.
pub(crate) struct Given(PathBuf);

impl Given {
    pub(crate) fn new(folder: &str, name: &str, content: &[u8]) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
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

/// Judges every case that `wanted` takes, and says all that was found at once. `judge` gets a number for its files' names.
pub(crate) fn all_pass(
    wanted: impl Fn(&Case) -> bool,
    judge: impl Fn(usize, &Case) -> Result<(), String> + Sync,
) {
    let mut cases = cases::all();
    cases.retain(wanted);
    assert!(!cases.is_empty());
    println!("{} judged", cases.len());
    let found = Mutex::new(Vec::new());
    cases.par_iter().enumerate().for_each(|(number, case)| {
        if let Err(said) = judge(number, case) {
            found.lock().unwrap().push(format!("{}: {said}", case.name()));
        }
    });
    let found = found.into_inner().unwrap();
    assert!(
        found.is_empty(),
        "{} of {} fail:\n{}",
        found.len(),
        cases.len(),
        found.join("\n")
    );
}
