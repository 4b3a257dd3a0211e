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
    max_classes: usize,
    /// ln of the smallest allowed probability.
    min_log_prob: f64,
    /// The least probable class that `max_classes` allows; `None` if it excludes no class.
    least_probable: Option<Class>,
    /// The classes that may extend prefixes.
    collected: Vec<Class>,
    /// The length of the sorted part of `collected`.
    sorted: usize,
}

impl Classes {
    pub(super) fn new(blank: usize, beam: &BeamOptions) -> Self {
        Self {
            blank,
            max_classes: beam.max_classes,
            // Not −∞, so that a class of probability 0 is excluded.
            min_log_prob: beam.min_probability.ln().max(f64::MIN),
            least_probable: None,
            collected: Vec::new(),
            sorted: 0,
        }
    }

    /// Finds the least probable class that `max_classes` allows at a frame.
    pub(super) fn limit(&mut self, frame: &[f64]) {
        self.least_probable = None;
        if self.max_classes >= frame.len() {
            return;
        }
        self.collect_above(frame, f64::NEG_INFINITY);
        let is_exceeded = self.collected.len() > self.max_classes;
        self.least_probable = match self.max_classes.checked_sub(1) {
            None => Some((f64::INFINITY, 0)),
            Some(last) if is_exceeded => {
                self.collected.select_nth_unstable_by(last, by_probability);
                Some(self.collected[last])
            }
            Some(_) => None,
        };
    }

    /// Returns true if the options allow this class, whose ln p is `p`.
    pub(super) fn allows(&self, class: usize, p: f64) -> bool {
        let is_included =
            |last| by_probability(&(p, u32::try_from(class).unwrap_or(u32::MAX)), last).is_le();
        class != self.blank
            && p >= self.min_log_prob
            && self.least_probable.as_ref().is_none_or(is_included)
    }

    /// Collects the classes that the options allow and whose ln p is at least `floor`.
    pub(super) fn collect_above(&mut self, frame: &[f64], floor: f64) {
        self.collected.clear();
        self.sorted = 0;
        let floor = floor.max(self.min_log_prob);
        for (class, p) in frame.iter().enumerate() {
            if *p >= floor && self.allows(class, *p) {
                let label = u32::try_from(class).unwrap_or(u32::MAX);
                self.collected.push((*p, label));
            }
        }
    }

    /// Returns the nth most probable of the collected classes. They are sorted only as far as
    /// needed, which is seldom far.
    pub(super) fn nth_most_probable(&mut self, nth: usize) -> Option<Class> {
        if nth >= self.sorted && nth < self.collected.len() {
            let rest = &mut self.collected[self.sorted..];
            // Doubles the sorted part.
            let more = self.sorted.max(16).min(rest.len());
            if more < rest.len() {
                rest.select_nth_unstable_by(more - 1, by_probability);
            }
            rest[..more].sort_unstable_by(by_probability);
            self.sorted += more;
        }
        self.collected.get(nth).copied()
    }
}
