//! The table of semantics, as cases for any backend.
//!
//! The modules `ordinary_items`, `values`, `thresholds`, `label_options` and `reductions` have the
//! rows that the crate guarantees; `peers` has the rows on which other libraries disagree, with
//! their results; `errors` has the batches that are rejected. Expected numbers come from closed
//! forms or from the enumeration of all paths, never from a recursion.

use ctc_wgpu::{Error, Options, Status};

use super::batch::OwnedBatch;

mod check;
mod errors;
mod label_options;
mod ordinary_items;
mod peers;
mod reductions;
mod thresholds;
mod values;

/// A row of the table.
#[derive(Debug)]
pub struct SemanticsCase {
    /// The guarantee, as it is printed.
    pub name: &'static str,
    /// The batch.
    pub batch: OwnedBatch,
    /// The options.
    pub options: Options,
    /// The required result.
    pub expected: Expected,
}

/// The required result of a row.
#[derive(Debug)]
pub enum Expected {
    /// One entry per item, in order.
    Items(Vec<ExpectedItem>),
    /// One entry per item, and the reduced loss.
    Reduced(Vec<ExpectedItem>, f64),
    /// An error: a predicate for its kind, and its message.
    Error(fn(&Error) -> bool, &'static str),
}

/// The required result of an item.
#[derive(Debug)]
pub struct ExpectedItem {
    /// The loss.
    pub loss: Loss,
    /// The status.
    pub status: Status,
    /// The gradient.
    pub grad: Grad,
}

/// A required loss.
#[derive(Debug, Clone, Copy)]
pub enum Loss {
    /// This number, within the tolerance.
    Exact(f64),
    /// The loss by the enumeration of all paths.
    Enumerated,
    /// Exactly +0.0.
    Zero,
    /// +∞.
    Inf,
    /// NaN.
    Nan,
}

/// A required gradient.
#[derive(Debug, Clone)]
pub enum Grad {
    /// Exactly 0 in all elements.
    Zero,
    /// NaN in every class of the valid frames, exactly 0 in the other frames.
    Nan,
    /// These numbers, frames × classes.
    Exact(Vec<f64>),
    /// The gradient by the enumeration of all paths, times the item's weight.
    Enumerated,
    /// As `Enumerated`, times the factor of the reduction.
    Scaled(f64),
    /// Magnitudes of at most 1, and a sum of 0 in each frame: for items too large to enumerate.
    Balanced,
}

/// Returns the result of an ordinary item that is small enough to enumerate.
pub fn ordinary() -> ExpectedItem {
    ExpectedItem {
        loss: Loss::Enumerated,
        status: Status::Ok,
        grad: Grad::Enumerated,
    }
}

/// Returns the result of an item without frames and labels, whose only path is empty.
pub fn zero_loss() -> ExpectedItem {
    ExpectedItem {
        loss: Loss::Zero,
        status: Status::Ok,
        grad: Grad::Zero,
    }
}

/// Returns the result of an item without a valid alignment, with the loss that the options require.
pub fn impossible(loss: Loss) -> ExpectedItem {
    ExpectedItem {
        loss,
        status: Status::Impossible,
        grad: Grad::Zero,
    }
}

/// Returns the result of an item with NaN or +∞ in a valid frame.
pub fn not_finite() -> ExpectedItem {
    ExpectedItem {
        loss: Loss::Nan,
        status: Status::NotFinite,
        grad: Grad::Nan,
    }
}

/// Returns all rows.
pub fn all() -> Vec<SemanticsCase> {
    let files = [
        ordinary_items::rows(),
        values::rows(),
        thresholds::rows(),
        label_options::rows(),
        reductions::rows(),
        peers::rows(),
        errors::rows(),
    ];
    files.into_iter().flatten().collect()
}

/// Creates a row with the required result of each item.
pub fn row(
    name: &'static str,
    batch: OwnedBatch,
    options: Options,
    items: Vec<ExpectedItem>,
) -> SemanticsCase {
    SemanticsCase {
        name,
        batch,
        options,
        expected: Expected::Items(items),
    }
}
