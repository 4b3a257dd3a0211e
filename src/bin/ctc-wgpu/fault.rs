//! What ends a run early, and with which exit status.

use std::path::Path;

use ctc_wgpu::{Error, InputError};

/// An error as the person at the terminal reads it: one line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// Something about a file: how it is written, or what the library says of the batch in it.
    #[error("{path}: {reason}")]
    File { path: String, reason: String },
    /// Flags that do not go together, or that ask for what the machine has not.
    #[error("{0}")]
    Usage(String),
    /// The computation failed although the input was right.
    #[error("{0}")]
    Compute(String),
}

impl Fault {
    pub(crate) fn file(path: &Path, reason: impl ToString) -> Self {
        Self::File {
            path: path.display().to_string(),
            reason: reason.to_string(),
        }
    }

    /// What the library answered to the batch in `path`.
    pub(crate) fn library(path: &Path, error: Error) -> Self {
        match error {
            Error::Input(error) => Self::input(path, error),
            // The library names its own types there; who types flags is better served with flags.
            Error::Impossible {
                item,
                labels,
                frames,
            } => Self::file(
                path,
                format!(
                    "item {item}: no alignment of its {labels} labels fits its {frames} frames (`--impossible error`)"
                ),
            ),
            Error::NoAdapter { .. } => Self::Usage(error.to_string()),
            _ => Self::Compute(error.to_string()),
        }
    }

    /// A rule that the batch in `path` breaks.
    pub(crate) fn input(path: &Path, error: InputError) -> Self {
        match error {
            InputError::BlankLabel {
                item,
                position,
                label,
            } => Self::file(
                path,
                format!(
                    "item {item}: label {label} at position {position} is the blank; `--blank-in-labels allow` permits it"
                ),
            ),
            InputError::NoLabels => Self::file(path, "the array labels is missing"),
            _ => Self::file(path, error),
        }
    }

    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::File { .. } | Self::Usage(_) => 2,
            Self::Compute(_) => 1,
        }
    }

    /// The message on one line, whatever a driver or a name put into it.
    pub(crate) fn line(&self) -> String {
        let words: Vec<_> = self.to_string().lines().map(escaped).collect();
        words.join(" ")
    }
}

/// The text with all characters escaped that steer a terminal or that XML forbids.
pub(crate) fn escaped(text: &str) -> String {
    let escape = |c: char| match c {
        // Those that turn the direction of writing make a text read as what it is not.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}' => true,
        c => c.is_control(),
    };
    text.chars()
        .map(|c| match escape(c) {
            true => c.escape_unicode().to_string(),
            false => c.to_string(),
        })
        .collect()
}
