//! What goes in: shapes, layouts and a batch on the host, and the checks, each made once.
//!
//! A [`Batch`] only borrows and names; [`Problem::new`] checks it against the [`Options`] and gives what the stages
//! work on. After that no stage checks anything again.

use std::borrow::Cow;

use crate::error::InputError;
use crate::options::{BlankInLabels, Input, Options};

mod labels;
pub use labels::Labels;

/// The order of the `[N, T, C]` input in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Layout {
    /// `[N, T, C]`: Keras's order.
    #[default]
    BatchMajor,
    /// `[T, N, C]`: PyTorch's order.
    TimeMajor,
}

/// How labels lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LabelLayout {
    /// `[N, Lmax]`; what stands past an item's label length is never looked at.
    #[default]
    Padded,
    /// `[ΣL]`, the items one after the other. The values of a sparse tensor are this too.
    Concatenated,
}

/// The sizes and layouts of a batch.
///
/// ```
/// use ctc_wgpu::{Layout, Shape};
/// let shape = Shape::new(32, 50, 20, 6).time_major();
/// assert_eq!((shape.frames, shape.layout), (50, Layout::TimeMajor));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Items in the batch, `N`.
    pub items: usize,
    /// Frames, `T`: of the array, not of an item.
    pub frames: usize,
    /// Classes, `C`, the blank among them.
    pub classes: usize,
    /// The longest label, `Lmax`; for padded labels the width of a row.
    pub max_labels: usize,
    /// The order of the input and of the gradient.
    pub layout: Layout,
    /// How labels lie in memory.
    pub label_layout: LabelLayout,
}

impl Shape {
    /// `items` × `frames` × `classes`, batch-major, with padded labels of `max_labels`.
    #[must_use]
    pub fn new(items: usize, frames: usize, classes: usize, max_labels: usize) -> Self {
        Self {
            items,
            frames,
            classes,
            max_labels,
            layout: Layout::BatchMajor,
            label_layout: LabelLayout::Padded,
        }
    }

    /// The same shape with the input and gradient ordered `[T, N, C]`.
    #[must_use]
    pub fn time_major(self) -> Self {
        Self {
            layout: Layout::TimeMajor,
            ..self
        }
    }

    /// The same shape with the labels one after the other, `[ΣL]`; `max_labels` bounds each item's length still.
    #[must_use]
    pub fn concatenated(self) -> Self {
        Self {
            label_layout: LabelLayout::Concatenated,
            ..self
        }
    }

    /// Where frame `frame` of item `item` starts in the input and in the gradient, counted in elements.
    #[must_use]
    pub fn row(&self, item: usize, frame: usize) -> usize {
        let row = match self.layout {
            Layout::BatchMajor => item * self.frames + frame,
            Layout::TimeMajor => frame * self.items + item,
        };
        row * self.classes
    }

    /// Elements of the input, `N·T·C`.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.items * self.frames * self.classes
    }
}

/// A batch on the host: borrowed arrays and their names. Nothing is checked before it is used.
///
/// Lengths are per item. Where no logit lengths are given, every frame counts.
///
/// ```
/// use ctc_wgpu::Batch;
/// let logits = vec![0.0; 2 * 5 * 4]; // [N = 2, T = 5, C = 4]
/// let batch = Batch::new([2, 5, 4], &logits).labels(&[1, 2, 3, 0], &[2, 1]).logit_lengths(&[5, 4]);
/// # let _ = batch;
/// ```
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    items: usize,
    frames: usize,
    classes: usize,
    layout: Layout,
    values: &'a [f32],
    labels: Option<Labels<'a>>,
    logit_lengths: Option<&'a [i32]>,
    logit_paddings: Option<&'a [f32]>,
    weights: Option<&'a [f32]>,
}

impl<'a> Batch<'a> {
    /// A batch-major input `values` of shape `[items, frames, classes]`.
    #[must_use]
    pub fn new([items, frames, classes]: [usize; 3], values: &'a [f32]) -> Self {
        Self {
            items,
            frames,
            classes,
            layout: Layout::BatchMajor,
            values,
            labels: None,
            logit_lengths: None,
            logit_paddings: None,
            weights: None,
        }
    }

