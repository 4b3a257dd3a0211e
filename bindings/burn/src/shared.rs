//! Burn's wgpu device, shared: our kernels are recorded on it, over the buffers of Burn's tensors.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, Once, PoisonError};

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{DispatchDevice, TensorMetadata};
use burn::tensor::wgpu::{WgpuInitError, WgpuOptions, WgpuSetup};
use burn::tensor::{Device, Shape};
use burn_cubecl::kernel::{into_contiguous, untile};
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeDevice};
use ctc_wgpu::{Blank, Buffers, Goal, GpuCtc, GpuPlan, Impossible, Options};
use cubecl::wgpu::{AutoCompiler, WgpuResource, WgpuServer};

use crate::host;
use crate::op::{CtcOps, Layout, Rules};

/// A device whose handles are known.
struct Shared {
    device: wgpu::Device,
    queue: wgpu::Queue,
    ctc: GpuCtc,
    /// The latest first.
    plans: Mutex<Vec<(Key, Arc<GpuPlan>)>>,
}

/// What a plan is for.
type Key = (ctc_wgpu::Shape, Rules, Goal);

/// Plans that a device keeps, each with its workspace: training and validation, of a few lengths.
const PLANS: usize = 8;

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
    Limits(#[from] ctc_wgpu::Error),
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
        plans: Mutex::default(),
    };
    let mut devices = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
    devices.retain(|(known, _)| *known != cube);
    devices.push((cube, Arc::new(shared)));
    Ok(())
}

