//! The handful of a device's limits that planning reads, so that a plan needs no device.

use crate::setters::setters;

/// What a plan must keep within. `DeviceLimits::from(&device)`, or [`DeviceLimits::default`] for what every WebGPU
/// device gives.
///
/// Everything works within the default limits. `wgpu::Limits::downlevel_defaults()` lacks one thing: it gives
/// 4 storage buffers a stage, and the stages need up to [`DeviceLimits::STORAGE_BUFFERS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DeviceLimits {
    /// Bytes of a storage buffer that one binding may span.
    pub max_binding: u64,
    /// Bytes of a buffer.
    pub max_buffer: u64,
    /// Storage buffers of a stage.
    pub max_storage_buffers: u32,
    /// Workgroups along one dimension of a dispatch.
    pub max_workgroups: u32,
    /// Invocations of a workgroup.
    pub max_invocations: u32,
    /// Bytes of workgroup memory.
    pub workgroup_memory: u32,
    /// What the offset of a storage binding must be a multiple of.
    pub offset_alignment: u32,
    /// Quads of places (a blank and a label each) that a sweep may hold in registers, one a lane, as far as there are
    /// lanes; an item with more has its states in storage. It is there to be lowered in tests.
    pub max_register_quads: u32,
    /// Lanes of a subgroup, if all of the device's subgroups have as many and kernels may use them; else 0.
    pub subgroup_size: u32,
    /// Whether the device has numbers of 2 bytes.
    pub f16: bool,
    /// Whether the device is a CPU: lanes that wait for each other are dear there, and rows are not shared.
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
    subgroup_size: u32,
    f16: bool,
    software: bool,
});

impl DeviceLimits {
    /// The storage buffers that the widest stage binds.
    pub const STORAGE_BUFFERS: u32 = 8;

    /// The features that the kernels use where a device has them: ask for `adapter.features() & DeviceLimits::FEATURES`.
    ///
    /// None is needed. With subgroups neighbouring states pass in registers and not through workgroup memory;
    /// `SHADER_F16` is for input and gradient of 2 bytes ([`BatchShape::f16`](crate::BatchShape::f16)).
    pub const FEATURES: wgpu::Features = wgpu::Features::SUBGROUP.union(wgpu::Features::SHADER_F16);
}

impl From<&wgpu::Device> for DeviceLimits {
    /// What a device gives, its features included.
    fn from(device: &wgpu::Device) -> Self {
        let (features, info) = (device.features(), device.adapter_info());
        let even = info.subgroup_min_size == info.subgroup_max_size
            && info.subgroup_max_size.is_power_of_two();
        Self {
            subgroup_size: if even && features.contains(wgpu::Features::SUBGROUP) {
                info.subgroup_max_size
            } else {
                0
            },
            f16: features.contains(wgpu::Features::SHADER_F16),
            software: info.device_type == wgpu::DeviceType::Cpu,
            ..Self::from(&device.limits())
        }
    }
}

impl From<&wgpu::Limits> for DeviceLimits {
    /// What these limits give on a device without features.
    fn from(limits: &wgpu::Limits) -> Self {
        let across = limits
            .max_compute_workgroup_size_x
            .min(limits.max_compute_workgroup_size_y);
        Self {
            max_binding: limits.max_storage_buffer_binding_size,
            max_buffer: limits.max_buffer_size,
            max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
            max_workgroups: limits.max_compute_workgroups_per_dimension,
            max_invocations: limits.max_compute_invocations_per_workgroup.min(across),
            workgroup_memory: limits.max_compute_workgroup_storage_size,
            offset_alignment: limits.min_storage_buffer_offset_alignment,
            max_register_quads: u32::MAX,
            subgroup_size: 0,
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
