//! What a network read: alignments, readings, candidates and edits, as the tuples that `_decode.py` makes objects of.

use std::ops::Range;

use ctc_wgpu::decode::{self, BeamOptions, EditCounts};
use ctc_wgpu::{Batch, Error, Options as Meaning, Status};
use numpy::{PyArray1, PyReadonlyArray3};
use pyo3::prelude::*;

use crate::arrays::{Arrays, Frames, Labels, layout, slice};
use crate::backend::Backend;
use crate::fault::guarded;
use crate::options::Options;

/// Path, states, log-probabilities, spans, score and status.
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
/// Labels, the frames of each, score and status.
type GreedyHypothesis = (Vec<i32>, Vec<(usize, usize)>, f64, &'static str);
/// Labels, loss and score.
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
    let found = within(backend, &values, &arrays, options, decode::align)?;
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
                0.0 - item.log_prob,
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
    let found = within(backend, &values, &arrays, options, decode::greedy)?;
    Ok(found
        .iter()
        .map(|item| {
            let frames = item.frames.iter().map(ends).collect();
            (
                classes(&item.labels),
                frames,
                0.0 - item.log_prob,
                item.status.name(),
            )
        })
        .collect())
}

/// None for an item of which nothing can be said. `width` and `top` are at least 1.
#[pyfunction]
#[pyo3(signature = (backend, values, options, *, time_major, frames, width, top, classes, least_probability))]
#[allow(
    clippy::too_many_arguments,
    reason = "a batch of Python's and how wide to search"
)]
pub(crate) fn beam<'py>(
    backend: &Bound<'py, Backend>,
    values: PyReadonlyArray3<'py, f32>,
    options: &Bound<'py, Options>,
    time_major: bool,
    frames: Option<Frames<'py>>,
    width: usize,
    top: usize,
    classes: Option<usize>,
    least_probability: f64,
) -> PyResult<Vec<Option<Vec<Hypothesis>>>> {
    let arrays = Arrays::unlabelled(frames, time_major);
    let beam = BeamOptions::default()
        .width(width)
        .top(top)
        .classes(classes.unwrap_or(usize::MAX))
        .least_probability(least_probability);
    let found = within(backend, &values, &arrays, options, |batch, meaning| {
        decode::beam(batch, meaning, &beam)
    })?;
    let hypothesis = |found: &decode::Hypothesis| {
        let labels = self::classes(&found.labels);
        (labels, 0.0 - found.log_prob, found.score)
    };
    let hypotheses = |item: &decode::BeamResult| {
        (item.status == Status::Ok).then(|| item.hypotheses.iter().map(hypothesis).collect())
    };
    Ok(found.iter().map(hypotheses).collect())
}

/// Substitutions, deletions, insertions and labels of a reading.
#[pyfunction]
pub(crate) fn edits(
    py: Python<'_>,
    labels: Vec<u64>,
    read: Vec<u64>,
) -> PyResult<(usize, usize, usize, usize)> {
    let edits = py.detach(|| guarded(|| Ok(EditCounts::between(&labels, &read))))?;
    Ok((
        edits.substitutions,
        edits.deletions,
        edits.insertions,
        edits.labels,
    ))
}

fn within<'py, T: Send>(
    backend: &Bound<'py, Backend>,
    values: &PyReadonlyArray3<'py, f32>,
    arrays: &Arrays<'py>,
    options: &Bound<'py, Options>,
    work: impl FnOnce(&Batch<'_>, &Meaning) -> Result<T, Error> + Send,
) -> PyResult<T> {
    let shape = <[usize; 3]>::from(values.as_array().dim());
    let meaning = options.get().of(shape[2])?;
    let batch = arrays.batch(slice("logits", values)?, shape)?;
    backend.get().run(backend.py(), || work(&batch, &meaning))
}

/// A star, the only class that is no `i32`, is −1.
fn class(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(decode::STAR)
}

fn classes(numbers: &[u32]) -> Vec<i32> {
    numbers.iter().copied().map(class).collect()
}

fn ends(frames: &Range<usize>) -> (usize, usize) {
    (frames.start, frames.end)
}
