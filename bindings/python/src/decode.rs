//! Alignment, decoding and edit counts. They return tuples, of which `_decode.py` makes objects.

use std::ops::Range;

use ctc_wgpu::decode::{self, BeamOptions, BeamResult, EditCounts};
use ctc_wgpu::{Batch, Ctc, Error, Status};
use numpy::{PyArray1, PyReadonlyArray3};
use pyo3::prelude::*;

use crate::arrays::{Arrays, Frames, Labels, layout, slice};
use crate::backend::Backend;
use crate::errors::catch_panic;
use crate::options::Options;

/// Path, states, log-probabilities, spans, log-probability of the path, and status.
type Alignment<'py> = (
    Bound<'py, PyArray1<i32>>,
    Bound<'py, PyArray1<i32>>,
    Bound<'py, PyArray1<f64>>,
    Vec<Span>,
    f64,
    &'static str,
);
/// A label, its first frame and the one after its last, and its probability.
type Span = (i32, (usize, usize), f64);
/// Labels, the frames of each, log-probability and status.
type GreedyHypothesis = (Vec<i32>, Vec<(usize, usize)>, f64, &'static str);
/// Labels, log-probability and score.
type Hypothesis = (Vec<i32>, f64, f64);

#[pyfunction]
#[pyo3(signature = (backend, values, labels, options, *, time_major, frames))]
pub(crate) fn align<'py>(
    py: Python<'py>,
    backend: &Bound<'py, Backend>,
    values: PyReadonlyArray3<'py, f32>,
    labels: Labels<'py>,
    options: &Bound<'py, Options>,
    time_major: bool,
    frames: Option<Frames<'py>>,
) -> PyResult<Vec<Alignment<'py>>> {
    let arrays = Arrays {
        labels: Some(labels),
        frames,
        weights: None,
        layout: layout(time_major),
    };
    let found = run(backend, &values, &arrays, options, Ctc::align)?;
    let spans = |spans: &[decode::Span]| {
        let span = |span: &decode::Span| (class(span.label), ends(&span.frames), span.probability);
        spans.iter().map(span).collect()
    };
    Ok(found
        .iter()
        .map(|item| {
            (
                PyArray1::from_vec(py, classes(&item.path)),
                PyArray1::from_vec(py, classes(&item.states)),
                PyArray1::from_slice(py, &item.log_probs),
                spans(&item.spans),
                item.log_prob,
                item.status.name(),
            )
        })
        .collect())
}

#[pyfunction]
#[pyo3(signature = (backend, values, options, *, time_major, frames))]
pub(crate) fn greedy<'py>(
    backend: &Bound<'py, Backend>,
    values: PyReadonlyArray3<'py, f32>,
    options: &Bound<'py, Options>,
    time_major: bool,
    frames: Option<Frames<'py>>,
) -> PyResult<Vec<GreedyHypothesis>> {
    let arrays = Arrays::unlabelled(frames, time_major);
    let found = run(backend, &values, &arrays, options, Ctc::greedy)?;
    Ok(found
        .iter()
        .map(|item| {
            let frames = item.frames.iter().map(ends).collect();
            let labels = classes(&item.labels);
            (labels, frames, item.log_prob, item.status.name())
        })
        .collect())
}

/// Returns None for an item that is not finite. `width` and `top` must be at least 1.
#[pyfunction]
#[pyo3(signature = (backend, values, options, *, time_major, frames, width, top, max_classes, min_probability))]
#[allow(
    clippy::too_many_arguments,
    reason = "one argument per array of a batch and per option of the search"
)]
pub(crate) fn beam<'py>(
    backend: &Bound<'py, Backend>,
    values: PyReadonlyArray3<'py, f32>,
    options: &Bound<'py, Options>,
    time_major: bool,
    frames: Option<Frames<'py>>,
    width: usize,
    top: usize,
    max_classes: Option<usize>,
    min_probability: f64,
) -> PyResult<Vec<Option<Vec<Hypothesis>>>> {
    let arrays = Arrays::unlabelled(frames, time_major);
    let beam = BeamOptions::default()
        .width(width)
        .top(top)
        .max_classes(max_classes.unwrap_or(usize::MAX))
        .min_probability(min_probability);
    let found = run(backend, &values, &arrays, options, |_, batch, options| {
        decode::beam(batch, options, &beam)
    })?;
    let hypothesis = |found: &decode::Hypothesis| {
        let labels = classes(&found.labels);
        (labels, found.log_prob, found.score)
    };
    let hypotheses = |item: &BeamResult| {
        (item.status == Status::Ok).then(|| item.hypotheses.iter().map(hypothesis).collect())
    };
    Ok(found.iter().map(hypotheses).collect())
}

/// Returns the substitutions, deletions and insertions of a hypothesis, and the number of labels.
#[pyfunction]
pub(crate) fn edit_counts(
    py: Python<'_>,
    labels: Vec<u64>,
    hypothesis: Vec<u64>,
) -> PyResult<(usize, usize, usize, usize)> {
    let counts = py.detach(|| catch_panic(|| Ok(EditCounts::between(&labels, &hypothesis))))?;
    Ok((
        counts.substitutions,
        counts.deletions,
        counts.insertions,
        counts.labels,
    ))
}

/// Calls `function` on the backend with a batch of these arrays.
fn run<'py, T: Send>(
    backend: &Bound<'py, Backend>,
    values: &PyReadonlyArray3<'py, f32>,
    arrays: &Arrays<'py>,
    options: &Bound<'py, Options>,
    function: impl FnOnce(&Ctc, &Batch<'_>, &ctc_wgpu::Options) -> Result<T, Error> + Send,
) -> PyResult<T> {
    let shape = <[usize; 3]>::from(values.as_array().dim());
    let options = options.get().for_classes(shape[2])?;
    let batch = arrays.batch(slice("logits", values)?, shape)?;
    let ctc = backend.get().decoder()?;
    backend
        .get()
        .run(backend.py(), || function(ctc, &batch, &options))
}

/// Converts a class. A star, the only one out of the range of `i32`, becomes −1.
fn class(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(decode::STAR)
}

fn classes(numbers: &[u32]) -> Vec<i32> {
    numbers.iter().copied().map(class).collect()
}

fn ends(frames: &Range<usize>) -> (usize, usize) {
    (frames.start, frames.end)
}
