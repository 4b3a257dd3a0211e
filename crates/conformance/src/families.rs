//! The families of cases, by what they test.

use super::case::Case;
use super::random_case::RandomCase;
use super::{extreme_values, golden, semantics, special_values};

/// The number of cases that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SuiteSize {
    /// Takes some seconds on a GPU.
    Quick,
    /// Tests a new machine or driver thoroughly.
    Usual,
    /// Takes minutes on a GPU: adds long items and large batches, and runs more random batches.
    Full,
}

/// Cases that test the same property.
#[derive(Debug)]
pub struct Family {
    /// The name, as it is printed.
    pub name: &'static str,
    /// The cases.
    pub cases: Vec<Case>,
    /// True if the cases run through every variant, false if only as planned.
    pub every_variant: bool,
}

impl Family {
    fn new<C: Into<Case>>(name: &'static str, cases: impl IntoIterator<Item = C>) -> Self {
        Self {
            name,
            cases: cases.into_iter().map(Into::into).collect(),
            every_variant: true,
        }
    }

    fn only_as_planned(self) -> Self {
        Self {
            every_variant: false,
            ..self
        }
    }
}

/// Returns the families of a suite of this size.
#[must_use]
pub fn families(size: SuiteSize) -> Vec<Family> {
    let seeds = match size {
        SuiteSize::Quick => 30,
        SuiteSize::Usual => 100,
        SuiteSize::Full => 1000,
    };
    let mut families = vec![
        Family::new("semantics", semantics::all()),
        Family::new("random", (0..seeds).map(RandomCase::of)),
        Family::new("extreme magnitudes", extreme_values::huge_losses()),
        Family::new("masked labels", extreme_values::masked_labels()),
        Family::new("far below the maximum", extreme_values::far_below()),
        Family::new("near underflow", extreme_values::near_underflow()),
        Family::new(
            "equally probable paths",
            extreme_values::equally_probable_paths(),
        ),
        Family::new("subnormals", special_values::subnormals()),
        Family::new("−∞", special_values::minus_infinity()),
        Family::new(
            "many frames",
            special_values::large(&[([2, 600, 12], 40, 3.0)]),
        ),
        Family::new(
            "many labels",
            special_values::large(&[([2, 330, 30], 150, 1.0)]),
        ),
        Family::new(
            "many classes",
            special_values::large(&[([2, 20, 3001], 5, 2.0)]),
        ),
        Family::new("golden", golden::all()),
    ];
    if size >= SuiteSize::Usual {
        families.push(
            Family::new(
                "many frames, as planned only",
                special_values::large(&FRAMES),
            )
            .only_as_planned(),
        );
        families.push(
            Family::new(
                "many labels, as planned only",
                special_values::large(&LABELS),
            )
            .only_as_planned(),
        );
        families.push(
            Family::new(
                "many classes, as planned only",
                special_values::large(&CLASSES),
            )
            .only_as_planned(),
        );
    }
    if size == SuiteSize::Full {
        families.push(
            Family::new("largest batches", special_values::large(&LARGEST)).only_as_planned(),
        );
    }
    families
}

/// N, T, C, then L and the logits' scale.
type Large = ([usize; 3], usize, f32);

const FRAMES: [Large; 2] = [([2, 2000, 32], 100, 1.0), ([1, 3000, 20], 200, 10.0)];
const LABELS: [Large; 2] = [([1, 900, 40], 400, 1.0), ([1, 1300, 64], 600, 10.0)];
const CLASSES: [Large; 2] = [([4, 50, 5000], 20, 1.0), ([1, 10, 40_000], 4, 5.0)];
const LARGEST: [Large; 6] = [
    ([2, 10_000, 16], 400, 1.0),
    ([2, 10_000, 16], 400, 10.0),
    ([1, 6500, 12], 3000, 2.0),
    ([8, 1600, 1024], 30, 2.0),
    ([70_000, 4, 3], 1, 1.0),
    ([1, 30, 200_000], 5, 3.0),
];
