//! Scores of labels that do not come from the network.

/// Scores labels in addition to the network, as a language model or a lexicon does.
///
/// The search adds the scores to natural logarithms of probabilities (nats); apply any weight
/// inside the scorer. A score of −∞ forbids a label. `examples/ngram.rs` has a scorer of character
/// n-grams.
pub trait Scorer: Sync {
    /// The data that the scorer stores per prefix, such as the last labels of an n-gram model.
    type State: Clone + Send;

    /// Returns the state of the empty prefix.
    fn start(&self) -> Self::State;

    /// Returns the state of a prefix with one more label, and the score that the label adds.
    fn extend(&self, state: &Self::State, label: u32) -> (Self::State, f64);

    /// Returns the score that is added to this prefix as a complete hypothesis, after the last
    /// frame, such as the log-probability of an end symbol.
    fn finish(&self, state: &Self::State) -> f64;

    /// Returns an upper bound of the score that [`extend`](Self::extend) adds. A finite bound lets
    /// the search skip labels that cannot enter the beam; without one it scores all labels.
    fn max_score(&self) -> f64 {
        f64::INFINITY
    }
}

/// The scorer that adds nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoScorer;

impl Scorer for NoScorer {
    type State = ();

    fn start(&self) {}

    fn extend(&self, (): &(), _label: u32) -> ((), f64) {
        ((), 0.0)
    }

    fn finish(&self, (): &()) -> f64 {
        0.0
    }

    fn max_score(&self) -> f64 {
        0.0
    }
}
