//! The test groups that call a [`Ctc`] with arrays on the host.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Tally;
use super::tally::caught;
use crate::batch::OwnedBatch;
use crate::case::Case;
use crate::check::{Computed, Failures, Tolerance};
use crate::decoding;
use crate::families::Family;
use crate::random_case::RandomCase;
use crate::variants::Variant;
use ctc_wgpu::internal::block_on;
use ctc_wgpu::{Ctc, DeviceLimits, Error, LossAndGradOutput, Reduction};

/// The hash of each case's result as planned; `None` if it failed.
type Planned = HashMap<(&'static str, usize), Option<u64>>;

/// A context, and the results of the cases as planned, with which the variants are compared.
#[derive(Debug)]
pub struct HostPath<'a> {
    ctc: &'a Ctc,
    planned: RefCell<Planned>,
}

/// The result of a call, or a message if the call did not return, such as a panic of the driver.
pub type CaseOutput = Result<Result<LossAndGradOutput, Error>, String>;

impl<'a> HostPath<'a> {
    /// Creates it for a context.
    #[must_use]
    pub fn new(ctc: &'a Ctc) -> Self {
        Self {
            ctc,
            planned: RefCell::default(),
        }
    }

    pub(super) fn family(&self, family: &Family, variant: Option<&Variant>) -> Tally {
        let compute = async |ctc: &Ctc, case: &Case| {
            caught(|| Ok(ctc.loss_and_grad(&case.batch().batch(), case.options())))
        };
        let tally = async { Ok(self.family_with(family, variant, compute).await) };
        block_on(tally).unwrap_or_else(|error| {
            let mut tally = Tally::new();
            tally.failures.push(error.to_string());
            tally
        })
    }

    fn forced(&self, variant: &Variant, case: &Case) -> Option<DeviceLimits> {
        let batch = case.batch().batch();
        variant.forced(self.ctc.limits()?, &batch, case.options())
    }

    /// Runs the cases of a family that can be forced into the variant. Without a variant, runs all
    /// cases as planned, twice each. `compute` runs a case; in a browser it awaits
    /// [`Ctc::loss_and_grad_async`].
    pub async fn family_with(
        &self,
        family: &Family,
        variant: Option<&Variant>,
        compute: impl AsyncFn(&Ctc, &Case) -> CaseOutput,
    ) -> Tally {
        let mut tally = Tally::new();
        for (index, case) in family.cases.iter().enumerate() {
            let key = (family.name, index);
            let forced;
            let ctc = match variant {
                None => self.ctc,
                Some(variant) => {
                    let Some(limits) = self.forced(variant, case) else {
                        continue;
                    };
                    forced = self.ctc.with_limits(&limits);
                    forced.as_ref().unwrap_or(self.ctc)
                }
            };
            tally.cases += 1;
            let mut found = Failures::default();
            let bits = match compute(ctc, case).await {
                Ok(first) => {
                    let bits = first.as_ref().ok().map(hashed);
                    case.check(&first.map(Computed::from), Tolerance::F32, &mut found);
                    bits
                }
                Err(reason) => {
                    found.check(false, || format!("{}: {reason}", case.name()));
                    None
                }
            };
            let other = match variant {
                None => match compute(ctc, case).await {
                    Ok(again) => again.as_ref().ok().map(hashed),
                    Err(_) => None,
                },
                Some(variant) if variant.same_bits => {
                    self.planned.borrow().get(&key).copied().flatten()
                }
                Some(_) => bits,
            };
            if variant.is_none() {
                self.planned.borrow_mut().insert(key, bits);
            }
            let than = variant.map_or("in the second run", |_| "than as planned");
            found.check(bits == other, || {
                format!("{}: different bits {than}", case.name())
            });
            tally.same_bits &= bits == other;
            tally.found(found);
        }
        tally
    }
}

/// Hashes the outputs whose bits must not depend on the variant. The reduced loss is left out,
/// because a split batch adds it up in another order.
fn hashed(output: &LossAndGradOutput) -> u64 {
    let mut hasher = DefaultHasher::new();
    let words = output.loss.iter().chain(&output.grad).map(|x| x.to_bits());
    words.for_each(|word| word.hash(&mut hasher));
    output.status.hash(&mut hasher);
    hasher.finish()
}

/// Runs a few batches `runs` times, and requires the same bits each time.
pub(super) fn repeated_runs(ctc: &Ctc, runs: usize) -> Tally {
    let mut tally = Tally::new();
    for seed in 0..5 {
        let RandomCase {
            name,
            batch,
            options,
            ..
        } = RandomCase::of(seed);
        tally.case(|| {
            let run = || {
                ctc.loss_and_grad(&batch.batch(), &options)
                    .map_err(|e| e.to_string())
            };
            let first = run()?;
            for number in 1..runs {
                let again = run()?;
                let same = hashed(&again) == hashed(&first)
                    && again.reduced.map(f32::to_bits) == first.reduced.map(f32::to_bits);
                if !same {
                    return Err(format!("{name}: different bits in run {number}"));
                }
            }
            Ok(())
        });
    }
    tally.same_bits = tally.failures.is_empty();
    tally
}

/// Runs each item of random batches alone, and requires the bits that it has in the batch.
pub(super) fn single_items(ctc: &Ctc, seeds: u64) -> Tally {
    let mut tally = Tally::new();
    for seed in 0..seeds {
        let RandomCase {
            name,
            batch,
            options,
            ..
        } = RandomCase::of(seed);
        let options = options
            // In a mean, the weight of an item depends on the other items.
            .reduction(Reduction::None);
        tally.case(|| {
            let run = |batch: &OwnedBatch| {
                let output = ctc.loss_and_grad(&batch.batch(), &options);
                output.map_err(|e| format!("{name}: {e}"))
            };
            let whole = run(&batch)?;
            for item in 0..batch.items() {
                let other = batch.alone(item);
                let alone = run(&other)?;
                let rows = |batch: &OwnedBatch, grad: &[f32], item| {
                    let frames = 0..batch.frames();
                    let row = |t| grad[batch.row(item, t)..][..batch.classes()].to_vec();
                    let bits = frames.flat_map(row).map(f32::to_bits);
                    bits.collect::<Vec<u32>>()
                };
                let same = alone.loss[0].to_bits() == whole.loss[item].to_bits()
                    && alone.status[0] == whole.status[item]
                    && rows(&other, &alone.grad, 0) == rows(&batch, &whole.grad, item);
                if !same {
                    return Err(format!("{name}: item {item} has different bits alone"));
                }
            }
            Ok(())
        });
    }
    tally.same_bits = tally.failures.is_empty();
    tally
}

/// Compares alignments and greedy hypotheses of random batches with those that the CPU computes in
/// float64.
pub(super) fn decoding(ctc: &Ctc, seeds: u64) -> Tally {
    let mut tally = Tally::new();
    for seed in 0..seeds {
        tally.case(|| decoding::check(ctc, &RandomCase::of(seed)));
    }
    tally
}
