//! The network, and its training step.

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig, Lstm, LstmConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData, TensorReadError};
use burn::train::{InferenceStep, SequenceOutput, TrainOutput, TrainStep};
use ctc_wgpu_burn::{CtcLoss, CtcLossConfig, Layout};

use crate::lines::{BLANK, Batch, FRAMES, HEIGHT, PADDING};

const CLASSES: usize = BLANK + 1;
const HIDDEN: usize = 128;

#[derive(Module, Debug)]
pub struct Network {
    dense: Linear,
    lstm: Lstm,
    out: Linear,
    loss: CtcLoss,
}

impl Network {
    pub fn new(device: &Device) -> Self {
        let mut lstm = LstmConfig::new(123, HIDDEN, true)
            .with_initializer(Initializer::XavierUniform { gain: 1.0 })
            .init(device);
        // A forget gate that is nearly open at first, as in Keras; otherwise the network does not
        // learn to combine the columns of a character.
        if let Some(gate) = &mut lstm.forget_gate {
            gate.input_transform.bias = Some(Param::from_tensor(Tensor::ones([HIDDEN], device)));
        }
        Self {
            dense: LinearConfig::new(HEIGHT, 123).init(device),
            lstm,
            out: LinearConfig::new(HIDDEN, CLASSES).init(device),
            loss: CtcLossConfig::new()
                .with_blank(BLANK)
                .with_layout(Layout::BatchMajor)
                .init(),
        }
    }

    /// Maps images `[N, T, HEIGHT]` to logits `[N, T, C]`.
    fn forward(&self, images: Tensor<3>) -> Tensor<3> {
        let (frames, _) = self.lstm.forward(relu(self.dense.forward(images)), None);
        self.out.forward(frames)
    }

    /// Decodes images greedily: the most probable class of each frame, with repeats merged and
    /// blanks removed.
    pub fn decode(&self, images: Tensor<3>) -> Result<Vec<Vec<usize>>, TensorReadError> {
        greedy(self.forward(images))
    }

    /// Returns the mean loss of the batch, and the logits.
    fn loss(&self, batch: &Batch) -> (Tensor<1>, Tensor<3>) {
        let logits = self.forward(batch.images.clone());
        let [items, frames, _] = logits.dims();
        let frames = Tensor::full([items], frames as i32, &logits.device());
        let losses = self.loss.forward(
            logits.clone(),
            batch.labels.clone(),
            frames,
            batch.label_lengths.clone(),
        );
        (losses.mean(), logits)
    }
}

fn greedy(logits: Tensor<3>) -> Result<Vec<Vec<usize>>, TensorReadError> {
    let best: Vec<i32> = logits.argmax(2).try_into_vec_as()?;
    let item = |frames: &[i32]| {
        let mut classes: Vec<_> = frames.iter().map(|class| *class as usize).collect();
        classes.dedup();
        classes.retain(|class| *class != BLANK);
        classes
    };
    Ok(best.chunks_exact(FRAMES).map(item).collect())
}

impl TrainStep for Network {
    type Input = Batch;
    type Output = SequenceOutput;

    fn step(&self, batch: Batch) -> TrainOutput<SequenceOutput> {
        let (loss, logits) = self.loss(&batch);
        let grads = loss.backward();
        TrainOutput::new(
            self,
            grads,
            SequenceOutput::new(loss, logits, None, batch.labels),
        )
    }
}

impl InferenceStep for Network {
    type Input = Batch;
    type Output = SequenceOutput;

    fn step(&self, batch: Batch) -> SequenceOutput {
        let (loss, logits) = self.loss(&batch);
        // If the logits cannot be read, the next metric reports the error.
        let lines = greedy(logits.clone()).unwrap_or_default();
        SequenceOutput::new(loss, logits, Some(padded(&lines, &batch)), batch.labels)
    }
}

/// Returns decoded lines in the form that Burn's character metric expects: rows as wide as the
/// labels.
fn padded(lines: &[Vec<usize>], batch: &Batch) -> Tensor<2, Int> {
    let [items, width] = batch.labels.dims();
    let mut rows = vec![PADDING as i32; items * width];
    for (row, line) in rows.chunks_exact_mut(width).zip(lines) {
        for (entry, class) in row.iter_mut().zip(line) {
            *entry = *class as i32;
        }
    }
    Tensor::from_data(
        TensorData::new(rows, [items, width]),
        &batch.labels.device(),
    )
}
