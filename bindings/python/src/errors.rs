//! Converts the library's errors to Python's exceptions.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ctc_wgpu::{Error, InputError, ParameterError};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::{PyErr, PyResult};

pyo3::create_exception!(
    ctc_wgpu,
    DeviceLost,
    PyRuntimeError,
    "The GPU was lost: unplugged, or reset by its driver. The next call opens it again."
);

/// Options by their Rust names, as the library's errors contain them, and by their Python names.
const NAMES: [(&str, &str); 2] = [
    ("BlankInLabels::Allow", "blank_in_labels=\"allow\""),
    ("Impossible::Error", "impossible=\"error\""),
];

/// Returns a `ValueError` for an invalid argument, and a `RuntimeError` for other errors.
pub(crate) fn exception(error: &Error) -> PyErr {
    let message = NAMES
        .iter()
        .fold(error.to_string(), |message, (rust, python)| {
            message.replace(rust, python)
        });
    match error {
        Error::Input(error) => PyValueError::new_err(argument(error).to_owned() + &message),
        Error::Impossible { .. } => PyValueError::new_err(message),
        Error::DeviceLost(_) => DeviceLost::new_err(message),
        _ => PyRuntimeError::new_err(message),
    }
}

/// Returns the name of the invalid argument as a prefix, if the message does not contain it.
fn argument(error: &InputError) -> &'static str {
    match error {
        InputError::Label { .. } | InputError::BlankLabel { .. } => "labels: ",
        InputError::LabelLength { .. } => "label_lengths: ",
        InputError::LogitLength { .. } => "logit_lengths: ",
        InputError::Weight { .. } => "weights: ",
        InputError::Parameter(ParameterError::Blank { .. }) => "blank: ",
        _ => "",
    }
}

/// Calls `function`, and converts a panic, which is an internal error, to a `RuntimeError`.
///
/// pyo3 would raise it as a `BaseException`, which `except Exception` does not catch.
pub(crate) fn catch_panic<T>(function: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    // The library's locks protect whatever state a panic leaves inconsistent.
    catch_unwind(AssertUnwindSafe(function)).unwrap_or_else(|panic| Err(internal(&*panic)))
}

fn internal(panic: &(dyn Any + Send)) -> PyErr {
    let message = panic.downcast_ref::<String>().map(String::as_str);
    let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
    PyRuntimeError::new_err(format!(
        "internal error in ctc_wgpu, please report it: {}",
        message.unwrap_or("a panic without a message")
    ))
}
