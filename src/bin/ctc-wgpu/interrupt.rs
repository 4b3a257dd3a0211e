//! Signals: an interrupted run leaves no unfinished file behind, and a limit on the size of files
//! is an error like a full disk.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, Once, PoisonError};

use tempfile::NamedTempFile;

/// The files to remove if the run ends before they have their names.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Creates a file that is removed when the user or the system ends the run.
pub(crate) fn unfinished(
    create: impl FnOnce() -> io::Result<NamedTempFile>,
) -> io::Result<NamedTempFile> {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(listen);
    // Until the file is in the list, a signal waits.
    let mut unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    let file = create()?;
    unfinished.push(file.path().to_owned());
    Ok(file)
}

fn remove(unfinished: &[PathBuf]) {
    for path in unfinished {
        // A file that has its name by now is not there any more.
        drop(std::fs::remove_file(path));
    }
}

/// Removes the unfinished files. Never waits.
pub(crate) fn remove_unfinished() {
    if let Ok(unfinished) = UNFINISHED.try_lock() {
        remove(&unfinished);
    }
}

/// Waits for the signals that end a run, on a thread of its own.
#[cfg(unix)]
fn listen() {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    // Without the thread a signal ends the run as always, and the file stays.
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
fn listen() {}

/// Makes a write beyond the limit on the size of files (`ulimit -f`) an error, which is reported,
/// where the system would end the run without a word.
#[cfg(unix)]
pub(crate) fn report_size_limit() {
    use signal_hook::{consts::SIGXFSZ, flag};
    use std::sync::{Arc, atomic::AtomicBool};

    // A signal that is handled does not end the run; nobody looks at the flag.
    drop(flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))));
}

#[cfg(not(unix))]
pub(crate) fn report_size_limit() {}
