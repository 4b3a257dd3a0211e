//! The suite: every family through every variant, on one adapter or on the CPU backend.

use std::fmt;
use std::rc::Rc;
use std::time::Instant;

use super::device::Gpu;
use super::families::{Family, SuiteSize, families};
use super::probe::Numerics;
use super::variants::VARIANTS;
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
            for variant in VARIANTS.iter().filter(|variant| variant.is_there(limits)) {
                for family in self.families.iter().filter(|family| family.every_variant) {
                    let host = host.clone();
                    trials.push(Trial::new(variant.name, family.name, move || {
                        host.family(family, Some(variant))
                    }));
                }
            }
        }
        if let Some(gpu) = &subject.gpu {
            let f16 = ctc.limits().is_some_and(|limits| limits.f16);
            trials.extend(device::trials(gpu, f16, seeds));
        }
        trials
    }

    /// The families, in the order in which they are tried.
    #[must_use]
    pub fn families(&self) -> &[Family] {
        &self.families
    }
}
