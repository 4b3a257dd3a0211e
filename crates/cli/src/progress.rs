//! Progress bars on stderr, if it is a terminal.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Returns a bar that counts the bytes read.
pub(crate) fn reading() -> ProgressBar {
    bar(
        0,
        "{spinner} reading {msg:<14} {bar:30} {bytes} of {total_bytes}",
    )
}

/// Returns a bar that counts steps of work.
pub(crate) fn working(steps: u64) -> ProgressBar {
    let bar = bar(steps, "{spinner} {bar:30} {pos}/{len} {elapsed} {wide_msg}");
    // A step may take minutes; the spinner shows that the tool is still running.
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
