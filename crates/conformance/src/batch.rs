//! A batch that owns its arrays.

use ctc_wgpu::{Batch, Layout};

/// Labels in any form that [`Batch`] accepts; see its methods.
#[derive(Debug, Clone)]
pub enum OwnedLabels {
    /// Rows of labels, all of the same width.
    Padded {
        /// `[N, Lmax]`
        values: Vec<i32>,
        /// The number of valid labels in each row, `[N]`.
        lengths: Vec<i32>,
    },
    /// Labels of all items in one list.
    Concatenated {
        /// `[ΣL]`
        values: Vec<i32>,
        /// `[N]`
        lengths: Vec<i32>,
    },
    /// Labels with their indices.
    Sparse {
        /// The item and position of each label.
        indices: Vec<[i64; 2]>,
        /// The labels.
        values: Vec<i32>,
        /// `[N, Lmax]`.
        shape: [usize; 2],
    },
    /// Rows of labels with a mask, as in optax.
    Masked {
        /// `[N, Lmax]`
        values: Vec<i32>,
        /// `[N, Lmax]`, 0 for a valid label.
        paddings: Vec<f32>,
    },
    /// No labels, which is an error.
    Missing,
}

impl OwnedLabels {
    /// Returns the labels, and the lengths of the items if this form has them.
    #[must_use]
    pub fn into_values(self) -> (Vec<i32>, Vec<i32>) {
        match self {
            Self::Padded { values, lengths } | Self::Concatenated { values, lengths } => {
                (values, lengths)
            }
            Self::Sparse { values, .. } | Self::Masked { values, .. } => (values, Vec::new()),
            Self::Missing => Default::default(),
        }
    }
}

/// A batch that owns its arrays; [`batch`](Self::batch) borrows them as a [`Batch`].
#[derive(Debug, Clone)]
pub struct OwnedBatch {
    /// N, T, C, in either layout.
    pub dims: [usize; 3],
    /// The order of the values' axes.
    pub layout: Layout,
    /// Logits, log-probabilities or probabilities, as the options specify.
    pub values: Vec<f32>,
    /// The labels.
    pub labels: OwnedLabels,
    /// `[N]`; without them all frames are valid.
    pub logit_lengths: Option<Vec<i32>>,
    /// `[N, T]`, 0 for a valid frame.
    pub logit_paddings: Option<Vec<f32>>,
    /// `[N]`; without them each weight is 1.
    pub weights: Option<Vec<f32>>,
}

/// The label that fills a row past an item's labels. It is not a valid class, so code that reads it
/// fails.
pub const PADDING: i32 = -7;

impl OwnedBatch {
    /// Creates a batch-major batch with one list of labels per item.
    pub fn new<L: AsRef<[i32]>>(dims: [usize; 3], values: Vec<f32>, labels: &[L]) -> Self {
        Self {
            dims,
            layout: Layout::BatchMajor,
            values,
            labels: padded(labels),
            logit_lengths: None,
            logit_paddings: None,
            weights: None,
        }
    }

    /// Creates a batch of one item with `frames` × `classes` values.
    pub fn one([frames, classes]: [usize; 2], values: Vec<f32>, labels: &[i32]) -> Self {
        Self::new([1, frames, classes], values, &[labels])
    }

    /// Declares that the values are in the order `[T, N, C]`.
    pub fn time_major(self) -> Self {
        Self {
            layout: Layout::TimeMajor,
            ..self
        }
    }

    /// Sets the labels.
    pub fn labels(self, labels: OwnedLabels) -> Self {
        Self { labels, ..self }
    }

    /// Sets the logit lengths.
    pub fn logit_lengths(self, lengths: &[i32]) -> Self {
        Self {
            logit_lengths: Some(lengths.to_vec()),
            ..self
        }
    }

    /// Sets the mask of frames.
    pub fn logit_paddings(self, paddings: &[f32]) -> Self {
        Self {
            logit_paddings: Some(paddings.to_vec()),
            ..self
        }
    }

    /// Sets the weights.
    pub fn weights(self, weights: &[f32]) -> Self {
        Self {
            weights: Some(weights.to_vec()),
            ..self
        }
    }

