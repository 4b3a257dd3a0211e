//! Progress on stderr, and only where a person watches it.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that counts the bytes read.
pub(crate) fn reading() -> ProgressBar {
    bar(
        0,
        "{spinner} reading {msg:<14} {bar:30} {bytes} of {total_bytes}",
    )
}

/// A bar that counts steps of work.
pub(crate) fn working(steps: u64) -> ProgressBar {
    let bar = bar(steps, "{spinner} {bar:30} {pos}/{len} {elapsed} {wide_msg}");
    // A step may take minutes in which nothing else moves.
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn bar(length: u64, template: &str) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}
