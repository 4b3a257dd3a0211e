//! How far an answer is from the truth.

use ctc_wgpu::{BatchShape, Layout};

/// The largest deviation, and the element that has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Deviation {
    pub(crate) worst: f64,
    pub(crate) at: usize,
}

/// Losses are compared relative to their size, from 1 on.
pub(crate) fn loss_deviation(got: &[f64], truth: &[f64]) -> Deviation {
    largest(got, truth, |_, truth| truth.abs().max(1.0))
}

/// The largest `|got − truth| / scale(index, truth)`. Equal infinities and two NaN agree; a number and a value that is
/// none are infinitely far apart, as are arrays of different lengths.
pub(crate) fn largest(got: &[f64], truth: &[f64], scale: impl Fn(usize, f64) -> f64) -> Deviation {
    let start = Deviation {
        worst: if got.len() == truth.len() {
            0.0
        } else {
            f64::INFINITY
        },
        at: 0,
    };
    let pairs = got.iter().zip(truth).enumerate();
    pairs.fold(start, |worst, (at, (&got, &truth))| {
        let off = if got == truth || (got.is_nan() && truth.is_nan()) {
            0.0
        } else if got.is_finite() && truth.is_finite() {
            (got - truth).abs() / scale(at, truth)
        } else {
            f64::INFINITY
        };
        if off > worst.worst {
            Deviation { worst: off, at }
        } else {
            worst
        }
    })
}

/// The item, frame and class of an element of the input or the gradient.
pub(crate) fn position(shape: &BatchShape, element: usize) -> [usize; 3] {
    let row = element / shape.classes.max(1);
    let class = element % shape.classes.max(1);
    match shape.layout {
        Layout::TimeMajor => [row % shape.items.max(1), row / shape.items.max(1), class],
        _ => [row / shape.frames.max(1), row % shape.frames.max(1), class],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_infinities_and_nans_agree_and_nothing_else_that_is_no_number_does() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        assert_eq!(
            loss_deviation(&[inf, nan, 1.0], &[inf, nan, 1.0]).worst,
            0.0
        );
        for (got, truth) in [
            (inf, -inf),
            (inf, 1.0),
            (1.0, inf),
            (nan, 1.0),
            (1.0, nan),
            (inf, nan),
        ] {
            let off = loss_deviation(&[0.0, got], &[0.0, truth]);
            assert_eq!(off, Deviation { worst: inf, at: 1 }, "{got} and {truth}");
        }
        assert_eq!(loss_deviation(&[], &[1.0]).worst, inf);
    }

    #[test]
    fn losses_are_relative_from_one_on() {
        assert_eq!(loss_deviation(&[0.5], &[0.25]).worst, 0.25);
        assert_eq!(
            loss_deviation(&[3.0, 150.0], &[2.0, 100.0]),
            Deviation { worst: 0.5, at: 0 }
        );
    }

    #[test]
    fn an_element_is_found_in_either_layout() {
        let shape = BatchShape::new(3, 5, 7, 1);
        for shape in [shape, shape.time_major()] {
            assert_eq!(position(&shape, shape.row(2, 4) + 6), [2, 4, 6]);
            assert_eq!(position(&shape, shape.row(1, 3)), [1, 3, 0]);
        }
    }
}
