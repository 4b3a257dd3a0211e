//! A batch that owns its arrays.

use ctc_wgpu::{Batch, Layout};

/// Labels as a caller may give them; see the constructors of [`Batch`].
#[derive(Debug, Clone)]
pub(crate) enum OwnedLabels {
    Padded {
        values: Vec<i32>,
        lengths: Vec<i32>,
    },
    Concatenated {
        values: Vec<i32>,
        lengths: Vec<i32>,
    },
    Sparse {
        indices: Vec<[i64; 2]>,
        values: Vec<i32>,
        shape: [usize; 2],
    },
    Masked {
        values: Vec<i32>,
        paddings: Vec<f32>,
    },
    Missing,
}

/// A batch that owns its arrays: [`batch`](Self::batch) lends it out.
#[derive(Debug, Clone)]
pub(crate) struct OwnedBatch {
    /// N, T, C, whatever the layout.
    pub(crate) dims: [usize; 3],
    pub(crate) layout: Layout,
    pub(crate) values: Vec<f32>,
    pub(crate) labels: OwnedLabels,
    pub(crate) logit_lengths: Option<Vec<i32>>,
    pub(crate) logit_paddings: Option<Vec<f32>>,
    pub(crate) weights: Option<Vec<f32>>,
}

/// Stands past an item's labels. No class, and no number that a test would use: who reads it fails.
pub(crate) const PADDING: i32 = -7;

impl OwnedBatch {
    /// A batch-major batch with one list of labels an item.
    pub(crate) fn new<L: AsRef<[i32]>>(dims: [usize; 3], values: Vec<f32>, labels: &[L]) -> Self {
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
    pub(crate) fn one([frames, classes]: [usize; 2], values: Vec<f32>, labels: &[i32]) -> Self {
        Self::new([1, frames, classes], values, &[labels])
    }

    /// Says that the values lie in the order `[T, N, C]`.
    pub(crate) fn time_major(self) -> Self {
        Self {
            layout: Layout::TimeMajor,
            ..self
        }
    }

    pub(crate) fn labels(self, labels: OwnedLabels) -> Self {
        Self { labels, ..self }
    }

    pub(crate) fn logit_lengths(self, lengths: &[i32]) -> Self {
        Self {
            logit_lengths: Some(lengths.to_vec()),
            ..self
        }
    }

    pub(crate) fn logit_paddings(self, paddings: &[f32]) -> Self {
        Self {
            logit_paddings: Some(paddings.to_vec()),
            ..self
        }
    }

    pub(crate) fn weights(self, weights: &[f32]) -> Self {
        Self {
            weights: Some(weights.to_vec()),
            ..self
        }
    }

    /// The batch, as the library takes it.
    pub(crate) fn batch(&self) -> Batch<'_> {
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

    pub(crate) fn items(&self) -> usize {
        self.dims[0]
    }

    pub(crate) fn frames(&self) -> usize {
        self.dims[1]
    }

    pub(crate) fn classes(&self) -> usize {
        self.dims[2]
    }

    /// Where a frame of an item starts in the values.
    pub(crate) fn row(&self, item: usize, frame: usize) -> usize {
        let [items, frames, classes] = self.dims;
        classes
            * match self.layout {
                Layout::BatchMajor => item * frames + frame,
                Layout::TimeMajor => frame * items + item,
            }
    }

    /// Item, frame and class of an element.
    pub(crate) fn place(&self, element: usize) -> [usize; 3] {
        let [items, frames, classes] = self.dims;
        let (row, class) = (element / classes, element % classes);
        match self.layout {
            Layout::BatchMajor => [row / frames, row % frames, class],
            Layout::TimeMajor => [row % items, row / items, class],
        }
    }

    /// How many frames of an item count. Only for batches without errors.
    pub(crate) fn counting(&self, item: usize) -> usize {
        if let Some(paddings) = &self.logit_paddings {
            let row = &paddings[item * self.frames()..(item + 1) * self.frames()];
            return row.iter().filter(|p| **p == 0.0).count();
        }
        match &self.logit_lengths {
            Some(lengths) => usize::try_from(lengths[item]).unwrap(),
            None => self.frames(),
        }
    }

    /// The labels of an item as classes. Only for batches without errors.
    pub(crate) fn item_labels(&self, item: usize) -> Vec<usize> {
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
            OwnedLabels::Missing => panic!("this batch has no labels"),
        };
        labels
            .into_iter()
            .map(|label| usize::try_from(label).unwrap())
            .collect()
    }

    /// The same batch in the other layout.
    pub(crate) fn transposed(&self) -> Self {
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
    pub(crate) fn transpose<E: Copy>(&self, array: &[E]) -> Vec<E> {
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
    pub(crate) fn alone(&self, item: usize) -> Self {
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
pub(crate) fn padded<L: AsRef<[i32]>>(labels: &[L]) -> OwnedLabels {
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
pub(crate) fn concatenated<L: AsRef<[i32]>>(labels: &[L]) -> OwnedLabels {
    OwnedLabels::Concatenated {
        values: labels.iter().flat_map(|l| l.as_ref().to_vec()).collect(),
        lengths: labels.iter().map(|l| l.as_ref().len() as i32).collect(),
    }
}
