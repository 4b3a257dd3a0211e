//! Which adapters there are, and a device on one of them.

use crate::error::Error;
use crate::fork::Driving;
use crate::limits::DeviceLimits;

/// A device of our own on an adapter.
#[derive(Debug, Clone)]
pub(crate) struct Selected {
    pub(crate) info: wgpu::AdapterInfo,
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
}

/// All adapters of the machine that can compute, the best first: real GPUs before software, GL last among equals.
pub(crate) async fn adapters() -> Vec<wgpu::Adapter> {
    let Ok(_driving) = Driving::begin() else {
        return Vec::new();
    };
    let mut adapters = found(!wgpu::Backends::GL).await;
    adapters.extend(found(wgpu::Backends::GL).await);
    adapters.sort_by_key(|adapter| kind(&adapter.get_info()));
    adapters
}

/// Of these backends only: to look for GL wakes a window system's libraries, which talk to stderr.
async fn found(backends: wgpu::Backends) -> Vec<wgpu::Adapter> {
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

fn kind(info: &wgpu::AdapterInfo) -> u32 {
    match info.device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

/// What `make` makes of the first adapter whose name contains `name`, if there is one, ignoring case, and with which it succeeds. GL
/// is looked at only where nothing else serves.
pub(crate) async fn first<T>(
    name: Option<&str>,
    make: impl Fn(&Selected) -> Result<T, Error>,
) -> Result<T, Error> {
    let _driving = Driving::begin()?;
    let wanted = name.unwrap_or_default().to_lowercase();
    let mut refusal = None;
    for backends in [!wgpu::Backends::GL, wgpu::Backends::GL] {
        let mut adapters = found(backends).await;
        adapters.sort_by_key(|adapter| kind(&adapter.get_info()));
        adapters.retain(|adapter| adapter.get_info().name.to_lowercase().contains(&wanted));
        for adapter in adapters {
            match open(&adapter).await.and_then(|selected| make(&selected)) {
                Ok(made) => return Ok(made),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
    }
    Err(refusal.unwrap_or_else(|| Error::no_adapter(name)))
}

/// A device with all that the adapter gives in memory and workgroups, and no feature that nothing uses. A cache of
/// pipelines is for [`Ctc::with_cache`](crate::Ctc::with_cache).
pub(crate) async fn open(adapter: &wgpu::Adapter) -> Result<Selected, Error> {
    let _driving = Driving::begin()?;
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
