//! The recursion for one item: the forward and backward variables of Graves et al. 2006, section
//! 4.1, as natural logarithms.

use crate::options::RepeatedOutputs;

/// The loss of one item, and the occupancies of its alignments.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// `−ln p(labels)` in nats; `+inf` if no alignment exists. It is not clamped to 0, and may be
    /// negative if the probabilities of a row sum to more than 1.
    pub loss: f64,
    /// γ in shape `[frames, classes]`: the posterior probability that the alignment passes through
    /// a class at a frame. Each row sums to 1; without an alignment, all elements are 0.
    pub occupancy: Vec<f64>,
}

/// Computes the loss and the occupancy of one item (Graves et al. 2006, eq. 5 to 15).
///
/// `log_probs` has shape `[frames, classes]`: natural logarithms, none of them `+inf` or NaN. The
/// probabilities of a row need not sum to 1, and an incomplete last row is ignored. A label that
/// equals `blank` is an ordinary label, and a label that is not a valid class has probability 0.
///
/// ```
/// use ctc_wgpu::{RepeatedOutputs, reference};
/// // Two frames over {blank, a}, equally probable: of the four paths, three collapse to "a": "a-",
/// // "-a" and "aa".
/// let half = 0.5_f64.ln();
/// let item = reference::item(&[half; 4], 2, &[1], 0, RepeatedOutputs::Merge);
/// assert!((item.loss - -(0.75_f64).ln()).abs() < 1e-15);
/// // Two of the three pass through "a" in each frame.
/// assert!(item.occupancy.iter().zip([1.0, 2.0, 1.0, 2.0]).all(|(got, thirds)| (got - thirds / 3.0).abs() < 1e-15));
/// ```
#[must_use]
pub fn item(
    log_probs: &[f64],
    classes: usize,
    labels: &[usize],
    blank: usize,
    repeated_outputs: RepeatedOutputs,
) -> Item {
    let lattice = Lattice::new(labels, blank, repeated_outputs);
    let rows: Vec<&[f64]> = log_probs.chunks_exact(classes.max(1)).collect();
    let forward = lattice.forward(&rows);
    let log_p = match forward.last() {
        None if labels.is_empty() => 0.0,
        None => f64::NEG_INFINITY,
        Some(last) => lattice.total(last),
    };
    let occupancy = if log_p == f64::NEG_INFINITY {
        vec![0.0; rows.len() * classes]
    } else {
        lattice.occupancy(&rows, &forward, classes)
    };
    Item {
        // −ln p would be −0.0 if p is 1.
        loss: 0.0 - log_p,
        occupancy,
    }
}

/// The labels with blanks around and between them: `l'` of the paper, with `2L + 1` states.
struct Lattice {
    class: Vec<usize>,
    /// True if a state has a self-loop.
    self_loop: Vec<bool>,
    /// True if a path may go to a state from the one two before it, skipping the blank between.
    skip_allowed: Vec<bool>,
}

impl Lattice {
    fn new(labels: &[usize], blank: usize, repeated_outputs: RepeatedOutputs) -> Self {
        let distinct = repeated_outputs == RepeatedOutputs::Distinct;
        let mut lattice = Self {
            class: vec![blank],
            self_loop: vec![true],
            skip_allowed: vec![false],
        };
        let mut before = None;
        for &label in labels {
            lattice.class.extend([label, blank]);
            // With distinct outputs, a second frame of a label is a second label. So a label takes
            // one frame, and repeated labels need no blank between them.
            lattice.self_loop.extend([!distinct, true]);
            let skip = before.is_some_and(|before| distinct || before != label);
            lattice.skip_allowed.extend([skip, false]);
            before = Some(label);
        }
        lattice
    }

    fn states(&self) -> usize {
        self.class.len()
    }

    /// Returns ln y of a state's class in a frame.
    fn emission(&self, row: &[f64], state: usize) -> f64 {
        let class = self.class[state];
        row.get(class).copied().unwrap_or(f64::NEG_INFINITY)
    }

