//! Files that the tool writes: whole or not at all, and never in place of a file that it reads.
//!
//! The bytes go to a temporary file beside the target, which then takes its name in one step. Until
//! that step an older file is untouched, whatever happens: an error, Ctrl-C, a full disk.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::fault::{Fault, escaped};
use crate::interrupt;

/// A file that is being written.
pub(crate) struct Output {
    /// The path as the user gave it, for messages.
    given: PathBuf,
    target: Target,
    file: NamedTempFile,
}

/// What the bytes become in the end.
enum Target {
    /// A file of this path, links followed: it is created or replaced.
    File(PathBuf),
    /// A pipe, a terminal or another device: it is written to.
    Device,
}

impl Output {
    /// Prepares to write to `path`, which `flag` names and which must not be one of the `inputs`,
    /// each with what it is. Called before any work is done, so that a path that cannot be written
    /// costs no time.
    pub(crate) fn create(flag: &str, path: &Path, inputs: &[(&str, &Path)]) -> Result<Self, Fault> {
        if let Some((what, _)) = inputs.iter().find(|(_, input)| same_file(input, path)) {
            let reason = format!("{flag} would overwrite {what}: name another file");
            return Err(Fault::file(path, reason));
        }
        if is_stdout(path) {
            let reason = format!("{flag} names stdout, which has the report: name a file");
            return Err(Fault::file(path, reason));
        }
        Self::open(path).map_err(|e| Fault::file(path, cannot_be_written(&e)))
    }

    /// [`create`](Self::create) of a file that is no answer to a flag.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let old = match fs::metadata(path) {
            Ok(old) if old.is_dir() => return Err(ErrorKind::IsADirectory.into()),
            Ok(old) => Some(old),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".ctc-wgpu-").suffix(".unfinished");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // The user's umask is applied to it, as to any new file.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let (target, file) = match old {
            Some(old) if !old.is_file() => (
                Target::Device,
                interrupt::unfinished(|| builder.tempfile())?,
            ),
            old => {
                let path = followed(path)?;
                let file = interrupt::unfinished(|| builder.tempfile_in(folder_of(&path)))?;
                if let Some(old) = old {
                    // A file that may not be written must not be replaced either.
                    fs::OpenOptions::new().write(true).open(&path)?;
                    file.as_file().set_permissions(old.permissions())?;
                }
                (Target::File(path), file)
            }
        };
        Ok(Self {
            given: path.to_owned(),
            target,
            file,
        })
    }

    /// Replaces the target by what `contents` writes.
    pub(crate) fn write(
        self,
        contents: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), Fault> {
        let given = self.given.clone();
        self.replace(contents)
            .map_err(|e| Fault::file(&given, cannot_be_written(&e)))
    }

    /// [`write`](Self::write) with the system's own error.
    pub(crate) fn replace(
        mut self,
        contents: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<()> {
        let file = self.file.as_file_mut();
        contents(file)?;
        match self.target {
            Target::File(path) => {
                // A full disk may show only here.
                file.sync_all()?;
                self.file.persist(path)?;
            }
            Target::Device => {
                file.rewind()?;
                io::copy(file, &mut File::options().write(true).open(&self.given)?)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(&self.given.display().to_string()))
    }
}

fn cannot_be_written(error: &io::Error) -> String {
    format!("cannot be written: {error}")
}

/// The folder in which a file stands.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// The path of the file itself where `path` is a symbolic link, perhaps to a file that is not there
/// yet. A link is kept: the file that it names is replaced.
fn followed(path: &Path) -> io::Result<PathBuf> {
    // As many as Linux follows.
    const MOST_LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(to) => path = folder_of(&path).join(to),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// Whether two names lead to one file, by links of either kind too.
fn same_file(a: &Path, b: &Path) -> bool {
    // To compare them both are opened, and opening a pipe may wait for its other end.
    let both_files = [a, b]
        .iter()
        .all(|path| fs::metadata(path).is_ok_and(|data| data.is_file()));
    // Two files of which one cannot be opened for reading are two: the input is about to be read.
    both_files && same_file::is_same_file(a, b).unwrap_or(false)
}

/// Whether `path` leads to the stdout of this process, and somebody may read what is written there.
#[cfg(unix)]
fn is_stdout(path: &Path) -> bool {
    use std::io::{IsTerminal, stdout};
    use std::os::fd::AsFd;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    let stdout = stdout();
    let own = stdout.as_fd().try_clone_to_owned().map(File::from);
    let (Ok(own), Ok(other)) = (own.and_then(|own| own.metadata()), fs::metadata(path)) else {
        return false;
    };
    let same = (own.dev(), own.ino()) == (other.dev(), other.ino());
    // What is written to /dev/null harms nothing there.
    same && (stdout.is_terminal() || !own.file_type().is_char_device())
}

#[cfg(not(unix))]
fn is_stdout(_: &Path) -> bool {
    false
}
