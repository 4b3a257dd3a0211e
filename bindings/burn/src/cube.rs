//! The operation on Burn's GPU runtimes: how the tensors lie, and which way the work goes.

use std::sync::{Mutex, Once, PoisonError};

use burn::backend::TensorMetadata;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::Shape;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::{into_contiguous, untile};
use burn_cubecl::tensor::CubeTensor;
use ctc_wgpu::{Error, Task};

use crate::op::{CtcOps, Layout, Rules};
use crate::{host, launched, shared};

impl CtcOps for CubeBackend {
    fn ctc_losses(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        input_lengths: IntTensor<Self>,
        target_lengths: IntTensor<Self>,
        rules: Rules,
    ) -> FloatTensor<Self> {
        let labels = [targets, input_lengths, target_lengths];
        run(logits, labels, rules, Task::Loss).0
    }

    fn ctc_losses_and_grad(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        input_lengths: IntTensor<Self>,
        target_lengths: IntTensor<Self>,
        rules: Rules,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let labels = [targets, input_lengths, target_lengths];
        run(logits, labels, rules, Task::LossAndGrad)
    }
}

/// The losses and the gradient; of a task without one the losses twice.
///
/// # Panics
/// If the device has no memory left, or the shape passes what a plan can cut. Burn asks for results later than it asks for
/// work, so there is nobody to give an error to.
fn run(
    logits: CubeTensor,
    labels: [CubeTensor; 3],
    rules: Rules,
    task: Task,
) -> (CubeTensor, CubeTensor) {
    static WARNING: Once = Once::new();
    // Nothing can be bound of an empty tensor, and nothing is slow with one.
    let empty = logits.shape().num_elements() * labels[0].shape().num_elements() == 0;
    let shared = shared::known(&logits.device);
    if empty || (shared.is_none() && !launched::can(&logits.client)) {
        if !empty {
            WARNING.call_once(|| {
                log::warn!(
                    "CTC loss on {:?}, which takes no WGSL: logits go through the host",
                    logits.device
                );
            });
        }
        return host::run::<CubeBackend>(logits, labels, rules, task);
    }
    let work = Work::new(logits, labels, rules, task);
    let done = match shared {
        Some(shared) => shared.run(&work),
        None => launched::run(&work),
    };
    if let Err(error) = done {
        panic!("CTC loss on {:?}: {error}", work.logits.device);
    }
    let grad = work.grad.unwrap_or_else(|| work.loss.clone());
    (work.loss, grad)
}

/// A batch, as either way takes it.
pub(crate) struct Work {
    pub(crate) key: Key,
    pub(crate) logits: CubeTensor,
    /// Targets, input lengths, target lengths.
    pub(crate) labels: [CubeTensor; 3],
    pub(crate) loss: CubeTensor,
    pub(crate) grad: Option<CubeTensor>,
}

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Key {
    pub(crate) shape: ctc_wgpu::BatchShape,
    pub(crate) rules: Rules,
    pub(crate) task: Task,
}

impl Work {
    fn new(logits: CubeTensor, labels: [CubeTensor; 3], rules: Rules, task: Task) -> Self {
        let (logits, lies) = in_place(untile(logits), rules.layout);
        let labels = labels.map(into_contiguous);
        let dims = logits.shape().dims::<3>();
        let [frames, items, classes] = rules.layout.frames_items_classes(dims);
        let [_, max_labels] = labels[0].shape().dims::<2>();
        let mut shape = ctc_wgpu::BatchShape::new(items, frames, classes, max_labels);
        if lies == Layout::TimeMajor {
            shape = shape.time_major();
        }
        let loss = room(&logits, Shape::new([items]));
        let grad = (task == Task::LossAndGrad).then(|| {
            // In the order of the logits, whatever that is.
            let mut grad = room(&logits, logits.shape());
            grad.meta = logits.meta.clone();
            grad
        });
        Self {
            key: Key { shape, rules, task },
            logits,
            labels,
            loss,
            grad,
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
            _ => Layout::TimeMajor,
        };
        return (logits, other);
    }
    (into_contiguous(logits), layout)
}

fn room(like: &CubeTensor, shape: Shape) -> CubeTensor {
    let handle = like.client.empty(shape.num_elements() * like.dtype.size());
    CubeTensor::new_contiguous(
        like.client.clone(),
        like.device.clone(),
        shape,
        handle,
        like.dtype,
    )
}

/// Plans for batches that come again: training and validation, of a few lengths. The latest first.
pub(crate) struct Plans<P>(Mutex<Vec<(Key, P)>>);

impl<P: Clone> Plans<P> {
    const KEPT: usize = 8;

    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// The plan of a batch, made if it is not there.
    pub(crate) fn get(
        &self,
        key: Key,
        make: impl FnOnce() -> Result<P, Error>,
    ) -> Result<P, Error> {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = match plans.iter().position(|(known, _)| *known == key) {
            Some(place) => plans.remove(place),
            None => (key, make()?),
        };
        let plan = entry.1.clone();
        plans.insert(0, entry);
        plans.truncate(Self::KEPT);
        Ok(plan)
    }
}
