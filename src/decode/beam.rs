//! Prefix beam search for the labels that are most probable over all their paths.

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::frame::FrameReader;
use super::unlabelled;
use crate::batch::{Batch, CheckedBatch};
use crate::error::{Error, InputError};
use crate::fork::on_threads;
use crate::options::{Options, Status};
use crate::setters::setters;

mod best;
mod classes;
mod scorer;

use best::{BestCandidates, Candidate};
use classes::Classes;
pub use scorer::{NoScorer, Scorer};

/// The limits of a beam search.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct BeamOptions {
    /// The number of prefixes kept after each frame; 0 counts as 1.
    pub width: usize,
    /// The number of hypotheses to return, the best first; at most `width`.
    pub top: usize,
    /// The largest number of classes, without the blank, that may extend prefixes at a frame; the
    /// most probable are taken.
    pub max_classes: usize,
    /// The smallest probability, from 0 to 1, of a class that may extend prefixes at a frame.
    pub min_probability: f64,
}

setters!(BeamOptions {
    width: usize,
    top: usize,
    max_classes: usize,
    min_probability: f64,
});

impl BeamOptions {
    /// Returns the defaults: width 16, the best hypothesis only, and all classes.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            width: 16,
            top: 1,
            max_classes: usize::MAX,
            min_probability: 0.0,
        }
    }
}

impl Default for BeamOptions {
    /// Returns [`new`](Self::new).
    fn default() -> Self {
        Self::new()
    }
}

/// A label sequence and its probability.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Hypothesis {
    /// The classes of the labels.
    pub labels: Vec<u32>,
    /// ln p(labels), in nats, of the paths that the beam kept: at most −loss of these labels, and
    /// equal to it if the beam dropped nothing.
    pub log_prob: f64,
    /// The score that orders hypotheses: `log_prob` plus the sum of the scorer's scores.
    pub score: f64,
}

/// The result of a beam search for one item.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BeamResult {
    /// The hypotheses, the best first; empty unless the status is `Ok`.
    pub hypotheses: Vec<Hypothesis>,
    /// `NotFinite` if a frame contains NaN, +∞, a log-probability above 88 or a probability below
    /// −ε, or no class of positive probability; otherwise `Ok`.
    pub status: Status,
}

/// Searches for the most probable labels of each item (A. Graves, N. Jaitly, *Towards end-to-end
/// speech recognition with recurrent neural networks*, ICML 2014, algorithm 1; A. Hannun et al.,
/// 2014). Adjacent equal outputs are one label, whatever the option `repeated_outputs`.
///
/// Of equally probable prefixes the search keeps the one that it found first. Of those found at the
/// same frame, it keeps the one that extends a better prefix, then the one with the lower class.
///
/// ```
/// use ctc_wgpu::{Batch, Options, decode::{BeamOptions, beam}};
/// // Two frames over {blank, a}, blank with probability 0.6 in each. The most probable path is
/// // blank twice, with 0.36, but "a" has 0.64.
/// let logits = [0.6_f32.ln(), 0.4_f32.ln(), 0.6_f32.ln(), 0.4_f32.ln()];
/// let batch = Batch::new([1, 2, 2], &logits);
/// let found = beam(&batch, &Options::default(), &BeamOptions::default().top(2))?;
/// let hypotheses = &found[0].hypotheses;
/// assert_eq!(hypotheses[0].labels, [1]);
/// assert!((hypotheses[0].log_prob - 0.64_f64.ln()).abs() < 1e-6);
/// assert!(hypotheses[1].labels.is_empty());
/// # Ok::<(), ctc_wgpu::Error>(())
/// ```
///
/// # Errors
/// [`Error::Input`] for an invalid batch, whose labels are ignored, or an invalid
/// `min_probability`. [`Error::Forked`] if a forked process cannot start threads. A frame that is
/// not a distribution is not an error: its item has status `NotFinite`.
pub fn beam(
    batch: &Batch<'_>,
    options: &Options,
    beam: &BeamOptions,
) -> Result<Vec<BeamResult>, Error> {
    beam_with(batch, options, beam, &NoScorer)
}

