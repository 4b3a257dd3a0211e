//! The table of semantics as cases for any backend.
//!
//! The files `product`, `values`, `label_options` and `reductions` have the rows that the crate promises, `peers` those where
//! other libraries disagree among each other, with what they answer, and `errors` what is refused. Expected numbers come from
//! closed forms, or from an enumeration of
//! all paths; none from a recursion.

use crate::{Error, Options, Status};

use super::batch::OwnedBatch;

mod borders;
mod errors;
mod judge;
mod label_options;
mod peers;
mod product;
mod reductions;
mod values;

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    /// The promise.
    pub name: &'static str,
    /// The batch.
    pub batch: OwnedBatch,
    /// Its options.
    pub options: Options,
    /// What must come of it.
    pub expected: Expected,
}

/// What a row promises.
#[derive(Debug)]
pub enum Expected {
    /// One an item, in order.
    Items(Vec<Item>),
    /// The same, and the reduced number.
    Reduced(Vec<Item>, f64),
    /// An error; the text is what its message must say.
    Error(fn(&Error) -> bool, &'static str),
}

/// What a row promises of an item.
#[derive(Debug)]
pub struct Item {
    /// What its loss must be.
    pub loss: Loss,
    /// What it is told.
    pub status: Status,
    /// What its gradient must be.
    pub grad: Grad,
}

/// A loss of the table.
#[derive(Debug, Clone, Copy)]
pub enum Loss {
    /// This, within the tolerance.
    Exact(f64),
    /// What the enumeration of all paths says.
    Enumerated,
    /// Exactly +0.0.
    Zero,
    /// +∞
    Inf,
    /// NaN
    Nan,
}

/// A gradient of the table.
#[derive(Debug, Clone)]
pub enum Grad {
    /// Exactly 0 everywhere.
    Zero,
    /// NaN in every class of the frames that count, exactly 0 past them.
    Nan,
    /// These, frames × classes.
    Exact(Vec<f64>),
    /// What the enumeration of all paths says, times the item's weight.
    Enumerated,
    /// The same, times what the reduction makes of a weight.
    Scaled(f64),
    /// Finite, no larger than 1, and each frame sums to 0: for items too large to enumerate.
    Balanced,
}

/// An item that goes as usual, and is small enough to enumerate.
pub fn usual() -> Item {
    Item {
        loss: Loss::Enumerated,
        status: Status::Ok,
        grad: Grad::Enumerated,
    }
}

/// An item that no path reaches, with the loss that the policy gives it.
pub fn impossible(loss: Loss) -> Item {
    Item {
        loss,
        status: Status::Impossible,
        grad: Grad::Zero,
    }
}

/// An item with a NaN or an infinity where it counts.
pub fn not_finite() -> Item {
    Item {
        loss: Loss::Nan,
        status: Status::NotFinite,
        grad: Grad::Nan,
    }
}

/// Every row.
pub fn all() -> Vec<Row> {
    let files = [
        product::rows(),
        values::rows(),
        borders::rows(),
        label_options::rows(),
        reductions::rows(),
        peers::rows(),
        errors::rows(),
    ];
    files.into_iter().flatten().collect()
}

/// Rows of one item a batch.
pub fn row(name: &'static str, batch: OwnedBatch, options: Options, items: Vec<Item>) -> Row {
    Row {
        name,
        batch,
        options,
        expected: Expected::Items(items),
    }
}
