//! Writes files atomically, and never over a file that the tool reads.
//!
//! The bytes are written to a temporary file beside the target. Renaming that file then replaces
//! the target. Until then an older file is unchanged, even after an error, Ctrl-C or a full disk.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::CliError;
use crate::interrupt;
use ctc_wgpu_npz::escaped;

/// A file to write.
pub(crate) struct Output {
    /// The path as the user wrote it, for messages.
    path: PathBuf,
    target: Target,
    file: NamedTempFile,
}

/// The destination of the bytes.
enum Target {
    /// The file at this path, with links resolved; it is created or replaced.
    File(PathBuf),
    /// A pipe, a terminal or another device, which is opened and written to.
    Device,
}

impl Output {
    /// Prepares to write to `path`, the value of the option `flag`. Rejects a path that is one of
    /// the `inputs`, pairs of a description and a path. The commands call this before they compute
    /// anything, so that a path that cannot be written is reported at once.
    pub(crate) fn create(
        flag: &str,
        path: &Path,
        inputs: &[(&str, &Path)],
    ) -> Result<Self, CliError> {
        if let Some((what, _)) = inputs.iter().find(|(_, input)| same_file(input, path)) {
            let reason = format!("{flag} would overwrite {what}: choose another file");
            return Err(CliError::file(path, reason));
        }
        if is_stdout(path) {
            let reason = format!("{flag} is stdout, where the report is printed: choose a file");
            return Err(CliError::file(path, reason));
        }
        Self::open(path).map_err(|e| CliError::file(path, cannot_be_written(&e)))
    }

    /// Prepares to write to `path`; returns the system's error.
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
            // The system applies the user's umask, as to any new file.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let (target, file) = match old {
            Some(old) if !old.is_file() => (
                Target::Device,
                interrupt::unfinished(|| builder.tempfile())?,
            ),
            old => {
                let path = resolved(path)?;
                let file = interrupt::unfinished(|| builder.tempfile_in(folder_of(&path)))?;
                if let Some(old) = old {
                    // Fails if the user has no permission to write the file.
                    fs::OpenOptions::new().write(true).open(&path)?;
                    file.as_file().set_permissions(old.permissions())?;
                }
                (Target::File(path), file)
            }
        };
        Ok(Self {
            path: path.to_owned(),
            target,
            file,
        })
    }

    /// Replaces the target with the bytes that `contents` writes. The error names the path.
    pub(crate) fn write(
        self,
        contents: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), CliError> {
        let path = self.path.clone();
        self.replace(contents)
            .map_err(|e| CliError::file(&path, cannot_be_written(&e)))
    }

    /// Replaces the target with the bytes that `contents` writes; returns the system's error.
    pub(crate) fn replace(
        mut self,
        contents: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<()> {
        let file = self.file.as_file_mut();
        contents(file)?;
        match self.target {
            Target::File(path) => {
                // Some systems report a full disk only here.
                file.sync_all()?;
                self.file.persist(path)?;
            }
            Target::Device => {
                file.rewind()?;
                io::copy(file, &mut File::options().write(true).open(&self.path)?)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(&self.path.display().to_string()))
    }
}

fn cannot_be_written(error: &io::Error) -> String {
    format!("cannot be written: {error}")
}

/// Returns the folder that contains a file.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Resolves symbolic links, also to files that do not exist yet, so that the file is replaced and
/// not the link.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    // The limit of Linux.
    const MAX_LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(to) => path = folder_of(&path).join(to),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// Returns true if two paths lead to the same file, directly or through symbolic or hard links.
fn same_file(a: &Path, b: &Path) -> bool {
    // The comparison opens both, and opening a pipe may block until its other end is opened.
    let both_files = [a, b]
        .iter()
        .all(|path| fs::metadata(path).is_ok_and(|data| data.is_file()));
    // If one cannot be opened for reading, it is not the input, or reading the input fails next.
    both_files && same_file::is_same_file(a, b).unwrap_or(false)
}

/// Returns true if `path` is the stdout of this process, unless that is a device such as
/// `/dev/null`, where the report and the file cannot mix.
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
    same && (stdout.is_terminal() || !own.file_type().is_char_device())
}

#[cfg(not(unix))]
fn is_stdout(_: &Path) -> bool {
    false
}
