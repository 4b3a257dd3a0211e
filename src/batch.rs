//! Input: shapes, layouts, a batch on the host, and its checks.
//!
//! A [`Batch`] borrows the caller's arrays. [`CheckedBatch::new`] checks it against the [`Options`]
//! once. The CPU backend and the reference do not check it again. The kernels do, since they must
//! also check buffers of a device.

use crate::error::{InputError, ParameterError};
use crate::options::{BlankInLabels, Input, Options, Reduction};

mod labels;
mod shape;
mod unchecked;

pub use shape::{BatchShape, LabelLayout, Layout};
pub use unchecked::Batch;

/// The tables of a past checked batch, whose memory the next batch reuses.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    label_lengths: Vec<u32>,
    logit_lengths: Vec<u32>,
    label_starts: Vec<usize>,
}

/// A batch that has passed all checks: the input of the CPU backend, of the reference and of the
/// upload to a GPU.
#[derive(Debug, Clone)]
pub struct CheckedBatch<'a> {
    /// The sizes and layouts.
    pub(crate) shape: BatchShape,
    /// The blank's index, below the number of classes.
    pub(crate) blank: usize,
    /// The input, in the shape's layout.
    pub(crate) values: &'a [f32],
    /// The labels of all items, in the shape's label layout.
    pub(crate) labels: &'a [i32],
    /// The number of labels of each item.
    pub(crate) label_lengths: Vec<u32>,
    /// The number of valid frames of each item.
    pub(crate) logit_lengths: Vec<u32>,
    /// One weight per item.
    pub(crate) weights: Option<&'a [f32]>,
    /// The start of each item's labels.
    label_starts: Vec<usize>,
}

