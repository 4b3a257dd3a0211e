//! Which adapters there are, and a device on one of them.

use crate::error::Error;

/// A device of our own on an adapter.
#[derive(Debug, Clone)]
pub(crate) struct Selected {
    pub(crate) info: wgpu::AdapterInfo,
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
}

/// All adapters of the machine that can compute, the best first: real GPUs before software, Vulkan, Metal and DX12
/// before GL.
pub(crate) async fn adapters() -> Vec<wgpu::Adapter> {
    let instance =
        wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let mut adapters = instance.enumerate_adapters(wgpu::Backends::all()).await;
    adapters.retain(|adapter| {
        let flags = adapter.get_downlevel_capabilities().flags;
        flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
    });
    adapters.sort_by_key(|adapter| {
        let info = adapter.get_info();
        let kind = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => 0,
            wgpu::DeviceType::IntegratedGpu => 1,
            wgpu::DeviceType::VirtualGpu => 2,
            wgpu::DeviceType::Other => 3,
            wgpu::DeviceType::Cpu => 4,
        };
        (kind, info.backend == wgpu::Backend::Gl)
    });
    adapters
}

/// The first adapter whose name contains `name`, whatever its case, and that gives a device.
pub(crate) async fn named(name: &str) -> Result<Selected, Error> {
    let wanted = name.to_lowercase();
    let mut refusal = None;
    for adapter in adapters().await {
        if !adapter.get_info().name.to_lowercase().contains(&wanted) {
            continue;
        }
        match open(&adapter).await {
            Ok(selected) => return Ok(selected),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    let called = if name.is_empty() {
        String::new()
    } else {
        format!(" called `{name}`")
    };
    Err(refusal.unwrap_or(Error::NoAdapter(called)))
}

/// A device with all that the adapter gives in memory and workgroups, and no feature that nothing uses.
pub(crate) async fn open(adapter: &wgpu::Adapter) -> Result<Selected, Error> {
    let info = adapter.get_info();
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("ctc"),
        required_limits: adapter.limits(),
        ..wgpu::DeviceDescriptor::default()
    };
    match adapter.request_device(&descriptor).await {
        Ok((device, queue)) => Ok(Selected {
            info,
            device,
            queue,
        }),
        Err(reason) => Err(Error::NoDevice {
            adapter: info.name,
            reason: reason.to_string(),
        }),
    }
}
