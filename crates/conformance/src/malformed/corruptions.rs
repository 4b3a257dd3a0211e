//! The ways of corrupting an item.

use super::{BLANK, CLASSES, FRAMES, LABELS, TARGET, options};
use crate::batch::PADDING;
use crate::guarded_buffers::DeviceBatch;
use ctc_wgpu::{LabelLayout, Options, RepeatedLabels, Status};

/// A change that makes an item invalid, and the status that it must get.
pub struct Corruption {
    pub(crate) name: String,
    pub(crate) status: Status,
    pub(crate) options: Options,
    /// True if it applies to concatenated labels too.
    pub(crate) concatenated: bool,
    pub(crate) change: Box<dyn Fn(&mut DeviceBatch)>,
}

impl std::fmt::Debug for Corruption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Corruption {
    fn new(name: String, status: Status, change: impl Fn(&mut DeviceBatch) + 'static) -> Self {
        Self {
            name,
            status,
            options: options(),
            concatenated: true,
            change: Box::new(change),
        }
    }
}

/// Returns labels out of range, at each position of the target item, with repeated labels kept and
/// collapsed.
#[must_use]
pub fn labels_out_of_range() -> Vec<Corruption> {
    let collapse = options().repeated_labels(RepeatedLabels::Collapse);
    let mut corruptions = Vec::new();
    for options in [options(), collapse] {
        for label in [-1, CLASSES as i32, 1000, i32::MIN, i32::MAX, PADDING] {
            for position in 0..3 {
                let name = format!("label {label} at {position}");
                let corruption = Corruption::new(name, Status::BadLabel, move |batch| {
                    let at = first_label(batch) + position;
                    batch.labels[at] = label;
                });
                corruptions.push(Corruption {
                    options,
                    ..corruption
                });
            }
        }
    }
    corruptions
}

/// Returns the blank among the labels of the target item.
#[must_use]
pub fn blank_among_labels() -> Vec<Corruption> {
    vec![Corruption::new(
        "blank".into(),
        Status::BadLabel,
        put_a_blank,
    )]
}

pub(super) fn put_a_blank(batch: &mut DeviceBatch) {
    let at = first_label(batch) + 1;
    batch.labels[at] = BLANK.into();
}

/// Returns logit lengths out of range.
#[must_use]
pub fn logit_lengths_out_of_range() -> Vec<Corruption> {
    let lengths = [-1, FRAMES as i32 + 1, 1 << 20, i32::MIN, i32::MAX];
    let corruption = |length| {
        let name = format!("logit length {length}");
        Corruption::new(name, Status::BadLength, move |batch| {
            if let Some(lengths) = &mut batch.logit_lengths {
                lengths[TARGET] = length;
            }
        })
    };
    lengths.into_iter().map(corruption).collect()
}

/// Returns lengths of padded labels out of range. They do not apply to concatenated labels, where a
/// length changes the labels of all later items.
#[must_use]
pub fn label_lengths_out_of_range() -> Vec<Corruption> {
    let lengths = [-1, LABELS as i32 + 1, 1 << 20, i32::MIN, i32::MAX];
    let corruption = |length| {
        let name = format!("label length {length}");
        let corruption = Corruption::new(name, Status::BadLength, move |batch| {
            batch.label_lengths[TARGET] = length;
        });
        Corruption {
            concatenated: false,
            ..corruption
        }
    };
    lengths.into_iter().map(corruption).collect()
}

/// Returns weights that are not finite.
#[must_use]
pub fn weights_that_are_not_finite() -> Vec<Corruption> {
    let bad_bits = [
        0x7fc0_0000,
        0xffc0_0000,
        0x7f80_0001,
        0x7f80_0000,
        0xff80_0000,
    ];
    let corruption = |bits: u32| {
        let name = format!("weight {bits:#x}");
        Corruption::new(name, Status::NotFinite, move |batch| {
            if let Some(weights) = &mut batch.weights {
                weights[TARGET] = bits;
            }
        })
    };
    bad_bits.into_iter().map(corruption).collect()
}

/// Returns several NaN and +∞ in a valid frame, and a frame that is −∞ in all classes.
#[must_use]
pub fn logits_that_are_not_finite() -> Vec<Corruption> {
    // Quiet, signalling, negative, all ones, the smallest payload; +inf.
    let bad_bits = [
        0x7fc0_0000,
        0x7fa0_0000,
        0xffc0_1234,
        0xffff_ffff,
        0x7f80_0001,
        0x7f80_0000,
    ];
    let mut corruptions = Vec::new();
    for bits in bad_bits {
        for frame in [0, 4, 7] {
            for class in [0, usize::from(BLANK), CLASSES - 1] {
                let name = format!("{bits:#x} in frame {frame} class {class}");
                corruptions.push(Corruption::new(name, Status::NotFinite, move |batch| {
                    let at = batch.shape.row(TARGET, frame) + class;
                    batch.logits[at] = bits;
                }));
            }
        }
    }
    let all_minus_infinity = |batch: &mut DeviceBatch| {
        let start = batch.shape.row(TARGET, 3);
        batch.logits[start..start + CLASSES].fill(0xff80_0000);
    };
    corruptions.push(Corruption::new(
        "all −∞".into(),
        Status::NotFinite,
        all_minus_infinity,
    ));
    corruptions
}

/// Returns the index of the target item's first label.
fn first_label(batch: &DeviceBatch) -> usize {
    if batch.shape.label_layout == LabelLayout::Concatenated {
        batch.label_lengths[..TARGET].iter().sum::<i32>() as usize
    } else {
        TARGET * batch.shape.max_labels
    }
}
