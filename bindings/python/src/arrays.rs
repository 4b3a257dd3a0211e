//! numpy's arrays as the library's batch.

use ctc_wgpu::{Batch, Layout};
use numpy::ndarray::Dimension;
use numpy::{
    Element, PyReadonlyArray, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArray3,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// `[N, T, C]` or `[T, N, C]`. The reference alone takes float64.
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

/// Labels in one of the library's four ways, told apart by what stands in the tuple.
#[derive(FromPyObject)]
pub(crate) enum Labels<'py> {
    /// `[N, Lmax]` and a length a row.
    Padded(PyReadonlyArray2<'py, i32>, PyReadonlyArray1<'py, i32>),
    /// `[ΣL]` and a length an item.
    Concatenated(PyReadonlyArray1<'py, i32>, PyReadonlyArray1<'py, i32>),
    /// `[N, Lmax]` and a mask that is 1 after the last label.
    Masked(PyReadonlyArray2<'py, i32>, PyReadonlyArray2<'py, f32>),
    /// Indices, values and the dense shape.
    Sparse(
        PyReadonlyArray2<'py, i64>,
        PyReadonlyArray1<'py, i32>,
        [usize; 2],
    ),
}

/// What is said of the frames of each item.
#[derive(FromPyObject)]
pub(crate) enum Frames<'py> {
    Lengths(PyReadonlyArray1<'py, i32>),
    Paddings(PyReadonlyArray2<'py, f32>),
}

/// A batch whose arrays Python keeps alive.
pub(crate) struct Arrays<'py> {
    pub(crate) labels: Option<Labels<'py>>,
    pub(crate) frames: Option<Frames<'py>>,
    pub(crate) weights: Option<PyReadonlyArray1<'py, f32>>,
    pub(crate) layout: Layout,
}

impl<'py> Arrays<'py> {
    /// For what reads without labels.
    pub(crate) fn unlabelled(frames: Option<Frames<'py>>, time_major: bool) -> Self {
        Self {
            labels: None,
            frames,
            weights: None,
            layout: layout(time_major),
        }
    }

    /// With `values` of this shape. The library sees only how long an array is; what it cannot see in that is compared here.
    pub(crate) fn batch<'a>(&'a self, values: &'a [f32], shape: [usize; 3]) -> PyResult<Batch<'a>> {
        let (batch, items, frames) = match self.layout {
            Layout::TimeMajor => (Batch::time_major(shape, values), shape[1], shape[0]),
            _ => (Batch::new(shape, values), shape[0], shape[1]),
        };
        let batch = match &self.labels {
            None => batch,
            Some(Labels::Padded(labels, lengths)) => {
                rows("labels", labels, items)?;
                batch.labels(slice("labels", labels)?, slice("label_lengths", lengths)?)
            }
            Some(Labels::Concatenated(labels, lengths)) => batch
                .labels_concatenated(slice("labels", labels)?, slice("label_lengths", lengths)?),
            Some(Labels::Masked(labels, paddings)) => {
                rows("labels", labels, items)?;
                same("label_paddings", paddings.shape(), labels.shape())?;
                batch.label_paddings(slice("labels", labels)?, slice("label_paddings", paddings)?)
            }
            Some(Labels::Sparse(indices, values, dense)) => {
                same("sparse indices", indices.shape(), &[values.len(), 2])?;
                let (indices, _) = slice("sparse indices", indices)?.as_chunks::<2>();
                batch.labels_sparse(indices, slice("sparse values", values)?, *dense)
            }
        };
        let batch = match &self.frames {
            None => batch,
            Some(Frames::Lengths(lengths)) => batch.logit_lengths(slice("logit_lengths", lengths)?),
            Some(Frames::Paddings(paddings)) => {
                same("logit_paddings", paddings.shape(), &[items, frames])?;
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

/// The elements in order. Python has made each array contiguous and aligned.
pub(crate) fn slice<'a, T: Element, D: Dimension>(
    name: &str,
    array: &'a PyReadonlyArray<'_, T, D>,
) -> PyResult<&'a [T]> {
    array
        .as_slice()
        .map_err(|error| PyValueError::new_err(format!("{name}: {error}")))
}

fn rows(name: &str, array: &PyReadonlyArray2<'_, i32>, items: usize) -> PyResult<()> {
    same(name, array.shape(), &[items, array.shape()[1]])
}

fn same(name: &str, got: &[usize], wanted: &[usize]) -> PyResult<()> {
    if got == wanted {
        return Ok(());
    }
    Err(PyValueError::new_err(format!(
        "{name} has shape {got:?}, but {wanted:?} is needed"
    )))
}
