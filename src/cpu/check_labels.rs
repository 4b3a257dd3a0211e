//! labels: what an item is; twin of `shaders/check_labels.wgsl`. The checks are [`CheckedBatch`]'s.

use super::batch_totals::Totals;
use super::index::{bytes, padded};
use crate::batch::CheckedBatch;
use crate::options::{Options, RepeatedLabels, RepeatedOutputs, Status};

/// What the stages know of an item.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) frames: usize,
    /// The class of each label.
    pub(super) labels: Vec<u32>,
    /// 1 where label p is reached from label p − 1 without a blank between, else 0; padded.
    pub(super) reached: Vec<f32>,
    /// Each class that the item needs, once, the blank first; see `chain`.
    pub(super) classes: Vec<u32>,
    /// Where the class of label p stands among them, at p + 1; see `chain`.
    pub(super) slots: Vec<u32>,
    /// The factor of the item's loss and gradient.
    pub(super) scale: f32,
    pub(super) status: Status,
    /// Whether a label may last for several frames.
    pub(super) lasting: bool,
    /// All paths together, relative to `tops`: m and e.
    pub(super) paths: (f32, i32),
    /// What the emissions of each frame are relative to.
    pub(super) tops: Vec<f32>,
    /// The probability of each of `classes` in each frame, given the labels.
    pub(super) occupancies: Vec<f32>,
}

impl Default for Item {
    fn default() -> Self {
        Self {
            frames: 0,
            labels: Vec::new(),
            reached: Vec::new(),
            classes: Vec::new(),
            slots: Vec::new(),
            scale: 0.0,
            status: Status::Ok,
            lasting: true,
            paths: (1.0, 0),
            tops: Vec::new(),
            occupancies: Vec::new(),
        }
    }
}

impl Item {
    pub(super) fn bytes(&self) -> usize {
        let words = [&self.labels, &self.classes, &self.slots];
        let floats = [&self.reached, &self.tops, &self.occupancies];
        words.map(bytes).iter().sum::<usize>() + floats.map(bytes).iter().sum::<usize>()
    }

    pub(super) fn fill(
        &mut self,
        checked: &CheckedBatch<'_>,
        options: &Options,
        totals: &Totals,
        n: usize,
    ) {
        let collapse = options.repeated_labels == RepeatedLabels::Collapse;
        let distinct = options.repeated_outputs == RepeatedOutputs::Distinct;
        self.frames = checked.logit_lengths[n] as usize;
        self.scale = totals.scale_of(checked.weight(n), checked.label_lengths[n]);
        self.lasting = !distinct;
        self.labels.clear();
        self.reached.clear();
        self.tops.clear();
        let mut before = None;
        for &label in checked.item_labels(n) {
            let fresh = before.replace(label) != Some(label);
            if fresh || !collapse {
                let first = self.labels.is_empty();
                self.labels.push(label.unsigned_abs());
                self.reached.push(if !first && (fresh || distinct) {
                    1.0
                } else {
                    0.0
                });
            }
        }
        self.status = Status::Ok;
        if self.labels.len() > self.frames {
            // No alignment, whatever the labels are: the later stages need not know them.
            self.status = Status::Impossible;
            self.labels.clear();
            self.reached.clear();
        }
        self.reached.resize(self.places(), 0.0);
    }

    /// Places of a row, a blank and a label each, in whole vectors.
    #[inline(always)]
    pub(super) fn places(&self) -> usize {
        padded(self.labels.len() + 1)
    }

    /// Floats of a frame's occupancies, in whole vectors.
    #[inline(always)]
    pub(super) fn width(&self) -> usize {
        padded(self.classes.len())
    }
}
