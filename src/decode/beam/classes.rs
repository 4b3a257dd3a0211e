//! The classes that may extend prefixes at a frame.

use super::BeamOptions;

/// ln of a class's probability, and the class.
type Class = (f64, u32);

/// Orders classes by decreasing probability, then by index.
fn by_probability(a: &Class, b: &Class) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

/// The classes that may extend prefixes at the current frame, and the options that limit them.
pub(super) struct Classes {
    blank: usize,
    /// The largest number of classes.
    most: usize,
    /// ln of the smallest allowed probability.
    least: f64,
    /// The least probable class that `most` allows; `None` if it excludes no class.
    last: Option<Class>,
    /// The classes that may extend prefixes.
    likely: Vec<Class>,
    /// The length of the sorted part of `likely`.
    sorted: usize,
}

impl Classes {
    pub(super) fn new(blank: usize, beam: &BeamOptions) -> Self {
        Self {
            blank,
            most: beam.classes,
            // Not −∞, so that a class of probability 0 is excluded.
            least: beam.least_probability.ln().max(f64::MIN),
            last: None,
            likely: Vec::new(),
            sorted: 0,
        }
    }

    /// Finds the least probable class that the largest number of classes allows at a frame.
    pub(super) fn limit(&mut self, frame: &[f64]) {
        self.last = None;
        if self.most >= frame.len() {
            return;
        }
        self.above(frame, f64::NEG_INFINITY);
        let unlikely = self.likely.len() > self.most;
        self.last = match self.most.checked_sub(1) {
            None => Some((f64::INFINITY, 0)),
            Some(last) if unlikely => {
                self.likely.select_nth_unstable_by(last, by_probability);
                Some(self.likely[last])
            }
            Some(_) => None,
        };
    }

    /// Returns true if the options allow this class, whose ln p is `p`.
    pub(super) fn may(&self, class: usize, p: f64) -> bool {
        let likely =
            |last| by_probability(&(p, u32::try_from(class).unwrap_or(u32::MAX)), last).is_le();
        class != self.blank && p >= self.least && self.last.as_ref().is_none_or(likely)
    }

    /// Collects the classes that the options allow and whose ln p is at least `floor`.
    pub(super) fn above(&mut self, frame: &[f64], floor: f64) {
        self.likely.clear();
        self.sorted = 0;
        let floor = floor.max(self.least);
        for (class, p) in frame.iter().enumerate() {
            if *p >= floor && self.may(class, *p) {
                let label = u32::try_from(class).unwrap_or(u32::MAX);
                self.likely.push((*p, label));
            }
        }
    }

    /// Returns the nth most probable of the collected classes. They are sorted only as far as
    /// needed, which is seldom far.
    pub(super) fn nth_likely(&mut self, nth: usize) -> Option<Class> {
        if nth >= self.sorted && nth < self.likely.len() {
            let rest = &mut self.likely[self.sorted..];
            // Doubles the sorted part.
            let more = self.sorted.max(16).min(rest.len());
            if more < rest.len() {
                rest.select_nth_unstable_by(more - 1, by_probability);
            }
            rest[..more].sort_unstable_by(by_probability);
            self.sorted += more;
        }
        self.likely.get(nth).copied()
    }
}
