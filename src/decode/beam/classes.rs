//! The classes by which prefixes may grow at a frame.

use super::BeamOptions;

/// The logarithm of a class's probability, and the class.
type Class = (f64, u32);

/// The likeliest first, and of equal ones the first.
fn likelier(a: &Class, b: &Class) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

pub(super) struct Classes {
    blank: usize,
    /// Of the options: how many, and ln of their least probability.
    most: usize,
    least: f64,
    /// The last of those many.
    last: Option<Class>,
    /// Those that prefixes may grow by, of which the first so many are in order.
    likely: Vec<Class>,
    sorted: usize,
}

impl Classes {
    pub(super) fn new(blank: usize, beam: &BeamOptions) -> Self {
        Self {
            blank,
            most: beam.classes,
            // Not −∞, which is a class that cannot be.
            least: beam.least_probability.ln().max(f64::MIN),
            last: None,
            likely: Vec::new(),
            sorted: 0,
        }
    }

    /// Finds what the options allow in a frame.
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
                self.likely.select_nth_unstable_by(last, likelier);
                Some(self.likely[last])
            }
            Some(_) => None,
        };
    }

    /// Whether the options allow a class of this ln p.
    pub(super) fn may(&self, class: usize, p: f64) -> bool {
        let likely = |last| likelier(&(p, u32::try_from(class).unwrap_or(u32::MAX)), last).is_le();
        class != self.blank && p >= self.least && self.last.as_ref().is_none_or(likely)
    }

    /// Collects the classes that the options allow and whose ln p is at least this.
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

    /// The nth likely of them. They are sorted only as far as they are asked for, which is seldom far.
    pub(super) fn nth_likely(&mut self, nth: usize) -> Option<Class> {
        if nth >= self.sorted && nth < self.likely.len() {
            let rest = &mut self.likely[self.sorted..];
            // Twice as many as before.
            let more = self.sorted.max(16).min(rest.len());
            if more < rest.len() {
                rest.select_nth_unstable_by(more - 1, likelier);
            }
            rest[..more].sort_unstable_by(likelier);
            self.sorted += more;
        }
        self.likely.get(nth).copied()
    }
}