/// Computes [`beam`] with a [`Scorer`], such as a language model, which adds a score per label.
///
/// # Errors
/// As [`beam`].
pub fn beam_with<S: Scorer>(
    batch: &Batch<'_>,
    options: &Options,
    beam: &BeamOptions,
    scorer: &S,
) -> Result<Vec<BeamResult>, Error> {
    if !(beam.min_probability >= 0.0 && beam.min_probability <= 1.0) {
        return Err(InputError::MinProbability(beam.min_probability).into());
    }
    let zero_lengths = vec![0; batch.items()];
    let checked = unlabelled(batch, &zero_lengths, options)?;
    let items = (0..checked.shape().items).into_par_iter();
    on_threads(|| {
        let result = |n| match Search::new(&checked, beam, scorer).run(n, options) {
            Some(hypotheses) => BeamResult {
                hypotheses,
                status: Status::Ok,
            },
            None => BeamResult {
                hypotheses: Vec::new(),
                status: Status::NotFinite,
            },
        };
        items.map(result).collect()
    })
}

/// A prefix that is in the beam, or that a longer prefix in the beam extends.
struct Prefix<T> {
    /// The index of the prefix without its last label, and that label; `None` for the empty prefix.
    extends: Option<(usize, u32)>,
    /// The scorer's state.
    state: T,
    /// The sum of the scorer's scores.
    scorer_score: f64,
    /// Its serial number, in the order of creation.
    serial: u64,
    /// Its rank in the beam; valid if the beam's entry of that rank is this prefix.
    rank: usize,
    /// The number of references: its extensions, and the beam.
    references: usize,
}

/// An entry of the beam: the index of a prefix, and ln of the probability of its paths up to a
/// frame.
#[derive(Clone, Copy)]
struct Entry {
    prefix: usize,
    /// Of the paths that end in a blank.
    blank: f64,
    /// Of the paths that end in the last label.
    label: f64,
    /// Of all its paths.
    all: f64,
}

/// Returns ln(eᵃ + eᵇ).
fn add(a: f64, b: f64) -> f64 {
    let (max, min) = if a > b { (a, b) } else { (b, a) };
    // e^−38 is less than half a unit in the last place of 1.
    if min - max < -38.0 || min == f64::NEG_INFINITY {
        return max;
    }
    max + (min - max).exp().ln_1p()
}

/// The search of one item.
struct Search<'a, S: Scorer> {
    checked: &'a CheckedBatch<'a>,
    beam_options: &'a BeamOptions,
    scorer: &'a S,
    prefixes: Vec<Prefix<S::State>>,
    /// Indices of prefixes without references.
    free: Vec<usize>,
    /// The extension of a prefix by a label.
    extensions: FxHashMap<(usize, u32), usize>,
    /// The serial number of the newest prefix.
    last_serial: u64,
    /// The beam, the best first.
    beam: Vec<Entry>,
    /// The same prefixes one frame later.
    unextended: Vec<Entry>,
    /// Extensions that are in the beam already: the rank of the shorter prefix, and the label.
    in_beam: Vec<(usize, u32)>,
}

impl<'a, S: Scorer> Search<'a, S> {
    fn new(checked: &'a CheckedBatch<'a>, beam_options: &'a BeamOptions, scorer: &'a S) -> Self {
        let empty = Prefix {
            extends: None,
            state: scorer.start(),
            scorer_score: 0.0,
            serial: 0,
            rank: 0,
            references: 1,
        };
        Self {
            checked,
            beam_options,
            scorer,
            prefixes: vec![empty],
            free: Vec::new(),
            extensions: FxHashMap::default(),
            last_serial: 0,
            beam: vec![Entry {
                prefix: 0,
                blank: 0.0,
                label: f64::NEG_INFINITY,
                all: 0.0,
            }],
            unextended: Vec::new(),
            in_beam: Vec::new(),
        }
    }

