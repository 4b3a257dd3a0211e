//! The suite: every family through every variant, on one adapter or on the twin.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::case::Case;
use super::check::{Answer, Failures, Tolerance, Worst};
use super::device::Gpu;
use super::drawn::Drawn;
use super::families::{Extent, Family, families};
use super::hostile;
use super::placements;
use super::probe::Numerics;
use super::variants::{VARIANTS, Variant};
use crate::{Backend, Checks, Ctc, CtcOutput, Error, GpuCtc, Limits};

/// What is judged: an adapter, on devices of its own, or the CPU twin.
#[derive(Debug)]
pub struct Subject {
    ctc: Ctc,
    gpu: Option<Gpu>,
    numerics: Option<Numerics>,
}

impl Subject {
    /// An adapter; its arithmetic is asked at once.
    ///
    /// # Errors
    /// If it gives no device, or one on which the numerics probe does not run.
    pub fn on(adapter: &wgpu::Adapter) -> Result<Self, String> {
        let ctc = Ctc::on_adapter(adapter).map_err(|e| e.to_string())?;
        let gpu = Gpu::new(adapter, adapter.limits()).map_err(|e| e.to_string())?;
        let numerics = Some(Numerics::of(&gpu)?);
        Ok(Self {
            ctc,
            gpu: Some(gpu),
            numerics,
        })
    }

    /// The CPU twin.
    #[must_use]
    pub fn twin() -> Self {
        Self {
            ctc: Ctc::cpu(),
            gpu: None,
            numerics: None,
        }
    }

    /// What computes.
    #[must_use]
    pub fn backend(&self) -> &Backend {
        self.ctc.backend()
    }

    /// What the adapter's driver makes of arithmetic.
    #[must_use]
    pub fn numerics(&self) -> Option<&Numerics> {
        self.numerics.as_ref()
    }

    /// The limits that plans keep within, of an adapter.
    #[must_use]
    pub fn limits(&self) -> Option<&Limits> {
        self.ctc.limits()
    }
}

/// What came of the cases of a family through a variant.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// How many cases went through the variant.
    pub cases: usize,
    /// The largest deviations.
    pub worst: Worst,
    /// What was wrong, a line each, with what it takes to draw the case again.
    pub failures: Vec<String>,
    /// Whether each case gave the same bits again, and those of the device's own choice of kernels where the variant must.
    pub same_bits: bool,
    /// How long that took, the reference not counted after the first time.
    pub time: Duration,
}

impl Tally {
    /// What both say together.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.cases += other.cases;
        self.worst = self.worst.or(other.worst);
        self.failures.extend_from_slice(&other.failures);
        self.same_bits &= other.same_bits;
        self.time += other.time;
        self
    }

    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            same_bits: true,
            ..Self::default()
        }
    }

    fn case(&mut self, case: impl FnOnce() -> Result<(), String>) {
        self.cases += 1;
        if let Err(reason) = caught(case) {
            self.failures.push(reason);
        }
    }
}

/// A panic of a driver or of wgpu as the failure of a case.
fn caught(case: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(case)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panicked: {}", text.unwrap_or("without a word")))
    })
}

/// A family through a variant, still to run.
pub struct Trial<'a> {
    /// The variant's name.
    pub variant: &'static str,
    /// The family's name.
    pub family: &'static str,
    run: Box<dyn Fn() -> Tally + 'a>,
}

impl fmt::Debug for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} through {}", self.family, self.variant)
    }
}

impl Trial<'_> {
    /// Runs it.
    #[must_use]
    pub fn run(&self) -> Tally {
        let start = Instant::now();
        let tally = (self.run)();
        Tally {
            time: start.elapsed(),
            ..tally
        }
    }
}

/// The name of the variant that a device gets without being forced.
pub const AS_PLANNED: &str = "as planned";
const CALLERS_BUFFERS: &str = "caller's buffers";
const IN_PLACE: &str = "gradient in place";
const NARROW: &str = "f16";
const UNCHECKED: &str = "trusted shaders";

/// The cases, drawn once for all subjects.
#[derive(Debug)]
pub struct Suite {
    extent: Extent,
    exact: Vec<Family>,
    reassociated: Vec<Family>,
}

impl Suite {
    /// All cases of an extent.
    #[must_use]
    pub fn new(extent: Extent) -> Self {
        Self {
            extent,
            exact: families(extent, false),
            reassociated: families(extent, true),
        }
    }

    /// All trials of a subject, in an order in which what is wrong comes early. The first ones are as planned, and the others
    /// compare their bits with those.
    #[must_use]
    pub fn trials<'a>(&'a self, subject: &'a Subject) -> Vec<Trial<'a>> {
        let reassociates = subject.numerics.as_ref().is_some_and(|n| n.reassociates);
        let families = if reassociates {
            &self.reassociated
        } else {
            &self.exact
        };
        let host = std::rc::Rc::new(HostPath {
            ctc: &subject.ctc,
            planned: RefCell::default(),
        });
        let mut trials = Vec::new();
        for family in families {
            let host = host.clone();
            trials.push(Trial {
                variant: AS_PLANNED,
                family: family.name,
                run: Box::new(move || host.family(family, None)),
            });
        }
        trials.extend(self.properties(&subject.ctc));
        if let Some(limits) = subject.ctc.limits() {
            for variant in VARIANTS.iter().filter(|variant| variant.is_there(limits)) {
                for family in families.iter().filter(|family| family.every_variant) {
                    let host = host.clone();
                    trials.push(Trial {
                        variant: variant.name,
                        family: family.name,
                        run: Box::new(move || host.family(family, Some(variant))),
                    });
                }
            }
        }
        if let Some(gpu) = &subject.gpu {
            trials.extend(self.device_path(gpu, subject.ctc.limits()));
        }
        trials
    }

