//! The sizes of a batch, and how its arrays lie in memory.

use crate::kernels::ElementType;
use crate::names::names;

/// The order of the `[N, T, C]` input in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Layout {
    /// `[N, T, C]`: Keras's order.
    #[default]
    BatchMajor,
    /// `[T, N, C]`: PyTorch's order.
    TimeMajor,
}

/// How labels lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
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
/// use ctc_wgpu::{Layout, BatchShape};
/// let shape = BatchShape::new(32, 50, 20, 6).time_major();
/// assert_eq!((shape.frames, shape.layout), (50, Layout::TimeMajor));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BatchShape {
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
    /// What the numbers of the input and of the gradient are; on the host always f32.
    pub element: ElementType,
}

impl BatchShape {
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
            element: ElementType::F32,
        }
    }

    /// The same shape with an input and a gradient of f16.
    #[must_use]
    pub fn f16(self) -> Self {
        Self {
            element: ElementType::F16,
            ..self
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

    /// Bytes of the input and of the gradient; no more than `usize::MAX`.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.elements().saturating_mul(self.element.bytes())
    }

    /// Elements of the input, `N·T·C`; no more than `usize::MAX`, which no array has.
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
