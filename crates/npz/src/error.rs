//! The error of a file.

use std::path::Path;

/// A file that cannot be read or written, or a batch in it that breaks a rule. The message is one
/// line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", one_line(&format!("{path}: {reason}")))]
pub struct FileError {
    /// The path of the file.
    pub path: String,
    /// The rule that the file breaks, for the user.
    pub reason: String,
}

impl FileError {
    /// Creates the error of the file at `path`.
    pub fn new(path: &Path, reason: impl ToString) -> Self {
        Self {
            path: path.display().to_string(),
            reason: reason.to_string(),
        }
    }
}

/// Returns a message on one line. Messages of drivers and names of files may contain newlines and
/// control characters.
#[must_use]
pub fn one_line(message: &str) -> String {
    let lines: Vec<_> = message.lines().map(escaped).collect();
    lines.join(" ")
}

/// Escapes all characters that control a terminal or that XML forbids.
#[must_use]
pub fn escaped(text: &str) -> String {
    let escape = |c: char| match c {
        // Marks of the writing direction can make a text look like another one.
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
