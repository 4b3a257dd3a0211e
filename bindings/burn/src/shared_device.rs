//! Registered devices: wgpu devices of Burn's that the library also uses, to record its kernels
//! over the buffers of Burn's tensors.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::DispatchDevice;
use burn::tensor::Device;
use burn::tensor::wgpu::{WgpuInitError, WgpuOptions, WgpuSetup};
use burn_cubecl::CubeDevice;
use ctc_wgpu::{Buffers, GpuCtc, GpuPlan};
use cubecl::wgpu::{AutoCompiler, WgpuResource, WgpuServer};

use crate::cube_backend::{BatchTensors, PlanCache, PlanKey};

/// The wgpu handles of a registered device.
pub(crate) struct SharedDevice {
    device: wgpu::Device,
    queue: wgpu::Queue,
    ctc: GpuCtc,
    /// Each plan owns its workspace.
    plans: PlanCache<Arc<GpuPlan>>,
}

/// The registered devices.
static DEVICES: Mutex<Vec<(CubeDevice, Arc<SharedDevice>)>> = Mutex::new(Vec::new());

/// An error of [`register`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The device does not belong to one of Burn's GPU runtimes.
    #[error("{0} is not a wgpu device")]
    NotWgpu(String),
    /// The device's limits are below those that the kernels require.
    #[error(transparent)]
    DeviceLimits(#[from] ctc_wgpu::Error),
}

/// An error of [`init`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Burn could not open the device, for example because a tensor had already opened it.
    #[error("Burn could not open the wgpu device: {0}")]
    Burn(WgpuInitError),
    /// The device was opened but could not be registered.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

/// Opens one of Burn's wgpu devices and registers it, so that [`CtcLoss`](crate::CtcLoss) computes
/// on it.
///
/// Call it before creating the first tensor on that device: Burn opens a device when it is first
/// used, and does not expose the handles afterwards.
///
/// # Errors
/// [`OpenError`] if the device does not exist, is already open, or has limits below WebGPU's
/// defaults.
pub fn init(options: WgpuOptions) -> Result<Device, OpenError> {
    let (device, setup) = options.init_with_setup().map_err(OpenError::Burn)?;
    register(&device, &setup)?;
    Ok(device)
}

/// Registers a wgpu device of Burn's whose handles you have: `setup` is the value that
/// `init_with_setup` returned, or the one that you passed to `setup(…)`.
///
/// Request a device of your own with `adapter.features() - MAPPABLE_PRIMARY_BUFFERS` and
/// `adapter.limits()`; otherwise Burn's own kernels fail.
///
/// # Errors
/// [`RegisterError`] if the device is not a wgpu device of Burn's, or has limits below WebGPU's
/// defaults.
pub fn register(device: &Device, setup: &WgpuSetup) -> Result<(), RegisterError> {
    let Some(cube) = cube_device(device) else {
        return Err(RegisterError::NotWgpu(format!("{device:?}")));
    };
    let shared = SharedDevice {
        device: setup.device.clone(),
        queue: setup.queue.clone(),
        ctc: GpuCtc::new(&setup.device, &setup.queue)?,
        plans: PlanCache::new(),
    };
    let mut devices = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
    devices.retain(|(registered, _)| *registered != cube);
    devices.push((cube, Arc::new(shared)));
    Ok(())
}

/// Returns true if the device is registered, so that the library's own pipelines and workspaces
/// compute the loss on it.
#[must_use]
pub fn is_shared(device: &Device) -> bool {
    cube_device(device).is_some_and(|device| find(&device).is_some())
}

fn cube_device(device: &Device) -> Option<CubeDevice> {
    match device.clone().without_autodiff().as_dispatch() {
        DispatchDevice::Cube(device) => Some(device.clone()),
        #[allow(
            unreachable_patterns,
            reason = "Burn's features determine whether other kinds of devices exist"
        )]
        _ => None,
    }
}

/// Returns a registered device.
pub(crate) fn find(device: &CubeDevice) -> Option<Arc<SharedDevice>> {
    let devices = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
    let found = devices.iter().find(|(registered, _)| registered == device);
    found.map(|(_, shared)| Arc::clone(shared))
}

impl SharedDevice {
    /// Submits the kernels of a batch.
    pub(crate) fn run(&self, batch: &BatchTensors) -> Result<(), ctc_wgpu::Error> {
        let PlanKey {
            shape,
            options,
            task,
        } = batch.key;
        let plan = self.plans.get(batch.key, || {
            let limits = self.ctc.limits();
            let plan = self
                .ctc
                .plan_within(&shape, &options.to_core(), task, &limits)?;
            Ok(Arc::new(plan))
        })?;
        self.submit(&plan, batch)
    }

    /// Submits after all of Burn's pending work and before its later work: they share one queue.
    fn submit(&self, plan: &GpuPlan, batch: &BatchTensors) -> Result<(), ctc_wgpu::Error> {
        let failed =
            |reason: String| ctc_wgpu::Error::gpu("getting the buffers of the tensors", reason);
        let client = &batch.logits.client;
        let [targets, input_lengths, target_lengths] = &batch.labels;
        let mut held = Vec::with_capacity(6);
        let tensors = [
            &batch.logits,
            targets,
            input_lengths,
            target_lengths,
            &batch.loss,
        ];
        for tensor in tensors.into_iter().chain(&batch.grad) {
            let resource = client
                .get_resource::<WgpuServer<AutoCompiler>>(tensor.handle.clone())
                .map_err(|error| failed(format!("{error:?}")))?;
            held.push(resource);
        }
        client
            .flush()
            .map_err(|error| failed(format!("{error:?}")))?;
        let mut encoder = self
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("ctc") });
        let mut bindings = held.iter().map(|resource| binding(resource.resource()));
        let mut next = || {
            bindings
                .next()
                .ok_or_else(|| failed("internal error: a tensor has no buffer".into()))
        };
        let (logits, labels) = (next()?, next()?);
        let (logit_lengths, label_lengths) = (next()?, next()?);
        let mut buffers = Buffers::from_bindings(logits, labels, label_lengths, next()?);
        buffers.logit_lengths = Some(logit_lengths);
        buffers.grad = next().ok();
        plan.encode(&mut encoder, &buffers)?;
        self.queue.submit([encoder.finish()]);
        // Burn reuses memory once its last handle is dropped, which must not happen before the GPU
        // has finished.
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
