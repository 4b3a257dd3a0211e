//! The best candidates of a frame.

/// A candidate for the beam: a prefix and its score.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    pub(super) score: f64,
    /// Decides ties, the lower first: prefixes of the beam in the order of their creation, then
    /// extended prefixes by the rank of the shorter prefix and by the label.
    pub(super) order: u64,
    /// The rank in the beam of the prefix that it comes from.
    pub(super) rank: usize,
    /// The label that was appended to it, if any.
    pub(super) label: Option<u32>,
}

impl Candidate {
    /// Orders candidates by decreasing score, then by `order`.
    fn better(a: &Self, b: &Self) -> std::cmp::Ordering {
        b.score.total_cmp(&a.score).then(a.order.cmp(&b.order))
    }
}

/// The best `width` candidates, and temporarily more.
pub(super) struct BestCandidates {
    width: usize,
    candidates: Vec<Candidate>,
    threshold: f64,
}

impl BestCandidates {
    pub(super) fn new(width: usize) -> Self {
        Self {
            width,
            candidates: Vec::new(),
            threshold: f64::NEG_INFINITY,
        }
    }

    /// Returns the threshold: a candidate with a lower score is not among the best.
    pub(super) fn threshold(&self) -> f64 {
        self.threshold
    }

    /// Adds a candidate, unless its score is below the threshold, −∞ or NaN.
    pub(super) fn push(&mut self, candidate: Candidate) {
        // Not `score < …`, which would accept NaN.
        if candidate.score >= self.threshold && candidate.score > f64::NEG_INFINITY {
            self.candidates.push(candidate);
            // Selects as soon as there are `width` candidates, which sets the threshold, and then
            // each time their number has doubled.
            let first = self.threshold == f64::NEG_INFINITY && self.candidates.len() == self.width;
            if first || self.candidates.len() >= self.width.saturating_mul(2) {
                self.select();
            }
        }
    }

    /// Removes all but the best `width` candidates, and raises the threshold to the last one's
    /// score.
    fn select(&mut self) {
        if self.candidates.len() >= self.width {
            let last = self.width - 1;
            let (_, last, _) = self
                .candidates
                .select_nth_unstable_by(last, Candidate::better);
            self.threshold = last.score;
            self.candidates.truncate(self.width);
        }
    }

    /// Returns the best in order, and removes all candidates.
    pub(super) fn take(&mut self) -> Vec<Candidate> {
        self.select();
        self.threshold = f64::NEG_INFINITY;
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.sort_unstable_by(Candidate::better);
        candidates
    }
}
