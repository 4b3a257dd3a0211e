//! The table of semantics as cases for any backend.
//!
//! [`product`], [`values`], [`label_options`] and [`reductions`] have the rows that the crate promises, [`peers`] those where other libraries disagree among each other, with
//! what they answer, and [`errors`] what is refused. Expected numbers come from closed forms, or from an enumeration of
//! all paths; none from a recursion.

use ctc_wgpu::{Error, Options, Status};

use super::batch::OwnedBatch;
use super::brute;
use super::check::{Failures, Run, Tolerance, close, well_formed};

mod errors;
mod label_options;
mod peers;
mod product;
mod reductions;
mod values;

/// A row of the table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) batch: OwnedBatch,
    pub(crate) options: Options,
    pub(crate) expected: Expected,
}

/// What a row promises.
pub(crate) enum Expected {
    /// One an item, in order.
    Items(Vec<Item>),
    /// The same, and the reduced number.
    Reduced(Vec<Item>, f64),
    /// An error; the text is what its message must say.
    Error(fn(&Error) -> bool, &'static str),
}

/// What a row promises of an item.
pub(crate) struct Item {
    pub(crate) loss: Loss,
    pub(crate) status: Status,
    pub(crate) grad: Grad,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Loss {
    Exact(f64),
    /// What the enumeration of all paths says.
    Enumerated,
    /// Exactly +0.0.
    Zero,
    Inf,
    Nan,
}

#[derive(Debug, Clone)]
pub(crate) enum Grad {
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
pub(crate) fn usual() -> Item {
    Item {
        loss: Loss::Enumerated,
        status: Status::Ok,
        grad: Grad::Enumerated,
    }
}

/// An item that no path reaches, with the loss that the policy gives it.
pub(crate) fn impossible(loss: Loss) -> Item {
    Item {
        loss,
        status: Status::Impossible,
        grad: Grad::Zero,
    }
}

/// An item with a NaN or an infinity where it counts.
pub(crate) fn not_finite() -> Item {
    Item {
        loss: Loss::Nan,
        status: Status::NotFinite,
        grad: Grad::Nan,
    }
}

/// Every row.
pub(crate) fn all() -> Vec<Row> {
    let files = [
        product::rows(),
        values::rows(),
        label_options::rows(),
        reductions::rows(),
        peers::rows(),
        errors::rows(),
    ];
    files.into_iter().flatten().collect()
}

/// Rows of one item a batch.
pub(crate) fn row(
    name: &'static str,
    batch: OwnedBatch,
    options: Options,
    items: Vec<Item>,
) -> Row {
    Row {
        name,
        batch,
        options,
        expected: Expected::Items(items),
    }
}

/// Holds a backend against a row.
pub(crate) fn check(row: &Row, run: &Run<'_>, tolerance: Tolerance, failures: &mut Failures) {
    let name = row.name;
    let answer = run(&row.batch.batch(), &row.options);
    let (items, reduced) = match (&row.expected, &answer) {
        (Expected::Error(is, says), Err(error)) => {
            failures.check(is(error), || format!("{name}: another error: {error:?}"));
            let message = error.to_string();
            return failures.check(message == *says, || {
                format!("{name}: says `{message}`, expected `{says}`")
            });
        }
        (Expected::Error(_, says), Ok(answer)) => {
            return failures.check(false, || {
                format!("{name}: {answer:?}, expected the error `{says}`")
            });
        }
        (_, Err(error)) => return failures.check(false, || format!("{name}: error {error}")),
        (Expected::Items(items), Ok(_)) => (items, None),
        (Expected::Reduced(items, reduced), Ok(_)) => (items, Some(*reduced)),
    };
    let Ok(answer) = answer else { return };
    well_formed(name, &row.batch, &answer, failures);
    failures.check(items.len() == answer.loss.len(), || {
        format!("{name}: {} losses", answer.loss.len())
    });
    if let Some(expected) = reduced {
        let got = answer.reduced.unwrap_or(f64::INFINITY);
        failures.check(close(got, expected, tolerance.loss), || {
            format!("{name}: reduced {got}, expected {expected}")
        });
    }
    let enumerate = |item: &Item| {
        matches!(item.loss, Loss::Enumerated)
            || matches!(item.grad, Grad::Enumerated | Grad::Scaled(_))
    };
    for (n, item) in items.iter().enumerate() {
        let counted =
            enumerate(item).then(|| brute::loss_and_grad(&row.batch.alone(n), &row.options));
        let name = format!("{name} item {n}");
        let (loss, status) = (answer.loss[n], answer.status[n]);
        failures.check(status == item.status, || {
            format!("{name}: status {status:?}, expected {:?}", item.status)
        });
        let right = match (item.loss, &counted) {
            (Loss::Exact(expected), _) => close(loss, expected, tolerance.loss),
            (Loss::Enumerated, Some((expected, _))) => close(loss, expected[0], tolerance.loss),
            (Loss::Enumerated, None) => false,
            (Loss::Zero, _) => loss.to_bits() == 0,
            (Loss::Inf, _) => loss == f64::INFINITY,
            (Loss::Nan, _) => loss.is_nan(),
        };
        failures.check(right, || {
            format!("{name}: loss {loss}, expected {:?} {counted:?}", item.loss)
        });
        let frames = row.batch.frames();
        let grad: Vec<f64> = (0..frames)
            .flat_map(|t| answer.grad[row.batch.row(n, t)..][..row.batch.classes()].to_vec())
            .collect();
        gradient(
            &name,
            row,
            n,
            &item.grad,
            &grad,
            counted.map(|c| c.1),
            tolerance,
            failures,
        );
    }
}

#[allow(clippy::too_many_arguments, reason = "what belongs to one item, once")]
fn gradient(
    name: &str,
    row: &Row,
    item: usize,
    expected: &Grad,
    grad: &[f64],
    counted: Option<Vec<f64>>,
    tolerance: Tolerance,
    failures: &mut Failures,
) {
    let classes = row.batch.classes();
    let counts = row.batch.counting(item) * classes;
    let expected: Vec<f64> = match (expected, counted) {
        (Grad::Zero, _) => {
            return failures.check(grad.iter().all(|g| *g == 0.0), || {
                format!("{name}: gradient {grad:?}, expected exactly 0")
            });
        }
        (Grad::Nan, _) => vec![f64::NAN; counts],
        (Grad::Exact(expected), _) => expected.clone(),
        (Grad::Enumerated, Some(expected)) => expected,
        (Grad::Scaled(factor), Some(expected)) => expected.iter().map(|g| factor * g).collect(),
        (Grad::Enumerated | Grad::Scaled(_), None) => vec![f64::NAN; counts],
        (Grad::Balanced, _) => {
            for (frame, g) in grad.chunks(classes).enumerate() {
                let sum: f64 = g.iter().sum();
                let inside = g.iter().all(|g| g.abs() <= 1.0 + tolerance.grad);
                failures.check(inside && sum.abs() <= tolerance.grad, || {
                    format!("{name} frame {frame}: gradient sums to {sum}: {g:?}")
                });
            }
            return;
        }
    };
    for (at, (got, expected)) in grad.iter().zip(&expected).enumerate() {
        let (frame, class) = (at / classes, at % classes);
        failures.check(close(*got, *expected, tolerance.grad), || {
            format!("{name} frame {frame} class {class}: gradient {got}, expected {expected}")
        });
    }
}
