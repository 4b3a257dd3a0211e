//! The best of what is found in a frame.

/// A prefix that may come into the beam.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) score: f64,
    /// Of equal ones the least is better: those in the beam by their age, then what grows by the place of the shorter prefix
    /// and by the label.
    pub(super) order: u64,
    /// The place in the beam of what it comes from, and the label by which that has grown, if it has.
    pub(super) rank: usize,
    pub(super) by: Option<u32>,
}

impl Found {
    fn better(a: &Self, b: &Self) -> std::cmp::Ordering {
        b.score.total_cmp(&a.score).then(a.order.cmp(&b.order))
    }
}

/// So many of the best, and for a while others.
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

    /// What scores less is not among the best.
    pub(super) fn to_beat(&self) -> f64 {
        self.to_beat
    }

    pub(super) fn push(&mut self, found: Found) {
        // Not `score < …`: a NaN shall not come in.
        if found.score >= self.to_beat && found.score > f64::NEG_INFINITY {
            self.found.push(found);
            // Cut at the first moment at which that tells what is to be beaten, and then each time that they have doubled.
            let first = self.to_beat == f64::NEG_INFINITY && self.found.len() == self.width;
            if first || self.found.len() >= self.width.saturating_mul(2) {
                self.cut();
            }
        }
    }

    fn cut(&mut self) {
        if self.found.len() >= self.width {
            let last = self.width - 1;
            let (_, last, _) = self.found.select_nth_unstable_by(last, Found::better);
            self.to_beat = last.score;
            self.found.truncate(self.width);
        }
    }

    /// The best, in order; what was found is forgotten.
    pub(super) fn take(&mut self) -> Vec<Found> {
        self.cut();
        self.to_beat = f64::NEG_INFINITY;
        let mut found = std::mem::take(&mut self.found);
        found.sort_unstable_by(Found::better);
        found
    }
}
