//! What a network read: the likeliest alignment of known labels, decoders for unknown ones, and how good a reading is.
//!
//! | | in | out |
//! | --- | --- | --- |
//! | [`align`] | a batch with labels | where in time each label stands, and how sure the network is of it |
//! | [`greedy`] | a batch, labels not looked at | the likeliest path's labels |
//! | [`beam`] | the same | the likeliest labels, over all their paths, and the runners-up |
//! | [`Ctc::occupancies`](crate::Ctc::occupancies) | a batch with labels | how probable each class is at each frame, given the labels |
//! | [`Edits`] | labels and a reading | substitutions, deletions, insertions; the label error rate |
//!
//! Occupancies come from the loss's kernels, on whatever backend. The others compute on the CPU, items in parallel on rayon's current
//! pool, with logarithms in float64; each item's result is the same alone and in any batch, and from run to run. Of the [`Options`] they take the blank and what the input is; [`align`] also
//! what repeated labels and outputs mean.

use crate::error::InputError;
use crate::options::Options;
use crate::problem::{Batch, Problem};

mod align;
mod backend;
mod beam;
mod edits;
mod frame;
mod greedy;
mod occupancy;

pub use align::{Alignment, STAR, Span, align};
pub use beam::{BeamOptions, Candidate, NoScorer, Scorer, beam, beam_with};
pub use edits::Edits;
pub use greedy::{Reading, greedy};
pub use occupancy::Occupancies;

/// A batch whose labels, if there are any, are not looked at.
fn unlabelled<'a>(
    batch: &Batch<'a>,
    none: &'a [i32],
    options: &Options,
) -> Result<Problem<'a>, InputError> {
    Problem::new(&batch.clone().labels(&[], none), options)
}

/// p + ε as [`Input::Probs`] has it; twin of `shaders/shared/convention.wgsl`.
#[inline]
fn biased(p: f32, epsilon: f32) -> f32 {
    let sum = p + epsilon;
    if sum.abs() < 1.2e-38 { 0.0 } else { sum }
}
