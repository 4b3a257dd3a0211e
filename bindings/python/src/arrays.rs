//! Makes a batch of the library from numpy arrays.

use ctc_wgpu::{Batch, Layout};
use numpy::ndarray::Dimension;
use numpy::{
    Element, PyReadonlyArray, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArray3,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Logits or probabilities, `[N, T, C]` or `[T, N, C]`. Only the reference takes float64.
#[derive(FromPyObject)]
pub(crate) enum Values<'py> {
    Single(PyReadonlyArray3<'py, f32>),
    Double(PyReadonlyArray3<'py, f64>),
}

impl Values<'_> {
    pub(crate) fn shape(&self) -> [usize; 3] {
        let (first, second, classes) = match self {
            Self::Single(values) => values.as_array().dim(),
            Self::Double(values) => values.as_array().dim(),
        };
        [first, second, classes]
    }
}

/// Labels in one of the library's four layouts, distinguished by the types in the tuple.
#[derive(FromPyObject)]
pub(crate) enum Labels<'py> {
    /// `[N, Lmax]` and one length per row.
    Padded(PyReadonlyArray2<'py, i32>, PyReadonlyArray1<'py, i32>),
    /// `[ΣL]` and one length per item.
    Concatenated(PyReadonlyArray1<'py, i32>, PyReadonlyArray1<'py, i32>),
    /// `[N, Lmax]` and a mask of the same shape that is 1 after the last label.
    Masked(PyReadonlyArray2<'py, i32>, PyReadonlyArray2<'py, f32>),
    /// Indices `[ΣL, 2]`, values `[ΣL]` and the dense shape.
    Sparse(
        PyReadonlyArray2<'py, i64>,
        PyReadonlyArray1<'py, i32>,
        [usize; 2],
    ),
}

/// The valid frames of each item.
#[derive(FromPyObject)]
pub(crate) enum Frames<'py> {
    /// `[N]`.
    Lengths(PyReadonlyArray1<'py, i32>),
    /// A mask `[N, T]` that is 1 after the last valid frame.
    Paddings(PyReadonlyArray2<'py, f32>),
}

/// The arrays of a batch, except its values; Python keeps them alive.
pub(crate) struct Arrays<'py> {
    pub(crate) labels: Option<Labels<'py>>,
    pub(crate) frames: Option<Frames<'py>>,
    pub(crate) weights: Option<PyReadonlyArray1<'py, f32>>,
    pub(crate) layout: Layout,
}

impl<'py> Arrays<'py> {
    /// Returns the arrays of a batch for decoding.
    pub(crate) fn unlabelled(frames: Option<Frames<'py>>, time_major: bool) -> Self {
        Self {
            labels: None,
            frames,
            weights: None,
            layout: layout(time_major),
        }
    }

    /// Makes a batch with `values` of this shape.
    ///
    /// The library takes flat arrays and checks their lengths; this method checks their shapes.
    pub(crate) fn batch<'a>(&'a self, values: &'a [f32], shape: [usize; 3]) -> PyResult<Batch<'a>> {
        let (batch, items, frames) = match self.layout {
            Layout::TimeMajor => (Batch::time_major(shape, values), shape[1], shape[0]),
            _ => (Batch::new(shape, values), shape[0], shape[1]),
        };
        let batch = match &self.labels {
            None => batch,
            Some(Labels::Padded(labels, lengths)) => {
                check_rows("labels", labels, items)?;
                batch.labels(slice("labels", labels)?, slice("label_lengths", lengths)?)
            }
            Some(Labels::Concatenated(labels, lengths)) => batch
                .labels_concatenated(slice("labels", labels)?, slice("label_lengths", lengths)?),
            Some(Labels::Masked(labels, paddings)) => {
                check_rows("labels", labels, items)?;
                check_shape("label_paddings", paddings.shape(), labels.shape())?;
                batch.label_paddings(slice("labels", labels)?, slice("label_paddings", paddings)?)
            }
            Some(Labels::Sparse(indices, values, dense)) => {
                check_shape("sparse indices", indices.shape(), &[values.len(), 2])?;
                let (indices, _) = slice("sparse indices", indices)?.as_chunks::<2>();
                batch.labels_sparse(indices, slice("sparse values", values)?, *dense)
            }
        };
        let batch = match &self.frames {
            None => batch,
            Some(Frames::Lengths(lengths)) => batch.logit_lengths(slice("logit_lengths", lengths)?),
            Some(Frames::Paddings(paddings)) => {
                check_shape("logit_paddings", paddings.shape(), &[items, frames])?;
                batch.logit_paddings(slice("logit_paddings", paddings)?)
            }
        };
        Ok(match &self.weights {
            None => batch,
            Some(weights) => batch.weights(slice("weights", weights)?),
        })
    }
}

pub(crate) fn layout(time_major: bool) -> Layout {
    if time_major {
        Layout::TimeMajor
    } else {
        Layout::BatchMajor
    }
}

/// Returns the elements of an array, which `_core.py` has made contiguous and aligned.
pub(crate) fn slice<'a, T: Element, D: Dimension>(
    name: &str,
    array: &'a PyReadonlyArray<'_, T, D>,
) -> PyResult<&'a [T]> {
    array
        .as_slice()
        .map_err(|error| PyValueError::new_err(format!("{name}: {error}")))
}

fn check_rows(name: &str, array: &PyReadonlyArray2<'_, i32>, items: usize) -> PyResult<()> {
    check_shape(name, array.shape(), &[items, array.shape()[1]])
}

fn check_shape(name: &str, got: &[usize], expected: &[usize]) -> PyResult<()> {
    if got == expected {
        return Ok(());
    }
    Err(PyValueError::new_err(format!(
        "{name} has shape {got:?}, but {expected:?} is needed"
    )))
}
