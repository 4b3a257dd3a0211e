//! The likeliest labels, over all their paths: prefix beam search.

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::frame::Reader;
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

/// How wide to search.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct BeamOptions {
    /// Prefixes kept after each frame; at least 1 is.
    pub width: usize,
    /// Candidates returned, the best first; no more than `width`.
    pub top: usize,
    /// Classes by which prefixes may grow at a frame: so many of the likeliest.
    pub classes: usize,
    /// And none whose probability there is below this, from 0 to 1.
    pub least_probability: f64,
}

setters!(BeamOptions {
    width: usize,
    top: usize,
    classes: usize,
    least_probability: f64,
});

impl BeamOptions {
    /// Width 16, the best hypothesis only, and all classes.
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
    /// As [`new`](Self::new).
    fn default() -> Self {
        Self::new()
    }
}

/// Labels that a network may have read.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Hypothesis {
    /// Their classes.
    pub labels: Vec<u32>,
    /// ln p(labels), in nats, summed over the paths that the beam kept: at most −loss of these
    /// labels, and equal to it if the beam dropped nothing.
    pub log_prob: f64,
    /// The key by which hypotheses are ordered: `log_prob` plus what the scorer added.
    pub score: f64,
}

/// The result of a beam search for one item.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BeamResult {
    /// The hypotheses, the best first; empty unless the status is `Ok`.
    pub hypotheses: Vec<Hypothesis>,
    /// `NotFinite` if a frame has NaN, +∞ or no class of positive probability.
    pub status: Status,
}

impl From<Option<Vec<Hypothesis>>> for BeamResult {
    fn from(found: Option<Vec<Hypothesis>>) -> Self {
        let status = found.as_ref().map_or(Status::NotFinite, |_| Status::Ok);
        let hypotheses = found.unwrap_or_default();
        Self { hypotheses, status }
    }
}

/// Searches each item for its likeliest labels (A. Graves, N. Jaitly, *Towards end-to-end speech recognition with recurrent neural
/// networks*, ICML 2014, algorithm 1; A. Hannun et al., 2014). Equal neighbouring outputs are one label.
///
/// Of prefixes equally likely the one is kept that was found first: by the shorter prefix, then by the lower class.
///
/// ```
/// use ctc_wgpu::{Batch, Options, decode::{BeamOptions, beam}};
/// // Two frames over {blank, a}: each is blank with 0.6, so the likeliest path is blank twice, of 0.36; but "a" has 0.64.
/// let logits = [0.6_f32.ln(), 0.4_f32.ln(), 0.6_f32.ln(), 0.4_f32.ln()];
/// let found = beam(&Batch::new([1, 2, 2], &logits), &Options::default(), &BeamOptions::default().top(2))?;
/// let hypotheses = &found[0].hypotheses;
/// assert_eq!(hypotheses[0].labels, [1]);
/// assert!((hypotheses[0].log_prob - 0.64_f64.ln()).abs() < 1e-6);
/// assert!(hypotheses[1].labels.is_empty());
/// # Ok::<(), ctc_wgpu::Error>(())
/// ```
///
/// # Errors
/// [`Error::Input`] for a batch that breaks a rule; its labels are not looked at. A frame of NaN, +∞ or nothing possible
/// affects only its item, whose status is `NotFinite`.
pub fn beam(
    batch: &Batch<'_>,
    options: &Options,
    beam: &BeamOptions,
) -> Result<Vec<BeamResult>, Error> {
    beam_with(batch, options, beam, &NoScorer)
}

/// [`beam`] with a scorer.
///
/// # Errors
/// As [`beam`].
pub fn beam_with<S: Scorer>(
    batch: &Batch<'_>,
    options: &Options,
    beam: &BeamOptions,
    scorer: &S,
) -> Result<Vec<BeamResult>, Error> {
    // Not `contains`, so that NaN is refused by the same comparison.
    if !(beam.least_probability >= 0.0 && beam.least_probability <= 1.0) {
        let least = beam.least_probability;
        return Err(InputError::LeastProbability(least).into());
    }
    let none = vec![0; batch.items()];
    let checked = unlabelled(batch, &none, options)?;
    let items = (0..checked.shape().items).into_par_iter();
    on_threads(|| {
        let hypotheses = |n| Search::new(&checked, beam, scorer).run(n, options);
        items.map(|n| BeamResult::from(hypotheses(n))).collect()
    })
}