    /// A time-major input `values` of shape `[frames, items, classes]`, PyTorch's order.
    #[must_use]
    pub fn time_major([frames, items, classes]: [usize; 3], values: &'a [f32]) -> Self {
        Self {
            layout: Layout::TimeMajor,
            ..Self::new([items, frames, classes], values)
        }
    }

    /// Padded labels `[N, Lmax]` and how many of each row count.
    #[must_use]
    pub fn labels(self, values: &'a [i32], lengths: &'a [i32]) -> Self {
        self.with(Labels::Padded { values, lengths })
    }

    /// Labels one after the other, `[ΣL]`, and how many belong to each item.
    #[must_use]
    pub fn labels_concatenated(self, values: &'a [i32], lengths: &'a [i32]) -> Self {
        self.with(Labels::Concatenated { values, lengths })
    }

    /// A sparse tensor as TensorFlow has it: `indices` of `[item, position]` in order, their `values`, and the dense
    /// shape `[N, Lmax]`.
    #[must_use]
    pub fn labels_sparse(
        self,
        indices: &'a [[i64; 2]],
        values: &'a [i32],
        shape: [usize; 2],
    ) -> Self {
        self.with(Labels::Sparse {
            indices,
            values,
            shape,
        })
    }

    /// Padded labels `[N, Lmax]` with a mask of the same shape that is 0 where a label counts and 1 after the last,
    /// as optax's `label_paddings`.
    #[must_use]
    pub fn label_paddings(self, values: &'a [i32], paddings: &'a [f32]) -> Self {
        self.with(Labels::Masked { values, paddings })
    }

    fn with(self, labels: Labels<'a>) -> Self {
        Self {
            labels: Some(labels),
            ..self
        }
    }

    /// How many frames of each item count. Takes the place of a mask given before.
    #[must_use]
    pub fn logit_lengths(self, lengths: &'a [i32]) -> Self {
        Self {
            logit_lengths: Some(lengths),
            logit_paddings: None,
            ..self
        }
    }

    /// A mask `[N, T]` that is 0 where a frame counts and 1 after the last, as optax's `logit_paddings`. Takes the place
    /// of lengths given before.
    #[must_use]
    pub fn logit_paddings(self, paddings: &'a [f32]) -> Self {
        Self {
            logit_paddings: Some(paddings),
            logit_lengths: None,
            ..self
        }
    }

    /// One weight an item: an incoming gradient, or Keras's `sample_weight`.
    #[must_use]
    pub fn weights(self, weights: &'a [f32]) -> Self {
        Self {
            weights: Some(weights),
            ..self
        }
    }
}

/// A checked batch: what the CPU twin, the reference and the upload work on.
#[derive(Debug, Clone)]
pub struct Problem<'a> {
    /// The sizes and layouts, `max_labels` being the longest item's.
    pub(crate) shape: Shape,
    /// The blank's index, below the number of classes.
    pub(crate) blank: usize,
    /// The input, in the shape's layout.
    pub(crate) values: &'a [f32],
    /// The labels of all items, laid out as the shape says.
    pub(crate) labels: Cow<'a, [i32]>,
    /// How many labels each item has.
    pub(crate) label_lengths: Vec<u32>,
    /// How many frames of each item count.
    pub(crate) logit_lengths: Vec<u32>,
    /// One weight an item.
    pub(crate) weights: Option<&'a [f32]>,
    /// Where each item's labels begin.
    label_starts: Vec<usize>,
}

