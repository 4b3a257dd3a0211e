//! Forced alignment: the most probable path of an item's labels.

use std::ops::Range;

use fearless_simd::{Level, dispatch};
use rayon::prelude::*;

use super::checked_with_star;
use super::frame::{Frame, FrameReader};
use crate::batch::{Batch, CheckedBatch};
use crate::error::Error;
use crate::fork::on_threads;
use crate::options::{Options, RepeatedOutputs, Status};

/// A wildcard label: it matches one or more frames of any class with probability 1, for text that
/// is present but unknown. In an [`Alignment`] it is the class `u32::MAX`. With
/// [`RepeatedOutputs::Distinct`] it spans one frame, as any label does.
///
/// As with other equal labels, a blank must separate two adjacent wildcards, except with
/// [`RepeatedOutputs::Distinct`]. (In torchaudio the equivalent is an additional class with
/// log-probability 0.)
pub const STAR: i32 = -1;

/// The frames of a label.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Span {
    /// The class of the label.
    pub label: u32,
    /// The frames of the label, first to last; the end of the range is exclusive.
    pub frames: Range<usize>,
    /// The mean over these frames of the label's probability, from 0 to 1; 1 for a [`STAR`].
    pub probability: f64,
}

/// The most probable path of an item's labels.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Alignment {
    /// The class at each valid frame, with the blanks; `u32::MAX` in a [`STAR`].
    pub path: Vec<u32>,
    /// The state at each valid frame: `2i` is the blank before label i, `2i + 1` is label i, and
    /// `2L` is the blank after the last label. L is the number of labels after
    /// [`RepeatedLabels`](crate::RepeatedLabels) has been applied.
    pub states: Vec<u32>,
    /// ln of the probability of the path's class at each valid frame.
    pub log_probs: Vec<f64>,
    /// The labels in order, each with its frames.
    pub spans: Vec<Span>,
    /// ln of the path's probability, in nats: at most −loss, since the loss counts all paths.
    pub log_prob: f64,
    /// `Impossible` if no path exists, with a `log_prob` of −∞. `NotFinite` if a frame contains
    /// NaN, +∞, a log-probability above 88 or a probability below −ε, or no class of positive
    /// probability, with a `log_prob` of NaN. In both cases `path`, `states`, `log_probs` and
    /// `spans` are empty.
    pub status: Status,
}

impl Alignment {
    pub(crate) fn without_path(log_prob: f64, status: Status) -> Self {
        Self {
            path: Vec::new(),
            states: Vec::new(),
            log_probs: Vec::new(),
            spans: Vec::new(),
            log_prob,
            status,
        }
    }

    /// Fills in the states from the spans; all frames outside the spans are blanks.
    pub(crate) fn find_states(&mut self) {
        self.states.clear();
        for (span, label) in self.spans.iter().zip((1..).step_by(2)) {
            self.states.resize(span.frames.start, label - 1);
            self.states.resize(span.frames.end, label);
        }
        let last = self.states.last().map_or(0, |label| label + 1);
        self.states.resize(self.path.len(), last);
    }
}

