//! The four ways in which labels come, made one: where each item's labels begin, and how many they are.

use std::borrow::Cow;

use super::{LabelLayout, expect_length};
use crate::error::InputError;

/// Labels as the caller has them; see the constructors of [`Batch`](crate::Batch).
#[derive(Debug, Clone, Copy)]
pub enum Labels<'a> {
    /// `[N, Lmax]` and a length a row.
    Padded {
        /// The labels, row by row.
        values: &'a [i32],
        /// How many of each row count.
        lengths: &'a [i32],
    },
    /// `[ΣL]` and a length an item.
    Concatenated {
        /// The labels, item after item.
        values: &'a [i32],
        /// How many belong to each item.
        lengths: &'a [i32],
    },
    /// A sparse tensor.
    Sparse {
        /// `[item, position]` of each value, in order.
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
        /// 0 where a label counts, 1 after the last.
        paddings: &'a [f32],
    },
}

/// Labels whose place is known.
pub(super) struct Located<'a> {
    pub(super) values: Cow<'a, [i32]>,
    pub(super) lengths: Vec<u32>,
    pub(super) starts: Vec<usize>,
    pub(super) width: usize,
    pub(super) layout: LabelLayout,
}

impl<'a> Labels<'a> {
    pub(super) fn locate(self, items: usize) -> Result<Located<'a>, InputError> {
        match self {
            Self::Padded { values, lengths } => {
                let width = row_width(values, items)?;
                let lengths = checked(lengths, items, |_| width)?;
                Ok(padded(values, lengths, width))
            }
            Self::Masked { values, paddings } => {
                let width = row_width(values, items)?;
                let lengths = unpadded(
                    "label_paddings",
                    paddings,
                    items,
                    width,
                    "N·Lmax, as labels",
                )?;
                Ok(padded(values, lengths, width))
            }
            Self::Concatenated { values, lengths } => {
                let mut left = values.len();
                let lengths = checked(lengths, items, |length| {
                    let bound = left;
                    left = left.saturating_sub(length);
                    bound
                })?;
                let located = concatenated(values, lengths);
                let total = values.len() - left;
                expect_length("labels", values.len(), total, "the sum of label_lengths")?;
                Ok(located)
            }
            Self::Sparse {
                indices,
                values,
                shape,
            } => {
                expect_length("sparse values", values.len(), indices.len(), "one an index")?;
                expect_length("sparse shape's first axis", shape[0], items, "N")?;
                Ok(concatenated(values, row_lengths(indices, shape)?))
            }
        }
    }
}

fn row_width(values: &[i32], items: usize) -> Result<usize, InputError> {
    if values.is_empty() || (items > 0 && values.len().is_multiple_of(items)) {
        return Ok(values.len().checked_div(items).unwrap_or(0));
    }
    let got = values.len();
    Err(InputError::RaggedLabels { got, items })
}

fn checked(
    lengths: &[i32],
    items: usize,
    mut bound: impl FnMut(usize) -> usize,
) -> Result<Vec<u32>, InputError> {
    expect_length("label_lengths", lengths.len(), items, "one an item")?;
    let mut found = Vec::with_capacity(items);
    for (item, &length) in lengths.iter().enumerate() {
        let inside = u32::try_from(length).unwrap_or(0);
        let max = bound(inside as usize);
        if length < 0 || inside as usize > max {
            let length = length.into();
            return Err(InputError::LabelLength { item, length, max });
        }
        found.push(inside);
    }
    Ok(found)
}

fn padded(values: &[i32], lengths: Vec<u32>, width: usize) -> Located<'_> {
    Located {
        values: Cow::Borrowed(values),
        starts: (0..lengths.len()).map(|item| item * width).collect(),
        lengths,
        width,
        layout: LabelLayout::Padded,
    }
}

fn concatenated(values: &[i32], lengths: Vec<u32>) -> Located<'_> {
    let starts = lengths
        .iter()
        .scan(0, |end, &length| {
            let start = *end;
            *end += length as usize;
            Some(start)
        })
        .collect();
    Located {
        values: Cow::Borrowed(values),
        starts,
        width: lengths.iter().copied().max().unwrap_or(0) as usize,
        lengths,
        layout: LabelLayout::Concatenated,
    }
}

/// How many indices each row has. They must come in order without holes, or the values are not the rows' labels.
fn row_lengths(indices: &[[i64; 2]], [rows, columns]: [usize; 2]) -> Result<Vec<u32>, InputError> {
    let mut lengths = vec![0_u32; rows];
    let mut last = 0;
    for (entry, &[row, column]) in indices.iter().enumerate() {
        let inside = usize::try_from(row).ok().filter(|r| *r < rows);
        let place = usize::try_from(column).ok().filter(|c| *c < columns);
        let (Some(r), Some(c)) = (inside, place) else {
            return Err(InputError::SparseIndex {
                entry,
                row,
                column,
                rows,
                columns,
            });
        };
        let expected = lengths[r] as usize;
        if r < last || c != expected {
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
    Ok(lengths)
}

/// The lengths that a mask of zeros, then ones, says.
pub(super) fn unpadded(
    mask: &'static str,
    paddings: &[f32],
    items: usize,
    width: usize,
    rule: &'static str,
) -> Result<Vec<u32>, InputError> {
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
    (0..items).map(length_of).collect()
}
