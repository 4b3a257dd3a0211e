//! What is known of labels beside what the network says.

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
