//! Where the labels stand: the likeliest path among those that read as them.

use std::ops::Range;

use fearless_simd::{Level, dispatch};
use rayon::prelude::*;

use super::frame::{Frame, Reader};
use super::starred;
use crate::batch::{Batch, CheckedBatch};
use crate::error::Error;
use crate::fork::on_threads;
use crate::options::{Options, RepeatedOutputs, Status};

/// A label that stands for any one or more frames of whatever class, each of probability 1: text that is there and not known. In an
/// [`Alignment`] it is the class `u32::MAX`. With [`RepeatedOutputs::Distinct`] it takes one frame, as any label does.
///
/// As any label: two of them need a blank between. (torchaudio's way to the same is a class more, of log-probability 0.)
pub const STAR: i32 = -1;

/// A label in time.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Span {
    /// Its class.
    pub label: u32,
    /// Its first frame, and the one after its last.
    pub frames: Range<usize>,
    /// The mean of its probability over its frames.
    pub probability: f64,
}

/// The likeliest path of an item through its labels.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Alignment {
    /// The class at each frame that counts.
    pub path: Vec<u32>,
    /// The state at each frame: `2i` is the blank before label i, `2i + 1` label i, `2L` the blank after the last.
    pub states: Vec<u32>,
    /// ln of the path's class's probability at each frame.
    pub log_probs: Vec<f64>,
    /// The labels, in order; see [`Span`].
    pub spans: Vec<Span>,
    /// ln of the path's probability, in nats: at most −loss, since the loss counts all paths.
    pub log_prob: f64,
    /// `Impossible` where there is no path; `log_prob` is −∞ then, and `NotFinite` where a frame has NaN, +∞ or nothing possible,
    /// `log_prob` NaN; without path and spans.
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

    /// The states, from where the labels stand: before, between and after them are blanks.
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

/// Finds the likeliest alignment of each item's labels (A. J. Viterbi, 1967, over the states of Graves et al. 2006).
///
/// Of paths equally likely, the one is taken that, seen from its end, stays in a state rather than come from the one before, and comes
/// from that rather than skip a blank; and that ends in the last label rather than in the blank after it. (`torchaudio.functional.forced_align`
/// does the same, but where both ways to leave are equal and above staying.)
///
/// Memory for an item: 2 bits a state and frame up to 64 MiB; beyond, only every so many rows are kept, and blocks between them made again:
/// 180,000 frames and 20,000 labels take 90 MiB in all and twice the time.
///
/// ```
/// use ctc_wgpu::{Batch, Options, decode};
/// let logits = [0.0, 3.0, 0.0,  0.0, 3.0, 0.0,  3.0, 0.0, 0.0,  0.0, 0.0, 3.0]; // N = 1, T = 4, C = 3
/// let batch = Batch::new([1, 4, 3], &logits).labels(&[1, 2], &[2]);
/// let alignment = &decode::align(&batch, &Options::default())?[0];
/// assert_eq!(alignment.path, [1, 1, 0, 2]);
/// assert_eq!(alignment.spans[0].frames, 0..2);
/// assert!((alignment.spans[1].probability - 3_f64.exp() / (3_f64.exp() + 2.0)).abs() < 1e-12);
/// # Ok::<(), ctc_wgpu::Error>(())
/// ```
///
/// A class that counts as probability 0 is on no path, by the rules of the loss. Its border for a whole item is not applied: a path
/// may have a `log_prob` below −2^28, where the loss is infinite.
///
/// # Errors
/// [`Error::Input`] for a batch that breaks a rule; [`STAR`] is allowed among the labels.
pub fn align(batch: &Batch<'_>, options: &Options) -> Result<Vec<Alignment>, Error> {
    align_within(batch, options, WHOLE)
}

/// Bytes of steps up to which all are kept at once.
const WHOLE: usize = 64 << 20;

/// As [`align`], with blocks of steps of at most so many bytes.
fn align_within(
    batch: &Batch<'_>,
    options: &Options,
    whole: usize,
) -> Result<Vec<Alignment>, Error> {
    let checked = starred(batch, options)?;
    let items = (0..checked.shape().items).into_par_iter();
    on_threads(|| {
        items
            .map(|n| Search::new(&checked, n, options).run(whole))
            .collect()
    })
}

/// How a state was reached, two bits of it.
const STAYED: u8 = 0;
const SKIPPED: u8 = 2;
/// Where a row begins: in front of it stand two states that are never reached.
const PAST: usize = 2;