    /// Searches item `n`. Returns `None` if a frame is not a distribution.
    fn run(mut self, n: usize, options: &Options) -> Option<Vec<Hypothesis>> {
        let reader = FrameReader::new(options.input);
        let mut log_probs = Vec::with_capacity(self.checked.shape().classes);
        let mut classes = Classes::new(self.checked.blank, self.beam_options);
        let mut best = BestCandidates::new(self.beam_options.width.max(1));
        for t in 0..self.checked.logit_lengths[n] as usize {
            let row = self.checked.row(n, t);
            let frame = reader.read(row)?;
            log_probs.clear();
            log_probs.extend(row.iter().map(|value| frame.log_prob(*value)));
            self.step(&log_probs, &mut classes, &mut best);
        }
        let scored = self.beam.iter().map(|entry| {
            let Prefix {
                state,
                scorer_score,
                serial,
                ..
            } = &self.prefixes[entry.prefix];
            (
                entry.all + scorer_score + self.scorer.finish(state),
                *serial,
                entry,
            )
        });
        let mut scored: Vec<_> = scored.filter(|(s, ..)| *s > f64::NEG_INFINITY).collect();
        scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        scored.truncate(self.beam_options.top);
        let hypotheses = scored.into_iter().map(|(score, _, entry)| Hypothesis {
            labels: self.labels(entry.prefix),
            log_prob: entry.all,
            score,
        });
        Some(hypotheses.collect())
    }

    /// Advances the search by one frame of log-probabilities.
    fn step(&mut self, frame: &[f64], classes: &mut Classes, best: &mut BestCandidates) {
        classes.limit(frame);
        self.add_unextended(frame, classes, best);
        let Some(first) = self.beam.first() else {
            return;
        };
        // The score of an extension is at most the score of the best prefix, plus ln p of the
        // class, plus the scorer's bound. The margin covers rounding.
        let threshold = best.threshold() - self.scorer.max_score();
        let score = first.all + self.prefixes[first.prefix].scorer_score;
        classes.collect_above(frame, threshold - score - 1e-9 * threshold.abs().max(1.0));
        self.add_extended(frame, classes, best);
        self.select_beam(frame, best);
    }

    /// Adds the prefixes of the beam, unchanged, to the candidates. A path of such a prefix
    /// continues with a blank, or repeats the last label. If the prefix without the last label is
    /// in the beam too, the last label also extends the paths of that shorter prefix.
    fn add_unextended(&mut self, frame: &[f64], classes: &Classes, best: &mut BestCandidates) {
        self.unextended.clear();
        self.in_beam.clear();
        for (rank, entry) in self.beam.iter().enumerate() {
            let Prefix {
                extends,
                scorer_score,
                serial,
                ..
            } = self.prefixes[entry.prefix];
            let mut now = Entry {
                prefix: entry.prefix,
                blank: entry.all + frame[self.checked.blank],
                label: f64::NEG_INFINITY,
                all: 0.0,
            };
            if let Some((shorter, label)) = extends {
                let p = frame[label as usize];
                now.label = entry.label + p;
                let rank = self.prefixes[shorter].rank;
                let entry = self.beam.get(rank).filter(|entry| entry.prefix == shorter);
                if let Some(entry) = entry.filter(|_| classes.allows(label as usize, p)) {
                    now.label = add(now.label, self.extendable(entry, label) + p);
                    self.in_beam.push((rank, label));
                }
            }
            now.all = add(now.blank, now.label);
            self.unextended.push(now);
            best.push(Candidate {
                score: now.all + scorer_score,
                order: serial,
                rank,
                label: None,
            });
        }
        self.in_beam.sort_unstable();
    }

    /// Returns ln of the probability of the paths of an entry that this label extends. It does not
    /// extend those that end in the same label, because it would repeat it.
    fn extendable(&self, entry: &Entry, label: u32) -> f64 {
        match self.prefixes[entry.prefix].extends {
            Some((_, last)) if last == label => entry.blank,
            _ => entry.all,
        }
    }

