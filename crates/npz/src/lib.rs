//! Batches in numpy's `.npz` format: [`BatchFile`] reads the arrays of a batch, and [`npz`] single
//! arrays.

mod batch_file;
mod error;
pub mod npz;

pub use batch_file::{BatchFile, InputKind, NAMES};
pub use error::{FileError, escaped, one_line};
