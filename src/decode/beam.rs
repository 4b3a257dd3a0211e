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

use best::{Best, Found};
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
    pub classes: usize,
    /// The smallest probability, from 0 to 1, of a class that may extend prefixes at a frame.
    pub least_probability: f64,
}

setters!(BeamOptions {
    width: usize,
    top: usize,
    classes: usize,
    least_probability: f64,
});

impl BeamOptions {
    /// Returns the defaults: width 16, the best hypothesis only, and all classes.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            width: 16,
            top: 1,
            classes: usize::MAX,
            least_probability: 0.0,
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
    /// `NotFinite` if a frame contains NaN, +∞, a log-probability above 88 or a negative
    /// probability, or no class of positive probability; otherwise `Ok`.
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
/// `least_probability`. [`Error::Forked`] if a forked process cannot start threads. A frame that is
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
    if !(beam.least_probability >= 0.0 && beam.least_probability <= 1.0) {
        let least = beam.least_probability;
        return Err(InputError::LeastProbability(least).into());
    }
    let none = vec![0; batch.items()];
    let checked = unlabelled(batch, &none, options)?;
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
    /// The prefix without its last label, and that label; `None` for the empty prefix.
    grown: Option<(usize, u32)>,
    state: T,
    /// The sum of the scorer's scores.
    added: f64,
    /// The number of prefixes that were created before.
    age: u64,
    /// Its rank in the beam; valid if the beam's entry of that rank is this prefix.
    rank: usize,
    /// The number of references: its extensions, and the beam.
    needed: usize,
}

/// An entry of the beam: the index of a prefix, and ln of the probability of its paths up to a
/// frame.
#[derive(Clone, Copy)]
struct Kept {
    prefix: usize,
    /// Paths that end in a blank.
    blank: f64,
    /// Paths that end in the last label.
    label: f64,
    /// All paths.
    both: f64,
}

/// Returns ln(eᵃ + eᵇ).
fn add(a: f64, b: f64) -> f64 {
    let (most, least) = if a > b { (a, b) } else { (b, a) };
    // e^−38 is less than half a unit in the last place of 1.
    if least - most < -38.0 || least == f64::NEG_INFINITY {
        return most;
    }
    most + (least - most).exp().ln_1p()
}

/// The search of one item.
struct Search<'a, S: Scorer> {
    checked: &'a CheckedBatch<'a>,
    beam: &'a BeamOptions,
    scorer: &'a S,
    prefixes: Vec<Prefix<S::State>>,
    /// Indices of prefixes without references.
    free: Vec<usize>,
    /// The extension of a prefix by a label.
    extensions: FxHashMap<(usize, u32), usize>,
    age: u64,
    /// The beam, the best first.
    kept: Vec<Kept>,
    /// The same prefixes one frame later.
    stayed: Vec<Kept>,
    /// Extensions that were in the beam already: the rank of the shorter prefix, and the label.
    regrown: Vec<(usize, u32)>,
}

impl<'a, S: Scorer> Search<'a, S> {
    fn new(checked: &'a CheckedBatch<'a>, beam: &'a BeamOptions, scorer: &'a S) -> Self {
        let empty = Prefix {
            grown: None,
            state: scorer.start(),
            added: 0.0,
            age: 0,
            rank: 0,
            needed: 1,
        };
        Self {
            checked,
            beam,
            scorer,
            prefixes: vec![empty],
            free: Vec::new(),
            extensions: FxHashMap::default(),
            age: 0,
            kept: vec![Kept {
                prefix: 0,
                blank: 0.0,
                label: f64::NEG_INFINITY,
                both: 0.0,
            }],
            stayed: Vec::new(),
            regrown: Vec::new(),
        }
    }

    /// Searches item `n`. Returns `None` if a frame is not a distribution.
    fn run(mut self, n: usize, options: &Options) -> Option<Vec<Hypothesis>> {
        let reader = FrameReader::new(options.input);
        let mut log_probs = Vec::with_capacity(self.checked.shape().classes);
        let mut classes = Classes::new(self.checked.blank, self.beam);
        let mut best = Best::new(self.beam.width.max(1));
        for t in 0..self.checked.logit_lengths[n] as usize {
            let row = self.checked.row(n, t);
            let frame = reader.read(row)?;
            log_probs.clear();
            log_probs.extend(row.iter().map(|value| frame.log_prob(*value)));
            self.step(&log_probs, &mut classes, &mut best);
        }
        let scored = self.kept.iter().map(|kept| {
            let Prefix {
                state, added, age, ..
            } = &self.prefixes[kept.prefix];
            (kept.both + added + self.scorer.end(state), *age, kept)
        });
        let mut scored: Vec<_> = scored.filter(|(s, ..)| *s > f64::NEG_INFINITY).collect();
        scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        scored.truncate(self.beam.top);
        let hypotheses = scored.into_iter().map(|(score, _, kept)| Hypothesis {
            labels: self.labels(kept.prefix),
            log_prob: kept.both,
            score,
        });
        Some(hypotheses.collect())
    }

    /// Advances the search by one frame of log-probabilities.
    fn step(&mut self, frame: &[f64], classes: &mut Classes, best: &mut Best) {
        classes.limit(frame);
        self.stay(frame, classes, best);
        let Some(first) = self.kept.first() else {
            return;
        };
        // The score of an extension is at most the score of the best prefix, plus ln p of the
        // class, plus the scorer's bound. The margin covers rounding.
        let to_beat = best.to_beat() - self.scorer.most();
        let score = first.both + self.prefixes[first.prefix].added;
        classes.above(frame, to_beat - score - 1e-9 * to_beat.abs().max(1.0));
        self.grow(frame, classes, best);
        self.keep(frame, best);
    }