    /// Adds the prefixes of the beam, extended by one label, to the candidates, except the
    /// extensions that are in the beam already.
    fn add_extended(&self, frame: &[f64], classes: &mut Classes, best: &mut BestCandidates) {
        let max_score = self.scorer.max_score();
        let mut in_beam = &self.in_beam[..];
        for (rank, entry) in self.beam.iter().enumerate() {
            let Prefix {
                state,
                scorer_score,
                ..
            } = &self.prefixes[entry.prefix];
            let count = in_beam.partition_point(|(shorter, _)| *shorter <= rank);
            let (of_this, rest) = in_beam.split_at(count);
            in_beam = rest;
            for nth in 0.. {
                let Some((p, label)) = classes.nth_most_probable(nth) else {
                    break;
                };
                // All further classes score less.
                if entry.all + p + (scorer_score + max_score) < best.threshold() {
                    break;
                }
                if of_this.contains(&(rank, label)) {
                    continue;
                }
                let (_, label_score) = self.scorer.extend(state, label);
                best.push(Candidate {
                    score: self.extendable(entry, label) + p + (scorer_score + label_score),
                    // Larger than the serial number of any existing prefix.
                    order: self.last_serial + 1 + (rank * frame.len()) as u64 + u64::from(label),
                    rank,
                    label: Some(label),
                });
            }
        }
    }

    /// Replaces the beam by the best candidates, and creates the prefixes that are new.
    fn select_beam(&mut self, frame: &[f64], best: &mut BestCandidates) {
        let candidates = best.take();
        let before = std::mem::take(&mut self.beam);
        let entries = candidates.iter().map(|candidate| match candidate.label {
            None => self.unextended[candidate.rank],
            Some(label) => {
                let shorter = &before[candidate.rank];
                let log_prob = self.extendable(shorter, label) + frame[label as usize];
                Entry {
                    blank: f64::NEG_INFINITY,
                    label: log_prob,
                    all: log_prob,
                    ..*shorter
                }
            }
        });
        self.beam = entries.collect();
        // New prefixes get serial numbers in the order in which they were found.
        let mut new: Vec<_> = (candidates.iter().enumerate())
            .filter_map(|(rank, candidate)| Some((candidate.order, rank, candidate.label?)))
            .collect();
        new.sort_unstable();
        for (_, rank, label) in new {
            self.beam[rank].prefix = self.extension(self.beam[rank].prefix, label);
        }
        for (rank, entry) in self.beam.iter().enumerate() {
            let prefix = &mut self.prefixes[entry.prefix];
            prefix.rank = rank;
            prefix.references += 1;
        }
        for entry in before {
            self.release(entry.prefix);
        }
    }

    /// Returns the extension of a prefix by a label. It exists already if a prefix in the beam
    /// extends it.
    fn extension(&mut self, shorter: usize, label: u32) -> usize {
        if let Some(found) = self.extensions.get(&(shorter, label)) {
            return *found;
        }
        let Prefix {
            state,
            scorer_score,
            ..
        } = &self.prefixes[shorter];
        let (state, label_score) = self.scorer.extend(state, label);
        self.last_serial += 1;
        let longer = Prefix {
            extends: Some((shorter, label)),
            state,
            scorer_score: scorer_score + label_score,
            serial: self.last_serial,
            rank: 0,
            references: 0,
        };
        self.prefixes[shorter].references += 1;
        let index = match self.free.pop() {
            Some(index) => {
                self.prefixes[index] = longer;
                index
            }
            None => {
                self.prefixes.push(longer);
                self.prefixes.len() - 1
            }
        };
        self.extensions.insert((shorter, label), index);
        index
    }

    /// Releases one reference to a prefix. Without references it is freed, which releases the
    /// shorter prefix.
    fn release(&mut self, mut prefix: usize) {
        loop {
            self.prefixes[prefix].references -= 1;
            match self.prefixes[prefix] {
                Prefix {
                    references: 0,
                    extends: Some((shorter, label)),
                    ..
                } => {
                    self.extensions.remove(&(shorter, label));
                    self.free.push(prefix);
                    prefix = shorter;
                }
                _ => return,
            }
        }
    }

    /// Returns the labels of a prefix.
    fn labels(&self, prefix: usize) -> Vec<u32> {
        let mut labels = Vec::new();
        let mut extends = self.prefixes[prefix].extends;
        while let Some((shorter, label)) = extends {
            labels.push(label);
            extends = self.prefixes[shorter].extends;
        }
        labels.reverse();
        labels
    }
}