    /// Returns the batch as the library's type, which borrows the arrays.
    pub fn batch(&self) -> Batch<'_> {
        let [items, frames, classes] = self.dims;
        let mut batch = if self.is_time_major() {
            Batch::time_major([frames, items, classes], &self.values)
        } else {
            Batch::new(self.dims, &self.values)
        };
        batch = match &self.labels {
            OwnedLabels::Padded { values, lengths } => batch.labels(values, lengths),
            OwnedLabels::Concatenated { values, lengths } => {
                batch.labels_concatenated(values, lengths)
            }
            OwnedLabels::Sparse {
                indices,
                values,
                shape,
            } => batch.labels_sparse(indices, values, *shape),
            OwnedLabels::Masked { values, paddings } => batch.label_paddings(values, paddings),
            OwnedLabels::Missing => batch,
        };
        if let Some(lengths) = &self.logit_lengths {
            batch = batch.logit_lengths(lengths);
        }
        if let Some(paddings) = &self.logit_paddings {
            batch = batch.logit_paddings(paddings);
        }
        match &self.weights {
            Some(weights) => batch.weights(weights),
            None => batch,
        }
    }

    /// Returns N.
    pub fn items(&self) -> usize {
        self.dims[0]
    }

    /// Returns T.
    pub fn frames(&self) -> usize {
        self.dims[1]
    }

    /// Returns C.
    pub fn classes(&self) -> usize {
        self.dims[2]
    }

    fn is_time_major(&self) -> bool {
        self.layout == Layout::TimeMajor
    }

    /// Returns the index of the first value of an item's frame.
    pub fn row(&self, item: usize, frame: usize) -> usize {
        let [items, frames, classes] = self.dims;
        let row = if self.is_time_major() {
            frame * items + item
        } else {
            item * frames + frame
        };
        row * classes
    }

    /// Returns the item, frame and class of an element of the values.
    pub fn position(&self, element: usize) -> [usize; 3] {
        let [items, frames, classes] = self.dims;
        let (row, class) = (element / classes, element % classes);
        if self.is_time_major() {
            [row % items, row / items, class]
        } else {
            [row / frames, row % frames, class]
        }
    }

    /// Returns the number of valid frames of an item. The batch must be valid.
    pub fn valid_frames(&self, item: usize) -> usize {
        if let Some(paddings) = &self.logit_paddings {
            let row = &paddings[item * self.frames()..(item + 1) * self.frames()];
            return row.iter().filter(|p| **p == 0.0).count();
        }
        match &self.logit_lengths {
            Some(lengths) => usize::try_from(lengths[item]).unwrap_or(0),
            None => self.frames(),
        }
    }

    /// Returns the largest magnitude of a weight, or 1 if all are smaller. The errors of gradients
    /// grow with it.
    #[must_use]
    pub fn largest_weight(&self) -> f64 {
        let weights = self.weights.iter().flatten();
        weights.fold(1.0, |max, w| f64::from(w.abs()).max(max))
    }

    /// Returns the labels of an item as classes. The batch must be valid.
    pub fn item_labels(&self, item: usize) -> Vec<usize> {
        let width = |values: &[i32]| values.len() / self.items();
        let labels: Vec<i32> = match &self.labels {
            OwnedLabels::Padded { values, lengths } => {
                values[item * width(values)..][..lengths[item] as usize].to_vec()
            }
            OwnedLabels::Concatenated { values, lengths } => {
                let start: i32 = lengths[..item].iter().sum();
                values[start as usize..][..lengths[item] as usize].to_vec()
            }
            OwnedLabels::Sparse {
                indices, values, ..
            } => {
                let rows = indices.iter().zip(values);
                rows.filter(|(at, _)| at[0] == item as i64)
                    .map(|(_, label)| *label)
                    .collect()
            }
            OwnedLabels::Masked { values, paddings } => {
                let row = item * width(values)..(item + 1) * width(values);
                let pairs = values[row.clone()].iter().zip(&paddings[row]);
                pairs
                    .filter(|(_, p)| **p == 0.0)
                    .map(|(label, _)| *label)
                    .collect()
            }
            OwnedLabels::Missing => Vec::new(),
        };
        let class = |label| usize::try_from(label).unwrap_or(usize::MAX);
        labels.into_iter().map(class).collect()
    }

    /// Returns the same batch in the other layout.
    pub fn transposed(&self) -> Self {
        let layout = if self.is_time_major() {
            Layout::BatchMajor
        } else {
            Layout::TimeMajor
        };
        let values = self.transpose(&self.values);
        Self {
            layout,
            values,
            ..self.clone()
        }
    }

    /// Reorders an array of the values' shape to the other layout.
    pub fn transpose<E: Copy>(&self, array: &[E]) -> Vec<E> {
        let [items, frames, classes] = self.dims;
        let rows = (0..items * frames).map(|row| {
            if self.is_time_major() {
                self.row(row / frames, row % frames)
            } else {
                self.row(row % items, row / items)
            }
        });
        rows.flat_map(|start| array[start..start + classes].to_vec())
            .collect()
    }

    /// Returns a batch of one item, with its frames, labels, length and weight.
    pub fn alone(&self, item: usize) -> Self {
        let rows = (0..self.frames()).map(|t| self.row(item, t));
        let values = rows
            .flat_map(|start| self.values[start..start + self.classes()].to_vec())
            .collect();
        let labels: Vec<i32> = self.item_labels(item).iter().map(|l| *l as i32).collect();
        let alone = Self::one([self.frames(), self.classes()], values, &labels);
        let alone = alone.logit_lengths(&[self.valid_frames(item) as i32]);
        match &self.weights {
            Some(weights) => alone.weights(&weights[item..=item]),
            None => alone,
        }
    }
}

/// Converts lists of labels to rows as wide as the longest list, with [`PADDING`] at the end.
pub fn padded<L: AsRef<[i32]>>(labels: &[L]) -> OwnedLabels {
    let width = labels.iter().map(|l| l.as_ref().len()).max().unwrap_or(0);
    let row = |list: &L| {
        let list = list.as_ref().to_vec();
        let missing = width - list.len();
        [list, vec![PADDING; missing]].concat()
    };
    OwnedLabels::Padded {
        values: labels.iter().flat_map(row).collect(),
        lengths: labels.iter().map(|l| l.as_ref().len() as i32).collect(),
    }
}

/// Concatenates lists of labels.
pub fn concatenated<L: AsRef<[i32]>>(labels: &[L]) -> OwnedLabels {
    OwnedLabels::Concatenated {
        values: labels.iter().flat_map(|l| l.as_ref().to_vec()).collect(),
        lengths: labels.iter().map(|l| l.as_ref().len() as i32).collect(),
    }
}
