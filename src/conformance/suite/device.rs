//! Buffers on a device.

use super::{Tally, Trial};
use crate::conformance::check::{Failures, Tolerance};
use crate::conformance::decoding::guarded_buffers;
use crate::conformance::device::Gpu;
use crate::conformance::random_case::RandomCase;
use crate::conformance::{buffer_layouts, malformed};
use crate::{GpuCtc, RuntimeChecks, Task};

const CALLERS_BUFFERS: &str = "caller's buffers";
const UNCHECKED: &str = "trusted shaders";
const IN_PLACE: &str = "gradient in place";
const NARROW: &str = "f16";

/// The trials that bring their own buffers.
pub(super) fn trials<'a>(gpu: &'a Gpu, f16: bool, seeds: u64) -> Vec<Trial<'a>> {
    type Check = fn(&Gpu, &GpuCtc, &RandomCase, &mut Failures) -> Result<(), String>;
    let random = |variant, checks, check: Check| Trial {
        variant,
        family: "random",
        run: Box::new(move || {
            on_device(gpu, checks, |ctc, tally: &mut Tally| {
                for seed in 0..seeds {
                    let mut found = Failures::default();
                    tally.case(|| check(gpu, ctc, &RandomCase::of(seed), &mut found));
                    tally.found(found);
                }
            })
        }),
    };
    let spoiled = |variant, checks| {
        [
            (
                "bad labels on the device",
                bad_labels as fn() -> Vec<malformed::Corruption>,
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
                for task in [Task::Align, Task::Greedy] {
                    let spoilers = [bad_labels(), bad_lengths(), no_meaning()];
                    for spoiler in spoilers.iter().flatten() {
                        tally.case(|| guarded_buffers::check(spoiler, gpu, ctc, task));
                    }
                    for seed in 0..seeds {
                        tally.case(|| guarded_buffers::garbage(gpu, ctc, seed, task));
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
                tally.case(|| malformed::allowed_blank(gpu, ctc));
                for lengths in &malformed::CONCATENATED_LENGTHS {
                    tally.case(|| malformed::concatenated_lengths(gpu, ctc, lengths));
                }
                for seed in 0..seeds {
                    tally.case(|| malformed::garbage(gpu, ctc, seed));
                }
            })
        }),
    };
    let mut trials = Vec::new();
    for (variant, checks) in [
        (CALLERS_BUFFERS, RuntimeChecks::On),
        (UNCHECKED, RuntimeChecks::Off),
    ] {
        trials.push(random(variant, checks, judged));
        trials.extend(spoiled(variant, checks));
        trials.push(garbage(variant, checks));
        trials.push(decoded(variant, checks));
    }
    trials.push(random(IN_PLACE, RuntimeChecks::On, |gpu, ctc, drawn, _| {
        buffer_layouts::in_place(gpu, ctc, drawn)
    }));
    if f16 {
        trials.push(random(NARROW, RuntimeChecks::On, |gpu, ctc, drawn, _| {
            buffer_layouts::narrow(gpu, ctc, drawn)
        }));
    }
    trials
}

fn bad_labels() -> Vec<malformed::Corruption> {
    let mut spoilers = malformed::labels_that_are_no_class();
    spoilers.extend(malformed::blank_among_the_labels());
    spoilers
}

fn bad_lengths() -> Vec<malformed::Corruption> {
    let mut spoilers = malformed::logit_lengths_out_of_range();
    spoilers.extend(malformed::label_lengths_out_of_range());
    spoilers
}

fn no_meaning() -> Vec<malformed::Corruption> {
    let mut spoilers = malformed::weights_that_are_not_finite();
    spoilers.extend(malformed::logits_without_a_meaning());
    spoilers
}

fn on_device(gpu: &Gpu, checks: RuntimeChecks, cases: impl Fn(&GpuCtc, &mut Tally)) -> Tally {
    let mut tally = Tally::new();
    match GpuCtc::with_checks(&gpu.device, &gpu.queue, checks) {
        Ok(ctc) => cases(&ctc, &mut tally),
        Err(error) => tally.failures.push(error.to_string()),
    }
    tally
}

/// A drawn batch in buffers, against the reference.
fn judged(gpu: &Gpu, ctc: &GpuCtc, drawn: &RandomCase, found: &mut Failures) -> Result<(), String> {
    let answer = buffer_layouts::together(gpu, ctc, drawn)?.answer()?;
    drawn.judge(&Ok(answer), Tolerance::F32, found);
    Ok(())
}
