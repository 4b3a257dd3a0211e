//! The native module of the Python package `ctc_wgpu`: loss, alignment and decoding.
//!
//! The Python half (`python/ctc_wgpu/_core.py`) converts arrays of any kind to contiguous numpy
//! arrays of the types that this module takes. This half compares shapes, parses options, calls the
//! library and converts its errors to exceptions.

mod arrays;
mod backend;
mod decode;
mod errors;
mod options;

/// The module `ctc_wgpu._native`.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::backend::{Backend, adapters};
    #[pymodule_export]
    use crate::decode::{align, beam, edit_counts, greedy};
    #[pymodule_export]
    use crate::errors::DeviceLost;
    #[pymodule_export]
    use crate::options::Options;
}