/// A prefix that is in the beam, or that one in the beam has grown from.
struct Prefix<T> {
    /// The prefix with one label less, and that label; none for the empty one.
    grown: Option<(usize, u32)>,
    state: T,
    /// What the scorer has added.
    added: f64,
    /// How many prefixes there were before.
    age: u64,
    /// Its place in the beam, if it is the one that stands there.
    rank: usize,
    /// By how many it is needed: those grown from it, and the beam.
    needed: usize,
}

/// A prefix in the beam, and the logarithms of the probability of its paths up to a frame.
#[derive(Clone, Copy)]
struct Kept {
    prefix: usize,
    /// Paths that end in a blank, those that end in the last label, and both.
    blank: f64,
    label: f64,
    both: f64,
}

/// ln(eᵃ + eᵇ)
fn add(a: f64, b: f64) -> f64 {
    let (most, least) = if a > b { (a, b) } else { (b, a) };
    // e^−38 is below half of the last bit of 1.
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
    /// Those of them that nothing needs any more.
    free: Vec<usize>,
    /// The prefix with one label more.
    grown: FxHashMap<(usize, u32), usize>,
    age: u64,
    /// The beam, the best first.
    kept: Vec<Kept>,
    /// The same prefixes one frame later.
    stayed: Vec<Kept>,
    /// Which of them a shorter one in the beam has grown to in that frame: that one's place, and the label.
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
            grown: FxHashMap::default(),
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

    fn run(mut self, n: usize, options: &Options) -> Option<Vec<Hypothesis>> {
        let reader = Reader::new(options.input);
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
        let candidates = scored.into_iter().map(|(score, _, kept)| Hypothesis {
            labels: self.labels(kept.prefix),
            log_prob: kept.both,
            score,
        });
        Some(candidates.collect())
    }

    /// One frame, of which these are the classes' logarithms.
    fn step(&mut self, frame: &[f64], classes: &mut Classes, best: &mut Best) {
        classes.limit(frame);
        self.stay(frame, classes, best);
        let Some(first) = self.kept.first() else {
            return;
        };
        // No label is added to a better prefix than the first, and the scorer adds no more than its most. Rounding may take some of it.
        let to_beat = best.to_beat() - self.scorer.most();
        let score = first.both + self.prefixes[first.prefix].added;
        classes.above(frame, to_beat - score - 1e-9 * to_beat.abs().max(1.0));
        self.grow(frame, classes, best);
        self.keep(frame, best);
    }

    /// The prefixes of the beam as they are: after a blank, after their last label once more, and as what shorter ones in the beam
    /// grow to.
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

    /// What a prefix has that may grow by a label: the same label again is another one only after a blank.
    fn before(&self, kept: &Kept, label: u32) -> f64 {
        match self.prefixes[kept.prefix].grown {
            Some((_, last)) if last == label => kept.blank,
            _ => kept.both,
        }
    }

    /// The prefixes of the beam with one label more.
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
                // From here on all are less.
                if kept.both + p + (added + most) < best.to_beat() {
                    break;
                }
                if there.contains(&(rank, label)) {
                    continue;
                }
                let (_, more) = self.scorer.grow(state, label);
                best.push(Found {
                    score: self.before(kept, label) + p + (added + more),
                    // After all that there are.
                    order: self.age + 1 + (rank * frame.len()) as u64 + u64::from(label),
                    rank,
                    by: Some(label),
                });
            }
        }
    }

    /// The best of what was found is the beam.
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
        // New ones are of an age in the order in which they were found.
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

    /// The prefix with one label more, which there may be already: others in the beam have grown from it.
    fn longer(&mut self, shorter: usize, label: u32) -> usize {
        if let Some(found) = self.grown.get(&(shorter, label)) {
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
        self.grown.insert((shorter, label), place);
        place
    }

    /// A prefix is needed by one less; if by none, it goes, and needs the shorter one no more.
    fn release(&mut self, mut prefix: usize) {
        loop {
            self.prefixes[prefix].needed -= 1;
            match self.prefixes[prefix] {
                Prefix {
                    needed: 0,
                    grown: Some((shorter, label)),
                    ..
                } => {
                    self.grown.remove(&(shorter, label));
                    self.free.push(prefix);
                    prefix = shorter;
                }
                _ => return,
            }
        }
    }

    /// What a prefix reads.
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