impl<'a> Problem<'a> {
    /// Checks `batch` against `options`.
    ///
    /// # Errors
    /// The first rule that the batch breaks, in the order: axes, array lengths, blank and ε, logit lengths, labels,
    /// weights.
    pub fn new(batch: &Batch<'a>, options: &Options) -> Result<Self, InputError> {
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
            return Err(InputError::Blank { blank, classes });
        }
        check_epsilon(options.input).map_err(InputError::Epsilon)?;
        let logit_lengths = logit_lengths(batch)?;
        let found = batch.labels.ok_or(InputError::NoLabels)?.locate(items)?;
        let problem = Self {
            shape: Shape {
                items,
                frames,
                classes,
                max_labels: found.width,
                layout,
                label_layout: found.layout,
            },
            blank,
            values,
            labels: found.values,
            label_lengths: found.lengths,
            logit_lengths,
            weights: batch.weights,
            label_starts: found.starts,
        };
        problem.check_labels(options.blank_in_labels)?;
        problem.check_weights()?;
        Ok(problem)
    }

    /// The sizes and layouts, `max_labels` being the width of a row of padded labels or the longest item's length.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The labels of an item, as given.
    pub(crate) fn item_labels(&self, item: usize) -> &[i32] {
        let start = self.label_starts[item];
        &self.labels[start..start + self.label_lengths[item] as usize]
    }

    /// The labels of several items in the layout that they were given in.
    pub(crate) fn labels_of(&self, items: std::ops::Range<usize>) -> &[i32] {
        let start = |item: usize| {
            self.label_starts
                .get(item)
                .copied()
                .unwrap_or(self.labels.len())
        };
        &self.labels[start(items.start)..start(items.end)]
    }

    /// The weight of an item, 1 where none are given.
    pub(crate) fn weight(&self, item: usize) -> f32 {
        self.weights.map_or(1.0, |weights| weights[item])
    }

    fn check_labels(&self, blank_in_labels: BlankInLabels) -> Result<(), InputError> {
        for item in 0..self.shape.items {
            for (position, &label) in self.item_labels(item).iter().enumerate() {
                match usize::try_from(label) {
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

    fn check_weights(&self) -> Result<(), InputError> {
        let Some(weights) = self.weights else {
            return Ok(());
        };
        expect_length("weights", weights.len(), self.shape.items, "one an item")?;
        match weights.iter().position(|w| !w.is_finite()) {
            None => Ok(()),
            Some(item) => Err(InputError::Weight {
                item,
                weight: weights[item],
            }),
        }
    }
}

/// The most items, frames, classes or labels: lengths are 32-bit signed integers everywhere.
pub(crate) const LONGEST_AXIS: usize = i32::MAX as usize;

fn check_axes(items: usize, frames: usize, classes: usize) -> Result<(), InputError> {
    for (axis, value) in [
        ("items N", items),
        ("frames T", frames),
        ("classes C", classes),
    ] {
        if value > LONGEST_AXIS {
            let rule = "below 2^31";
            return Err(InputError::Axis { axis, value, rule });
        }
    }
    if classes == 0 {
        return Err(InputError::Axis {
            axis: "classes C",
            value: 0,
            rule: "at least 1: the blank is a class",
        });
    }
    // The product of the three is the length of a slice, or no slice has that length.
    items
        .checked_mul(frames)
        .and_then(|rows| rows.checked_mul(classes))
        .map(|_| ())
        .ok_or(InputError::Axis {
            axis: "N·T·C",
            value: usize::MAX,
            rule: "addressable",
        })
}

/// An ε that is out of range, if it is.
pub(crate) fn check_epsilon(input: Input) -> Result<(), f32> {
    match input {
        Input::Probs { epsilon } if !(epsilon.is_finite() && epsilon >= 0.0) => Err(epsilon),
        _ => Ok(()),
    }
}

fn logit_lengths(batch: &Batch<'_>) -> Result<Vec<u32>, InputError> {
    let (items, frames) = (batch.items, batch.frames);
    if let Some(paddings) = batch.logit_paddings {
        return labels::unpadded("logit_paddings", paddings, items, frames, "N·T");
    }
    let Some(lengths) = batch.logit_lengths else {
        return Ok(vec![u32::try_from(frames).unwrap_or(u32::MAX); items]);
    };
    expect_length("logit_lengths", lengths.len(), items, "one an item")?;
    lengths
        .iter()
        .enumerate()
        .map(|(item, &length)| match u32::try_from(length) {
            Ok(inside) if inside as usize <= frames => Ok(inside),
            _ => Err(InputError::LogitLength {
                item,
                length: length.into(),
                frames,
            }),
        })
        .collect()
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
