//! Arrays of the host through a context.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Tally;
use super::tally::caught;
use crate::blocking::block_on;
use crate::conformance::batch::OwnedBatch;
use crate::conformance::case::Case;
use crate::conformance::check::{Answer, Failures, Tolerance};
use crate::conformance::decoding;
use crate::conformance::families::Family;
use crate::conformance::random_case::RandomCase;
use crate::conformance::variants::Variant;
use crate::{Ctc, Error, LossAndGradOutput, Options, Reduction};

/// What a batch was hashed to, as planned.
type Planned = HashMap<(&'static str, usize), Option<u64>>;

/// A context, and what came of each case as planned.
#[derive(Debug)]
pub struct HostPath<'a> {
    ctc: &'a Ctc,
    planned: RefCell<Planned>,
}

/// An answer; or what kept a case from having one at all, such as a panic of the driver.
pub type Answered = Result<Result<LossAndGradOutput, Error>, String>;

impl<'a> HostPath<'a> {
    /// On this context.
    #[must_use]
    pub fn new(ctc: &'a Ctc) -> Self {
        Self {
            ctc,
            planned: RefCell::default(),
        }
    }

    pub(super) fn family(&self, family: &Family, variant: Option<&Variant>) -> Tally {
        let answer = async |ctc: &Ctc, case: &Case| {
            caught(|| Ok(ctc.loss_and_grad(&case.batch().batch(), case.options())))
        };
        let tally = async { Ok(self.family_with(family, variant, answer).await) };
        block_on(tally).unwrap_or_else(|error| {
            let mut tally = Tally::new();
            tally.failures.push(error.to_string());
            tally
        })
    }

    /// The cases of a family that can be forced into the variant; as planned without one, where each runs twice. In a browser
    /// `answer` awaits [`Ctc::loss_and_grad_async`].
    pub async fn family_with(
        &self,
        family: &Family,
        variant: Option<&Variant>,
        answer: impl AsyncFn(&Ctc, &Case) -> Answered,
    ) -> Tally {
        let mut tally = Tally::new();
        for (index, case) in family.cases.iter().enumerate() {
            let key = (family.name, index);
            let within;
            let ctc = match variant {
                None => self.ctc,
                Some(variant) => {
                    let batch = case.batch().batch();
                    let Some(limits) = variant.forced(self.ctc, &batch, case.options()) else {
                        continue;
                    };
                    within = self.ctc.with_limits(&limits);
                    within.as_ref().unwrap_or(self.ctc)
                }
            };
            tally.cases += 1;
            let mut found = Failures::default();
            let bits = match answer(ctc, case).await {
                Ok(first) => {
                    let bits = first.as_ref().ok().map(hashed);
                    case.judge(&first.map(Answer::from), Tolerance::F32, &mut found);
                    bits
                }
                Err(reason) => {
                    found.check(false, || format!("{}: {reason}", case.name()));
                    None
                }
            };
            let other = match variant {
                None => match answer(ctc, case).await {
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
            let than = variant.map_or("on the second run", |_| "than as planned");
            found.check(bits == other, || {
                format!("{}: other bits {than}", case.name())
            });
            tally.same_bits &= bits == other;
            tally.found(found);
        }
        tally
    }
}

/// The bits of what every variant must give: a reduced number is a sum of sums where a batch is cut.
fn hashed(output: &LossAndGradOutput) -> u64 {
    let mut hasher = DefaultHasher::new();
    let words = output.loss.iter().chain(&output.grad).map(|x| x.to_bits());
    words.for_each(|word| word.hash(&mut hasher));
    output.status.hash(&mut hasher);
    hasher.finish()
}

/// A few batches so many times: always the same bits.
pub(super) fn repeated(ctc: &Ctc, runs: usize) -> Tally {
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
                    return Err(format!("{name}: other bits on run {number}"));
                }
            }
            Ok(())
        });
    }
    tally.same_bits = tally.failures.is_empty();
    tally
}

/// Each item of random batches alone: the bits that it has in the batch.
pub(super) fn alone(ctc: &Ctc, seeds: u64) -> Tally {
    let mut tally = Tally::new();
    for seed in 0..seeds {
        let RandomCase {
            name,
            batch,
            options,
            ..
        } = RandomCase::of(seed);
        let options = Options {
            // An item's weight in a mean depends on the others.
            reduction: Reduction::None,
            ..options
        };
        tally.case(|| {
            let run = |batch: &OwnedBatch| {
                let output = ctc.loss_and_grad(&batch.batch(), &options);
                output.map_err(|e| format!("{name}: {e}"))
            };
            let together = run(&batch)?;
            for item in 0..batch.items() {
                let other = batch.alone(item);
                let alone = run(&other)?;
                let rows = |batch: &OwnedBatch, grad: &[f32], item| {
                    let frames = 0..batch.frames();
                    let row = |t| grad[batch.row(item, t)..][..batch.classes()].to_vec();
                    let bits = frames.flat_map(row).map(f32::to_bits);
                    bits.collect::<Vec<u32>>()
                };
                let same = alone.loss[0].to_bits() == together.loss[item].to_bits()
                    && alone.status[0] == together.status[item]
                    && rows(&other, &alone.grad, 0) == rows(&batch, &together.grad, item);
                if !same {
                    return Err(format!("{name}: item {item} has other bits alone"));
                }
            }
            Ok(())
        });
    }
    tally.same_bits = tally.failures.is_empty();
    tally
}

/// Alignments and greedy readings of random batches, against those that the CPU finds in float64.
pub(super) fn decoded(ctc: &Ctc, seeds: u64) -> Tally {
    let mut tally = Tally::new();
    for seed in 0..seeds {
        tally.case(|| decoding::hold(ctc, &RandomCase::of(seed)));
    }
    tally
}
