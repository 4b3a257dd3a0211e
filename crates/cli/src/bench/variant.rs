//! Forces another choice of kernels than the plan's.

use clap::ValueEnum;
use ctc_wgpu::{DeviceLimits, Error, GpuCtc, GpuPlan, Options, RuntimeChecks, Task};

use ctc_wgpu_bench_support::inputs::Inputs;
use ctc_wgpu_bench_support::resident::Gpu;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Variant {
    /// The kernels that the plan selects
    #[default]
    Planned,
    /// Workgroup memory and barriers instead of subgroup operations
    Barriers,
    /// Shaders without the checks that wgpu adds to indexes and loops
    Unchecked,
}

impl Variant {
    pub(crate) fn ctc(self, gpu: &Gpu) -> Result<GpuCtc, Error> {
        let checks = match self {
            Self::Unchecked => RuntimeChecks::Off,
            _ => RuntimeChecks::On,
        };
        GpuCtc::with_checks(&gpu.device, &gpu.queue, checks)
    }

    pub(crate) fn plan(self, ctc: &GpuCtc, inputs: &Inputs, task: Task) -> Result<GpuPlan, Error> {
        let limits = self.limits(ctc.limits());
        ctc.plan_within(&inputs.shape, &Options::default(), task, &limits)
    }

    fn limits(self, limits: DeviceLimits) -> DeviceLimits {
        let subgroup = match self {
            Self::Barriers => 0,
            Self::Planned | Self::Unchecked => limits.subgroup_size,
        };
        limits.subgroup_size(subgroup)
    }

    /// Returns the value's name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}
