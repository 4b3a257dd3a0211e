//! The data of one item that the stages share. The labels are valid: [`CheckedBatch`] has checked
//! them.

use super::batch_totals::BatchTotals;
use super::index::{padded, vec_bytes};
use crate::batch::CheckedBatch;
use crate::options::{Options, RepeatedLabels, RepeatedOutputs, Status};

/// The labels, options and intermediate results of one item.
#[derive(Debug)]
pub(super) struct ItemData {
    pub(super) frames: usize,
    /// The class of each label.
    pub(super) labels: Vec<u32>,
    /// 1 if a path may go from label p − 1 to label p without a blank between, else 0; padded.
    pub(super) skip_allowed: Vec<f32>,
    /// The distinct classes that the item needs, the blank first; see
    /// [`item_classes`](super::item_classes).
    pub(super) classes: Vec<u32>,
    /// At p + 1, the index in `classes` of the class of label p.
    pub(super) class_index: Vec<u32>,
    /// The factor of the item's loss and gradient.
    pub(super) scale: f32,
    pub(super) status: Status,
    /// True if a label may take several frames.
    pub(super) self_loops: bool,
    /// The sum of all paths, relative to `frame_max`: mantissa and exponent.
    pub(super) likelihood: (f32, i32),
    /// For each frame, the largest score among `classes`, to which its emissions are relative.
    pub(super) frame_max: Vec<f32>,
    /// The posterior probability of each of `classes` in each frame, frames × classes.
    pub(super) occupancies: Vec<f32>,
}

impl Default for ItemData {
    fn default() -> Self {
        Self {
            frames: 0,
            labels: Vec::new(),
            skip_allowed: Vec::new(),
            classes: Vec::new(),
            class_index: Vec::new(),
            scale: 0.0,
            status: Status::Ok,
            self_loops: true,
            likelihood: (1.0, 0),
            frame_max: Vec::new(),
            occupancies: Vec::new(),
        }
    }
}

impl ItemData {
    pub(super) fn bytes(&self) -> usize {
        let words = [&self.labels, &self.classes, &self.class_index];
        let floats = [&self.skip_allowed, &self.frame_max, &self.occupancies];
        words.map(vec_bytes).iter().sum::<usize>() + floats.map(vec_bytes).iter().sum::<usize>()
    }

    /// Sets the fields that follow from the batch and the options for item `n`, and reuses their
    /// memory. Later stages set the other fields.
    pub(super) fn fill(
        &mut self,
        checked: &CheckedBatch<'_>,
        options: &Options,
        totals: &BatchTotals,
        n: usize,
    ) {
        let collapse = options.repeated_labels == RepeatedLabels::Collapse;
        let distinct = options.repeated_outputs == RepeatedOutputs::Distinct;
        self.frames = checked.logit_lengths[n] as usize;
        self.scale = totals.scale_of(checked.weight(n), checked.label_lengths[n]);
        self.self_loops = !distinct;
        self.labels.clear();
        self.skip_allowed.clear();
        self.frame_max.clear();
        let mut before = None;
        for &label in checked.item_labels(n) {
            let differs = before.replace(label) != Some(label);
            if differs || !collapse {
                let first = self.labels.is_empty();
                self.labels.push(label.unsigned_abs());
                self.skip_allowed.push(if !first && (differs || distinct) {
                    1.0
                } else {
                    0.0
                });
            }
        }
        self.status = Status::Ok;
        if self.labels.len() > self.frames {
            // The item has no alignment, so later stages do not need its labels.
            self.status = Status::Impossible;
            self.labels.clear();
            self.skip_allowed.clear();
        }
        self.skip_allowed.resize(self.pairs(), 0.0);
    }

    /// Returns the number of state pairs (a blank and a label) in a row, padded to whole vectors.
    #[inline(always)]
    pub(super) fn pairs(&self) -> usize {
        padded(self.labels.len() + 1)
    }

    /// Returns the number of classes, padded to whole vectors.
    #[inline(always)]
    pub(super) fn width(&self) -> usize {
        padded(self.classes.len())
    }
}
