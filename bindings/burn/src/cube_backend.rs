//! The operation on Burn's GPU runtimes: lays out the tensors and selects how the kernels run.

use std::sync::{Mutex, Once, PoisonError};

use burn::backend::TensorMetadata;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::Shape;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::{into_contiguous, untile};
use burn_cubecl::tensor::CubeTensor;
use ctc_wgpu::{Error, Task};

use crate::op::{CtcOps, CtcOptions, Layout};
use crate::{host, kernel_launch, shared_device};

impl CtcOps for CubeBackend {
    fn ctc_losses(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        input_lengths: IntTensor<Self>,
        target_lengths: IntTensor<Self>,
        options: CtcOptions,
    ) -> FloatTensor<Self> {
        let labels = [targets, input_lengths, target_lengths];
        run(logits, labels, options, false).0
    }

    fn ctc_losses_and_grad(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        input_lengths: IntTensor<Self>,
        target_lengths: IntTensor<Self>,
        options: CtcOptions,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let labels = [targets, input_lengths, target_lengths];
        run(logits, labels, options, true)
    }
}

/// Returns the losses and the gradient. Unless `with_grad`, the losses take the gradient's place.
///
/// # Panics
/// If the device is out of memory, or the batch exceeds its limits and cannot be split. Burn
/// submits operations before it reads their results, so an operation has no way to return an error.
fn run(
    logits: CubeTensor,
    labels: [CubeTensor; 3],
    options: CtcOptions,
    with_grad: bool,
) -> (CubeTensor, CubeTensor) {
    static WARNING: Once = Once::new();
    // An empty buffer cannot be bound, and an empty batch is fast on the host.
    let empty = logits.shape().num_elements() * labels[0].shape().num_elements() == 0;
    let shared = shared_device::find(&logits.device);
    if empty || (shared.is_none() && !kernel_launch::supports(&logits.client)) {
        if !empty {
            WARNING.call_once(|| {
                log::warn!(
                    "CTC loss on {:?}, which does not support WGSL: the logits are copied to the \
                     host, and the CPU computes the loss",
                    logits.device
                );
            });
        }
        return host::run::<CubeBackend>(logits, labels, options, with_grad);
    }
    let batch = BatchTensors::new(logits, labels, options, with_grad);
    let result = match shared {
        Some(shared) => shared.run(&batch),
        None => kernel_launch::run(&batch),
    };
    if let Err(error) = result {
        panic!("CTC loss on {:?}: {error}", batch.logits.device);
    }
    let grad = batch.grad.unwrap_or_else(|| batch.loss.clone());
    (batch.loss, grad)
}

/// The input and output tensors of a batch on a GPU.
pub(crate) struct BatchTensors {
    pub(crate) key: PlanKey,
    pub(crate) logits: CubeTensor,
    /// Targets, input lengths, target lengths.
    pub(crate) labels: [CubeTensor; 3],
    pub(crate) loss: CubeTensor,
    pub(crate) grad: Option<CubeTensor>,
}

/// The parameters that a plan depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PlanKey {
    pub(crate) shape: ctc_wgpu::BatchShape,
    pub(crate) options: CtcOptions,
    pub(crate) task: Task,
}

impl BatchTensors {
    fn new(
        logits: CubeTensor,
        labels: [CubeTensor; 3],
        options: CtcOptions,
        with_grad: bool,
    ) -> Self {
        let (logits, layout) = without_copy(untile(logits), options.layout);
        let labels = labels.map(into_contiguous);
        let dims = logits.shape().dims::<3>();
        let [frames, items, classes] = options.layout.frames_items_classes(dims);
        let [_, max_labels] = labels[0].shape().dims::<2>();
        let mut shape = ctc_wgpu::BatchShape::new(items, frames, classes, max_labels);
        if layout == Layout::TimeMajor {
            shape = shape.time_major();
        }
        let task = match with_grad {
            true => Task::LossAndGrad,
            false => Task::Loss,
        };
        let loss = empty_tensor(&logits, Shape::new([items]));
        let grad = with_grad.then(|| {
            let mut grad = empty_tensor(&logits, logits.shape());
            // The strides of the logits, which may be a view.
            grad.meta = logits.meta.clone();
            grad
        });
        Self {
            key: PlanKey {
                shape,
                options,
                task,
            },
            logits,
            labels,
            loss,
            grad,
        }
    }
}

/// Returns the logits and the layout of their memory.
///
/// A view whose frame and item axes are swapped is read as the other layout; any other view is
/// copied on the device.
fn without_copy(logits: CubeTensor, layout: Layout) -> (CubeTensor, Layout) {
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

fn empty_tensor(like: &CubeTensor, shape: Shape) -> CubeTensor {
    let handle = like.client.empty(shape.num_elements() * like.dtype.size());
    CubeTensor::new_contiguous(
        like.client.clone(),
        like.device.clone(),
        shape,
        handle,
        like.dtype,
    )
}

/// The plans of recent batches, the latest first. Training and validation repeat a few shapes.
pub(crate) struct PlanCache<P>(Mutex<Vec<(PlanKey, P)>>);

impl<P: Clone> PlanCache<P> {
    const CAPACITY: usize = 8;

    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Returns the plan of a batch, and builds it if it is not cached.
    pub(crate) fn get(
        &self,
        key: PlanKey,
        build: impl FnOnce() -> Result<P, Error>,
    ) -> Result<P, Error> {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = match plans.iter().position(|(cached, _)| *cached == key) {
            Some(index) => plans.remove(index),
            None => (key, build()?),
        };
        let plan = entry.1.clone();
        plans.insert(0, entry);
        plans.truncate(Self::CAPACITY);
        Ok(plan)
    }
}
