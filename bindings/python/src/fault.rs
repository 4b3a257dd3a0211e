//! The library's errors as Python's exceptions.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ctc_wgpu::{Error, InputError, ParameterError};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::{PyErr, PyResult};

pyo3::create_exception!(
    ctc_wgpu,
    DeviceLost,
    PyRuntimeError,
    "The GPU was lost: unplugged, or reset by its driver. The next call opens it anew."
);

/// What the library calls by its Rust names, as Python has it.
const NAMES: [(&str, &str); 2] = [
    ("BlankInLabels::Allow", "blank_in_labels=\"allow\""),
    ("Impossible::Error", "impossible=\"error\""),
];

/// A `ValueError` for what the caller can have right, a `RuntimeError` for the rest.
pub(crate) fn exception(error: &Error) -> PyErr {
    let text = NAMES
        .iter()
        .fold(error.to_string(), |text, (rust, python)| {
            text.replace(rust, python)
        });
    match error {
        Error::Input(error) => PyValueError::new_err(argument(error).to_owned() + &text),
        Error::Impossible { .. } => PyValueError::new_err(text),
        Error::DeviceLost(_) => DeviceLost::new_err(text),
        _ => PyRuntimeError::new_err(text),
    }
}

/// The argument that an error is about, where the message does not name it, to stand in front.
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

/// Runs `work`. A panic, which is a fault of ours, becomes a `RuntimeError`: pyo3 would raise it as a
/// `BaseException`, which `except Exception` does not catch.
pub(crate) fn guarded<T>(work: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    // Whatever a panic leaves half done stays behind the library's own locks.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(internal(&*panic)))
}

fn internal(panic: &(dyn Any + Send)) -> PyErr {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    PyRuntimeError::new_err(format!(
        "internal error in ctc_wgpu, please report it: {}",
        text.unwrap_or("a panic without a message")
    ))
}
