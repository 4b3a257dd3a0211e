//! The likeliest labels, over all their paths: prefix beam search.

use std::collections::HashMap;

use rayon::prelude::*;

use super::frame::Reader;
use super::unlabelled;
use crate::error::Error;
use crate::options::{Options, Status};
use crate::problem::{Batch, Problem};

mod best;
mod classes;

use best::{Best, Found};
use classes::Classes;

/// How wide to search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BeamOptions {
    /// Prefixes kept after each frame; at least 1 is.
    pub width: usize,
    /// Candidates returned, the best first; no more than `width`.
    pub top: usize,
    /// Classes by which prefixes may grow at a frame: so many of the likeliest.
    pub classes: usize,
    /// And none whose probability there is below this.
    pub least_probability: f64,
}

impl Default for BeamOptions {
    /// Width 16, the best candidate, and all classes.
    fn default() -> Self {
        Self {
            width: 16,
            top: 1,
            classes: usize::MAX,
            least_probability: 0.0,
        }
    }
}

/// Labels that a network may have read.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Candidate {
    /// Their classes.
    pub labels: Vec<u32>,
    /// −ln p(labels), in nats, over the paths that the beam kept: at least the loss of these labels, and equal to it where nothing
    /// was cut off.
    pub loss: f64,
    /// What the candidates are ordered by: −`loss` and what the scorer added.
    pub score: f64,
}

/// Knowledge of what labels are likely, beside the network's: a language model, a lexicon.
///
/// Numbers are added to natural logarithms: weight them inside. −∞ forbids. `examples/ngram.rs` has one that knows which characters follow
/// which.
pub trait Scorer: Sync {
    /// What it knows of a prefix.
    type State: Clone + Send;

    /// Of the empty prefix.
    fn start(&self) -> Self::State;

    /// Of a prefix with one more label, and what that adds to its score.
    fn grow(&self, state: &Self::State, label: u32) -> (Self::State, f64);

    /// What is added where a prefix is all that was read.
    fn end(&self, state: &Self::State) -> f64;

    /// No less than [`grow`](Self::grow) ever adds. With it the search asks only about labels that can come into the beam; by default
    /// nothing is known, and all are asked about.
    fn most(&self) -> f64 {
        f64::INFINITY
    }
}

/// Knows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoScorer;

impl Scorer for NoScorer {
    type State = ();

    fn start(&self) {}

    fn grow(&self, (): &(), _label: u32) -> ((), f64) {
        ((), 0.0)
    }

    fn end(&self, (): &()) -> f64 {
        0.0
    }

