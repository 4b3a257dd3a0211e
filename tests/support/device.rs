//! Devices for the tests that bind their own buffers.

use ctc_wgpu::GpuPlan;
pub(crate) use ctc_wgpu_conformance::device::Gpu;
use ctc_wgpu_conformance::guarded_buffers;
pub(crate) use ctc_wgpu_conformance::guarded_buffers::{
    ALL, BUFFER_PLACEMENTS, BufferPlacement, DeviceBatch, GuardedBuffers, OptionalOutputs, Outputs,
    bits,
};

use super::adapters;

/// Runs `test` on each adapter, on a device with all of its limits, after printing its name.
pub(crate) fn on_each_device(test: impl Fn(&Gpu)) {
    on_each_device_within(wgpu::Adapter::limits, test);
}

/// Runs `test` on each adapter, on a device with these limits.
pub(crate) fn on_each_device_within(
    limits: impl Fn(&wgpu::Adapter) -> wgpu::Limits,
    test: impl Fn(&Gpu),
) {
    for adapter in adapters::all() {
        let gpu = Gpu::new(&adapter, limits(&adapter)).unwrap();
        println!("on {}", gpu.name);
        test(&gpu);
    }
}

/// Runs a batch through a plan, in buffers with canaries.
pub(crate) fn run(
    gpu: &Gpu,
    plan: &GpuPlan,
    batch: &DeviceBatch,
    placement: BufferPlacement,
) -> Outputs {
    guarded_buffers::run(gpu, plan, batch, placement)
        .unwrap_or_else(|wrong| panic!("{}: {wrong}", gpu.name))
}

/// Encodes and submits a batch.
pub(crate) fn submit(gpu: &Gpu, plan: &GpuPlan, buffers: &GuardedBuffers) {
    guarded_buffers::submit(gpu, plan, buffers).unwrap();
}
