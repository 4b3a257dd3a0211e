//! Runs every family of cases through every variant, on an adapter or on the CPU backend.

use std::fmt;
use std::rc::Rc;
use std::time::Instant;

use super::device::Gpu;
use super::families::{Family, SuiteSize, families};
use super::probe::Numerics;
use super::variants::{VARIANTS, Variant};
use ctc_wgpu::{Backend, Ctc, DeviceLimits};

mod device;
mod host;
mod tally;

pub use host::{CaseOutput, HostPath};
pub use tally::Tally;

/// The tested backend: an adapter, with devices created for the tests, or the CPU.
#[derive(Debug)]
pub struct Subject {
    ctc: Ctc,
    gpu: Option<Gpu>,
    numerics: Option<Numerics>,
}

impl Subject {
    /// Creates devices on an adapter, and measures its arithmetic.
    ///
    /// # Errors
    /// If a device cannot be created, or if the arithmetic probe fails on it.
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

    /// Returns the CPU backend as a subject.
    #[must_use]
    pub fn cpu() -> Self {
        Self {
            ctc: Ctc::cpu(),
            gpu: None,
            numerics: None,
        }
    }

    /// Returns the tested backend.
    #[must_use]
    pub fn backend(&self) -> &Backend {
        self.ctc.backend()
    }

    /// Returns the measured properties of the driver's arithmetic; `None` on the CPU.
    #[must_use]
    pub fn numerics(&self) -> Option<&Numerics> {
        self.numerics.as_ref()
    }

    /// Returns the limits within which batches are planned on the adapter; `None` on the CPU.
    #[must_use]
    pub fn limits(&self) -> Option<&DeviceLimits> {
        self.ctc.limits()
    }
}

/// One family of cases and the variant that they run through.
pub struct TestGroup<'a> {
    /// The variant's name.
    pub variant: &'static str,
    /// The family's name.
    pub family: &'static str,
    run: Box<dyn Fn() -> Tally + 'a>,
}

impl fmt::Debug for TestGroup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} through {}", self.family, self.variant)
    }
}

impl<'a> TestGroup<'a> {
    fn new(variant: &'static str, family: &'static str, run: impl Fn() -> Tally + 'a) -> Self {
        Self {
            variant,
            family,
            run: Box::new(run),
        }
    }

    /// Runs all cases of the group.
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

/// The name of the variant that forces nothing: the plan that the library chooses for the device.
pub const AS_PLANNED: &str = "as planned";

/// The name printed in place of a family if no family has a case for a variant.
pub const EVERY_FAMILY: &str = "every family";

/// A variant, and a family that has a case for it; `None` if no family has one.
pub type Forced<'a> = (&'static Variant, Option<&'a Family>);

/// The cases, generated once for all subjects.
#[derive(Debug)]
pub struct Suite {
    size: SuiteSize,
    families: Vec<Family>,
}

impl Suite {
    /// Generates the cases of a suite of this size.
    #[must_use]
    pub fn new(size: SuiteSize) -> Self {
        Self {
            size,
            families: families(size),
        }
    }

    /// Returns the test groups of a subject, ordered so that failures show up early. Run them in
    /// this order: the first groups run as planned, and the bits of the other variants are compared
    /// with theirs.
    #[must_use]
    pub fn groups<'a>(&'a self, subject: &'a Subject) -> Vec<TestGroup<'a>> {
        let ctc = &subject.ctc;
        let host = Rc::new(HostPath::new(ctc));
        let (seeds, runs) = match self.size {
            SuiteSize::Quick => (10, 10),
            SuiteSize::Usual => (40, 100),
            SuiteSize::Full => (200, 100),
        };
        let mut groups = Vec::new();
        for family in &self.families {
            let host = host.clone();
            groups.push(TestGroup::new(AS_PLANNED, family.name, move || {
                host.family(family, None)
            }));
        }
        groups.push(TestGroup::new(AS_PLANNED, "repeated runs", move || {
            host::repeated_runs(ctc, runs)
        }));
        groups.push(TestGroup::new(AS_PLANNED, "single items", move || {
            host::single_items(ctc, seeds)
        }));
        if let Some(limits) = ctc.limits() {
            groups.push(TestGroup::new(
                AS_PLANNED,
                "alignments and greedy decoding",
                move || host::decoding(ctc, seeds),
            ));
            groups.extend(forced_groups(&host, self.forced(limits)));
        }
        if let Some(gpu) = &subject.gpu {
            let f16 = ctc.limits().is_some_and(|limits| limits.f16);
            groups.extend(device::groups(gpu, f16, seeds));
        }
        groups
    }

    /// Returns each variant that a device with these limits supports, with each family that has a
    /// case for it.
    ///
    /// A family without such a case is left out: its batches are, for example, too short for
    /// checkpoints. A family whose [`every_variant`](Family::every_variant) is false is left out
    /// too. A variant for which no family has a case is returned once, without a family. It cannot
    /// be validated and counts as a failure, with the result [`Tally::without_a_case`].
    #[must_use]
    pub fn forced(&self, limits: &DeviceLimits) -> Vec<Forced<'_>> {
        self.forced_of(&VARIANTS, limits)
    }

    fn forced_of(&self, variants: &'static [Variant], limits: &DeviceLimits) -> Vec<Forced<'_>> {
        let mut forced = Vec::new();
        for variant in variants
            .iter()
            .filter(|variant| variant.is_supported(limits))
        {
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

    /// Returns the families in the order in which they run.
    #[must_use]
    pub fn families(&self) -> &[Family] {
        &self.families
    }
}

fn forced_groups<'a>(host: &Rc<HostPath<'a>>, forced: Vec<Forced<'a>>) -> Vec<TestGroup<'a>> {
    let group = |(variant, family): Forced<'a>| match family {
        None => TestGroup::new(variant.name, EVERY_FAMILY, Tally::without_a_case),
        Some(family) => {
            let host = host.clone();
            TestGroup::new(variant.name, family.name, move || {
                host.family(family, Some(variant))
            })
        }
    };
    forced.into_iter().map(group).collect()
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
            matches: |variant| variant.checkpointed && variant.batch_tiles == usize::MAX,
            same_bits: true,
            needs_long_labels: false,
        }];
        let suite = Suite::new(SuiteSize::Quick);
        let forced = suite.forced_of(&UNREACHABLE, &DeviceLimits::default());
        let ctc = Ctc::cpu();
        let groups = forced_groups(&Rc::new(HostPath::new(&ctc)), forced);
        assert_eq!(groups.len(), 1);
        assert_eq!(
            (groups[0].variant, groups[0].family),
            ("unreachable", EVERY_FAMILY)
        );
        let tally = groups[0].run();
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
            let limits = DeviceLimits::default()
                .subgroup_size(subgroup)
                // As much as GPUs with subgroups have.
                .workgroup_memory(32 << 10);
            let forced = suite.forced(&limits);
            for variant in VARIANTS
                .iter()
                .filter(|variant| variant.is_supported(&limits))
            {
                let of_variant = forced.iter().filter(|(v, _)| v.name == variant.name);
                let families: Vec<_> = of_variant.map(|(_, family)| family).collect();
                assert!(!families.is_empty(), "{}", variant.name);
                let all = families.iter().all(|family| family.is_some());
                assert!(all, "no case runs through {}", variant.name);
            }
        }
    }

    #[test]
    fn a_result_without_a_case_does_not_pass() {
        assert!(!Tally::new().passed());
    }
}