    fn most(&self) -> f64 {
        0.0
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
/// let found = beam(&Batch::new([1, 2, 2], &logits), &Options::default(), &BeamOptions { top: 2, ..BeamOptions::default() })?;
/// let candidates = found[0].as_ref().expect("numbers");
/// assert_eq!(candidates[0].labels, [1]);
/// assert!((candidates[0].loss + 0.64_f64.ln()).abs() < 1e-6);
/// assert!(candidates[1].labels.is_empty());
/// # Ok::<(), ctc_wgpu::Error>(())
/// ```
///
/// # Errors
/// [`Error::Input`] for a batch that breaks a rule; its labels are not looked at. An item with a frame of NaN, +∞ or nothing possible is
/// `Err(Status::NotFinite)` by itself.
pub fn beam(
    batch: &Batch<'_>,
    options: &Options,
    beam: &BeamOptions,
) -> Result<Vec<Result<Vec<Candidate>, Status>>, Error> {
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
) -> Result<Vec<Result<Vec<Candidate>, Status>>, Error> {
    let none = vec![0; batch.items()];
    let problem = unlabelled(batch, &none, options)?;
    let items = (0..problem.shape().items).into_par_iter();
    Ok(items
        .map(|n| Search::new(&problem, beam, scorer).run(n, options))
        .collect())
}

/// A prefix that was in the beam after some frame.
struct Prefix<T> {
    /// The prefix with one label less, and that label; none for the empty one.
    grown: Option<(usize, u32)>,
    state: T,
    /// What the scorer has added.
    added: f64,
    /// Its place in the beam, if it is the one that stands there.
    rank: usize,
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
    // e^−38 is below half of the last bit of 1. (Two infinities are no less than that.)
    if least - most < -38.0 || least == f64::NEG_INFINITY {
        return most;
    }
    most + (least - most).exp().ln_1p()
}

/// The search of one item.
struct Search<'a, S: Scorer> {
    problem: &'a Problem<'a>,
    beam: &'a BeamOptions,
    scorer: &'a S,
    prefixes: Vec<Prefix<S::State>>,
    /// The prefix with one label more.
    grown: HashMap<(usize, u32), usize>,
    /// The beam, the best first.
    kept: Vec<Kept>,
}

impl<'a, S: Scorer> Search<'a, S> {
    fn new(problem: &'a Problem<'a>, beam: &'a BeamOptions, scorer: &'a S) -> Self {
        let empty = Prefix {
            grown: None,
            state: scorer.start(),
            added: 0.0,
            rank: 0,
        };
        Self {
            problem,
            beam,
            scorer,
            prefixes: vec![empty],
            grown: HashMap::new(),
            kept: vec![Kept {
                prefix: 0,
                blank: 0.0,
                label: f64::NEG_INFINITY,
                both: 0.0,
            }],
        }
    }

    fn run(mut self, n: usize, options: &Options) -> Result<Vec<Candidate>, Status> {
        let reader = Reader::new(options.input);
        let mut log_probs = Vec::with_capacity(self.problem.shape().classes);
        let mut classes = Classes::new(self.problem.blank, self.beam);
        let mut best = Best::new(self.beam.width.max(1));
        for t in 0..self.problem.logit_lengths[n] as usize {
            let row = self.problem.row(n, t);
            let frame = reader.read(row).ok_or(Status::NotFinite)?;
            log_probs.clear();
            log_probs.extend(row.iter().map(|value| frame.log_prob(*value)));
            self.step(&log_probs, &mut classes, &mut best);
        }
        let mut candidates: Vec<_> = self.kept.iter().map(|kept| self.candidate(kept)).collect();
        candidates.retain(|(candidate, _)| candidate.score > f64::NEG_INFINITY);
        candidates.sort_by(|a, b| b.0.score.total_cmp(&a.0.score).then(a.1.cmp(&b.1)));
        candidates.truncate(self.beam.top);
        Ok(candidates.into_iter().map(|(found, _)| found).collect())
    }

    /// One frame, of which these are the classes' logarithms.
    fn step(&mut self, frame: &[f64], classes: &mut Classes, best: &mut Best) {
        classes.limit(frame);
        let regrown = self.stay(frame, classes, best);
        // No label is added to a better prefix than the first, and the scorer adds no more than its most. Rounding may take some of it.
        let Some(first) = self.kept.first() else {
            return;
        };
        let to_beat = best.to_beat() - self.scorer.most();
        let score = first.both + self.prefixes[first.prefix].added;
        classes.above(frame, to_beat - score - 1e-9 * to_beat.abs().max(1.0));
        self.grow(frame, classes, best, &regrown);
        self.keep(best);
    }

    /// The prefixes of the beam as they are: after a blank, after their last label once more, and as what shorter ones in the beam
    /// grow to. Those are returned: the shorter one's place, and the label.
    fn stay(&self, frame: &[f64], classes: &Classes, best: &mut Best) -> Vec<(usize, u32)> {
        let mut regrown = Vec::new();
        for kept in &self.kept {
            let Prefix { grown, added, .. } = self.prefixes[kept.prefix];
            let mut now = Kept {
                blank: kept.both + frame[self.problem.blank],
                label: f64::NEG_INFINITY,
                ..*kept
            };
            if let Some((shorter, label)) = grown {
                let p = frame[label as usize];
                now.label = kept.label + p;
                let rank = self.prefixes[shorter].rank;
                let there = self.kept.get(rank).filter(|kept| kept.prefix == shorter);
                if let Some(shorter) = there.filter(|_| classes.may(label as usize, p)) {
                    now.label = add(now.label, self.before(shorter, label) + p);
                    regrown.push((rank, label));
                }
            }
            now.both = add(now.blank, now.label);
            best.push(Found {
                score: now.both + added,
                order: kept.prefix,
                kept: now,
                by: None,
            });
        }
        regrown
    }

