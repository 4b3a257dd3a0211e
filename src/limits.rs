//! The device limits that planning reads, as plain data, so that a plan needs no device.

use crate::plan::WATCHDOG_US;
use crate::setters::setters;

/// The limits that a plan respects: `DeviceLimits::from(&device)`, or [`DeviceLimits::default`] for
/// WebGPU's default limits.
///
/// The default limits suffice for every task. `wgpu::Limits::downlevel_defaults()` does not: it
/// allows 4 storage buffers per shader stage, and kernels need up to
/// [`DeviceLimits::STORAGE_BUFFERS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DeviceLimits {
    /// The largest binding of a storage buffer, in bytes.
    pub max_binding: u64,
    /// The largest buffer, in bytes.
    pub max_buffer: u64,
    /// The largest number of storage buffers per shader stage.
    pub max_storage_buffers: u32,
    /// The largest number of workgroups per dimension of a dispatch.
    pub max_workgroups: u32,
    /// The largest number of invocations per workgroup.
    pub max_invocations: u32,
    /// The workgroup memory, in bytes.
    pub workgroup_memory: u32,
    /// The alignment of the offset of a storage binding, in bytes; 0 or a power of two.
    pub offset_alignment: u32,
    /// The largest number of quads that a sweep may hold in registers. A quad is four consecutive
    /// state pairs, each of a blank and a label. The number of lanes is a limit too: on a software
    /// adapter, a lane holds one quad; on a GPU, where quads would spill registers, half a quad. So
    /// a GPU with 512 invocations per workgroup and 32 KiB of workgroup memory, or more, holds the
    /// states of 1,023 labels, and one with 256 invocations those of 511. The states of longer
    /// items are in storage, which is slower. Lower this number to test that variant.
    pub max_register_quads: u32,
    /// The number of state pairs that each lane of a recursion holds: 1, 2 or 4. With 0, the
    /// default, the plan chooses: on a software adapter 4, and on a GPU 1, or 2 for long labels.
    /// Set another number for tests. An item that would need too many lanes has more pairs per
    /// lane. If the number is not 0, the sweeps of a software adapter read the emission table too,
    /// as those of a GPU do.
    pub pairs_per_lane: u32,
    /// The subgroup size, if it is the same for all of the device's subgroups and kernels may use
    /// them; otherwise 0. Must be 0 or a power of two.
    pub subgroup_size: u32,
    /// The longest time that a dispatch may take, in microseconds: one second on a GPU, since
    /// operating systems reset a GPU whose dispatch takes about two seconds; [`u32::MAX`], no limit
    /// of time, on a software adapter. A plan splits each dispatch that could take longer on a slow
    /// integrated GPU (10 GB/s, 64 instructions per ns). Other GPUs take less time.
    ///
    /// Some drivers limit the time of a submission instead, which has all dispatches of a batch. A
    /// long batch can be spread over several with [`Prepared::stages`](crate::Prepared::stages).
    pub max_dispatch_us: u32,
    /// True if the device supports f16.
    pub f16: bool,
    /// True if the adapter is a software adapter, which runs on the CPU. Barriers are expensive
    /// there: workgroups have fewer lanes, and each processes one row of the input (in `grad` four)
    /// if the dispatch limit allows it.
    pub software: bool,
}

setters!(DeviceLimits {
    max_binding: u64,
    max_buffer: u64,
    max_storage_buffers: u32,
    max_workgroups: u32,
    max_invocations: u32,
    workgroup_memory: u32,
    offset_alignment: u32,
    max_register_quads: u32,
    pairs_per_lane: u32,
    subgroup_size: u32,
    max_dispatch_us: u32,
    f16: bool,
    software: bool,
});

impl DeviceLimits {
    /// The largest number of storage buffers that a kernel binds.
    pub const STORAGE_BUFFERS: u32 = 8;

    /// The features that the kernels use if the device has them: request
    /// `adapter.features() & DeviceLimits::FEATURES`.
    ///
    /// No feature is required. With subgroups, lanes exchange states and sums in registers instead
    /// of workgroup memory; `SHADER_F16` is for an f16 input and gradient
    /// ([`BatchShape::f16`](crate::BatchShape::f16)).
    pub const FEATURES: wgpu::Features = wgpu::Features::SUBGROUP.union(wgpu::Features::SHADER_F16);
}

impl DeviceLimits {
    /// Returns true if sweeps have the forms of a GPU: on a GPU, or if a test forces the pairs per
    /// lane of a software adapter.
    pub(crate) fn has_gpu_sweeps(&self) -> bool {
        !self.software || self.pairs_per_lane != 0
    }
}

impl From<&wgpu::Device> for DeviceLimits {
    /// Returns the limits of `device`, including its features.
    fn from(device: &wgpu::Device) -> Self {
        let (features, info) = (device.features(), device.adapter_info());
        let software = info.device_type == wgpu::DeviceType::Cpu;
        Self {
            subgroup_size: if features.contains(wgpu::Features::SUBGROUP) {
                only_subgroup_size(&info)
            } else {
                0
            },
            f16: features.contains(wgpu::Features::SHADER_F16),
            max_dispatch_us: if software { u32::MAX } else { WATCHDOG_US },
            software,
            ..Self::from(&device.limits())
        }
    }
}

/// Returns the subgroup size if the adapter reports a single one, otherwise 0.
///
/// Where an adapter reports a range, its driver may choose any size of the range for each pipeline,
/// as on AMD's RDNA (32 to 64) and Intel (8 to 32), and wgpu 30 cannot require one. Kernels for
/// another size would return wrong results without an error. wgpu reports 4 to 64 for each adapter
/// of Metal, since Metal has a size per pipeline, which wgpu does not return.
fn only_subgroup_size(info: &wgpu::AdapterInfo) -> u32 {
    let size = info.subgroup_max_size;
    if info.subgroup_min_size == size && size.is_power_of_two() {
        size
    } else {
        0
    }
}

impl From<&wgpu::Limits> for DeviceLimits {
    /// Returns the limits of a device without features, on a GPU.
    fn from(limits: &wgpu::Limits) -> Self {
        let max_lanes_per_axis = limits
            .max_compute_workgroup_size_x
            .min(limits.max_compute_workgroup_size_y);
        Self {
            max_binding: limits.max_storage_buffer_binding_size,
            max_buffer: limits.max_buffer_size,
            max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
            max_workgroups: limits.max_compute_workgroups_per_dimension,
            max_invocations: limits
                .max_compute_invocations_per_workgroup
                .min(max_lanes_per_axis),
            workgroup_memory: limits.max_compute_workgroup_storage_size,
            offset_alignment: limits.min_storage_buffer_offset_alignment,
            max_register_quads: u32::MAX,
            pairs_per_lane: 0,
            subgroup_size: 0,
            max_dispatch_us: WATCHDOG_US,
            f16: false,
            software: false,
        }
    }
}

impl Default for DeviceLimits {
    fn default() -> Self {
        Self::from(&wgpu::Limits::default())
    }
}

#[cfg(test)]
mod tests {
    use super::only_subgroup_size;

    #[test]
    fn a_range_of_subgroup_sizes_is_not_used() {
        for (min, max, expected) in [(32, 32, 32), (32, 64, 0), (8, 32, 0), (4, 64, 0), (0, 0, 0)] {
            let info = wgpu::AdapterInfo {
                subgroup_min_size: min,
                subgroup_max_size: max,
                ..wgpu::AdapterInfo::new(wgpu::DeviceType::IntegratedGpu, wgpu::Backend::Metal)
            };
            assert_eq!(only_subgroup_size(&info), expected);
        }
    }
}
