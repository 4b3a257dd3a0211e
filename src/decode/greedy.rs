//! The likeliest path, frame by frame.

use rayon::prelude::*;

use super::frame::Reader;
use super::unlabelled;
use crate::batch::{Batch, CheckedBatch};
use crate::error::Error;
use crate::fork::on_threads;
use crate::options::{Options, RepeatedOutputs, Status};

/// What the likeliest path of an item reads.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GreedyHypothesis {
    /// The classes that it reads.
    pub labels: Vec<u32>,
    /// The frames of each label: its first, and the one after its last.
    pub frames: Vec<std::ops::Range<usize>>,
    /// ln of the path's probability, in nats. (TensorFlow's `neg_sum_logits` is the negated sum of the logits as they are.)
    pub log_prob: f64,
    /// `NotFinite` where a frame has NaN, +∞ or nothing possible: nothing is read then, and `log_prob` is NaN.
    pub status: Status,
}

/// Reads each item by the likeliest class of each frame: equal neighbours are one label unless the options say
/// [`RepeatedOutputs::Distinct`] (TensorFlow's `merge_repeated=False`), and blanks are left out. Of classes equally likely the first is taken.
///
/// The path is the likeliest; its labels need not be, since all their paths count: see [`beam`](super::beam).
///
/// ```
/// use ctc_wgpu::{Batch, Options, decode};
/// let logits = [0.0, 3.0, 0.0,  0.0, 3.0, 0.0,  3.0, 0.0, 0.0,  0.0, 0.0, 3.0]; // N = 1, T = 4, C = 3
/// let readings = decode::greedy(&Batch::new([1, 4, 3], &logits), &Options::default())?;
/// assert_eq!(readings[0].labels, [1, 2]);
/// assert_eq!(readings[0].frames, [0..2, 3..4]);
/// # Ok::<(), ctc_wgpu::Error>(())
/// ```
///
/// # Errors
/// [`Error::Input`] for a batch that breaks a rule. Its labels are not looked at.
pub fn greedy(batch: &Batch<'_>, options: &Options) -> Result<Vec<GreedyHypothesis>, Error> {
    let none = vec![0; batch.items()];
    let checked = unlabelled(batch, &none, options)?;
    let items = (0..checked.shape().items).into_par_iter();
    on_threads(|| items.map(|n| read(&checked, n, options)).collect())
}

fn read(checked: &CheckedBatch<'_>, n: usize, options: &Options) -> GreedyHypothesis {
    let rows = (0..checked.logit_lengths[n] as usize).map(|t| checked.row(n, t));
    let mut reading = GreedyHypothesis {
        labels: Vec::new(),
        frames: Vec::new(),
        log_prob: f64::NAN,
        status: Status::NotFinite,
    };
    let Some(path) = Reader::new(options.input).likeliest_path(rows) else {
        return reading;
    };
    let merge = options.repeated_outputs == RepeatedOutputs::Merge;
    let mut before = checked.blank;
    for (t, class) in path.classes.into_iter().enumerate() {
        match reading.frames.last_mut() {
            Some(frames) if merge && class == before && class != checked.blank => {
                frames.end = t + 1
            }
            _ if class != checked.blank => {
                reading
                    .labels
                    .push(u32::try_from(class).unwrap_or(u32::MAX));
                reading.frames.push(t..t + 1);
            }
            _ => {}
        }
        before = class;
    }
    GreedyHypothesis {
        log_prob: path.log_prob,
        status: Status::Ok,
        ..reading
    }
}