    /// What a prefix has that may grow by a label: the same label again is another one only after a blank.
    fn before(&self, kept: &Kept, label: u32) -> f64 {
        match self.prefixes[kept.prefix].grown {
            Some((_, last)) if last == label => kept.blank,
            _ => kept.both,
        }
    }

    /// The prefixes of the beam with one label more.
    fn grow(
        &self,
        frame: &[f64],
        classes: &mut Classes,
        best: &mut Best,
        regrown: &[(usize, u32)],
    ) {
        let most = self.scorer.most();
        for (rank, kept) in self.kept.iter().enumerate() {
            let Prefix { state, added, .. } = &self.prefixes[kept.prefix];
            for nth in 0.. {
                let Some((p, label)) = classes.nth_likely(nth) else {
                    break;
                };
                // From here on all are less.
                if kept.both + p + (added + most) < best.to_beat() {
                    break;
                }
                if regrown.contains(&(rank, label)) {
                    continue;
                }
                let now = self.before(kept, label) + p;
                let (_, more) = self.scorer.grow(state, label);
                best.push(Found {
                    score: now + (added + more),
                    order: self.prefixes.len() + rank * frame.len() + label as usize,
                    kept: Kept {
                        blank: f64::NEG_INFINITY,
                        label: now,
                        both: now,
                        ..*kept
                    },
                    by: Some(label),
                });
            }
        }
    }

    /// The best of what was found is the beam.
    fn keep(&mut self, best: &mut Best) {
        let found = best.take();
        // New prefixes are numbered as they were found.
        let mut new: Vec<_> = (0..found.len())
            .filter(|i| found[*i].by.is_some())
            .collect();
        new.sort_unstable_by_key(|i| found[*i].order);
        self.kept.clear();
        self.kept.extend(found.iter().map(|found| found.kept));
        for rank in new {
            let shorter = self.kept[rank].prefix;
            if let Some(label) = found[rank].by {
                self.kept[rank].prefix = self.longer(shorter, label);
            }
        }
        for (rank, kept) in self.kept.iter().enumerate() {
            self.prefixes[kept.prefix].rank = rank;
        }
    }

    /// The prefix with one label more, which may have been in the beam before.
    fn longer(&mut self, shorter: usize, label: u32) -> usize {
        let next = self.prefixes.len();
        let found = *self.grown.entry((shorter, label)).or_insert(next);
        if found == next {
            let Prefix { state, added, .. } = &self.prefixes[shorter];
            let (state, more) = self.scorer.grow(state, label);
            self.prefixes.push(Prefix {
                grown: Some((shorter, label)),
                state,
                added: added + more,
                rank: 0,
            });
        }
        found
    }

    /// What a prefix reads, and its number.
    fn candidate(&self, kept: &Kept) -> (Candidate, usize) {
        let prefix = &self.prefixes[kept.prefix];
        let mut labels = Vec::new();
        let mut grown = prefix.grown;
        while let Some((shorter, label)) = grown {
            labels.push(label);
            grown = self.prefixes[shorter].grown;
        }
        labels.reverse();
        let candidate = Candidate {
            labels,
            // Not −0, which a certain reading would have.
            loss: 0.0 - kept.both,
            score: kept.both + prefix.added + self.scorer.end(&prefix.state),
        };
        (candidate, kept.prefix)
    }
}
