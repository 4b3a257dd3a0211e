//! The native module of the Python package `ctc_wgpu`: the loss, and what reads and aligns, over numpy
//! arrays that Python has made contiguous.
//!
//! Python's half (`python/ctc_wgpu/_core.py`) takes arrays of any kind and makes them what is wanted here. On this side
//! shapes are compared, strings become options, and errors exceptions; the rest is the library's.

mod arrays;
mod backend;
mod decode;
mod fault;
mod options;

/// What Python imports as `ctc_wgpu._native`.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::backend::{Backend, adapters};
    #[pymodule_export]
    use crate::decode::{align, beam, edits, greedy};
    #[pymodule_export]
    use crate::fault::DeviceLost;
    #[pymodule_export]
    use crate::options::Options;
}