    /// Adds the prefixes of the beam, unchanged, to the candidates. Their paths continue with a
    /// blank or with the last label again, or extend a path of the prefix without its last label,
    /// if that is in the beam.
    fn stay(&mut self, frame: &[f64], classes: &Classes, best: &mut Best) {
        self.stayed.clear();
        self.regrown.clear();
        for (rank, kept) in self.kept.iter().enumerate() {
            let Prefix {
                grown, added, age, ..
            } = self.prefixes[kept.prefix];
            let mut now = Kept {
                prefix: kept.prefix,
                blank: kept.both + frame[self.checked.blank],
                label: f64::NEG_INFINITY,
                both: 0.0,
            };
            if let Some((shorter, label)) = grown {
                let p = frame[label as usize];
                now.label = kept.label + p;
                let place = self.prefixes[shorter].rank;
                let there = self.kept.get(place).filter(|kept| kept.prefix == shorter);
                if let Some(shorter) = there.filter(|_| classes.may(label as usize, p)) {
                    now.label = add(now.label, self.before(shorter, label) + p);
                    self.regrown.push((place, label));
                }
            }
            now.both = add(now.blank, now.label);
            self.stayed.push(now);
            best.push(Found {
                score: now.both + added,
                order: age,
                rank,
                by: None,
            });
        }
        self.regrown.sort_unstable();
    }

    /// Returns ln of the probability of the paths that a label extends. A repeated label is a new
    /// one only after a blank.
    fn before(&self, kept: &Kept, label: u32) -> f64 {
        match self.prefixes[kept.prefix].grown {
            Some((_, last)) if last == label => kept.blank,
            _ => kept.both,
        }
    }

    /// Adds the prefixes of the beam, extended by one label, to the candidates.
    fn grow(&self, frame: &[f64], classes: &mut Classes, best: &mut Best) {
        let most = self.scorer.most();
        let mut regrown = &self.regrown[..];
        for (rank, kept) in self.kept.iter().enumerate() {
            let Prefix { state, added, .. } = &self.prefixes[kept.prefix];
            let these = regrown.partition_point(|(place, _)| *place <= rank);
            let (there, rest) = regrown.split_at(these);
            regrown = rest;
            for nth in 0.. {
                let Some((p, label)) = classes.nth_likely(nth) else {
                    break;
                };
                // All further classes score less.
                if kept.both + p + (added + most) < best.to_beat() {
                    break;
                }
                if there.contains(&(rank, label)) {
                    continue;
                }
                let (_, more) = self.scorer.grow(state, label);
                best.push(Found {
                    score: self.before(kept, label) + p + (added + more),
                    // Larger than the age of any existing prefix.
                    order: self.age + 1 + (rank * frame.len()) as u64 + u64::from(label),
                    rank,
                    by: Some(label),
                });
            }
        }
    }

    /// Replaces the beam by the best candidates, and creates the prefixes that are new.
    fn keep(&mut self, frame: &[f64], best: &mut Best) {
        let found = best.take();
        let before = std::mem::take(&mut self.kept);
        let kept = found.iter().map(|found| match found.by {
            None => self.stayed[found.rank],
            Some(label) => {
                let shorter = &before[found.rank];
                let now = self.before(shorter, label) + frame[label as usize];
                Kept {
                    blank: f64::NEG_INFINITY,
                    label: now,
                    both: now,
                    ..*shorter
                }
            }
        });
        self.kept = kept.collect();
        // New prefixes get ages in the order in which they were found.
        let mut new: Vec<_> = (found.iter().enumerate())
            .filter_map(|(rank, found)| Some((found.order, rank, found.by?)))
            .collect();
        new.sort_unstable();
        for (_, rank, label) in new {
            self.kept[rank].prefix = self.longer(self.kept[rank].prefix, label);
        }
        for (rank, kept) in self.kept.iter().enumerate() {
            let prefix = &mut self.prefixes[kept.prefix];
            prefix.rank = rank;
            prefix.needed += 1;
        }
        for kept in before {
            self.release(kept.prefix);
        }
    }

    /// Returns the extension of a prefix by a label. It exists already if a prefix in the beam
    /// extends it.
    fn longer(&mut self, shorter: usize, label: u32) -> usize {
        if let Some(found) = self.extensions.get(&(shorter, label)) {
            return *found;
        }
        let Prefix { state, added, .. } = &self.prefixes[shorter];
        let (state, more) = self.scorer.grow(state, label);
        self.age += 1;
        let longer = Prefix {
            grown: Some((shorter, label)),
            state,
            added: added + more,
            age: self.age,
            rank: 0,
            needed: 0,
        };
        self.prefixes[shorter].needed += 1;
        let place = match self.free.pop() {
            Some(place) => {
                self.prefixes[place] = longer;
                place
            }
            None => {
                self.prefixes.push(longer);
                self.prefixes.len() - 1
            }
        };
        self.extensions.insert((shorter, label), place);
        place
    }

    /// Releases one reference to a prefix. Without references it is freed, which releases the
    /// shorter prefix.
    fn release(&mut self, mut prefix: usize) {
        loop {
            self.prefixes[prefix].needed -= 1;
            match self.prefixes[prefix] {
                Prefix {
                    needed: 0,
                    grown: Some((shorter, label)),
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
        let mut grown = self.prefixes[prefix].grown;
        while let Some((shorter, label)) = grown {
            labels.push(label);
            grown = self.prefixes[shorter].grown;
        }
        labels.reverse();
        labels
    }
}
