//! The sizes of a batch, and the layout of its arrays in memory.

use crate::kernels::ElementType;
use crate::names::names;

/// The memory layout of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Layout {
    /// `[N, T, C]`, as in Keras.
    #[default]
    BatchMajor,
    /// `[T, N, C]`, as in PyTorch.
    TimeMajor,
}

/// The memory layout of the labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum LabelLayout {
    /// `[N, Lmax]`; padding past an item's label length is ignored.
    #[default]
    Padded,
    /// `[ΣL]`, one item after the other, as the values of a sparse tensor.
    Concatenated,
}

/// The sizes and layouts of a batch.
///
/// ```
/// use ctc_wgpu::{Layout, BatchShape};
/// let shape = BatchShape::new(32, 50, 20, 6).time_major();
/// assert_eq!((shape.frames, shape.layout), (50, Layout::TimeMajor));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BatchShape {
    /// Items in the batch, `N`.
    pub items: usize,
    /// Frames of the input array, `T`; an item may have fewer valid frames.
    pub frames: usize,
    /// Classes, `C`, including the blank.
    pub classes: usize,
    /// The largest label length, `Lmax`; for padded labels the width of a row.
    pub max_labels: usize,
    /// The memory layout of the input and of the gradient.
    pub layout: Layout,
    /// The memory layout of the labels.
    pub label_layout: LabelLayout,
    /// The element type of the input and of the gradient; on the host always f32.
    pub element: ElementType,
}

impl BatchShape {
    /// Returns the shape of a batch-major f32 input `[items, frames, classes]` with padded labels
    /// `[items, max_labels]`.
    #[must_use]
    pub fn new(items: usize, frames: usize, classes: usize, max_labels: usize) -> Self {
        Self {
            items,
            frames,
            classes,
            max_labels,
            layout: Layout::BatchMajor,
            label_layout: LabelLayout::Padded,
            element: ElementType::F32,
        }
    }

    /// Returns this shape with an input and a gradient of f16.
    #[must_use]
    pub fn f16(self) -> Self {
        Self {
            element: ElementType::F16,
            ..self
        }
    }

    /// Returns this shape with the input and the gradient in `[T, N, C]`.
    #[must_use]
    pub fn time_major(self) -> Self {
        Self {
            layout: Layout::TimeMajor,
            ..self
        }
    }

    /// Returns this shape with concatenated labels, `[ΣL]`; `max_labels` still limits each item's
    /// length.
    #[must_use]
    pub fn concatenated(self) -> Self {
        Self {
            label_layout: LabelLayout::Concatenated,
            ..self
        }
    }

    /// Returns the shape for which [`Ctc`](crate::Ctc) plans this batch. The maximum length of
    /// concatenated labels is rounded up, so that batches with similar maximum lengths share a
    /// plan.
    #[must_use]
    pub fn for_plan(self) -> Self {
        match self.label_layout {
            LabelLayout::Padded => self,
            LabelLayout::Concatenated => Self {
                max_labels: self.max_labels.next_power_of_two(),
                ..self
            },
        }
    }

    /// Returns the index of the first element of a frame of an item, in the input and the gradient.
    #[must_use]
    pub fn row(&self, item: usize, frame: usize) -> usize {
        let row = match self.layout {
            Layout::BatchMajor => item * self.frames + frame,
            Layout::TimeMajor => frame * self.items + item,
        };
        row * self.classes
    }

    /// Returns the size of the input, and of the gradient, in bytes; saturates at `usize::MAX`.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.elements().saturating_mul(self.element.bytes())
    }

    /// Returns the number of elements of the input, `N·T·C`; saturates at `usize::MAX`.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.items
            .saturating_mul(self.frames)
            .saturating_mul(self.classes)
    }
}

names!(Layout {
    BatchMajor = "ntc",
    TimeMajor = "tnc",
});

names!(LabelLayout {
    Padded = "padded",
    Concatenated = "concatenated",
});
