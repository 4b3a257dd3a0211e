//! Deviations of results from reference values.

use ctc_wgpu::{BatchShape, Layout};

/// The largest deviation, and the index of its element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Deviation {
    pub(crate) worst: f64,
    pub(crate) at: usize,
}

/// Returns the largest deviation of the losses, relative to `max(1, |loss|)`.
pub(crate) fn loss_deviation(got: &[f64], reference: &[f64]) -> Deviation {
    largest(got, reference, |_, reference| reference.abs().max(1.0))
}

/// Returns the largest `|got − reference| / scale(index, reference)`. Equal infinities and two NaN
/// have deviation 0. A finite and a non-finite value have an infinite deviation, as do arrays of
/// different lengths.
pub(crate) fn largest(
    got: &[f64],
    reference: &[f64],
    scale: impl Fn(usize, f64) -> f64,
) -> Deviation {
    let start = Deviation {
        worst: if got.len() == reference.len() {
            0.0
        } else {
            f64::INFINITY
        },
        at: 0,
    };
    let pairs = got.iter().zip(reference).enumerate();
    pairs.fold(start, |worst, (at, (&got, &reference))| {
        let off = if got == reference || (got.is_nan() && reference.is_nan()) {
            0.0
        } else if got.is_finite() && reference.is_finite() {
            (got - reference).abs() / scale(at, reference)
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

/// Returns the item, frame and class of an element of the input or the gradient.
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
    fn equal_infinities_and_nans_agree_and_other_non_finite_values_do_not() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        assert_eq!(
            loss_deviation(&[inf, nan, 1.0], &[inf, nan, 1.0]).worst,
            0.0
        );
        for (got, reference) in [
            (inf, -inf),
            (inf, 1.0),
            (1.0, inf),
            (nan, 1.0),
            (1.0, nan),
            (inf, nan),
        ] {
            let off = loss_deviation(&[0.0, got], &[0.0, reference]);
            assert_eq!(
                off,
                Deviation { worst: inf, at: 1 },
                "{got} and {reference}"
            );
        }
        assert_eq!(loss_deviation(&[], &[1.0]).worst, inf);
    }

    #[test]
    fn losses_above_one_are_compared_relatively() {
        assert_eq!(loss_deviation(&[0.5], &[0.25]).worst, 0.25);
        assert_eq!(
            loss_deviation(&[3.0, 150.0], &[2.0, 100.0]),
            Deviation { worst: 0.5, at: 0 }
        );
    }

    #[test]
    fn position_is_right_in_both_layouts() {
        let shape = BatchShape::new(3, 5, 7, 1);
        for shape in [shape, shape.time_major()] {
            assert_eq!(position(&shape, shape.row(2, 4) + 6), [2, 4, 6]);
            assert_eq!(position(&shape, shape.row(1, 3)), [1, 3, 0]);
        }
    }
}
