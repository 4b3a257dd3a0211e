//! Forced alignment of known labels, decoders for unknown labels, occupancies, and error rates.
//!
//! | | input | result |
//! | --- | --- | --- |
//! | [`align`] | a batch with labels | the frames of each label, and its probability there |
//! | [`greedy`] | a batch, whose labels are ignored | the labels of the most probable path |
//! | [`beam`] | a batch, whose labels are ignored | the most probable label sequences over all their paths, the best first |
//! | [`Ctc::occupancies`](crate::Ctc::occupancies) | a batch with labels | the posterior probability of each class at each frame, given the labels |
//! | [`EditCounts`] | labels and decoded labels | substitutions, deletions, insertions; the label error rate |
//!
//! The functions of this module run on the CPU, with items in parallel on rayon's current pool and
//! logarithms in float64. [`Ctc::align`] and [`Ctc::greedy`] compute the same on any backend, and
//! [`GpuCtc::plan_align`] and [`GpuCtc::plan_greedy`] on buffers of a device. Occupancies are
//! computed by the stages of the loss. An item's result is the same alone, in any batch and in
//! every run. Alignment and the decoders use the blank and the input of the [`Options`]; alignment
//! also uses the rules for the blank among the labels and for repeated labels and outputs, and
//! greedy decoding the rule for repeated outputs.
//!
//! Alignment and decoding of host arrays first check the first frame of each item.
//! Log-probabilities whose exponentials sum to more than 3, probabilities above 1.001, and negative
//! probabilities in a frame without positive ones are an [`InputError`]: they indicate that raw
//! scores or log-probabilities were passed as another kind of input. Buffers on a device are not
//! checked.
//!
//! [`Ctc::align`]: crate::Ctc::align
//! [`Ctc::greedy`]: crate::Ctc::greedy
//! [`GpuCtc::plan_align`]: crate::GpuCtc::plan_align
//! [`GpuCtc::plan_greedy`]: crate::GpuCtc::plan_greedy
//!
//! # Kernels
//!
//! Alignment on a GPU runs the loss's stages `check_labels` and `softmax_stats` (and before them
//! `batch_totals`, if labels are concatenated), and then these:
//!
//! | stage | computes |
//! | --- | --- |
//! | `viterbi` | from the first frame to the last, the best score of each state and its backpointer in two bits; a score is a sum of two f32, with about the digits of a float64 |
//! | `viterbi recompute` | the backpointers of one segment again, if an item is split into segments |
//! | `backtrace` | the state at each frame, backwards along the backpointers |
//! | `path` | the class of that state, and ln of its probability |
//! | `spans` | the frames of each label, and its mean probability |
//! | `path_log_prob` | ln of the path's probability |
//!
//! The first two are the kernel `viterbi`, or `viterbi_long` if the states of an item do not fit in
//! registers. If the backpointers of an item do not fit one binding, only those of one segment are
//! stored at a time (checkpointing): 180,000 frames with 20,000 labels take 135 MiB. Greedy
//! decoding runs `check_labels`, then `softmax_stats`, which here also finds the most probable
//! class of each frame, and `collapse`, which merges repeats and removes blanks.

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

/// Checks a batch without its labels. `zero_lengths` contains one label length of 0 per item.
fn unlabelled<'a>(
    batch: &Batch<'a>,
    zero_lengths: &'a [i32],
    options: &Options,
) -> Result<CheckedBatch<'a>, InputError> {
    let checked = CheckedBatch::new(&batch.clone().labels(&[], zero_lengths), options)?;
    input::check(&checked, options)?;
    Ok(checked)
}

/// Checks a batch to align, whose labels may include stars.
fn checked_with_star<'a>(
    batch: &Batch<'a>,
    options: &Options,
) -> Result<CheckedBatch<'a>, InputError> {
    let checked = CheckedBatch::with_star(batch, options, STAR)?;
    input::check(&checked, options)?;
    Ok(checked)
}

/// Returns p + ε as defined by [`Input::Probs`]; must match `add_epsilon` in
/// `shaders/shared/input_kind.wgsl`.
#[inline]
fn add_epsilon(p: f32, epsilon: f32) -> f32 {
    let sum = p + epsilon;
    if sum.abs() < 1.2e-38 { 0.0 } else { sum }
}
