//! A batch that owns its arrays.

use crate::{Batch, Layout};

/// Labels as a caller may give them; see the constructors of [`Batch`].
#[derive(Debug, Clone)]
pub enum OwnedLabels {
    /// Rows of labels, one after the other, as wide as each other.
    Padded {
        /// `[N, Lmax]`
        values: Vec<i32>,
        /// How many of a row are the item's.
        lengths: Vec<i32>,
    },
    /// Labels without rows.
    Concatenated {
        /// `[ΣL]`
        values: Vec<i32>,
        /// `[N]`
        lengths: Vec<i32>,
    },
    /// Labels by their places.
    Sparse {
        /// Item and position of each.
        indices: Vec<[i64; 2]>,
        /// The labels.
        values: Vec<i32>,
        /// N and Lmax.
        shape: [usize; 2],
    },
    /// Rows with a mask, as optax has them.
    Masked {
        /// `[N, Lmax]`
        values: Vec<i32>,
        /// `[N, Lmax]`, 0 where a label counts.
        paddings: Vec<f32>,
    },
    /// None were given, which is an error.
    Missing,
}

impl OwnedLabels {
    /// The labels and the items' lengths, where there are such.
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

/// A batch that owns its arrays: [`batch`](Self::batch) lends it out.
#[derive(Debug, Clone)]
pub struct OwnedBatch {
    /// N, T, C, whatever the layout.
    pub dims: [usize; 3],
    /// The order of the values' axes.
    pub layout: Layout,
    /// Logits, or what else the options say they are.
    pub values: Vec<f32>,
    /// The labels.
    pub labels: OwnedLabels,
    /// `[N]`; all frames count without them.
    pub logit_lengths: Option<Vec<i32>>,
    /// `[N, T]`, 0 where a frame counts.
    pub logit_paddings: Option<Vec<f32>>,
    /// `[N]`; 1 without them.
    pub weights: Option<Vec<f32>>,
}

/// Stands past an item's labels. No class, and no number that a test would use: who reads it fails.
pub const PADDING: i32 = -7;

impl OwnedBatch {
    /// A batch-major batch with one list of labels an item.
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

    /// One item of `frames` × `classes`.
    pub fn one([frames, classes]: [usize; 2], values: Vec<f32>, labels: &[i32]) -> Self {
        Self::new([1, frames, classes], values, &[labels])
    }

    /// Says that the values lie in the order `[T, N, C]`.
    pub fn time_major(self) -> Self {
        Self {
            layout: Layout::TimeMajor,
            ..self
        }
    }

    /// With these labels.
    pub fn labels(self, labels: OwnedLabels) -> Self {
        Self { labels, ..self }
    }

    /// With these logit lengths.
    pub fn logit_lengths(self, lengths: &[i32]) -> Self {
        Self {
            logit_lengths: Some(lengths.to_vec()),
            ..self
        }
    }

    /// With this mask of frames.
    pub fn logit_paddings(self, paddings: &[f32]) -> Self {
        Self {
            logit_paddings: Some(paddings.to_vec()),
            ..self
        }
    }

    /// With these weights.
    pub fn weights(self, weights: &[f32]) -> Self {
        Self {
            weights: Some(weights.to_vec()),
            ..self
        }
    }

    /// The batch, as the library takes it.
    pub fn batch(&self) -> Batch<'_> {
        let [items, frames, classes] = self.dims;
        let mut batch = match self.layout {
            Layout::BatchMajor => Batch::new(self.dims, &self.values),
            Layout::TimeMajor => Batch::time_major([frames, items, classes], &self.values),
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

    /// N
    pub fn items(&self) -> usize {
        self.dims[0]
    }

    /// T
    pub fn frames(&self) -> usize {
        self.dims[1]
    }

    /// C
    pub fn classes(&self) -> usize {
        self.dims[2]
    }

    /// Where a frame of an item starts in the values.
    pub fn row(&self, item: usize, frame: usize) -> usize {
        let [items, frames, classes] = self.dims;
        classes
            * match self.layout {
                Layout::BatchMajor => item * frames + frame,
                Layout::TimeMajor => frame * items + item,
            }
    }

    /// Item, frame and class of an element.
    pub fn place(&self, element: usize) -> [usize; 3] {
        let [items, frames, classes] = self.dims;
        let (row, class) = (element / classes, element % classes);
        match self.layout {
            Layout::BatchMajor => [row / frames, row % frames, class],
            Layout::TimeMajor => [row % items, row / items, class],
        }
    }

    /// How many frames of an item count. Only for batches without errors.
    pub fn counting(&self, item: usize) -> usize {
        if let Some(paddings) = &self.logit_paddings {
            let row = &paddings[item * self.frames()..(item + 1) * self.frames()];
            return row.iter().filter(|p| **p == 0.0).count();
        }
        match &self.logit_lengths {
            Some(lengths) => usize::try_from(lengths[item]).unwrap_or(0),
            None => self.frames(),
        }
    }

    /// The largest weight's magnitude, from 1 on: errors of gradients grow with it.
    #[must_use]
    pub fn largest_weight(&self) -> f64 {
        let weights = self.weights.iter().flatten();
        weights.fold(1.0, |most, w| f64::from(w.abs()).max(most))
    }

    /// The labels of an item as classes. Only for batches without errors.
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

    /// The same batch in the other layout.
    pub fn transposed(&self) -> Self {
        let layout = match self.layout {
            Layout::BatchMajor => Layout::TimeMajor,
            Layout::TimeMajor => Layout::BatchMajor,
        };
        let values = self.transpose(&self.values);
        Self {
            layout,
            values,
            ..self.clone()
        }
    }

    /// An array of the values' shape in the order of the other layout.
    pub fn transpose<E: Copy>(&self, array: &[E]) -> Vec<E> {
        let [items, frames, classes] = self.dims;
        let rows = match self.layout {
            Layout::BatchMajor => (0..frames * items)
                .map(|r| self.row(r % items, r / items))
                .collect::<Vec<_>>(),
            Layout::TimeMajor => (0..items * frames)
                .map(|r| self.row(r / frames, r % frames))
                .collect(),
        };
        rows.into_iter()
            .flat_map(|start| array[start..start + classes].to_vec())
            .collect()
    }

    /// One item alone, with its frames, labels, length and weight.
    pub fn alone(&self, item: usize) -> Self {
        let rows = (0..self.frames()).map(|t| self.row(item, t));
        let values = rows
            .flat_map(|start| self.values[start..start + self.classes()].to_vec())
            .collect();
        let labels: Vec<i32> = self.item_labels(item).iter().map(|l| *l as i32).collect();
        let alone = Self::one([self.frames(), self.classes()], values, &labels);
        let alone = alone.logit_lengths(&[self.counting(item) as i32]);
        match &self.weights {
            Some(weights) => alone.weights(&weights[item..=item]),
            None => alone,
        }
    }
}

/// Lists of labels as rows, as wide as the longest, with [`PADDING`] past each.
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

/// Lists of labels one after the other.
pub fn concatenated<L: AsRef<[i32]>>(labels: &[L]) -> OwnedLabels {
    OwnedLabels::Concatenated {
        values: labels.iter().flat_map(|l| l.as_ref().to_vec()).collect(),
        lengths: labels.iter().map(|l| l.as_ref().len() as i32).collect(),
    }
}