    /// How many seeds, of the families that are drawn from them.
    fn seeds(&self) -> u64 {
        match self.extent {
            Extent::Quick => 10,
            Extent::Usual => 40,
            Extent::Full => 200,
        }
    }

    fn properties<'a>(&self, ctc: &'a Ctc) -> [Trial<'a>; 2] {
        let (seeds, runs) = (
            self.seeds(),
            if self.extent == Extent::Quick {
                10
            } else {
                100
            },
        );
        let trial = |family, run| Trial {
            variant: AS_PLANNED,
            family,
            run,
        };
        [
            trial(
                "the same bits run after run",
                Box::new(move || repeated(ctc, runs)),
            ),
            trial("an item alone", Box::new(move || alone(ctc, seeds))),
        ]
    }

    fn device_path<'a>(&self, gpu: &'a Gpu, limits: Option<&Limits>) -> Vec<Trial<'a>> {
        type Check = fn(&Gpu, &GpuCtc, &Drawn) -> Result<(), String>;
        let seeds = self.seeds();
        let random = |variant, checks, check: Check| Trial {
            variant,
            family: "random",
            run: Box::new(move || {
                on_device(gpu, checks, |ctc, tally: &mut Tally| {
                    for seed in 0..seeds {
                        tally.case(|| check(gpu, ctc, &Drawn::of(seed)));
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
        }
        trials.push(random(IN_PLACE, Checks::On, placements::in_place));
        if limits.is_some_and(|limits| limits.f16) {
            trials.push(random(NARROW, Checks::On, placements::narrow));
        }
        trials
    }
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
fn judged(gpu: &Gpu, ctc: &GpuCtc, drawn: &Drawn) -> Result<(), String> {
    let answer = placements::together(gpu, ctc, drawn)?.answer()?;
    let mut failures = Failures::default();
    drawn.judge(&Ok(answer), Tolerance::F32, &mut failures);
    failures.finish(&drawn.name)
}

/// What a batch was hashed to, as planned.
type Planned = HashMap<(&'static str, usize), Option<u64>>;

/// Arrays of the host through a context.
struct HostPath<'a> {
    ctc: &'a Ctc,
    planned: RefCell<Planned>,
}

impl HostPath<'_> {
    fn family(&self, family: &Family, variant: Option<&Variant>) -> Tally {
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
                    within = self.ctc.within(&limits);
                    &within
                }
            };
            let mut failures = Failures::default();
            let mut same = true;
            tally.case(|| {
                let first = answer(ctc, case);
                let bits = first.as_ref().ok().map(hashed);
                case.judge(&first.map(Answer::from), Tolerance::F32, &mut failures);
                let other = match variant {
                    None => answer(ctc, case).as_ref().ok().map(hashed),
                    Some(variant) if variant.same_bits => {
                        self.planned.borrow().get(&key).copied().flatten()
                    }
                    Some(_) => bits,
                };
                same = bits == other;
                if variant.is_none() {
                    self.planned.borrow_mut().insert(key, bits);
                }
                Ok(())
            });
            if !same {
                let than = variant.map_or("on the second run", |_| "than as planned");
                tally
                    .failures
                    .push(format!("{}: other bits {than}", case.name()));
            }
            tally.same_bits &= same;
            tally.worst = tally.worst.or(failures.worst());
            let mut shown = Failures::default();
            shown.case(failures);
            tally.failures.extend_from_slice(shown.list());
        }
        tally
    }
}

fn answer(ctc: &Ctc, case: &Case) -> Result<CtcOutput, Error> {
    ctc.loss_and_grad(&case.batch().batch(), case.options())
}

/// The bits of what every variant must give: a reduced number is a sum of sums where a batch is cut.
fn hashed(output: &CtcOutput) -> u64 {
    let mut hasher = DefaultHasher::new();
    let words = output.loss.iter().chain(&output.grad).map(|x| x.to_bits());
    words.for_each(|word| word.hash(&mut hasher));
    output.status.hash(&mut hasher);
    hasher.finish()
}

fn repeated(ctc: &Ctc, runs: usize) -> Tally {
    let mut tally = Tally::new();
    for seed in 0..5 {
        let Drawn {
            name,
            batch,
            options,
            ..
        } = Drawn::of(seed);
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

fn alone(ctc: &Ctc, seeds: u64) -> Tally {
    let mut tally = Tally::new();
    for seed in 0..seeds {
        let Drawn {
            name,
            batch,
            options,
            ..
        } = Drawn::of(seed);
        let options = crate::Options {
            // An item's weight in a mean depends on the others.
            reduction: crate::Reduction::None,
            ..options
        };
        tally.case(|| {
            let run = |batch: &super::batch::OwnedBatch| {
                let output = ctc.loss_and_grad(&batch.batch(), &options);
                output.map_err(|e| format!("{name}: {e}"))
            };
            let together = run(&batch)?;
            for item in 0..batch.items() {
                let other = batch.alone(item);
                let alone = run(&other)?;
                let rows = |batch: &super::batch::OwnedBatch, grad: &[f32], item| {
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