/// Computes the most probable alignment of each item's labels (A. J. Viterbi, 1967, over the states
/// of Graves et al. 2006).
///
/// Ties are decided from the end of the path: a self-loop wins over a step from the previous state,
/// which wins over a skip of a blank, and a path that ends in the last label wins over a path that
/// ends in the blank after it. (`torchaudio.functional.forced_align` decides in the same way,
/// unless the step and the skip are equal and both better than the self-loop.)
///
/// An item needs 2 bits per state and frame, up to 64 MiB. Beyond that, only some rows of states
/// are stored as checkpoints, and the backpointers between them are recomputed: 180,000 frames and
/// 20,000 labels take 90 MiB in all and twice the time.
///
/// ```
/// use ctc_wgpu::{Batch, Options, decode};
/// // N = 1, T = 4, C = 3
/// let logits = [0.0, 3.0, 0.0,  0.0, 3.0, 0.0,  3.0, 0.0, 0.0,  0.0, 0.0, 3.0];
/// let batch = Batch::new([1, 4, 3], &logits).labels(&[1, 2], &[2]);
/// let alignment = &decode::align(&batch, &Options::default())?[0];
/// assert_eq!(alignment.path, [1, 1, 0, 2]);
/// assert_eq!(alignment.spans[0].frames, 0..2);
/// assert!((alignment.spans[1].probability - 3_f64.exp() / (3_f64.exp() + 2.0)).abs() < 1e-12);
/// # Ok::<(), ctc_wgpu::Error>(())
/// ```
///
/// A class of probability 0, by the rules of the loss, is on no path. The loss's threshold for an
/// item does not apply: a path may have a `log_prob` below −2^30, for which the loss is infinite.
///
/// # Errors
/// [`Error::Input`] for an invalid batch; [`STAR`] is allowed among the labels. [`Error::Forked`]
/// if a forked process cannot start threads.
pub fn align(batch: &Batch<'_>, options: &Options) -> Result<Vec<Alignment>, Error> {
    align_in_segments(batch, options, SEGMENT_BYTES)
}

/// The largest segment of backpointers, in bytes.
const SEGMENT_BYTES: usize = 64 << 20;

/// Computes [`align`] with segments of at most `segment_bytes` of backpointers.
fn align_in_segments(
    batch: &Batch<'_>,
    options: &Options,
    segment_bytes: usize,
) -> Result<Vec<Alignment>, Error> {
    let checked = checked_with_star(batch, options)?;
    let items = (0..checked.shape().items).into_par_iter();
    on_threads(|| {
        items
            .map(|n| Search::new(&checked, n, options).run(segment_bytes))
            .collect()
    })
}

/// Values of a backpointer, which has two bits and is the distance to the previous state. The value
/// 1 is a step from the state before.
const SELF_LOOP: u8 = 0;
const SKIP: u8 = 2;
/// The index of a row's first state: two unreachable states precede it.
const FIRST_STATE: usize = 2;

/// The Viterbi search of one item.
struct Search<'a> {
    checked: &'a CheckedBatch<'a>,
    n: usize,
    /// The classes that the item needs, sorted and distinct: the blank, the labels, and
    /// `usize::MAX` for a star.
    needed: Vec<usize>,
    /// The class of each state, as an index into `needed`.
    classes: Vec<usize>,
    /// 0 if the state may be reached by a skip, else −∞.
    skips: Vec<f64>,
    /// 0 if the state has a self-loop, else −∞.
    self_loops: Vec<f64>,
    reader: FrameReader,
    level: Level,
    frames: usize,
}

impl<'a> Search<'a> {
    fn new(checked: &'a CheckedBatch<'a>, n: usize, options: &Options) -> Self {
        let distinct = options.repeated_outputs == RepeatedOutputs::Distinct;
        let labels = options.repeated_labels.applied(checked.item_labels(n));
        let labels: Vec<_> = (labels.into_iter())
            .map(|label| usize::try_from(label).unwrap_or(usize::MAX))
            .collect();
        let allowed = |is: bool| if is { 0.0 } else { f64::NEG_INFINITY };
        let mut needed = [&labels[..], &[checked.blank]].concat();
        needed.sort_unstable();
        needed.dedup();
        let index_of = |class| needed.partition_point(|needed| *needed < class);
        let blank = index_of(checked.blank);
        let mut search = Self {
            checked,
            n,
            classes: vec![blank],
            skips: vec![allowed(false)],
            self_loops: vec![allowed(true)],
            reader: FrameReader::new(options.input),
            level: Level::new(),
            frames: checked.logit_lengths[n] as usize,
            needed: Vec::new(),
        };
        for (i, label) in labels.iter().enumerate() {
            search.classes.extend([index_of(*label), blank]);
            let skips = i > 0 && (distinct || labels[i - 1] != *label);
            search.skips.extend([allowed(skips), allowed(false)]);
            search
                .self_loops
                .extend([allowed(!distinct), allowed(true)]);
        }
        search.needed = needed;
        search
    }

