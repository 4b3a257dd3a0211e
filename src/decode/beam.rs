//! The likeliest labels, over all their paths: prefix beam search.

use std::collections::HashMap;

use rayon::prelude::*;

use super::{log_probs, unlabelled};
use crate::error::Error;
use crate::options::{Options, Status};
use crate::problem::{Batch, Problem};

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

/// A prefix, and the logarithms of the probability of its paths up to a frame.
struct Prefix<T> {
    /// The prefix with one label less, and that label; none for the empty one.
    grown: Option<(usize, u32)>,
    state: T,
    /// What the scorer has added.
    added: f64,
    /// Paths that end in a blank, and those that end in the last label, up to the frame before.
    before: Ends,
    /// Up to this frame, if it has been reached in it.
    now: Ends,
    /// The frame, counted from 1, that `now` is of.
    frame: usize,
}

#[derive(Clone, Copy)]
struct Ends {
    blank: f64,
    label: f64,
}

const NONE: Ends = Ends {
    blank: f64::NEG_INFINITY,
    label: f64::NEG_INFINITY,
};

impl Ends {
    fn sum(self) -> f64 {
        add(self.blank, self.label)
    }
}

/// ln(eᵃ + eᵇ)
fn add(a: f64, b: f64) -> f64 {
    let (most, least) = if a > b { (a, b) } else { (b, a) };
    if least == f64::NEG_INFINITY {
        return most;
    }
    most + (least - most).exp().ln_1p()
}

/// The search of one item.
struct Search<'a, S: Scorer> {
    problem: &'a Problem<'a>,
    beam: &'a BeamOptions,
    scorer: &'a S,
    /// Those that were kept after a frame, and those reached in this one.
    prefixes: Vec<Prefix<S::State>>,
    grown: HashMap<(usize, u32), usize>,
    /// Those reached in this frame.
    reached: Vec<usize>,
    frame: usize,
}

impl<'a, S: Scorer> Search<'a, S> {
    fn new(problem: &'a Problem<'a>, beam: &'a BeamOptions, scorer: &'a S) -> Self {
        let empty = Prefix {
            grown: None,
            state: scorer.start(),
            added: 0.0,
            before: NONE,
            now: Ends { blank: 0.0, ..NONE },
            frame: 0,
        };
        Self {
            problem,
            beam,
            scorer,
            prefixes: vec![empty],
            grown: HashMap::new(),
            reached: Vec::new(),
            frame: 0,
        }
    }

    fn run(mut self, n: usize, options: &Options) -> Result<Vec<Candidate>, Status> {
        let mut frame = Vec::with_capacity(self.problem.shape().classes);
        let mut classes = Vec::new();
        let mut kept = vec![0];
        for t in 0..self.problem.logit_lengths[n] as usize {
            if !log_probs(self.problem.row(n, t), options.input, &mut frame) {
                return Err(Status::NotFinite);
            }
            self.likely(&frame, &mut classes);
            let known = self.prefixes.len();
            self.step(&frame, &classes, &kept);
            kept = std::mem::take(&mut self.reached);
            self.keep_best(&mut kept, |prefix| prefix.now.sum() + prefix.added);
            self.forget(known, &mut kept);
        }
        let scorer = self.scorer;
        let top = self.beam.top;
        self.keep_best(&mut kept, |prefix| {
            prefix.now.sum() + prefix.added + scorer.end(&prefix.state)
        });
        kept.truncate(top);
        Ok(kept.into_iter().map(|at| self.candidate(at)).collect())
    }

    /// The classes by which prefixes may grow in this frame, in order.
    fn likely(&self, frame: &[f64], classes: &mut Vec<usize>) {
        classes.clear();
        let least = self.beam.least_probability.ln();
        let may = |class: &usize| {
            *class != self.problem.blank
                && frame[*class] >= least
                && frame[*class] > f64::NEG_INFINITY
        };
        classes.extend((0..frame.len()).filter(may));
        if classes.len() > self.beam.classes {
            classes.sort_by(|a, b| frame[*b].total_cmp(&frame[*a]).then(a.cmp(b)));
            classes.truncate(self.beam.classes);
            classes.sort_unstable();
        }
    }

