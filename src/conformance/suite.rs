//! The suite: every family through every variant, on one adapter or on the CPU backend.

use std::fmt;
use std::rc::Rc;
use std::time::Instant;

use super::device::Gpu;
use super::families::{Family, SuiteSize, families};
use super::probe::Numerics;
use super::variants::{VARIANTS, Variant};
use crate::{Backend, Ctc, DeviceLimits};

mod device;
mod host;
mod tally;

pub use host::{Answered, HostPath};
pub use tally::Tally;

/// What is judged: an adapter, on devices of its own, or the CPU backend.
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

    /// The CPU backend.
    #[must_use]
    pub fn cpu() -> Self {
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
    pub fn limits(&self) -> Option<&DeviceLimits> {
        self.ctc.limits()
    }
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

impl<'a> Trial<'a> {
    fn new(variant: &'static str, family: &'static str, run: impl Fn() -> Tally + 'a) -> Self {
        Self {
            variant,
            family,
            run: Box::new(run),
        }
    }

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

/// The name of what stands in the place of a family where no family has a case for a variant.
pub const EVERY_FAMILY: &str = "every family";

/// A variant, and a family that has a case for it; `None` if no family has.
pub type Forced<'a> = (&'static Variant, Option<&'a Family>);

/// The cases, drawn once for all subjects.
#[derive(Debug)]
pub struct Suite {
    extent: SuiteSize,
    families: Vec<Family>,
}

impl Suite {
    /// All cases of an extent.
    #[must_use]
    pub fn new(extent: SuiteSize) -> Self {
        Self {
            extent,
            families: families(extent),
        }
    }

    /// All trials of a subject, in an order in which what is wrong comes early. The first ones are as planned, and the others
    /// compare their bits with those.
    #[must_use]
    pub fn trials<'a>(&'a self, subject: &'a Subject) -> Vec<Trial<'a>> {
        let ctc = &subject.ctc;
        let host = Rc::new(HostPath::new(ctc));
        let (seeds, runs) = match self.extent {
            SuiteSize::Quick => (10, 10),
            SuiteSize::Usual => (40, 100),
            SuiteSize::Full => (200, 100),
        };
        let mut trials = Vec::new();
        for family in &self.families {
            let host = host.clone();
            trials.push(Trial::new(AS_PLANNED, family.name, move || {
                host.family(family, None)
            }));
        }
        trials.push(Trial::new(AS_PLANNED, "run after run", move || {
            host::repeated(ctc, runs)
        }));
        trials.push(Trial::new(AS_PLANNED, "items alone", move || {
            host::alone(ctc, seeds)
        }));
        if let Some(limits) = ctc.limits() {
            trials.push(Trial::new(
                AS_PLANNED,
                "alignments and readings",
                move || host::decoded(ctc, seeds),
            ));
            trials.extend(forced_trials(&host, self.forced(limits)));
        }
        if let Some(gpu) = &subject.gpu {
            let f16 = ctc.limits().is_some_and(|limits| limits.f16);
            trials.extend(device::trials(gpu, f16, seeds));
        }
        trials
    }

    /// Returns each variant that a device with these limits supports, with each family that has a case for it.
    ///
    /// A family without such a case is left out: its batches are, for example, too short to be checkpointed. A variant that
    /// no family has a case for would not be validated at all, which is a failure: it is returned once, without a family,
    /// and its result is [`Tally::without_a_case`].
    #[must_use]
    pub fn forced(&self, limits: &DeviceLimits) -> Vec<Forced<'_>> {
        self.forced_of(&VARIANTS, limits)
    }

    fn forced_of(&self, variants: &'static [Variant], limits: &DeviceLimits) -> Vec<Forced<'_>> {
        let mut forced = Vec::new();
        for variant in variants.iter().filter(|variant| variant.is_there(limits)) {
            let families = self.families.iter().filter(|family| {
                family.every_variant
                    && family.cases.iter().any(|case| {
                        let batch = case.batch().batch();
                        variant.forced(limits, &batch, case.options()).is_some()
                    })
            });
            let before = forced.len();
            forced.extend(families.map(|family| (variant, Some(family))));
            if forced.len() == before {
                forced.push((variant, None));
            }
        }
        forced
    }

    /// The families, in the order in which they are tried.
    #[must_use]
    pub fn families(&self) -> &[Family] {
        &self.families
    }
}

fn forced_trials<'a>(host: &Rc<HostPath<'a>>, forced: Vec<Forced<'a>>) -> Vec<Trial<'a>> {
    let trial = |(variant, family): Forced<'a>| match family {
        None => Trial::new(variant.name, EVERY_FAMILY, Tally::without_a_case),
        Some(family) => {
            let host = host.clone();
            Trial::new(variant.name, family.name, move || {
                host.family(family, Some(variant))
            })
        }
    };
    forced.into_iter().map(trial).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_that_no_case_runs_through_fails() {
        const UNREACHABLE: [Variant; 1] = [Variant {
            name: "unreachable",
            change: |limits| Some(*limits),
            splits: true,
            is_meant: |variant| variant.checkpointed && variant.batch_tiles == usize::MAX,
            same_bits: true,
        }];
        let suite = Suite::new(SuiteSize::Quick);
        let forced = suite.forced_of(&UNREACHABLE, &DeviceLimits::default());
        let ctc = Ctc::cpu();
        let trials = forced_trials(&Rc::new(HostPath::new(&ctc)), forced);
        assert_eq!(trials.len(), 1);
        assert_eq!(
            (trials[0].variant, trials[0].family),
            ("unreachable", EVERY_FAMILY)
        );
        let tally = trials[0].run();
        assert!(!tally.passed());
        assert_eq!((tally.cases, tally.failures.len()), (0, 1));
        assert!(
            tally.failures[0].contains("no case"),
            "{}",
            tally.failures[0]
        );
    }

    #[test]
    fn every_variant_has_a_case_in_the_quick_suite() {
        let suite = Suite::new(SuiteSize::Quick);
        for subgroup in [0, 8, 32, 64] {
            let limits = DeviceLimits {
                subgroup_size: subgroup,
                ..DeviceLimits::default()
            };
            let forced = suite.forced(&limits);
            for variant in VARIANTS.iter().filter(|variant| variant.is_there(&limits)) {
                let of_variant = forced.iter().filter(|(v, _)| v.name == variant.name);
                let families: Vec<_> = of_variant.map(|(_, family)| family).collect();
                assert!(!families.is_empty(), "{}", variant.name);
                let all = families.iter().all(|family| family.is_some());
                assert!(all, "no case runs through {}", variant.name);
            }
        }
    }

    #[test]
    fn a_result_without_a_case_is_no_pass() {
        assert!(!Tally::new().passed());
    }
}
