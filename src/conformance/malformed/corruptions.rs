//! The ways to spoil an item.

use super::{BLANK, CLASSES, FRAMES, LABELS, VICTIM, options};
use crate::conformance::batch::PADDING;
use crate::conformance::guarded_buffers::DeviceBatch;
use crate::{LabelLayout, Options, RepeatedLabels, Status};

/// A way to spoil an item, and what must come of it.
pub struct Corruption {
    pub(in crate::conformance) name: String,
    pub(in crate::conformance) status: Status,
    pub(in crate::conformance) options: Options,
    /// Whether it is meant for concatenated labels too.
    pub(in crate::conformance) concatenated: bool,
    pub(in crate::conformance) change: Box<dyn Fn(&mut DeviceBatch)>,
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

/// Labels that are no class, at each place of the victim, kept and collapsed.
#[must_use]
pub fn labels_that_are_no_class() -> Vec<Corruption> {
    let collapse = Options {
        repeated_labels: RepeatedLabels::Collapse,
        ..options()
    };
    let mut spoilers = Vec::new();
    for options in [options(), collapse] {
        for label in [-1, CLASSES as i32, 1000, i32::MIN, i32::MAX, PADDING] {
            for position in 0..3 {
                let name = format!("label {label} at {position}");
                let spoiler = Corruption::new(name, Status::BadLabel, move |batch| {
                    let at = first_label(batch) + position;
                    batch.labels[at] = label;
                });
                spoilers.push(Corruption { options, ..spoiler });
            }
        }
    }
    spoilers
}

/// The blank among the victim's labels.
#[must_use]
pub fn blank_among_the_labels() -> Vec<Corruption> {
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

/// Logit lengths out of range.
#[must_use]
pub fn logit_lengths_out_of_range() -> Vec<Corruption> {
    let lengths = [-1, FRAMES as i32 + 1, 1 << 20, i32::MIN, i32::MAX];
    let spoiler = |length| {
        let name = format!("logit length {length}");
        Corruption::new(name, Status::BadLength, move |batch| {
            if let Some(lengths) = &mut batch.logit_lengths {
                lengths[VICTIM] = length;
            }
        })
    };
    lengths.into_iter().map(spoiler).collect()
}

/// Lengths of padded labels out of range; those of concatenated labels move the labels of all items after them.
#[must_use]
pub fn label_lengths_out_of_range() -> Vec<Corruption> {
    let lengths = [-1, LABELS as i32 + 1, 1 << 20, i32::MIN, i32::MAX];
    let spoiler = |length| {
        let name = format!("label length {length}");
        let spoiler = Corruption::new(name, Status::BadLength, move |batch| {
            batch.label_lengths[VICTIM] = length;
        });
        Corruption {
            concatenated: false,
            ..spoiler
        }
    };
    lengths.into_iter().map(spoiler).collect()
}

/// Weights that are not finite.
#[must_use]
pub fn weights_that_are_not_finite() -> Vec<Corruption> {
    let odd = [
        0x7fc0_0000,
        0xffc0_0000,
        0x7f80_0001,
        0x7f80_0000,
        0xff80_0000,
    ];
    let spoiler = |bits: u32| {
        let name = format!("weight {bits:#x}");
        Corruption::new(name, Status::NotFinite, move |batch| {
            if let Some(weights) = &mut batch.weights {
                weights[VICTIM] = bits;
            }
        })
    };
    odd.into_iter().map(spoiler).collect()
}

/// Every kind of NaN and +∞ in a frame that counts, and a frame of −∞ only.
#[must_use]
pub fn logits_without_a_meaning() -> Vec<Corruption> {
    // Quiet, signalling, negative, all ones, the smallest payload; +inf.
    let odd = [
        0x7fc0_0000,
        0x7fa0_0000,
        0xffc0_1234,
        0xffff_ffff,
        0x7f80_0001,
        0x7f80_0000,
    ];
    let mut spoilers = Vec::new();
    for bits in odd {
        for frame in [0, 4, 7] {
            for class in [0, usize::from(BLANK), CLASSES - 1] {
                let name = format!("{bits:#x} in frame {frame} class {class}");
                spoilers.push(Corruption::new(name, Status::NotFinite, move |batch| {
                    let at = batch.shape.row(VICTIM, frame) + class;
                    batch.logits[at] = bits;
                }));
            }
        }
    }
    let desert = |batch: &mut DeviceBatch| {
        let start = batch.shape.row(VICTIM, 3);
        batch.logits[start..start + CLASSES].fill(0xff80_0000);
    };
    spoilers.push(Corruption::new("all −∞".into(), Status::NotFinite, desert));
    spoilers
}

/// Where the victim's labels begin.
fn first_label(batch: &DeviceBatch) -> usize {
    match batch.shape.label_layout {
        LabelLayout::Padded => VICTIM * batch.shape.max_labels,
        LabelLayout::Concatenated => batch.label_lengths[..VICTIM].iter().sum::<i32>() as usize,
    }
}
