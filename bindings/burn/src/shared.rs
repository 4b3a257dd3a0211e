//! Burn's wgpu device, shared: our kernels are recorded on it, over the buffers of Burn's tensors.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::DispatchDevice;
use burn::tensor::Device;
use burn::tensor::wgpu::{WgpuInitError, WgpuOptions, WgpuSetup};
use burn_cubecl::CubeDevice;
use ctc_wgpu::{Buffers, GpuCtc, GpuPlan};
use cubecl::wgpu::{AutoCompiler, WgpuResource, WgpuServer};

use crate::cube::{Key, Plans, Work};

/// A device whose handles are known.
pub(crate) struct Shared {
    device: wgpu::Device,
    queue: wgpu::Queue,
    ctc: GpuCtc,
    /// Each with its workspace.
    plans: Plans<Arc<GpuPlan>>,
}

/// The devices that are known.
static DEVICES: Mutex<Vec<(CubeDevice, Arc<Shared>)>> = Mutex::new(Vec::new());

/// Why a device cannot be shared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The device is not one of Burn's GPU runtimes.
    #[error("{0} is no wgpu device")]
    NotWgpu(String),
    /// Its limits are below what the kernels need.
    #[error(transparent)]
    DeviceLimits(#[from] ctc_wgpu::Error),
}

/// Why a device cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Burn could not open it; also if a tensor has opened it before.
    #[error("Burn cannot open the wgpu device: {0}")]
    Burn(WgpuInitError),
    /// It cannot be shared.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

/// Opens one of Burn's wgpu devices, and lets [`CtcLoss`](crate::CtcLoss) compute on it.
///
/// It must come before the first tensor of that device: Burn opens a device when it first needs it, and does not give the
/// handles out any more then.
///
/// # Errors
/// [`OpenError`] if there is no such device, or it is open already, or its limits are below WebGPU's defaults.
pub fn init(options: WgpuOptions) -> Result<Device, OpenError> {
    let (device, setup) = options.init_with_setup().map_err(OpenError::Burn)?;
    register(&device, &setup)?;
    Ok(device)
}

/// Tells of a wgpu device that Burn and you share: what `init_with_setup` gave, or what you gave to `setup(…)`.
///
/// A device of your own must be requested with `adapter.features() - MAPPABLE_PRIMARY_BUFFERS` and `adapter.limits()`, or
/// Burn's own kernels fail.
///
/// # Errors
/// [`RegisterError`] if it is no wgpu device of Burn's, or its limits are below WebGPU's defaults.
pub fn register(device: &Device, setup: &WgpuSetup) -> Result<(), RegisterError> {
    let Some(cube) = cube(device) else {
        return Err(RegisterError::NotWgpu(format!("{device:?}")));
    };
    let shared = Shared {
        device: setup.device.clone(),
        queue: setup.queue.clone(),
        ctc: GpuCtc::new(&setup.device, &setup.queue)?,
        plans: Plans::new(),
    };
    let mut devices = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
    devices.retain(|(known, _)| *known != cube);
    devices.push((cube, Arc::new(shared)));
    Ok(())
}

/// Whether this device's handles are known, so that losses are computed by the library's own pipelines and workspaces.
#[must_use]
pub fn is_shared(device: &Device) -> bool {
    cube(device).is_some_and(|device| known(&device).is_some())
}

fn cube(device: &Device) -> Option<CubeDevice> {
    match device.clone().without_autodiff().as_dispatch() {
        DispatchDevice::Cube(device) => Some(device.clone()),
        #[allow(
            unreachable_patterns,
            reason = "which others there are depends on Burn's features"
        )]
        _ => None,
    }
}

/// The handles of a device, if somebody told them.
pub(crate) fn known(device: &CubeDevice) -> Option<Arc<Shared>> {
    let devices = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
    let known = devices.iter().find(|(known, _)| known == device);
    known.map(|(_, shared)| Arc::clone(shared))
}

impl Shared {
    pub(crate) fn run(&self, work: &Work) -> Result<(), ctc_wgpu::Error> {
        let Key { shape, rules, task } = work.key;
        let plan = self.plans.get(work.key, || {
            let limits = self.ctc.limits();
            let plan = self
                .ctc
                .plan_within(&shape, &rules.options(), task, &limits)?;
            Ok(Arc::new(plan))
        })?;
        self.submit(&plan, work)
    }

    /// Behind all that Burn has been asked for so far, and before all that it will be: there is one queue.
    fn submit(&self, plan: &GpuPlan, work: &Work) -> Result<(), ctc_wgpu::Error> {
        let refused =
            |reason: String| ctc_wgpu::Error::gpu("the buffers of Burn's tensors", reason);
        let client = &work.logits.client;
        let [targets, input_lengths, target_lengths] = &work.labels;
        let mut held = Vec::with_capacity(6);
        let tensors = [
            &work.logits,
            targets,
            input_lengths,
            target_lengths,
            &work.loss,
        ];
        for tensor in tensors.into_iter().chain(&work.grad) {
            let resource = client
                .get_resource::<WgpuServer<AutoCompiler>>(tensor.handle.clone())
                .map_err(|error| refused(format!("{error:?}")))?;
            held.push(resource);
        }
        client
            .flush()
            .map_err(|error| refused(format!("{error:?}")))?;
        let mut encoder = self
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("ctc") });
        let mut bindings = held.iter().map(|resource| binding(resource.resource()));
        let mut next = || {
            bindings
                .next()
                .ok_or_else(|| refused("one is missing".into()))
        };
        let (logits, labels) = (next()?, next()?);
        let (logit_lengths, label_lengths) = (next()?, next()?);
        let mut buffers = Buffers::from_bindings(logits, labels, label_lengths, next()?);
        buffers.logit_lengths = Some(logit_lengths);
        buffers.grad = next().ok();
        plan.encode(&mut encoder, &buffers)?;
        self.queue.submit([encoder.finish()]);
        // Burn gives memory to others when its last holder is gone, which must not be before the GPU is done with it.
        self.queue.on_submitted_work_done(move || drop(held));
        Ok(())
    }
}

fn binding(resource: &WgpuResource) -> wgpu::BufferBinding<'_> {
    wgpu::BufferBinding {
        buffer: &resource.buffer,
        offset: resource.offset,
        size: NonZeroU64::new(resource.size),
    }
}