    /// Finds the most probable path, with at most about `segment_bytes` of backpointers.
    fn run(self, segment_bytes: usize) -> Alignment {
        let states = self.classes.len();
        let row_bytes = states.div_ceil(4);
        let segment_frames = (segment_bytes / row_bytes).clamp(1, self.frames.max(1));
        // One pass over all frames stores the row before each segment, and the backpointers of the
        // last segment.
        let mut rows = Vec::new();
        let mut row = vec![f64::NEG_INFINITY; FIRST_STATE + states];
        let mut backpointers = vec![0; segment_frames.min(self.frames) * row_bytes];
        for first in (0..self.frames).step_by(segment_frames) {
            rows.push(row.clone());
            if !self.segment(first, segment_frames, &mut row, &mut backpointers) {
                return Alignment::without_path(f64::NAN, Status::NotFinite);
            }
        }
        let Some(mut state) = self.end(&row[FIRST_STATE..]) else {
            return Alignment::without_path(f64::NEG_INFINITY, Status::Impossible);
        };
        let mut path = vec![0; self.frames];
        for (number, row) in rows.iter().enumerate().rev() {
            let first = number * segment_frames;
            let last = (first + segment_frames).min(self.frames);
            if last < self.frames {
                self.segment(first, segment_frames, &mut row.clone(), &mut backpointers);
            }
            for t in (first..last).rev() {
                path[t] = state;
                let byte = backpointers[(t - first) * row_bytes + state / 4];
                state -= usize::from(byte >> (2 * (state % 4)) & 3);
            }
        }
        self.alignment(&path)
    }

    /// Returns the last state of the best path, or `None` if no path exists. An item without frames
    /// has a path only if it has no labels.
    fn end(&self, row: &[f64]) -> Option<usize> {
        let last = row.len() - 1;
        if self.frames == 0 {
            return (last == 0).then_some(0);
        }
        let label = last.saturating_sub(1);
        let end = if row[last] > row[label] { last } else { label };
        (row[end] > f64::NEG_INFINITY).then_some(end)
    }

    /// Computes the rows of a segment and its backpointers. `row` is the row before the segment,
    /// and is replaced by the segment's last row. Returns false at a frame that is not a
    /// distribution.
    fn segment(
        &self,
        first: usize,
        segment_frames: usize,
        row: &mut Vec<f64>,
        backpointers: &mut [u8],
    ) -> bool {
        let states = self.classes.len();
        let mut frame = Vec::with_capacity(self.needed.len());
        let mut before = vec![f64::NEG_INFINITY; row.len()];
        let mut pointers = vec![SELF_LOOP; states.next_multiple_of(4)];
        let last = (first + segment_frames).min(self.frames);
        for (t, backpointers) in
            (first..last).zip(backpointers.chunks_exact_mut(states.div_ceil(4)))
        {
            if !self.read(t, &mut frame) {
                return false;
            }
            std::mem::swap(&mut before, row);
            // Only states that are reachable by now, and from which the end is still reachable.
            let hi = (2 * t + 2).min(states);
            let lo = states.saturating_sub(2 * (self.frames - t)).min(hi);
            if t == 0 {
                for state in lo..hi {
                    row[FIRST_STATE + state] = frame[self.classes[state]];
                }
            } else {
                dispatch!(self.level, _simd => self.advance(&frame, lo..hi, &before, row, &mut pointers));
                let (from, to) = (lo / 4, hi.div_ceil(4));
                for (byte, four) in backpointers[from..to]
                    .iter_mut()
                    .zip(pointers[4 * from..].chunks_exact(4))
                {
                    *byte = four[0] | four[1] << 2 | four[2] << 4 | four[3] << 6;
                }
            }
        }
        true
    }

    /// Reads the scores of the needed classes. Returns false if the frame is not a distribution. A
    /// constant per frame does not change the best path, so logits are normalised only if a star is
    /// present.
    fn read(&self, t: usize, scores: &mut Vec<f64>) -> bool {
        let row = self.checked.row(self.n, t);
        let has_star = self.needed.last() == Some(&usize::MAX);
        let frame = match has_star {
            true => self.reader.read(row),
            false => self.reader.read_scores(row),
        };
        let Some(frame) = frame else {
            return false;
        };
        scores.clear();
        scores.extend(self.needed.iter().map(|class| match has_star {
            true => log_prob(&frame, row, *class),
            false => frame.score(row[*class]) - frame.offset(),
        }));
        true
    }