    /// Returns ln α, one row per frame (eq. 5 to 7).
    fn forward(&self, rows: &[&[f64]]) -> Vec<Vec<f64>> {
        let mut all: Vec<Vec<f64>> = Vec::with_capacity(rows.len());
        for row in rows {
            let alpha = (0..self.states()).map(|state| {
                let paths = match all.last() {
                    None if state < 2 => 0.0,
                    None => f64::NEG_INFINITY,
                    Some(before) => self.arriving(before, state),
                };
                paths + self.emission(row, state)
            });
            let alpha = alpha.collect();
            all.push(alpha);
        }
        all
    }

    /// Returns ln of the sum of α over the transitions to `state` (eq. 6). `before` is ln α of the
    /// previous frame.
    fn arriving(&self, before: &[f64], state: usize) -> f64 {
        log_sum([
            allowed(self.self_loop[state], before[state]),
            allowed(state >= 1, before[state.saturating_sub(1)]),
            allowed(self.skip_allowed[state], before[state.saturating_sub(2)]),
        ])
    }

    /// Returns ln p(labels): all paths end in the last blank or the last label (eq. 8).
    fn total(&self, last: &[f64]) -> f64 {
        let end = self.states() - 1;
        log_sum([
            last[end],
            allowed(end >= 1, last[end.saturating_sub(1)]),
            f64::NEG_INFINITY,
        ])
    }

    /// Returns ln β of the previous frame (eq. 9 to 11), without that frame's own emission, so that
    /// α·β needs no division by an emission that may be 0. `next` is ln β of the frame whose
    /// log-probabilities are `row`.
    fn backward(&self, row: &[f64], next: &[f64]) -> Vec<f64> {
        let through = |state: usize| next[state] + self.emission(row, state);
        let states = self.states();
        (0..states)
            .map(|state| {
                let one = state + 1 < states;
                let two = state + 2 < states && self.skip_allowed[state + 2];
                log_sum([
                    if self.self_loop[state] {
                        through(state)
                    } else {
                        f64::NEG_INFINITY
                    },
                    if one {
                        through(state + 1)
                    } else {
                        f64::NEG_INFINITY
                    },
                    if two {
                        through(state + 2)
                    } else {
                        f64::NEG_INFINITY
                    },
                ])
            })
            .collect()
    }

    /// Returns γ of each class: α·β of its states, divided by the sum of all states in that frame
    /// (eq. 14 and 15).
    ///
    /// By eq. 14 that sum is p(labels) in every frame. Dividing by the frame's own sum cancels the
    /// rounding errors that have accumulated over the frames. Without this, the exponential of such
    /// an error would overflow at a loss of 1e30.
    fn occupancy(&self, rows: &[&[f64]], forward: &[Vec<f64>], classes: usize) -> Vec<f64> {
        let mut occupancy = vec![0.0; rows.len() * classes];
        let states = self.states();
        let mut beta: Vec<f64> = (0..states)
            .map(|state| allowed(state + 2 >= states, 0.0))
            .collect();
        for (t, (row, alpha)) in rows.iter().zip(forward).enumerate().rev() {
            let joint: Vec<f64> = alpha.iter().zip(&beta).map(|(a, b)| a + b).collect();
            let max = joint.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let share: Vec<f64> = joint.iter().map(|j| (j - max).exp()).collect();
            let sum: f64 = share.iter().sum();
            let frame = &mut occupancy[t * classes..(t + 1) * classes];
            for (class, share) in self.class.iter().zip(&share) {
                if let Some(gamma) = frame.get_mut(*class) {
                    *gamma += share / sum;
                }
            }
            beta = self.backward(row, &beta);
        }
        occupancy
    }
}

fn allowed(is: bool, log: f64) -> f64 {
    if is { log } else { f64::NEG_INFINITY }
}

/// Returns ln of the sum of three numbers, given their logarithms.
fn log_sum(logs: [f64; 3]) -> f64 {
    let max = logs.into_iter().fold(f64::NEG_INFINITY, f64::max);
    if max == f64::NEG_INFINITY {
        return max;
    }
    max + logs.iter().map(|log| (log - max).exp()).sum::<f64>().ln()
}
