//! The definition of CTC: the sum over all paths, enumerated one by one, without a recursion.
//!
//! The time is exponential in the number of frames, so it is for small batches only. It shares only
//! the option types with the rest of the crate.

use ctc_wgpu::{Blank, BlankInLabels, Input, Options, RepeatedLabels, RepeatedOutputs};

use super::batch::OwnedBatch;

/// The sum over the paths of an item.
#[derive(Debug, Clone)]
pub struct PathSum {
    /// p(labels).
    pub probability: f64,
    /// The total probability of those paths that pass through a class at a frame, frames × classes.
    pub through: Vec<f64>,
}

/// Sums the probabilities of the paths through `probs` (frames × classes) that collapse to
/// `labels`.
pub fn sum_paths(
    probs: &[f64],
    classes: usize,
    labels: &[usize],
    blank: usize,
    options: &Options,
) -> PathSum {
    let mut labels = labels.to_vec();
    if options.repeated_labels == RepeatedLabels::Collapse {
        labels.dedup();
    }
    let mut counted = PathSum {
        probability: 0.0,
        through: vec![0.0; probs.len()],
    };
    let frames = probs.len() / classes;
    let mut visit = |path: &[usize]| {
        let p: f64 = path
            .iter()
            .enumerate()
            .map(|(t, c)| probs[t * classes + c])
            .product();
        counted.probability += p;
        for (t, class) in path.iter().enumerate() {
            counted.through[t * classes + class] += p;
        }
    };
    if options.blank_in_labels == BlankInLabels::Allow && labels.contains(&blank) {
        // In a path of classes, a blank may be a label or a gap, so paths of states are enumerated.
        let distinct = options.repeated_outputs == RepeatedOutputs::Distinct;
        for_state_paths(&labels, blank, distinct, frames, &mut visit);
        return counted;
    }
    for_all_paths(classes, frames, &mut |path| {
        if labels_of(path, blank, options.repeated_outputs) == labels {
            visit(path);
        }
    });
    counted
}

/// The map B of Graves et al. 2006: merges repeated classes, then removes the blanks. With distinct
/// outputs nothing is merged.
fn labels_of(path: &[usize], blank: usize, repeated: RepeatedOutputs) -> Vec<usize> {
    let mut path = path.to_vec();
    if repeated == RepeatedOutputs::Merge {
        path.dedup();
    }
    path.retain(|class| *class != blank);
    path
}

fn for_all_paths(classes: usize, frames: usize, visit: &mut dyn FnMut(&[usize])) {
    let mut path = vec![0; frames];
    loop {
        visit(&path);
        // Counts up; the first frame is the lowest digit.
        let Some(digit) = path.iter().position(|class| class + 1 < classes) else {
            return;
        };
        path[..digit].fill(0);
        path[digit] += 1;
    }
}

/// Visits the paths through gap, label, gap, …, gap by PyTorch's rule: each step stays, advances by
/// one state, or skips the gap between two different labels.
fn for_state_paths(
    labels: &[usize],
    blank: usize,
    distinct: bool,
    frames: usize,
    visit: &mut dyn FnMut(&[usize]),
) {
    let states = 2 * labels.len() + 1;
    let class = |s: usize| {
        if s.is_multiple_of(2) {
            blank
        } else {
            labels[s / 2]
        }
    };
    let allowed = |from: usize, to: usize| match to.checked_sub(from) {
        Some(0) => to.is_multiple_of(2) || !distinct,
        Some(1) => true,
        Some(2) => to % 2 == 1 && (distinct || class(from) != class(to)),
        _ => false,
    };
    if frames == 0 {
        if labels.is_empty() {
            visit(&[]);
        }
        return;
    }
    for_all_paths(states, frames, &mut |path| {
        let ends = path[0] < 2 && path[frames - 1] + 2 >= states;
        if ends && path.windows(2).all(|step| allowed(step[0], step[1])) {
            let classes: Vec<usize> = path.iter().map(|s| class(*s)).collect();
            visit(&classes);
        }
    });
}

/// Returns the losses and the gradient of Σ w·loss by enumeration, in the batch's layout. Without a
/// path they are +inf and 0.
pub fn loss_and_grad(batch: &OwnedBatch, options: &Options) -> (Vec<f64>, Vec<f64>) {
    let classes = batch.classes();
    let blank = match options.blank {
        Blank::Index(k) => k as usize,
        Blank::Last => classes - 1,
        other => unknown(other),
    };
    let mut losses = Vec::new();
    let mut grad = vec![0.0; batch.values.len()];
    for item in 0..batch.items() {
        let frames = batch.valid_frames(item);
        let rows: Vec<&[f32]> = (0..frames)
            .map(|t| &batch.values[batch.row(item, t)..][..classes])
            .collect();
        let probs: Vec<f64> = rows
            .iter()
            .flat_map(|row| probabilities(row, options.input))
            .collect();
        let counted = sum_paths(&probs, classes, &batch.item_labels(item), blank, options);
        // −ln p would be −0.0 if p is 1.
        losses.push(0.0 - counted.probability.ln());
        if counted.probability == 0.0 {
            continue;
        }
        let weight = batch.weights.as_ref().map_or(1.0, |w| f64::from(w[item]));
        for t in 0..frames {
            for c in 0..classes {
                let at = t * classes + c;
                let gamma = counted.through[at] / counted.probability;
                let derivative = match options.input {
                    Input::Logits | Input::LogProbs => probs[at] - gamma,
                    Input::LogProbsExact => -gamma,
                    Input::Probs { epsilon } => {
                        let biased = f64::from(rows[t][c]) + f64::from(epsilon);
                        let sum: f64 = rows[t]
                            .iter()
                            .map(|p| f64::from(*p) + f64::from(epsilon))
                            .sum();
                        1.0 / sum - if gamma > 0.0 { gamma / biased } else { 0.0 }
                    }
                    other => unknown(other),
                };
                grad[batch.row(item, t) + c] = weight * derivative;
            }
        }
    }
    (losses, grad)
}

fn probabilities(row: &[f32], input: Input) -> Vec<f64> {
    let weight = |x: &f32| match input {
        Input::Logits | Input::LogProbs | Input::LogProbsExact => f64::from(*x).exp(),
        Input::Probs { epsilon } => f64::from(*x) + f64::from(epsilon),
        other => unknown(other),
    };
    let weights: Vec<f64> = row.iter().map(weight).collect();
    let sum = match input {
        Input::Logits | Input::Probs { .. } => weights.iter().sum(),
        Input::LogProbs | Input::LogProbsExact => 1.0,
        other => unknown(other),
    };
    weights.iter().map(|w| w / sum).collect()
}

/// Ends the run at an option that this file does not define.
fn unknown(option: impl std::fmt::Debug) -> ! {
    panic!("no enumeration is defined for {option:?}")
}