/// Whether losses of this device's tensors are computed on it, with nothing copied.
#[must_use]
pub fn is_shared(device: &Device) -> bool {
    cube(device).is_some_and(|device| shared(&device).is_some())
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

fn shared(device: &CubeDevice) -> Option<Arc<Shared>> {
    let devices = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
    let known = devices.iter().find(|(known, _)| known == device);
    known.map(|(_, shared)| Arc::clone(shared))
}

impl CtcOps for CubeBackend {
    fn ctc_losses(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        input_lengths: IntTensor<Self>,
        target_lengths: IntTensor<Self>,
        rules: Rules,
    ) -> FloatTensor<Self> {
        let labels = [targets, input_lengths, target_lengths];
        run(logits, labels, rules, Goal::Loss).0
    }

    fn ctc_losses_and_grad(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        input_lengths: IntTensor<Self>,
        target_lengths: IntTensor<Self>,
        rules: Rules,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let labels = [targets, input_lengths, target_lengths];
        run(logits, labels, rules, Goal::LossAndGrad)
    }
}

/// The losses and the gradient; of a goal without one the losses twice.
fn run(
    logits: CubeTensor,
    labels: [CubeTensor; 3],
    rules: Rules,
    goal: Goal,
) -> (CubeTensor, CubeTensor) {
    static WARNING: Once = Once::new();
    // Nothing can be bound of an empty tensor, and nothing is slow with one.
    let empty = logits.shape().num_elements() * labels[0].shape().num_elements() == 0;
    match shared(&logits.device) {
        Some(shared) if !empty => shared.run(logits, labels, rules, goal),
        known => {
            if known.is_none() {
                WARNING.call_once(|| {
                    log::warn!(
                        "CTC loss on {:?}: logits go through the host; open the device by ctc_wgpu_burn::init",
                        logits.device
                    );
                });
            }
            host::run::<CubeBackend>(logits, labels, rules, goal)
        }
    }
}

impl Shared {
    /// # Panics
    /// If the device has no memory left, or the shape passes what a plan can cut. Burn asks for results later than it asks for
    /// work, so there is nobody to give an error to.
    fn run(
        &self,
        logits: CubeTensor,
        labels: [CubeTensor; 3],
        rules: Rules,
        goal: Goal,
    ) -> (CubeTensor, CubeTensor) {
        let (logits, lies) = in_place(untile(logits), rules.layout);
        let labels = labels.map(into_contiguous);
        let dims = logits.shape().dims::<3>();
        let [frames, items, classes] = rules.layout.frames_items_classes(dims);
        let [_, max_labels] = labels[0].shape().dims::<2>();
        let mut shape = ctc_wgpu::Shape::new(items, frames, classes, max_labels);
        if lies == Layout::TimeMajor {
            shape = shape.time_major();
        }
        let loss = empty(&logits, Shape::new([items]));
        let grad = (goal == Goal::LossAndGrad).then(|| {
            // In the order of the logits, whatever that is.
            let mut grad = empty(&logits, logits.shape());
            grad.meta = logits.meta.clone();
            grad
        });
        let done = self
            .plan((shape, rules, goal))
            .and_then(|plan| self.submit(&plan, &logits, &labels, &loss, grad.as_ref()));
        if let Err(error) = done {
            panic!("CTC loss on {:?}: {error}", logits.device);
        }
        let grad = grad.unwrap_or_else(|| loss.clone());
        (loss, grad)
    }

    fn plan(&self, key: Key) -> Result<Arc<GpuPlan>, ctc_wgpu::Error> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let (shape, rules, goal) = key;
        let known = plans.iter().position(|(known, _)| *known == key);
        let entry = match known {
            Some(place) => plans.remove(place),
            None => {
                let limits = self.ctc.limits();
                let plan = self
                    .ctc
                    .plan_within(&shape, &rules.options(), goal, &limits)?;
                (key, Arc::new(plan))
            }
        };
        let plan = Arc::clone(&entry.1);
        plans.insert(0, entry);
        plans.truncate(PLANS);
        Ok(plan)
    }

    /// Behind all that Burn has been asked for so far, and before all that it will be: there is one queue.
    fn submit(
        &self,
        plan: &GpuPlan,
        logits: &CubeTensor,
        [targets, input_lengths, target_lengths]: &[CubeTensor; 3],
        loss: &CubeTensor,
        grad: Option<&CubeTensor>,
    ) -> Result<(), ctc_wgpu::Error> {
        let refused = |reason: String| ctc_wgpu::Error::Gpu {
            during: "the buffers of Burn's tensors".into(),
            reason,
        };
        let client = &logits.client;
        let mut held = Vec::with_capacity(6);
        let tensors = [logits, targets, input_lengths, target_lengths, loss];
        for tensor in tensors.into_iter().chain(grad) {
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
        let buffers = Buffers {
            logits: next()?,
            labels: next()?,
            logit_lengths: Some(next()?),
            label_lengths: next()?,
            weights: None,
            loss: next()?,
            grad: next().ok(),
            status: None,
            reduced: None,
        };
        plan.encode(&mut encoder, &buffers)?;
        self.queue.submit([encoder.finish()]);
        // Burn gives memory to others when its last holder is gone, which must not be before the GPU is done with it.
        self.queue.on_submitted_work_done(move || drop(held));
        Ok(())
    }
}

impl Rules {
    /// As the library has them.
    pub(crate) fn options(self) -> Options {
        Options {
            // A blank of more is no class of any logits.
            blank: Blank::Index(u32::try_from(self.blank).unwrap_or(u32::MAX)),
            impossible: match self.zero_infinity {
                true => Impossible::Zero,
                false => Impossible::Infinity,
            },
            ..Options::default()
        }
    }
}

/// The logits and how they lie: as they are if either order of frames and items is theirs, else copied on the device.
fn in_place(logits: CubeTensor, layout: Layout) -> (CubeTensor, Layout) {
    let [a, _, classes] = logits.shape().dims::<3>();
    let swapped = [classes, a * classes, 1];
    if !logits.is_contiguous() && logits.meta.strides()[..] == swapped {
        let other = match layout {
            Layout::TimeMajor => Layout::BatchMajor,
            Layout::BatchMajor => Layout::TimeMajor,
        };
        return (logits, other);
    }
    (into_contiguous(logits), layout)
}

fn empty(like: &CubeTensor, shape: Shape) -> CubeTensor {
    let handle = like.client.empty(shape.num_elements() * like.dtype.size());
    CubeTensor::new_contiguous(
        like.client.clone(),
        like.device.clone(),
        shape,
        handle,
        like.dtype,
    )
}

fn binding(resource: &WgpuResource) -> wgpu::BufferBinding<'_> {
    wgpu::BufferBinding {
        buffer: &resource.buffer,
        offset: resource.offset,
        size: NonZeroU64::new(resource.size),
    }
}
