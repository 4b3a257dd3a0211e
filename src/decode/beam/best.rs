//! The best candidates of a frame.

/// A candidate for the beam: a prefix and its score.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) score: f64,
    /// Decides ties, the lower first: prefixes of the beam by age, then extended prefixes by the
    /// rank of the shorter prefix and by the label.
    pub(super) order: u64,
    /// The rank in the beam of the prefix that it comes from.
    pub(super) rank: usize,
    /// The label that was appended to it, if any.
    pub(super) by: Option<u32>,
}

impl Found {
    fn better(a: &Self, b: &Self) -> std::cmp::Ordering {
        b.score.total_cmp(&a.score).then(a.order.cmp(&b.order))
    }
}

/// The best `width` candidates, and temporarily more.
pub(super) struct Best {
    width: usize,
    found: Vec<Found>,
    to_beat: f64,
}

impl Best {
    pub(super) fn new(width: usize) -> Self {
        Self {
            width,
            found: Vec::new(),
            to_beat: f64::NEG_INFINITY,
        }
    }

    /// Returns the threshold: a candidate with a lower score is not among the best.
    pub(super) fn to_beat(&self) -> f64 {
        self.to_beat
    }

    /// Adds a candidate, unless its score is below the threshold, −∞ or NaN.
    pub(super) fn push(&mut self, found: Found) {
        // Not `score < …`, which would accept NaN.
        if found.score >= self.to_beat && found.score > f64::NEG_INFINITY {
            self.found.push(found);
            // Selects as soon as there are `width` candidates, which sets the threshold, and then
            // each time their number has doubled.
            let first = self.to_beat == f64::NEG_INFINITY && self.found.len() == self.width;
            if first || self.found.len() >= self.width.saturating_mul(2) {
                self.select();
            }
        }
    }

    /// Removes all but the best `width` candidates, and raises the threshold to the last one's
    /// score.
    fn select(&mut self) {
        if self.found.len() >= self.width {
            let last = self.width - 1;
            let (_, last, _) = self.found.select_nth_unstable_by(last, Found::better);
            self.to_beat = last.score;
            self.found.truncate(self.width);
        }
    }

    /// Returns the best in order, and removes all candidates.
    pub(super) fn take(&mut self) -> Vec<Found> {
        self.select();
        self.to_beat = f64::NEG_INFINITY;
        let mut found = std::mem::take(&mut self.found);
        found.sort_unstable_by(Found::better);
        found
    }
}
