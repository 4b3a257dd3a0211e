//! What went wrong, as a result and a message of the calling thread.

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use ctc_wgpu::Error;

use crate::types::ctcw_result;

/// Why a call failed.
pub(crate) enum Fault {
    /// An argument that C could have had right.
    Argument(String),
    /// What the library says.
    Library(Error),
}

impl Fault {
    pub(crate) fn null(argument: &str) -> Self {
        Self::Argument(format!("{argument} is NULL"))
    }

    pub(crate) fn value(argument: &str, value: i32) -> Self {
        Self::Argument(format!("{argument} = {value} is not known"))
    }

    fn result(&self) -> ctcw_result {
        match self {
            Self::Argument(_) => ctcw_result::CTCW_INVALID_ARGUMENT,
            Self::Library(error) => match error {
                Error::Input(_) => ctcw_result::CTCW_INVALID_BATCH,
                Error::Impossible { .. } => ctcw_result::CTCW_IMPOSSIBLE,
                Error::NoAdapter { .. } | Error::NoDevice { .. } => ctcw_result::CTCW_NO_GPU,
                Error::Plan(_) => ctcw_result::CTCW_LIMIT,
                Error::OutOfMemory(_) => ctcw_result::CTCW_OUT_OF_MEMORY,
                Error::DeviceLost(_) => ctcw_result::CTCW_GPU_LOST,
                Error::Forked(_) => ctcw_result::CTCW_FORKED,
                _ => ctcw_result::CTCW_GPU_REFUSED,
            },
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Argument(text) => f.write_str(text),
            Self::Library(error) => error.fmt(f),
        }
    }
}

thread_local! {
    static MESSAGE: RefCell<CString> = RefCell::default();
}

/// The thread's message.
pub(crate) fn message() -> *const c_char {
    // Of a thread that is ending the message is gone already.
    MESSAGE
        .try_with(|message| message.borrow().as_ptr())
        .unwrap_or(c"".as_ptr())
}

fn tell(text: &str) {
    let text = CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default();
    // A thread that is ending has no message any more, and loses only that.
    let _ = MESSAGE.try_with(|message| message.replace(text));
}

/// Runs a call: its faults and its panics become results.
///
/// To go on after a panic is sound here: a context's tables are whole whenever a call may have panicked, since they are
/// filled before they are read.
pub(crate) fn guard(call: impl FnOnce() -> Result<(), Fault>) -> ctcw_result {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => ctcw_result::CTCW_OK,
        Ok(Err(fault)) => {
            tell(&fault.to_string());
            fault.result()
        }
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            tell(&format!("panicked: {text}"));
            ctcw_result::CTCW_BUG
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

    use super::*;
    use crate::to_str;

    fn told() -> &'static str {
        // SAFETY: a C string of ours, and no call of this thread follows before it is compared.
        unsafe { to_str(message()) }
    }

    #[test]
    fn a_panic_becomes_a_result_and_does_not_unwind() {
        assert_eq!(told(), "");
        assert_eq!(guard(|| panic!("item {}", 3)), ctcw_result::CTCW_BUG);
        assert_eq!(told(), "panicked: item 3");
        assert_eq!(guard(|| panic!("as it is")), ctcw_result::CTCW_BUG);
        assert_eq!(told(), "panicked: as it is");
        assert_eq!(guard(|| std::panic::panic_any(7)), ctcw_result::CTCW_BUG);
        assert_eq!(told(), "panicked: no message");
    }

    #[test]
    fn a_message_is_the_calling_threads_own() {
        guard(|| Err(Fault::null("here")));
        let other = std::thread::spawn(|| {
            let before = told().to_owned();
            guard(|| Err(Fault::null("there")));
            (before, told().to_owned())
        });
        let (before, after) = other.join().expect("the thread ends");
        assert_eq!((before.as_str(), after.as_str()), ("", "there is NULL"));
        assert_eq!(told(), "here is NULL");
    }
}
