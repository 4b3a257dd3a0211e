//! The test groups that bind buffers of their own on a device.

use super::{Tally, TestGroup};
use crate::check::{Failures, Tolerance};
use crate::decoding::guarded_buffers;
use crate::device::Gpu;
use crate::random_case::RandomCase;
use crate::{buffer_layouts, malformed};
use ctc_wgpu::{GpuCtc, RuntimeChecks, Task};

const CALLERS_BUFFERS: &str = "caller's buffers";
const TRUSTED_SHADERS: &str = "trusted shaders";
const IN_PLACE: &str = "gradient in place";
const F16: &str = "f16";

/// Returns the test groups that bind buffers of their own.
pub(super) fn groups<'a>(gpu: &'a Gpu, f16: bool, seeds: u64) -> Vec<TestGroup<'a>> {
    type Check = fn(&Gpu, &GpuCtc, &RandomCase, &mut Failures) -> Result<(), String>;
    let random = |variant, checks, check: Check| TestGroup {
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
    let corrupted = |variant, checks| {
        [
            (
                "invalid labels on the device",
                bad_labels as fn() -> Vec<malformed::Corruption>,
            ),
            ("invalid lengths on the device", bad_lengths),
            ("numbers that are not finite", not_finite),
        ]
        .map(|(family, corruptions)| TestGroup {
            variant,
            family,
            run: Box::new(move || {
                on_device(gpu, checks, |ctc, tally| {
                    for corruption in corruptions() {
                        tally.case(|| corruption.check(gpu, ctc));
                    }
                })
            }),
        })
    };
    let decoding = |variant, checks| TestGroup {
        variant,
        family: "alignments and greedy decoding of malformed input",
        run: Box::new(move || {
            on_device(gpu, checks, |ctc, tally: &mut Tally| {
                for task in [Task::Align, Task::Greedy] {
                    let corruptions = [bad_labels(), bad_lengths(), not_finite()];
                    for corruption in corruptions.iter().flatten() {
                        tally.case(|| guarded_buffers::check(corruption, gpu, ctc, task));
                    }
                    for seed in 0..seeds {
                        tally.case(|| guarded_buffers::random_bits(gpu, ctc, seed, task));
                    }
                }
            })
        }),
    };
    let random_bits = |variant, checks| TestGroup {
        variant,
        family: "random bits in every buffer",
        run: Box::new(move || {
            on_device(gpu, checks, |ctc, tally: &mut Tally| {
                tally.case(|| malformed::allowed_blank(gpu, ctc));
                for lengths in &malformed::CONCATENATED_LENGTHS {
                    tally.case(|| malformed::concatenated_lengths(gpu, ctc, lengths));
                }
                for seed in 0..seeds {
                    tally.case(|| malformed::random_bits(gpu, ctc, seed));
                }
            })
        }),
    };
    let mut groups = Vec::new();
    for (variant, checks) in [
        (CALLERS_BUFFERS, RuntimeChecks::On),
        (TRUSTED_SHADERS, RuntimeChecks::Off),
    ] {
        groups.push(random(variant, checks, check_against_reference));
        groups.extend(corrupted(variant, checks));
        groups.push(random_bits(variant, checks));
        groups.push(decoding(variant, checks));
    }
    groups.push(random(IN_PLACE, RuntimeChecks::On, |gpu, ctc, case, _| {
        buffer_layouts::in_place(gpu, ctc, case)
    }));
    if f16 {
        groups.push(random(F16, RuntimeChecks::On, |gpu, ctc, case, _| {
            buffer_layouts::f16(gpu, ctc, case)
        }));
    }
    groups
}

fn bad_labels() -> Vec<malformed::Corruption> {
    let mut corruptions = malformed::labels_out_of_range();
    corruptions.extend(malformed::blank_among_labels());
    corruptions
}

fn bad_lengths() -> Vec<malformed::Corruption> {
    let mut corruptions = malformed::logit_lengths_out_of_range();
    corruptions.extend(malformed::label_lengths_out_of_range());
    corruptions
}

fn not_finite() -> Vec<malformed::Corruption> {
    let mut corruptions = malformed::weights_that_are_not_finite();
    corruptions.extend(malformed::logits_that_are_not_finite());
    corruptions
}

fn on_device(gpu: &Gpu, checks: RuntimeChecks, cases: impl Fn(&GpuCtc, &mut Tally)) -> Tally {
    let mut tally = Tally::new();
    match GpuCtc::with_checks(&gpu.device, &gpu.queue, checks) {
        Ok(ctc) => cases(&ctc, &mut tally),
        Err(error) => tally.failures.push(error.to_string()),
    }
    tally
}

/// Runs a random batch in buffers, and compares it with the reference.
fn check_against_reference(
    gpu: &Gpu,
    ctc: &GpuCtc,
    case: &RandomCase,
    found: &mut Failures,
) -> Result<(), String> {
    let computed = buffer_layouts::in_one_buffer(gpu, ctc, case)?.computed()?;
    case.check(&Ok(computed), Tolerance::F32, found);
    Ok(())
}
