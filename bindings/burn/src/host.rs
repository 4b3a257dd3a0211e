//! The CPU backend on tensors of any Burn backend: for Burn's own CPU backend, and for devices on
//! which the kernels cannot run.

use std::sync::LazyLock;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, ExecutionError, TensorMetadata};
use burn::tensor::{TensorData, read_sync};
use ctc_wgpu::{Batch, Ctc};

use crate::op::{CtcOptions, Layout};

/// One for the process, so that its workspace is reused.
static CPU: LazyLock<Ctc> = LazyLock::new(Ctc::cpu);

#[cfg(feature = "flex")]
impl crate::CtcOps for burn::backend::Flex {
    fn ctc_losses(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        input_lengths: IntTensor<Self>,
        target_lengths: IntTensor<Self>,
        options: CtcOptions,
    ) -> FloatTensor<Self> {
        let labels = [targets, input_lengths, target_lengths];
        run::<Self>(logits, labels, options, false).0
    }

    fn ctc_losses_and_grad(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        input_lengths: IntTensor<Self>,
        target_lengths: IntTensor<Self>,
        options: CtcOptions,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let labels = [targets, input_lengths, target_lengths];
        run::<Self>(logits, labels, options, true)
    }
}

/// Returns the losses and the gradient. Unless `with_grad`, the losses take the gradient's place.
///
/// # Panics
/// If the batch breaks a rule, or the tensors cannot be read.
pub(crate) fn run<B: Backend>(
    logits: FloatTensor<B>,
    labels: [IntTensor<B>; 3],
    options: CtcOptions,
    with_grad: bool,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let device = logits.device();
    let dims = logits.shape().dims::<3>();
    let [frames, items, classes] = options.layout.frames_items_classes(dims);
    let logits = read(read_sync(B::float_into_data(logits)));
    let logits = floats(&logits);
    let [targets, input_lengths, target_lengths] =
        labels.map(|tensor| integers(&read(read_sync(B::int_into_data(tensor)))));
    let batch = match options.layout {
        Layout::TimeMajor => Batch::time_major([frames, items, classes], &logits),
        Layout::BatchMajor => Batch::new([items, frames, classes], &logits),
    };
    let batch = batch
        .labels(&targets, &target_lengths)
        .logit_lengths(&input_lengths);
    let options = options.to_core();
    let tensor = |values: Vec<f32>, shape: &[usize]| {
        B::float_from_data(TensorData::new(values, shape.to_vec()), &device)
    };
    let fail = |error: ctc_wgpu::Error| -> ! { panic!("CTC loss: {error}") };
    if with_grad {
        match CPU.loss_and_grad(&batch, &options) {
            Ok(output) => (tensor(output.loss, &[items]), tensor(output.grad, &dims)),
            Err(error) => fail(error),
        }
    } else {
        match CPU.loss(&batch, &options) {
            Ok(output) => {
                let loss = tensor(output.loss, &[items]);
                (loss.clone(), loss)
            }
            Err(error) => fail(error),
        }
    }
}

fn read(data: Result<TensorData, ExecutionError>) -> TensorData {
    match data {
        Ok(data) => data,
        Err(error) => panic!("CTC loss: could not read its input tensors: {error:?}"),
    }
}

/// Borrows the values if they are f32 and aligned; otherwise converts them.
fn floats(data: &TensorData) -> std::borrow::Cow<'_, [f32]> {
    match data.as_slice::<f32>() {
        Ok(values) => values.into(),
        Err(_) => data.iter::<f32>().collect(),
    }
}

fn integers(data: &TensorData) -> Vec<i32> {
    data.iter::<i32>().collect()
}
