//! The CPU backend on tensors of any backend: for Burn's CPU backend, and for devices that nobody told of.

use std::sync::LazyLock;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, ExecutionError, TensorMetadata};
use burn::tensor::{TensorData, read_sync};
use ctc_wgpu::{Batch, Ctc, Task};

use crate::op::{Layout, Rules};

/// One for the process: it keeps its tables for shapes that come again.
static CPU: LazyLock<Ctc> = LazyLock::new(Ctc::cpu);

#[cfg(feature = "flex")]
impl crate::CtcOps for burn::backend::Flex {
    fn ctc_losses(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        input_lengths: IntTensor<Self>,
        target_lengths: IntTensor<Self>,
        rules: Rules,
    ) -> FloatTensor<Self> {
        let labels = [targets, input_lengths, target_lengths];
        run::<Self>(logits, labels, rules, Task::Loss).0
    }

    fn ctc_losses_and_grad(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        input_lengths: IntTensor<Self>,
        target_lengths: IntTensor<Self>,
        rules: Rules,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let labels = [targets, input_lengths, target_lengths];
        run::<Self>(logits, labels, rules, Task::LossAndGrad)
    }
}

/// The losses and the gradient; of a task without one the losses twice.
///
/// # Panics
/// If the batch breaks a rule, or the backend cannot be read.
pub(crate) fn run<B: Backend>(
    logits: FloatTensor<B>,
    labels: [IntTensor<B>; 3],
    rules: Rules,
    task: Task,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let device = logits.device();
    let dims = logits.shape().dims::<3>();
    let [frames, items, classes] = rules.layout.frames_items_classes(dims);
    let logits = read(read_sync(B::float_into_data(logits)));
    let logits = floats(&logits);
    let [targets, input_lengths, target_lengths] =
        labels.map(|ints| words(&read(read_sync(B::int_into_data(ints)))));
    let batch = match rules.layout {
        Layout::TimeMajor => Batch::time_major([frames, items, classes], &logits),
        _ => Batch::new([items, frames, classes], &logits),
    };
    let batch = batch
        .labels(&targets, &target_lengths)
        .logit_lengths(&input_lengths);
    let options = rules.options();
    let tensor = |values: Vec<f32>, shape: &[usize]| {
        B::float_from_data(TensorData::new(values, shape.to_vec()), &device)
    };
    let refuse = |error: ctc_wgpu::Error| -> ! { panic!("CTC loss: {error}") };
    match task {
        Task::LossAndGrad => match CPU.loss_and_grad(&batch, &options) {
            Ok(output) => (tensor(output.loss, &[items]), tensor(output.grad, &dims)),
            Err(error) => refuse(error),
        },
        _ => match CPU.loss(&batch, &options) {
            Ok(output) => {
                let loss = tensor(output.loss, &[items]);
                (loss.clone(), loss)
            }
            Err(error) => refuse(error),
        },
    }
}

fn read(data: Result<TensorData, ExecutionError>) -> TensorData {
    match data {
        Ok(data) => data,
        Err(error) => panic!("CTC loss: its input cannot be read: {error:?}"),
    }
}

/// The numbers where they lie, if they are f32 and lie well.
fn floats(data: &TensorData) -> std::borrow::Cow<'_, [f32]> {
    match data.as_slice::<f32>() {
        Ok(values) => values.into(),
        Err(_) => data.iter::<f32>().collect(),
    }
}

fn words(data: &TensorData) -> Vec<i32> {
    data.iter::<i32>().collect()
}