    /// Advances the states in `states` by one frame.
    #[inline(always)]
    fn advance(
        &self,
        frame: &[f64],
        states: Range<usize>,
        before: &[f64],
        row: &mut [f64],
        pointers: &mut [u8],
    ) {
        let (lo, hi) = (states.start, states.end);
        let previous = before[lo + FIRST_STATE..hi + FIRST_STATE]
            .iter()
            .zip(&before[lo + FIRST_STATE - 1..hi + FIRST_STATE - 1])
            .zip(&before[lo + FIRST_STATE - 2..hi + FIRST_STATE - 2]);
        let allowed = self.self_loops[lo..hi].iter().zip(&self.skips[lo..hi]);
        let found = row[lo + FIRST_STATE..hi + FIRST_STATE]
            .iter_mut()
            .zip(&mut pointers[lo..hi]);
        for ((((same, one), two), (self_loop, skip)), (best, pointer)) in
            previous.zip(allowed).zip(found)
        {
            let (same, two) = (same + self_loop, two + skip);
            let stepped = *one > same;
            let nearer = if stepped { *one } else { same };
            let skipped = two > nearer;
            *best = if skipped { two } else { nearer };
            *pointer = if skipped { SKIP } else { u8::from(stepped) };
        }
        for (best, class) in row[lo + FIRST_STATE..hi + FIRST_STATE]
            .iter_mut()
            .zip(&self.classes[lo..hi])
        {
            *best += frame[*class];
        }
    }

    /// Returns the alignment that visits these states, one per frame.
    fn alignment(&self, states: &[usize]) -> Alignment {
        let word = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let mut found = Alignment::without_path(0.0, Status::Ok);
        for (t, state) in states.iter().enumerate() {
            let class = self.needed[self.classes[*state]];
            let row = self.checked.row(self.n, t);
            found.path.push(word(class));
            found.states.push(word(*state));
            // The search has already found the frame to be a distribution.
            let frame = self.reader.read(row);
            let log_prob = frame.map_or(f64::NAN, |frame| log_prob(&frame, row, class));
            found.log_probs.push(log_prob);
            found.log_prob += log_prob;
        }
        for label in 0..self.classes.len() / 2 {
            let first = states.partition_point(|state| *state < 2 * label + 1);
            let end = states.partition_point(|state| *state <= 2 * label + 1);
            let probabilities = found.log_probs[first..end].iter().map(|p| p.exp());
            found.spans.push(Span {
                label: word(self.needed[self.classes[2 * label + 1]]),
                probability: probabilities.sum::<f64>() / (end - first).max(1) as f64,
                frames: first..end,
            });
        }
        found
    }
}

/// Returns ln of a class's probability in a frame; a star has probability 1.
fn log_prob(frame: &Frame, row: &[f32], class: usize) -> f64 {
    row.get(class).map_or(0.0, |value| frame.log_prob(*value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_of_any_size_give_the_same_path() -> Result<(), Error> {
        let (frames, classes) = (53, 7);
        let values: Vec<f32> = (0..2 * frames * classes)
            .map(|i| ((i * i * 31 + i * 7) % 101) as f32 / 20.0)
            .collect();
        let labels = [1, 2, 2, 3, 4, 5, 6, 6, 1, 3, 2, 5];
        let batch = Batch::new([2, frames, classes], &values)
            .labels(&labels, &[6, 5])
            .logit_lengths(&[53, 49]);
        let whole = align(&batch, &Options::default())?;
        assert_eq!(whole[0].status, Status::Ok);
        for bytes in [0, 4, 9, 60, 4 * 53] {
            assert_eq!(
                align_in_segments(&batch, &Options::default(), bytes)?,
                whole
            );
        }
        Ok(())
    }
}
