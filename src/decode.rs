//! What a network read: the likeliest alignment of known labels, decoders for unknown ones, and how good a reading is.
//!
//! | | in | out |
//! | --- | --- | --- |
//! | [`align`] | a batch with labels | where in time each label stands, and how sure the network is of it |
//! | [`greedy`] | a batch, labels not looked at | the likeliest path's labels |
//! | [`beam`] | the same | the likeliest labels, over all their paths, and the runners-up |
//! | [`Ctc::occupancies`](crate::Ctc::occupancies) | a batch with labels | how probable each class is at each frame, given the labels |
//! | [`EditCounts`] | labels and a reading | substitutions, deletions, insertions; the label error rate |
//!
//! The functions here compute on the CPU, items in parallel on rayon's current pool, with logarithms in float64. [`Ctc::align`] and
//! [`Ctc::greedy`] do the same on whatever backend, and [`GpuCtc::plan_align`] and [`GpuCtc::plan_greedy`] on buffers of a device;
//! occupancies come from the loss's kernels. Each item's result is the same alone and in any batch, and from run to run. Of the [`Options`]
//! they take the blank and what the input is; an alignment also what repeated labels and outputs mean, a greedy reading the outputs.
//!
//! Before they run, the functions for host arrays look at each item's first frame: log-probabilities whose exponentials
//! sum to more than 3, probabilities above 1, and probabilities that are all negative are an
//! [`InputError`], since raw scores or logarithms were given for something else. Buffers on a device
//! are not checked.
//!
//! [`Ctc::align`]: crate::Ctc::align
//! [`Ctc::greedy`]: crate::Ctc::greedy
//! [`GpuCtc::plan_align`]: crate::GpuCtc::plan_align
//! [`GpuCtc::plan_greedy`]: crate::GpuCtc::plan_greedy
//!
//! # The kernels
//!
//! An alignment goes through `labels` and `stats` of the loss, and then
//!
//! | stage | from, to |
//! | --- | --- |
//! | `align` | from the first frame to the last: the best score of each state, and in two bits how it was reached; a score is a sum of two f32, so that it has about the digits of a float64 |
//! | `trace` | back along those: the state at each frame |
//! | `path` | its class, and ln of the probability |
//! | `spans` | of each label the frames, and the mean probability |
//! | `score` | −ln of the path's probability |
//!
//! The moves of a page of frames are kept at a time, and all others made twice: 180,000 frames with 20,000 labels take 135 MiB. A greedy
//! reading is `stats`, which then finds each frame's likeliest class too, and `greedy`, which merges and drops.

use crate::batch::{Batch, CheckedBatch};
use crate::error::InputError;
use crate::options::Options;

mod align;
mod backend;
mod beam;
mod edits;
mod frame;
mod greedy;
mod input;
mod occupancy;

pub use align::{Alignment, STAR, Span, align};
pub use beam::{BeamOptions, BeamResult, Hypothesis, NoScorer, Scorer, beam, beam_with};
pub use edits::EditCounts;
pub use greedy::{GreedyHypothesis, greedy};
pub use occupancy::Occupancies;

/// A batch whose labels, if there are any, are not looked at.
fn unlabelled<'a>(
    batch: &Batch<'a>,
    none: &'a [i32],
    options: &Options,
) -> Result<CheckedBatch<'a>, InputError> {
    let checked = CheckedBatch::new(&batch.clone().labels(&[], none), options)?;
    input::check(&checked, options)?;
    Ok(checked)
}

/// A batch to align.
fn starred<'a>(batch: &Batch<'a>, options: &Options) -> Result<CheckedBatch<'a>, InputError> {
    let checked = CheckedBatch::starred(batch, options, STAR)?;
    input::check(&checked, options)?;
    Ok(checked)
}

/// p + ε as [`Input::Probs`] has it; twin of `shaders/shared/input_kind.wgsl`.
#[inline]
fn biased(p: f32, epsilon: f32) -> f32 {
    let sum = p + epsilon;
    if sum.abs() < 1.2e-38 { 0.0 } else { sum }
}
