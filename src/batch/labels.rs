//! The four forms of labels, converted to one: the start and the number of each item's labels.

use super::{LabelLayout, expect_length};
use crate::error::InputError;

/// The caller's labels; see the methods of [`Batch`](crate::Batch).
#[derive(Debug, Clone, Copy)]
pub(super) enum Labels<'a> {
    /// `[N, Lmax]` and one length per row.
    Padded {
        /// The labels, row by row.
        values: &'a [i32],
        /// The number of labels of each row.
        lengths: &'a [i32],
    },
    /// `[ΣL]` and one length per item.
    Concatenated {
        /// The labels, item after item.
        values: &'a [i32],
        /// The number of labels of each item.
        lengths: &'a [i32],
    },
    /// A sparse tensor.
    Sparse {
        /// `[item, position]` of each value, sorted.
        indices: &'a [[i64; 2]],
        /// The labels.
        values: &'a [i32],
        /// The dense shape `[N, Lmax]`.
        shape: [usize; 2],
    },
    /// `[N, Lmax]` and a mask.
    Masked {
        /// The labels, row by row.
        values: &'a [i32],
        /// 0 for labels, 1 for padding.
        paddings: &'a [f32],
    },
}

/// Labels in one of the two layouts of a batch. `width` is Lmax: the width of a padded row, or the
/// largest label length.
pub(super) struct Located<'a> {
    pub(super) values: &'a [i32],
    pub(super) width: usize,
    pub(super) layout: LabelLayout,
}

impl<'a> Labels<'a> {
    /// Fills `found` and `starts`, both empty, with the length and the start of each item's labels.
    pub(super) fn locate(
        self,
        items: usize,
        found: &mut Vec<u32>,
        starts: &mut Vec<usize>,
    ) -> Result<Located<'a>, InputError> {
        match self {
            Self::Padded { values, lengths } => {
                let width = row_width(values, items)?;
                check(lengths, items, |_| width, found)?;
                Ok(padded(values, found, starts, width))
            }
            Self::Masked { values, paddings } => {
                let width = row_width(values, items)?;
                let rule = "N·Lmax, one per element of labels";
                unpad("label_paddings", paddings, [items, width], rule, found)?;
                Ok(padded(values, found, starts, width))
            }
            Self::Concatenated { values, lengths } => {
                let mut left = values.len();
                let bound = |length| {
                    let bound = left;
                    left = left.saturating_sub(length);
                    bound
                };
                check(lengths, items, bound, found)?;
                let located = concatenated(values, found, starts);
                let total = values.len() - left;
                expect_length("labels", values.len(), total, "the sum of label_lengths")?;
                Ok(located)
            }
            Self::Sparse {
                indices,
                values,
                shape,
            } => {
                expect_length(
                    "sparse values",
                    values.len(),
                    indices.len(),
                    "one per index",
                )?;
                expect_length(
                    "sparse shape's first axis",
                    shape[0],
                    items,
                    "the number of items",
                )?;
                count_rows(indices, shape, found)?;
                Ok(concatenated(values, found, starts))
            }
        }
    }
}

/// Returns the width of a row of padded labels, Lmax.
fn row_width(values: &[i32], items: usize) -> Result<usize, InputError> {
    if values.is_empty() || (items > 0 && values.len().is_multiple_of(items)) {
        return Ok(values.len().checked_div(items).unwrap_or(0));
    }
    let got = values.len();
    Err(InputError::RaggedLabels { got, items })
}

/// Checks label lengths and appends them to `found`. `bound` returns the largest valid length, and
/// is called for each item in order.
fn check(
    lengths: &[i32],
    items: usize,
    mut bound: impl FnMut(usize) -> usize,
    found: &mut Vec<u32>,
) -> Result<(), InputError> {
    expect_length("label_lengths", lengths.len(), items, "one per item")?;
    for (item, &length) in lengths.iter().enumerate() {
        let count = u32::try_from(length).unwrap_or(0);
        let max = bound(count as usize);
        if length < 0 || count as usize > max {
            let length = length.into();
            return Err(InputError::LabelLength { item, length, max });
        }
        found.push(count);
    }
    Ok(())
}

/// Appends the starts of rows of `width` labels.
fn padded<'a>(
    values: &'a [i32],
    lengths: &[u32],
    starts: &mut Vec<usize>,
    width: usize,
) -> Located<'a> {
    starts.extend((0..lengths.len()).map(|item| item * width));
    Located {
        values,
        width,
        layout: LabelLayout::Padded,
    }
}

/// Appends the starts of labels that lie one item after the other.
fn concatenated<'a>(values: &'a [i32], lengths: &[u32], starts: &mut Vec<usize>) -> Located<'a> {
    starts.extend(lengths.iter().scan(0, |end, &length| {
        let start = *end;
        *end += length as usize;
        Some(start)
    }));
    Located {
        values,
        width: lengths.iter().copied().max().unwrap_or(0) as usize,
        layout: LabelLayout::Concatenated,
    }
}

/// Counts the indices of each row. They must be sorted and without gaps, or the values would not be
/// the rows' labels.
fn count_rows(
    indices: &[[i64; 2]],
    [rows, columns]: [usize; 2],
    lengths: &mut Vec<u32>,
) -> Result<(), InputError> {
    lengths.resize(rows, 0);
    let mut last = 0;
    for (entry, &[row, column]) in indices.iter().enumerate() {
        let item = usize::try_from(row).ok().filter(|r| *r < rows);
        let position = usize::try_from(column).ok().filter(|c| *c < columns);
        let (Some(r), Some(c)) = (item, position) else {
            return Err(InputError::SparseIndex {
                entry,
                row,
                column,
                rows,
                columns,
            });
        };
        let expected = lengths[r] as usize;
        if r < last {
            return Err(InputError::SparseRow {
                entry,
                row,
                column,
                last,
            });
        }
        if c != expected {
            return Err(InputError::SparseOrder {
                entry,
                row,
                column,
                expected,
            });
        }
        last = r;
        lengths[r] += 1;
    }
    Ok(())
}

/// Appends to `lengths` the lengths that a mask of zeros, then ones, defines.
pub(super) fn unpad(
    mask: &'static str,
    paddings: &[f32],
    [items, width]: [usize; 2],
    rule: &'static str,
    lengths: &mut Vec<u32>,
) -> Result<(), InputError> {
    expect_length(mask, paddings.len(), items * width, rule)?;
    let length_of = |item: usize| {
        let row = &paddings[item * width..(item + 1) * width];
        let length = row.iter().take_while(|p| **p == 0.0).count();
        match row[length..].iter().position(|p| *p != 1.0) {
            None => Ok(u32::try_from(length).unwrap_or(u32::MAX)),
            Some(at) => Err(InputError::Padding {
                mask,
                item,
                position: length + at,
                value: row[length + at],
            }),
        }
    };
    for item in 0..items {
        lengths.push(length_of(item)?);
    }
    Ok(())
}