/// The search for one item.
struct Search<'a> {
    checked: &'a CheckedBatch<'a>,
    n: usize,
    /// The classes that the item needs, each once and in order: the blank, its labels, and for a star one that no frame has.
    needed: Vec<usize>,
    /// Which of them is the class of each state.
    classes: Vec<usize>,
    /// 0 where a state may be reached from two before it, else −∞.
    skips: Vec<f64>,
    /// 0 where a state may last, else −∞.
    stays: Vec<f64>,
    reader: Reader,
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
        let place = |class| needed.partition_point(|needed| *needed < class);
        let blank = place(checked.blank);
        let mut search = Self {
            checked,
            n,
            classes: vec![blank],
            skips: vec![allowed(false)],
            stays: vec![allowed(true)],
            reader: Reader::new(options.input),
            level: Level::new(),
            frames: checked.logit_lengths[n] as usize,
            needed: Vec::new(),
        };
        for (i, label) in labels.iter().enumerate() {
            search.classes.extend([place(*label), blank]);
            let skips = i > 0 && (distinct || labels[i - 1] != *label);
            search.skips.extend([allowed(skips), allowed(false)]);
            search.stays.extend([allowed(!distinct), allowed(true)]);
        }
        search.needed = needed;
        search
    }

    fn run(self, whole: usize) -> Alignment {
        let states = self.classes.len();
        let row_bytes = states.div_ceil(4);
        let block = (whole / row_bytes).clamp(1, self.frames.max(1));
        // Through all frames once, keeping the row before each block, and the steps of the last.
        let mut rows = Vec::new();
        let mut row = vec![f64::NEG_INFINITY; PAST + states];
        let mut steps = vec![0; block.min(self.frames) * row_bytes];
        for first in (0..self.frames).step_by(block) {
            rows.push(row.clone());
            if !self.block(first, block, &mut row, &mut steps) {
                return Alignment::without_path(f64::NAN, Status::NotFinite);
            }
        }
        let Some(mut state) = self.end(&row[PAST..]) else {
            return Alignment::without_path(f64::NEG_INFINITY, Status::Impossible);
        };
        let mut path = vec![0; self.frames];
        for (number, row) in rows.iter().enumerate().rev() {
            let first = number * block;
            let last = (first + block).min(self.frames);
            if last < self.frames {
                self.block(first, block, &mut row.clone(), &mut steps);
            }
            for t in (first..last).rev() {
                path[t] = state;
                let byte = steps[(t - first) * row_bytes + state / 4];
                state -= usize::from(byte >> (2 * (state % 4)) & 3);
            }
        }
        self.alignment(&path)
    }

    /// The state that the best path ends in. Without frames there is one only for no labels.
    fn end(&self, row: &[f64]) -> Option<usize> {
        let last = row.len() - 1;
        if self.frames == 0 {
            return (last == 0).then_some(0);
        }
        let label = last.saturating_sub(1);
        let end = if row[last] > row[label] { last } else { label };
        (row[end] > f64::NEG_INFINITY).then_some(end)
    }

    /// The rows of a block, of which the last stays in `row`, and how each state was reached. False at a frame that is no
    /// distribution.
    fn block(&self, first: usize, block: usize, row: &mut Vec<f64>, steps: &mut [u8]) -> bool {
        let states = self.classes.len();
        let mut frame = Vec::with_capacity(self.needed.len());
        let mut before = vec![f64::NEG_INFINITY; row.len()];
        let mut how = vec![STAYED; states.next_multiple_of(4)];
        let last = (first + block).min(self.frames);
        for (t, steps) in (first..last).zip(steps.chunks_exact_mut(states.div_ceil(4))) {
            if !self.read(t, &mut frame) {
                return false;
            }
            std::mem::swap(&mut before, row);
            // Only states that the path can have come to by now, and from which it can still reach its end.
            let hi = (2 * t + 2).min(states);
            let lo = states.saturating_sub(2 * (self.frames - t)).min(hi);
            if t == 0 {
                for state in lo..hi {
                    row[PAST + state] = frame[self.classes[state]];
                }
            } else {
                dispatch!(self.level, _simd => self.step(&frame, lo..hi, &before, row, &mut how));
                let (from, to) = (lo / 4, hi.div_ceil(4));
                for (byte, four) in steps[from..to]
                    .iter_mut()
                    .zip(how[4 * from..].chunks_exact(4))
                {
                    *byte = four[0] | four[1] << 2 | four[2] << 4 | four[3] << 6;
                }
            }
        }
        true
    }

    /// The scores of the classes that are needed; false for a frame that says nothing. What all of its classes lack decides nothing
    /// between paths, unless one of them is a star's.
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

    /// One frame, for some of the states.
    #[inline(always)]
    fn step(
        &self,
        frame: &[f64],
        states: Range<usize>,
        before: &[f64],
        row: &mut [f64],
        how: &mut [u8],
    ) {
        let (lo, hi) = (states.start, states.end);
        let reached = before[lo + PAST..hi + PAST]
            .iter()
            .zip(&before[lo + PAST - 1..hi + PAST - 1])
            .zip(&before[lo + PAST - 2..hi + PAST - 2]);
        let allowed = self.stays[lo..hi].iter().zip(&self.skips[lo..hi]);
        let found = row[lo + PAST..hi + PAST].iter_mut().zip(&mut how[lo..hi]);
        for ((((same, one), two), (stays, skips)), (best, how)) in reached.zip(allowed).zip(found) {
            let (same, two) = (same + stays, two + skips);
            let came = *one > same;
            let nearer = if came { *one } else { same };
            let skipped = two > nearer;
            *best = if skipped { two } else { nearer };
            *how = if skipped { SKIPPED } else { u8::from(came) };
        }
        for (best, class) in row[lo + PAST..hi + PAST]
            .iter_mut()
            .zip(&self.classes[lo..hi])
        {
            *best += frame[*class];
        }
    }

    fn alignment(&self, states: &[usize]) -> Alignment {
        let word = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let mut found = Alignment::without_path(0.0, Status::Ok);
        for (t, state) in states.iter().enumerate() {
            let class = self.needed[self.classes[*state]];
            let row = self.checked.row(self.n, t);
            found.path.push(word(class));
            found.states.push(word(*state));
            // That the frame says something has been seen.
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

/// ln of a class's probability in a frame; a star's is 1.
fn log_prob(frame: &Frame, row: &[f32], class: usize) -> f64 {
    row.get(class).map_or(0.0, |value| frame.log_prob(*value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_any_size_give_the_same_path() -> Result<(), Error> {
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
            assert_eq!(align_within(&batch, &Options::default(), bytes)?, whole);
        }
        Ok(())
    }
}
