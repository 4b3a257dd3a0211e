//! The errors that end the tool, and their exit statuses.

use std::path::Path;

use ctc_wgpu::{Error, InputError};
use ctc_wgpu_npz::{FileError, one_line};

/// An error that ends the tool; it is printed on one line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// A file that cannot be read or written, or a batch in it that breaks a rule.
    #[error(transparent)]
    File(#[from] FileError),
    /// Options that exclude each other or that this machine cannot satisfy.
    #[error("{0}")]
    Usage(String),
    /// A computation that failed although its input was valid.
    #[error("{0}")]
    Compute(String),
}

impl CliError {
    pub(crate) fn file(path: &Path, reason: impl ToString) -> Self {
        Self::File(FileError::new(path, reason))
    }

    /// Converts an error that the library returned for the batch in `path`.
    pub(crate) fn from_library(path: &Path, error: Error) -> Self {
        match error {
            Error::Input(error) => Self::from_input(path, error),
            // The library's message names its own types. A user of the tool needs the option.
            Error::Impossible {
                item,
                labels,
                frames,
            } => Self::file(
                path,
                format!(
                    "item {item}: no valid alignment of its {labels} labels with its {frames} \
                     frames; `--impossible inf` or `--impossible zero` permits it"
                ),
            ),
            Error::NoAdapter { .. } => Self::Usage(error.to_string()),
            _ => Self::Compute(error.to_string()),
        }
    }

    /// Converts an error about the contents of the batch in `path`.
    pub(crate) fn from_input(path: &Path, error: InputError) -> Self {
        match error {
            InputError::BlankLabel {
                item,
                position,
                label,
            } => Self::file(
                path,
                format!(
                    "item {item}: label {label} at position {position} is the blank; \
                     `--blank-in-labels allow` permits it"
                ),
            ),
            InputError::NoLabels => Self::file(path, "the array labels is missing"),
            _ => Self::file(path, error),
        }
    }

    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::File(_) | Self::Usage(_) => 2,
            Self::Compute(_) => 1,
        }
    }

    /// Returns the message on one line. Messages of drivers and names of files may contain newlines
    /// and control characters.
    pub(crate) fn one_line(&self) -> String {
        one_line(&self.to_string())
    }
}
