//! How far a reading is from what was to be read.

use std::iter::Sum;
use std::ops::Add;

/// The fewest changes that make a reading of the labels (V. I. Levenshtein, 1966), by kind. Add them up over a test set before you
/// take the rate.
///
/// ```
/// use ctc_wgpu::decode::EditCounts;
/// let edits = EditCounts::between(b"kitten", b"sitting");
/// assert_eq!((edits.substitutions, edits.deletions, edits.insertions), (2, 0, 1));
/// assert_eq!(edits.rate(), 3.0 / 6.0);
/// let all: EditCounts = [("ab", "ab"), ("cd", "d")].iter().map(|(labels, read)| EditCounts::between(labels.as_bytes(), read.as_bytes())).sum();
/// assert_eq!(all.rate(), 1.0 / 4.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct EditCounts {
    /// Labels read as others.
    pub substitutions: usize,
    /// Labels not read.
    pub deletions: usize,
    /// What was read and is no label.
    pub insertions: usize,
    /// Labels that were to be read.
    pub labels: usize,
}

impl EditCounts {
    /// Counts them. Where several ways are equally short, one with most substitutions is counted, and among those one with
    /// most deletions.
    ///
    /// Time grows as the product of the lengths, memory as the reading's.
    #[must_use]
    pub fn between<T: PartialEq>(labels: &[T], read: &[T]) -> Self {
        // Row i: the edits between the first i labels and each beginning of the reading.
        let mut row: Vec<Self> = (0..=read.len())
            .map(|insertions| Self {
                insertions,
                ..Self::default()
            })
            .collect();
        for (i, label) in labels.iter().enumerate() {
            let mut diagonal = row[0];
            row[0].deletions = i + 1;
            for (j, got) in read.iter().enumerate() {
                let substituted = Self {
                    substitutions: diagonal.substitutions + usize::from(label != got),
                    ..diagonal
                };
                let deleted = Self {
                    deletions: row[j + 1].deletions + 1,
                    ..row[j + 1]
                };
                let inserted = Self {
                    insertions: row[j].insertions + 1,
                    ..row[j]
                };
                diagonal = row[j + 1];
                row[j + 1] = [deleted, inserted]
                    .into_iter()
                    .fold(substituted, Self::better);
            }
        }
        Self {
            labels: labels.len(),
            ..row[read.len()]
        }
    }

    fn better(self, other: Self) -> Self {
        let key = |edits: &Self| {
            (
                edits.total(),
                usize::MAX - edits.substitutions,
                usize::MAX - edits.deletions,
            )
        };
        if key(&other) < key(&self) {
            other
        } else {
            self
        }
    }

    /// All changes: the edit distance.
    #[must_use]
    pub fn total(&self) -> usize {
        self.substitutions + self.deletions + self.insertions
    }

    /// Changes for each label, which is above 1 where much was read that is not there; 0 for no labels and nothing read, and ∞
    /// where something was.
    #[must_use]
    pub fn rate(&self) -> f64 {
        match (self.total(), self.labels) {
            (0, _) => 0.0,
            (_, 0) => f64::INFINITY,
            (total, labels) => total as f64 / labels as f64,
        }
    }
}

impl Add for EditCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            substitutions: self.substitutions + other.substitutions,
            deletions: self.deletions + other.deletions,
            insertions: self.insertions + other.insertions,
            labels: self.labels + other.labels,
        }
    }
}

impl Sum for EditCounts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::add)
    }
}