    fn step(&mut self, frame: &[f64], classes: &[usize], kept: &[usize]) {
        self.frame += 1;
        for &at in kept {
            self.prefixes[at].before = self.prefixes[at].now;
        }
        for &at in kept {
            let Prefix { before, grown, .. } = self.prefixes[at];
            // The prefix stays: by a blank, or by its last label once more.
            let stays = Ends {
                blank: before.sum() + frame[self.problem.blank],
                label: match grown {
                    Some((_, label)) => before.label + frame[label as usize],
                    None => f64::NEG_INFINITY,
                },
            };
            self.reach(at, stays);
            for &class in classes {
                let label = u32::try_from(class).unwrap_or(u32::MAX);
                // The same label again is another one only after a blank.
                let again = grown.is_some_and(|(_, last)| last == label);
                let from = if again { before.blank } else { before.sum() };
                if from > f64::NEG_INFINITY {
                    let longer = self.longer(at, label);
                    let grows = Ends {
                        label: from + frame[class],
                        ..NONE
                    };
                    self.reach(longer, grows);
                }
            }
        }
    }

    /// Adds paths to what a prefix has in this frame.
    fn reach(&mut self, at: usize, paths: Ends) {
        let prefix = &mut self.prefixes[at];
        if prefix.frame != self.frame {
            prefix.frame = self.frame;
            prefix.now = NONE;
            self.reached.push(at);
        }
        prefix.now.blank = add(prefix.now.blank, paths.blank);
        prefix.now.label = add(prefix.now.label, paths.label);
    }

    /// The prefix with one label more.
    fn longer(&mut self, at: usize, label: u32) -> usize {
        let next = self.prefixes.len();
        let found = *self.grown.entry((at, label)).or_insert(next);
        if found == next {
            let (state, added) = self.scorer.grow(&self.prefixes[at].state, label);
            self.prefixes.push(Prefix {
                grown: Some((at, label)),
                state,
                added: self.prefixes[at].added + added,
                before: NONE,
                now: NONE,
                frame: 0,
            });
        }
        found
    }

    /// Drops the prefixes from `known` on that are not kept: a frame makes as many as there are classes to each. Nothing has grown
    /// from them yet.
    fn forget(&mut self, known: usize, kept: &mut [usize]) {
        let mut places: Vec<_> = (0..kept.len()).filter(|i| kept[*i] >= known).collect();
        places.sort_unstable_by_key(|i| kept[*i]);
        for (at, place) in (known..).zip(&places) {
            self.prefixes.swap(at, kept[*place]);
            kept[*place] = at;
        }
        for dropped in self.prefixes.drain(known + places.len()..) {
            if let Some(grown) = dropped.grown {
                self.grown.remove(&grown);
            }
        }
        for at in known..self.prefixes.len() {
            if let Some(grown) = self.prefixes[at].grown {
                self.grown.insert(grown, at);
            }
        }
    }

    /// The best of these prefixes, the best first.
    fn keep_best(&self, prefixes: &mut Vec<usize>, score: impl Fn(&Prefix<S::State>) -> f64) {
        let mut scored: Vec<_> = prefixes
            .iter()
            .map(|&at| (score(&self.prefixes[at]), at))
            .filter(|(score, _)| *score > f64::NEG_INFINITY)
            .collect();
        let width = self.beam.width.max(1);
        // Equal ones in the order in which they were first found.
        let best = |a: &(f64, usize), b: &(f64, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if scored.len() > width {
            scored.select_nth_unstable_by(width - 1, best);
            scored.truncate(width);
        }
        scored.sort_unstable_by(best);
        prefixes.clear();
        prefixes.extend(scored.into_iter().map(|(_, at)| at));
    }

    fn candidate(&self, at: usize) -> Candidate {
        let prefix = &self.prefixes[at];
        let log_p = prefix.now.sum();
        let mut labels = Vec::new();
        let mut grown = prefix.grown;
        while let Some((shorter, label)) = grown {
            labels.push(label);
            grown = self.prefixes[shorter].grown;
        }
        labels.reverse();
        Candidate {
            labels,
            // Not −0, which a certain reading would have.
            loss: 0.0 - log_p,
            score: log_p + prefix.added + self.scorer.end(&prefix.state),
        }
    }
}
