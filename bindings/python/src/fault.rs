//! The library's errors as Python's exceptions.

use ctc_wgpu::Error;
use pyo3::PyErr;
use pyo3::exceptions::{PyRuntimeError, PyValueError};

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
        Error::Input(_) | Error::Impossible { .. } => PyValueError::new_err(text),
        Error::DeviceLost(_) => DeviceLost::new_err(text),
        _ => PyRuntimeError::new_err(text),
    }
}
