//! labels: what an item is; twin of `shaders/labels.wgsl`. The checks are [`Problem`]'s.

use super::index::padded;
use super::totals::Totals;
use crate::options::{Options, RepeatedLabels, RepeatedOutputs, Status};
use crate::problem::Problem;

/// What the stages know of an item.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) frames: usize,
    /// The class of each label.
    pub(super) classes: Vec<u32>,
    /// 1 where label p is reached from label p − 1 without a blank between, else 0; one more than there are labels,
    /// padded.
    pub(super) reached: Vec<f32>,
    /// The next equal label, and whether none stands before; see `chain`.
    pub(super) links: Vec<(u32, bool)>,
    /// The factor of the item's loss and gradient.
    pub(super) scale: f32,
    pub(super) status: Status,
    /// 1, or 0 where a label lasts one frame only.
    pub(super) lasting: f32,
}

impl Default for Item {
    fn default() -> Self {
        Self {
            frames: 0,
            classes: Vec::new(),
            reached: Vec::new(),
            links: Vec::new(),
            scale: 0.0,
            status: Status::Ok,
            lasting: 1.0,
        }
    }
}

impl Item {
    pub(super) fn fill(
        &mut self,
        problem: &Problem<'_>,
        options: &Options,
        totals: &Totals,
        n: usize,
    ) {
        let collapse = options.repeated_labels == RepeatedLabels::Collapse;
        let distinct = options.repeated_outputs == RepeatedOutputs::Distinct;
        self.frames = problem.logit_lengths[n] as usize;
        self.scale = totals.scale_of(problem.weight(n), problem.label_lengths[n]);
        self.lasting = if distinct { 0.0 } else { 1.0 };
        self.classes.clear();
        self.reached.clear();
        let mut before = None;
        for &label in problem.item_labels(n) {
            let fresh = before.replace(label) != Some(label);
            if fresh || !collapse {
                let first = self.classes.is_empty();
                self.classes.push(label.unsigned_abs());
                self.reached.push(if !first && (fresh || distinct) {
                    1.0
                } else {
                    0.0
                });
            }
        }
        self.status = Status::Ok;
        if self.classes.len() > self.frames {
            // No alignment, whatever the labels are: the later stages need not know them.
            self.status = Status::Impossible;
            self.classes.clear();
            self.reached.clear();
        }
        self.reached.resize(padded(self.classes.len() + 1) + 1, 0.0);
    }

    #[inline(always)]
    pub(super) fn labels(&self) -> usize {
        self.classes.len()
    }

    /// Places of a row, a blank and a label each, in whole vectors.
    #[inline(always)]
    pub(super) fn places(&self) -> usize {
        padded(self.labels() + 1)
    }
}
