//! Greedy decoding: the most probable class of each frame.

use rayon::prelude::*;

use super::frame::FrameReader;
use super::unlabelled;
use crate::batch::{Batch, CheckedBatch};
use crate::error::Error;
use crate::fork::on_threads;
use crate::options::{Options, RepeatedOutputs, Status};

/// The labels of an item's most probable path.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GreedyHypothesis {
    /// The decoded classes.
    pub labels: Vec<u32>,
    /// The frames of each label, first to last; the end of a range is exclusive.
    pub frames: Vec<std::ops::Range<usize>>,
    /// ln of the path's probability, in nats. (TensorFlow's `neg_sum_logits` is the negated sum of
    /// the logits as they are.)
    pub log_prob: f64,
    /// `NotFinite` if a frame contains NaN, +∞, a log-probability above 88 or a probability below
    /// −ε, or no class of positive probability: then `labels` and `frames` are empty, and
    /// `log_prob` is NaN.
    pub status: Status,
}

/// Decodes each item from the most probable class of each frame; of equally probable classes, the
/// one with the lowest index. Adjacent equal classes are one label, unless the options select
/// [`RepeatedOutputs::Distinct`] (TensorFlow's `merge_repeated=False`), and blanks are removed.
///
/// This finds the most probable path. Other labels may be more probable than those of this path,
/// since the probability of labels is a sum over all their paths: see [`beam`](super::beam).
///
/// ```
/// use ctc_wgpu::{Batch, Options, decode};
/// // N = 1, T = 4, C = 3
/// let logits = [0.0, 3.0, 0.0,  0.0, 3.0, 0.0,  3.0, 0.0, 0.0,  0.0, 0.0, 3.0];
/// let decoded = decode::greedy(&Batch::new([1, 4, 3], &logits), &Options::default())?;
/// assert_eq!(decoded[0].labels, [1, 2]);
/// assert_eq!(decoded[0].frames, [0..2, 3..4]);
/// # Ok::<(), ctc_wgpu::Error>(())
/// ```
///
/// # Errors
/// [`Error::Input`] for an invalid batch; labels are ignored, not checked. [`Error::Forked`] if a
/// forked process cannot start threads.
pub fn greedy(batch: &Batch<'_>, options: &Options) -> Result<Vec<GreedyHypothesis>, Error> {
    let zero_lengths = vec![0; batch.items()];
    let checked = unlabelled(batch, &zero_lengths, options)?;
    let items = (0..checked.shape().items).into_par_iter();
    on_threads(|| items.map(|n| decode(&checked, n, options)).collect())
}

fn decode(checked: &CheckedBatch<'_>, n: usize, options: &Options) -> GreedyHypothesis {
    let rows = (0..checked.logit_lengths[n] as usize).map(|t| checked.row(n, t));
    let mut hypothesis = GreedyHypothesis {
        labels: Vec::new(),
        frames: Vec::new(),
        log_prob: f64::NAN,
        status: Status::NotFinite,
    };
    let Some(path) = FrameReader::new(options.input).most_probable_path(rows) else {
        return hypothesis;
    };
    let merge = options.repeated_outputs == RepeatedOutputs::Merge;
    let mut before = checked.blank;
    for (t, class) in path.classes.into_iter().enumerate() {
        match hypothesis.frames.last_mut() {
            Some(frames) if merge && class == before && class != checked.blank => {
                frames.end = t + 1
            }
            _ if class != checked.blank => {
                hypothesis
                    .labels
                    .push(u32::try_from(class).unwrap_or(u32::MAX));
                hypothesis.frames.push(t..t + 1);
            }
            _ => {}
        }
        before = class;
    }
    GreedyHypothesis {
        log_prob: path.log_prob,
        status: Status::Ok,
        ..hypothesis
    }
}
