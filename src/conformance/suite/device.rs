//! Buffers on a device.

use super::{Tally, Trial};
use crate::conformance::check::{Failures, Tolerance};
use crate::conformance::decoding::placed;
use crate::conformance::device::Gpu;
use crate::conformance::drawn::Drawn;
use crate::conformance::{hostile, placements};
use crate::{Checks, Goal, GpuCtc};

const CALLERS_BUFFERS: &str = "caller's buffers";
const UNCHECKED: &str = "trusted shaders";
const IN_PLACE: &str = "gradient in place";
const NARROW: &str = "f16";

/// The trials that bring their own buffers.
pub(super) fn trials<'a>(gpu: &'a Gpu, f16: bool, seeds: u64) -> Vec<Trial<'a>> {
    type Check = fn(&Gpu, &GpuCtc, &Drawn, &mut Failures) -> Result<(), String>;
    let random = |variant, checks, check: Check| Trial {
        variant,
        family: "random",
        run: Box::new(move || {
            on_device(gpu, checks, |ctc, tally: &mut Tally| {
                for seed in 0..seeds {
                    let mut found = Failures::default();
                    tally.case(|| check(gpu, ctc, &Drawn::of(seed), &mut found));
                    tally.found(found);
                }
            })
        }),
    };
    let spoiled = |variant, checks| {
        [
            (
                "bad labels on the device",
                bad_labels as fn() -> Vec<hostile::Spoiler>,
            ),
            ("bad lengths on the device", bad_lengths),
            ("numbers without a meaning", no_meaning),
        ]
        .map(|(family, spoilers)| Trial {
            variant,
            family,
            run: Box::new(move || {
                on_device(gpu, checks, |ctc, tally| {
                    for spoiler in spoilers() {
                        tally.case(|| spoiler.check(gpu, ctc));
                    }
                })
            }),
        })
    };
    let decoded = |variant, checks| Trial {
        variant,
        family: "alignments and readings of nonsense",
        run: Box::new(move || {
            on_device(gpu, checks, |ctc, tally: &mut Tally| {
                for goal in [Goal::Align, Goal::Greedy] {
                    let spoilers = [bad_labels(), bad_lengths(), no_meaning()];
                    for spoiler in spoilers.iter().flatten() {
                        tally.case(|| placed::check(spoiler, gpu, ctc, goal));
                    }
                    for seed in 0..seeds {
                        tally.case(|| placed::garbage(gpu, ctc, seed, goal));
                    }
                }
            })
        }),
    };
    let garbage = |variant, checks| Trial {
        variant,
        family: "garbage in every buffer",
        run: Box::new(move || {
            on_device(gpu, checks, |ctc, tally: &mut Tally| {
                tally.case(|| hostile::allowed_blank(gpu, ctc));
                for lengths in &hostile::CONCATENATED_LENGTHS {
                    tally.case(|| hostile::concatenated_lengths(gpu, ctc, lengths));
                }
                for seed in 0..seeds {
                    tally.case(|| hostile::garbage(gpu, ctc, seed));
                }
            })
        }),
    };
    let mut trials = Vec::new();
    for (variant, checks) in [(CALLERS_BUFFERS, Checks::On), (UNCHECKED, Checks::Off)] {
        trials.push(random(variant, checks, judged));
        trials.extend(spoiled(variant, checks));
        trials.push(garbage(variant, checks));
        trials.push(decoded(variant, checks));
    }
    trials.push(random(IN_PLACE, Checks::On, |gpu, ctc, drawn, _| {
        placements::in_place(gpu, ctc, drawn)
    }));
    if f16 {
        trials.push(random(NARROW, Checks::On, |gpu, ctc, drawn, _| {
            placements::narrow(gpu, ctc, drawn)
        }));
    }
    trials
}

fn bad_labels() -> Vec<hostile::Spoiler> {
    let mut spoilers = hostile::labels_that_are_no_class();
    spoilers.extend(hostile::blank_among_the_labels());
    spoilers
}

fn bad_lengths() -> Vec<hostile::Spoiler> {
    let mut spoilers = hostile::logit_lengths_out_of_range();
    spoilers.extend(hostile::label_lengths_out_of_range());
    spoilers
}

fn no_meaning() -> Vec<hostile::Spoiler> {
    let mut spoilers = hostile::weights_that_are_not_finite();
    spoilers.extend(hostile::logits_without_a_meaning());
    spoilers
}

fn on_device(gpu: &Gpu, checks: Checks, cases: impl Fn(&GpuCtc, &mut Tally)) -> Tally {
    let mut tally = Tally::new();
    match GpuCtc::with_checks(&gpu.device, &gpu.queue, checks) {
        Ok(ctc) => cases(&ctc, &mut tally),
        Err(error) => tally.failures.push(error.to_string()),
    }
    tally
}

/// A drawn batch in buffers, against the reference.
fn judged(gpu: &Gpu, ctc: &GpuCtc, drawn: &Drawn, found: &mut Failures) -> Result<(), String> {
    let answer = placements::together(gpu, ctc, drawn)?.answer()?;
    drawn.judge(&Ok(answer), Tolerance::F32, found);
    Ok(())
}
