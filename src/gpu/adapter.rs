//! Finds adapters and opens devices on them.

use crate::error::Error;
use crate::fork::DeviceUse;
use crate::limits::DeviceLimits;

/// A device that was opened by this crate, and its adapter.
#[derive(Debug, Clone)]
pub(crate) struct Selected {
    pub(crate) info: wgpu::AdapterInfo,
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
}

/// Returns all adapters of the machine that support compute shaders, sorted by the type of the
/// device: GPUs before software drivers. Among adapters of one type, those of GL come last.
pub(crate) async fn adapters() -> Vec<wgpu::Adapter> {
    let Ok(_device_use) = DeviceUse::begin() else {
        return Vec::new();
    };
    let mut adapters = enumerate(!wgpu::Backends::GL).await;
    adapters.extend(enumerate(wgpu::Backends::GL).await);
    adapters.sort_by_key(|adapter| rank(&adapter.get_info()));
    adapters
}

/// Returns the adapters of `backends` that support compute shaders. GL is enumerated separately,
/// since that loads the window system's libraries, which may write to stderr.
async fn enumerate(backends: wgpu::Backends) -> Vec<wgpu::Adapter> {
    let descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    let backends = descriptor.backends & backends;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        ..descriptor
    });
    let mut adapters = instance.enumerate_adapters(backends).await;
    adapters.retain(|adapter| {
        let flags = adapter.get_downlevel_capabilities().flags;
        flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
    });
    adapters
}

/// Returns the order of preference of an adapter, 0 for the best.
fn rank(info: &wgpu::AdapterInfo) -> u32 {
    match info.device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

/// Opens the best adapter for which `create` succeeds, and returns the result of `create`. If
/// `name` is given, the name of the adapter must contain it; case is ignored. GL adapters are tried
/// only if no other adapter succeeds.
///
/// # Errors
/// [`Error::Forked`] if another thread was using a GPU when this process was forked;
/// [`Error::NoAdapter`] if no adapter has the name; otherwise the first adapter's error.
pub(crate) async fn open_first<T>(
    name: Option<&str>,
    create: impl Fn(&Selected) -> Result<T, Error>,
) -> Result<T, Error> {
    let _device_use = DeviceUse::begin()?;
    let wanted = name.unwrap_or_default().to_lowercase();
    let mut first_error = None;
    for backends in [!wgpu::Backends::GL, wgpu::Backends::GL] {
        let mut adapters = enumerate(backends).await;
        adapters.sort_by_key(|adapter| rank(&adapter.get_info()));
        adapters.retain(|adapter| adapter.get_info().name.to_lowercase().contains(&wanted));
        for adapter in adapters {
            match open(&adapter).await.and_then(|selected| create(&selected)) {
                Ok(created) => return Ok(created),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
    }
    Err(first_error.unwrap_or_else(|| Error::no_adapter(name)))
}

/// Opens a device with the limits of the adapter. If the adapter supports them, the device has the
/// features that the kernels use, and pipeline caches, which
/// [`Ctc::with_cache`](crate::Ctc::with_cache) needs.
pub(crate) async fn open(adapter: &wgpu::Adapter) -> Result<Selected, Error> {
    let _device_use = DeviceUse::begin()?;
    let info = adapter.get_info();
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("ctc"),
        required_limits: adapter.limits(),
        required_features: adapter.features()
            & (DeviceLimits::FEATURES | wgpu::Features::PIPELINE_CACHE),
        ..wgpu::DeviceDescriptor::default()
    };
    match adapter.request_device(&descriptor).await {
        Ok((device, queue)) => Ok(Selected {
            info,
            device,
            queue,
        }),
        Err(reason) => Err(Error::no_device(info.name, reason)),
    }
}