impl<'a> CheckedBatch<'a> {
    /// Returns frame `t` of item `n` of the input.
    #[inline(always)]
    pub(crate) fn row(&self, n: usize, t: usize) -> &'a [f32] {
        let start = self.shape.row(n, t);
        &self.values[start..start + self.shape.classes]
    }

    /// Checks `batch` against `options`.
    ///
    /// # Errors
    /// The first violated rule, in this order: axes, length of the input, blank, ε, logit lengths,
    /// label lengths, labels, weights.
    pub fn new(batch: &Batch<'a>, options: &Options) -> Result<Self, InputError> {
        Self::with_tables(Tables::default(), batch, options)
    }

    /// Checks `batch` as [`new`](Self::new) does, and reuses the memory of `tables`.
    pub(crate) fn with_tables(
        tables: Tables,
        batch: &Batch<'a>,
        options: &Options,
    ) -> Result<Self, InputError> {
        let checked = Self::check_layout(tables, batch, options)?;
        checked.check_labels(options.blank_in_labels, None)?;
        checked.check_weights()?;
        if options.reduction == Reduction::MeanWeighted {
            checked.check_weight_sum()?;
        }
        Ok(checked)
    }

    /// Checks `batch` as [`new`](Self::new) does, but allows `star` among the labels and does not
    /// check the sum of the weights.
    pub(crate) fn with_star(
        batch: &Batch<'a>,
        options: &Options,
        star: i32,
    ) -> Result<Self, InputError> {
        let checked = Self::check_layout(Tables::default(), batch, options)?;
        checked.check_labels(options.blank_in_labels, Some(star))?;
        checked.check_weights()?;
        Ok(checked)
    }

    /// Checks everything but the labels and the weights.
    fn check_layout(
        mut tables: Tables,
        batch: &Batch<'a>,
        options: &Options,
    ) -> Result<Self, InputError> {
        tables.label_lengths.clear();
        tables.logit_lengths.clear();
        tables.label_starts.clear();
        let Batch {
            items,
            frames,
            classes,
            layout,
            values,
            ..
        } = *batch;
        check_axes(items, frames, classes)?;
        expect_length("logits", values.len(), items * frames * classes, "N·T·C")?;
        let blank = options.blank.index(classes);
        if blank >= classes {
            return Err(ParameterError::Blank { blank, classes }.into());
        }
        check_epsilon(options.input)?;
        find_logit_lengths(batch, &mut tables.logit_lengths)?;
        let labels = batch.labels.ok_or(InputError::NoLabels)?;
        let found = labels.locate(items, &mut tables.label_lengths, &mut tables.label_starts)?;
        // If there are no logit lengths, every frame is valid. The number of label lengths has been
        // checked by now, so that a wrong number of items allocates no memory.
        let all_frames = u32::try_from(frames).unwrap_or(u32::MAX);
        tables.logit_lengths.resize(items, all_frames);
        Ok(Self {
            shape: BatchShape {
                items,
                frames,
                classes,
                max_labels: found.width,
                layout,
                label_layout: found.layout,
                element: crate::ElementType::F32,
            },
            blank,
            values,
            labels: found.values,
            label_lengths: tables.label_lengths,
            logit_lengths: tables.logit_lengths,
            weights: batch.weights,
            label_starts: tables.label_starts,
        })
    }

    pub(crate) fn into_tables(self) -> Tables {
        Tables {
            label_lengths: self.label_lengths,
            logit_lengths: self.logit_lengths,
            label_starts: self.label_starts,
        }
    }

    /// Returns the sizes and layouts. `max_labels` is the width of a row of padded labels, or else
    /// the largest label length.
    #[must_use]
    pub fn shape(&self) -> &BatchShape {
        &self.shape
    }

    /// Returns the labels of an item, each of them a valid class.
    ///
    /// # Panics
    /// If the index is out of range.
    #[must_use]
    pub fn item_labels(&self, item: usize) -> &[i32] {
        let start = self.label_starts[item];
        &self.labels[start..start + self.label_lengths[item] as usize]
    }

    /// Returns the labels of several items in the batch's label layout.
    pub(crate) fn labels_of(&self, items: std::ops::Range<usize>) -> &[i32] {
        let start = |item: usize| {
            self.label_starts
                .get(item)
                .copied()
                .unwrap_or(self.labels.len())
        };
        &self.labels[start(items.start)..start(items.end)]
    }

    /// Returns the weight of an item; 1 if the batch has no weights.
    pub(crate) fn weight(&self, item: usize) -> f32 {
        self.weights.map_or(1.0, |weights| weights[item])
    }

    /// Checks that each label is a valid class, or `star`, and that the blank is among the labels
    /// only if it is allowed.
    fn check_labels(
        &self,
        blank_in_labels: BlankInLabels,
        star: Option<i32>,
    ) -> Result<(), InputError> {
        for item in 0..self.shape.items {
            for (position, &label) in self.item_labels(item).iter().enumerate() {
                match usize::try_from(label) {
                    _ if star == Some(label) => {}
                    Ok(label)
                        if label == self.blank && blank_in_labels == BlankInLabels::Reject =>
                    {
                        return Err(InputError::BlankLabel {
                            item,
                            position,
                            label,
                        });
                    }
                    Ok(label) if label < self.shape.classes => {}
                    _ => {
                        return Err(InputError::Label {
                            item,
                            position,
                            label: label.into(),
                            classes: self.shape.classes,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// Checks the number of weights, and that each is finite.
    fn check_weights(&self) -> Result<(), InputError> {
        let Some(weights) = self.weights else {
            return Ok(());
        };
        expect_length("weights", weights.len(), self.shape.items, "one per item")?;
        match weights.iter().position(|w| !w.is_finite()) {
            None => Ok(()),
            Some(item) => Err(InputError::Weight {
                item,
                weight: weights[item],
            }),
        }
    }

    /// Checks that the sum of the absolute weights is 0 or can be a divisor in f32: a device may
    /// flush subnormal numbers to 0, and need not divide accurately by numbers above 2^126.
    fn check_weight_sum(&self) -> Result<(), InputError> {
        let weights = self.weights.unwrap_or_default();
        let sum: f64 = weights.iter().map(|w| f64::from(w.abs())).sum();
        if sum == 0.0 || (1e-30..=1e37).contains(&sum) {
            Ok(())
        } else {
            Err(InputError::WeightSum { sum })
        }
    }
}

/// The largest number of items, frames, classes or labels: all lengths are 32-bit signed integers.
pub(crate) const LONGEST_AXIS: usize = i32::MAX as usize;

fn check_axes(items: usize, frames: usize, classes: usize) -> Result<(), ParameterError> {
    for (axis, value) in [
        ("items N", items),
        ("frames T", frames),
        ("classes C", classes),
    ] {
        if value > LONGEST_AXIS {
            return Err(ParameterError::Axis {
                axis,
                value: value as u64,
                rule: "below 2^31",
            });
        }
    }
    if classes == 0 {
        return Err(ParameterError::Axis {
            axis: "classes C",
            value: 0,
            rule: "at least 1: the blank is a class",
        });
    }
    // The product is the required length of the input. If it overflows, no slice is long enough.
    items
        .checked_mul(frames)
        .and_then(|rows| rows.checked_mul(classes))
        .map(|_| ())
        .ok_or(ParameterError::Axis {
            axis: "N·T·C",
            value: usize::MAX as u64,
            rule: "small enough for the memory of this machine",
        })
}

/// Checks that an ε is finite and not negative.
pub(crate) fn check_epsilon(input: Input) -> Result<(), ParameterError> {
    match input {
        Input::Probs { epsilon } if !(epsilon.is_finite() && epsilon >= 0.0) => {
            Err(ParameterError::Epsilon(epsilon))
        }
        _ => Ok(()),
    }
}

/// Appends the logit lengths of the batch, if it has any, to `found`.
fn find_logit_lengths(batch: &Batch<'_>, found: &mut Vec<u32>) -> Result<(), InputError> {
    let (items, frames) = (batch.items, batch.frames);
    if let Some(paddings) = batch.logit_paddings {
        return labels::unpad("logit_paddings", paddings, [items, frames], "N·T", found);
    }
    let Some(lengths) = batch.logit_lengths else {
        return Ok(());
    };
    expect_length("logit_lengths", lengths.len(), items, "one per item")?;
    for (item, &length) in lengths.iter().enumerate() {
        match u32::try_from(length) {
            Ok(length) if length as usize <= frames => found.push(length),
            _ => {
                return Err(InputError::LogitLength {
                    item,
                    length: length.into(),
                    frames,
                });
            }
        }
    }
    Ok(())
}

fn expect_length(
    array: &'static str,
    got: usize,
    expected: usize,
    rule: &'static str,
) -> Result<(), InputError> {
    if got == expected {
        return Ok(());
    }
    Err(InputError::Length {
        array,
        got,
        expected,
        rule,
    })
}
