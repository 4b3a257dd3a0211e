//! Errors and panics of a call, as a result code and a message for the calling thread.

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use ctc_wgpu::Error;

use crate::types::ctcw_result;

/// The reason why a call failed.
pub(crate) enum CError {
    /// An argument is not valid; the message names it.
    Argument(String),
    /// The library returned an error.
    Library(Error),
}

impl CError {
    pub(crate) fn null(argument: &str) -> Self {
        Self::Argument(format!("{argument} is NULL"))
    }

    pub(crate) fn value(argument: &str, value: i32) -> Self {
        Self::Argument(format!(
            "{argument} = {value} is not valid: ctc_wgpu.h lists the valid values"
        ))
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
                _ => ctcw_result::CTCW_GPU_ERROR,
            },
        }
    }
}

impl From<Error> for CError {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl std::fmt::Display for CError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Argument(message) => f.write_str(message),
            Self::Library(error) => error.fmt(f),
        }
    }
}

thread_local! {
    static MESSAGE: RefCell<CString> = RefCell::default();
}

/// Returns the message of the calling thread's latest failed call, or an empty string.
pub(crate) fn message() -> *const c_char {
    // While a thread ends, its message may already have been destroyed.
    MESSAGE
        .try_with(|message| message.borrow().as_ptr())
        .unwrap_or(c"".as_ptr())
}

fn set_message(text: &str) {
    let text = CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default();
    // While a thread ends, its message may already have been destroyed; then only the text is lost.
    let _ = MESSAGE.try_with(|message| message.replace(text));
}

/// Runs a call and converts its error or panic into a result code and a message.
///
/// A context stays usable after a panic: its workspaces are written before they are read, so a call
/// never reads what an earlier call left incomplete.
pub(crate) fn guard(call: impl FnOnce() -> Result<(), CError>) -> ctcw_result {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => ctcw_result::CTCW_OK,
        Ok(Err(error)) => {
            set_message(&error.to_string());
            error.result()
        }
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            set_message(&format!("panicked: {text}"));
            ctcw_result::CTCW_INTERNAL_ERROR
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test that cannot continue fails")]

    use std::ffi::CStr;

    use super::*;

    fn last_message() -> &'static str {
        // SAFETY: the string is NUL-terminated, and each test reads it before this thread's next
        // call.
        unsafe { CStr::from_ptr(message()) }
            .to_str()
            .expect("UTF-8")
    }

    #[test]
    fn a_panic_becomes_a_result_and_does_not_unwind() {
        assert_eq!(last_message(), "");
        assert_eq!(
            guard(|| panic!("item {}", 3)),
            ctcw_result::CTCW_INTERNAL_ERROR
        );
        assert_eq!(last_message(), "panicked: item 3");
        assert_eq!(
            guard(|| panic!("a literal")),
            ctcw_result::CTCW_INTERNAL_ERROR
        );
        assert_eq!(last_message(), "panicked: a literal");
        assert_eq!(
            guard(|| std::panic::panic_any(7)),
            ctcw_result::CTCW_INTERNAL_ERROR
        );
        assert_eq!(last_message(), "panicked: no message");
    }

    #[test]
    fn each_thread_has_its_own_message() {
        guard(|| Err(CError::null("here")));
        let other = std::thread::spawn(|| {
            let before = last_message().to_owned();
            guard(|| Err(CError::null("there")));
            (before, last_message().to_owned())
        });
        let (before, after) = other.join().expect("the thread ends");
        assert_eq!((before.as_str(), after.as_str()), ("", "there is NULL"));
        assert_eq!(last_message(), "here is NULL");
    }
}
