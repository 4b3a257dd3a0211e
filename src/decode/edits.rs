//! Edit distance between decoded and expected labels.

use std::iter::Sum;
use std::ops::Add;

/// The numbers of substitutions, deletions and insertions of a shortest edit script (V. I.
/// Levenshtein, 1966) from the expected labels to the decoded ones. Sum them over a test set before
/// taking the rate.
///
/// ```
/// use ctc_wgpu::decode::EditCounts;
/// let edits = EditCounts::between(b"kitten", b"sitting");
/// assert_eq!((edits.substitutions, edits.deletions, edits.insertions), (2, 0, 1));
/// assert_eq!(edits.rate(), 3.0 / 6.0);
/// let pairs = [("ab", "ab"), ("cd", "d")];
/// let edits = pairs.iter().map(|(labels, decoded)| EditCounts::between(labels.as_bytes(), decoded.as_bytes()));
/// let all: EditCounts = edits.sum();
/// assert_eq!(all.rate(), 1.0 / 4.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct EditCounts {
    /// Labels that were decoded as other labels.
    pub substitutions: usize,
    /// Labels that were not decoded.
    pub deletions: usize,
    /// Decoded labels that were not expected.
    pub insertions: usize,
    /// The number of expected labels.
    pub labels: usize,
}

impl EditCounts {
    /// Counts the edits from `labels` to `decoded`. Of several shortest edit scripts it counts one
    /// with the most substitutions.
    ///
    /// Time is proportional to the product of the lengths, memory to the length of `decoded`.
    #[must_use]
    pub fn between<T: PartialEq>(labels: &[T], decoded: &[T]) -> Self {
        // Row i: the edits between the first i labels and each prefix of the decoded labels.
        let mut row: Vec<Self> = (0..=decoded.len())
            .map(|insertions| Self {
                insertions,
                ..Self::default()
            })
            .collect();
        for (i, label) in labels.iter().enumerate() {
            let mut diagonal = row[0];
            row[0].deletions = i + 1;
            for (j, got) in decoded.iter().enumerate() {
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
            ..row[decoded.len()]
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

    /// Returns the number of edits: the edit distance, or its sum over several pairs.
    #[must_use]
    pub fn total(&self) -> usize {
        self.substitutions + self.deletions + self.insertions
    }

    /// Returns the edits per expected label, which exceeds 1 if there are many insertions. Without
    /// expected labels it is 0 if nothing was decoded, else ∞.
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
