//! Handles signals: an interrupted run removes its unfinished files, and a write beyond the limit
//! on file sizes returns an error.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, Once, PoisonError};

use tempfile::NamedTempFile;

/// The temporary files to remove if a signal ends the run.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Creates a temporary file that is removed if a signal ends the run.
pub(crate) fn unfinished(
    create: impl FnOnce() -> io::Result<NamedTempFile>,
) -> io::Result<NamedTempFile> {
    static HANDLER: Once = Once::new();
    HANDLER.call_once(handle_signals);
    // The handler waits for the lock until the file is in the list.
    let mut unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    let file = create()?;
    unfinished.push(file.path().to_owned());
    Ok(file)
}

fn remove(unfinished: &[PathBuf]) {
    for path in unfinished {
        // A finished file has been renamed and no longer exists under this name.
        drop(std::fs::remove_file(path));
    }
}

/// Removes the unfinished files, without waiting for the lock.
pub(crate) fn remove_unfinished() {
    if let Ok(unfinished) = UNFINISHED.try_lock() {
        remove(&unfinished);
    }
}

/// Starts a thread that waits for SIGINT and SIGTERM, removes the files, and ends the run.
#[cfg(unix)]
fn handle_signals() {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    // If no handler can be installed, a signal ends the run and the files remain.
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else {
        return;
    };
    std::thread::spawn(move || {
        for signal in signals.forever() {
            remove(&UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner));
            drop(emulate_default_handler(signal));
        }
    });
}

#[cfg(not(unix))]
fn handle_signals() {}

/// Turns a write beyond the limit on file sizes (`ulimit -f`) into an error that is reported. By
/// default the system ends the process without a message.
#[cfg(unix)]
pub(crate) fn report_size_limit() {
    use signal_hook::{consts::SIGXFSZ, flag};
    use std::sync::{Arc, atomic::AtomicBool};

    // Any handler prevents the default action; the flag itself is not used.
    drop(flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))));
}

#[cfg(not(unix))]
pub(crate) fn report_size_limit() {}
