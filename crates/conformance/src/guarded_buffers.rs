//! Batches in buffers on a device, with canaries around each array.

use super::batch::{OwnedBatch, OwnedLabels, padded};
use super::canaries::{ArrayRange, BufferBuilder, CanaryBuffers};
use super::check::Computed;
use super::device::Gpu;
use super::random::Rng;
use ctc_wgpu::internal::guarded;
use ctc_wgpu::{
    BatchShape, Buffers, Error, GpuPlan, LabelLayout, LossAndGradOutput, Reduction, Status, Task,
};

/// A batch as it is in buffers: bits, which need not be valid.
#[derive(Debug, Clone)]
pub struct DeviceBatch {
    /// The shape that is planned.
    pub shape: BatchShape,
    /// The bits of f32, or two f16 per word.
    pub logits: Vec<u32>,
    /// The labels, padded or concatenated.
    pub labels: Vec<i32>,
    /// `[N]`; without them all frames are valid.
    pub logit_lengths: Option<Vec<i32>>,
    /// The label lengths, `[N]`.
    pub label_lengths: Vec<i32>,
    /// The bits of the f32 weights, `[N]`.
    pub weights: Option<Vec<u32>>,
}

impl DeviceBatch {
    /// Converts a batch. Sparse and masked labels become padded labels.
    pub fn of(batch: &OwnedBatch) -> Self {
        let [items, frames, classes] = batch.dims;
        let labels_on_device = match &batch.labels {
            labels_on_device @ (OwnedLabels::Padded { .. } | OwnedLabels::Concatenated { .. }) => {
                labels_on_device.clone()
            }
            // On a device, labels are padded or concatenated.
            OwnedLabels::Sparse { .. } | OwnedLabels::Masked { .. } | OwnedLabels::Missing => {
                let list = |item| batch.item_labels(item).iter().map(|l| *l as i32).collect();
                padded(&(0..items).map(list).collect::<Vec<Vec<i32>>>())
            }
        };
        let label_layout = match &labels_on_device {
            OwnedLabels::Concatenated { .. } => LabelLayout::Concatenated,
            _ => LabelLayout::Padded,
        };
        let (labels, label_lengths) = labels_on_device.into_values();
        let max_labels = if label_layout == LabelLayout::Concatenated {
            label_lengths.iter().max().map_or(0, |l| *l as usize)
        } else {
            labels.len() / items.max(1)
        };
        Self {
            shape: BatchShape {
                layout: batch.layout,
                label_layout,
                ..BatchShape::new(items, frames, classes, max_labels)
            },
            logits: bits(&batch.values),
            labels,
            logit_lengths: batch.logit_lengths.clone(),
            label_lengths,
            weights: batch.weights.as_deref().map(bits),
        }
    }
}

impl DeviceBatch {
    /// Converts the logits to f16, two per word.
    pub fn narrowed(self) -> Self {
        let narrow = |bits: &u32| u32::from(half::f16::from_f32(f32::from_bits(*bits)).to_bits());
        let word = |pair: &[u32]| narrow(&pair[0]) | pair.get(1).map_or(0, narrow) << 16;
        Self {
            shape: self.shape.f16(),
            logits: self.logits.chunks(2).map(word).collect(),
            ..self
        }
    }
}

/// Returns the bits of numbers.
pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The outputs of a batch as bits. An output that was not requested is empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Outputs {
    /// The bits of the f32 losses, `[N]`.
    pub loss: Vec<u32>,
    /// The gradient, in the order of the logits.
    pub grad: Vec<u32>,
    /// The status codes, `[N]`.
    pub status: Vec<u32>,
    /// The reduced loss: one word, or none.
    pub reduced: Vec<u32>,
}

impl From<LossAndGradOutput> for Outputs {
    fn from(output: LossAndGradOutput) -> Self {
        Self {
            loss: bits(&output.loss),
            grad: bits(&output.grad),
            status: output.status.iter().map(|status| *status as u32).collect(),
            reduced: output.reduced.iter().map(|r| r.to_bits()).collect(),
        }
    }
}

impl Outputs {
    /// Converts the bits to numbers.
    ///
    /// # Errors
    /// An item's status code that is not valid.
    pub fn computed(&self) -> Result<Computed, String> {
        let wide = |words: &[u32]| words.iter().map(|w| f32::from_bits(*w).into()).collect();
        let status = |(item, code): (usize, &u32)| {
            Status::from_code(*code)
                .ok_or_else(|| format!("item {item}: {code} is not a valid status code"))
        };
        let reduced: Vec<f64> = wide(&self.reduced);
        Ok(Computed {
            loss: wide(&self.loss),
            grad: wide(&self.grad),
            status: self
                .status
                .iter()
                .enumerate()
                .map(status)
                .collect::<Result<_, _>>()?,
            reduced: reduced.first().copied(),
        })
    }

    /// Converts a gradient of `count` f16, two per word, to f32.
    pub fn widened(self, count: usize) -> Self {
        let halves = self
            .grad
            .iter()
            .flat_map(|word| [word & 0xffff, word >> 16]);
        let wide = |bits: u32| half::f16::from_bits(bits as u16).to_f32().to_bits();
        Self {
            grad: halves.map(wide).take(count).collect(),
            ..self
        }
    }

    /// Returns the loss of an item as a number.
    pub fn loss(&self, item: usize) -> f32 {
        f32::from_bits(self.loss[item])
    }

    /// Requires both to have the same bits.
    ///
    /// # Errors
    /// The first difference, after `what`.
    pub fn same(&self, other: &Self, what: &str) -> Result<(), String> {
        for (name, a, b) in [
            ("status", &self.status, &other.status),
            ("loss", &self.loss, &other.loss),
            ("reduced", &self.reduced, &other.reduced),
            ("gradient", &self.grad, &other.grad),
        ] {
            if a.len() != b.len() {
                return Err(format!(
                    "{what}: {} and {} elements of {name}",
                    a.len(),
                    b.len()
                ));
            }
            if let Some(at) = a.iter().zip(b).position(|(a, b)| a != b) {
                let count = a.iter().zip(b).filter(|(a, b)| a != b).count();
                let [a, b] = [a[at], b[at]];
                return Err(format!(
                    "{what}: {count} elements of {name} differ, first at {at}: {a:#x} ({:e}) and {b:#x} ({:e})",
                    f32::from_bits(a),
                    f32::from_bits(b)
                ));
            }
        }
        Ok(())
    }
}

/// How the arrays of a batch are placed in buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BufferPlacement {
    /// Each array is in a `wgpu::Buffer` of its own, at an offset above 0.
    Separate,
    /// All arrays are in one `wgpu::Buffer`.
    OneBuffer,
    /// As `Separate`, but the gradient overwrites the logits.
    InPlace,
}

/// The placements in which the gradient has an array of its own.
pub const BUFFER_PLACEMENTS: [BufferPlacement; 2] =
    [BufferPlacement::Separate, BufferPlacement::OneBuffer];

/// The optional outputs that a batch has buffers for.
#[derive(Debug, Clone, Copy)]
pub struct OptionalOutputs {
    /// True if the statuses are requested.
    pub status: bool,
    /// True if the reduced loss is requested.
    pub reduced: bool,
}

/// All optional outputs.
pub const ALL: OptionalOutputs = OptionalOutputs {
    status: true,
    reduced: true,
};

/// The buffers of a batch on a device, with canaries around each array and random bits in the
/// outputs.
#[derive(Debug)]
pub struct GuardedBuffers {
    buffers: CanaryBuffers,
    logits: ArrayRange,
    labels: ArrayRange,
    logit_lengths: Option<ArrayRange>,
    label_lengths: ArrayRange,
    weights: Option<ArrayRange>,
    loss: ArrayRange,
    status: Option<ArrayRange>,
    reduced: Option<ArrayRange>,
    /// The range of the logits, if the gradient overwrites them.
    grad: Option<ArrayRange>,
}

impl GuardedBuffers {
    /// Creates the buffers of a plan, and uploads a batch.
    #[must_use]
    pub fn new(
        gpu: &Gpu,
        plan: &GpuPlan,
        batch: &DeviceBatch,
        placement: BufferPlacement,
        wanted: OptionalOutputs,
    ) -> Self {
        let mut rng = Rng::new(0xCA9A41E5);
        let plan = plan.plan();
        let mut random_words =
            |words: usize| -> Vec<u32> { (0..words).map(|_| rng.bits() as u32).collect() };
        let items = batch.shape.items;
        let mut builder = BufferBuilder::new(placement == BufferPlacement::OneBuffer);
        let logits = builder.add(&batch.logits);
        let labels = builder.integers(&batch.labels);
        let logit_lengths = batch.logit_lengths.as_deref();
        let logit_lengths = logit_lengths.map(|lengths| builder.integers(lengths));
        let label_lengths = builder.integers(&batch.label_lengths);
        let weights = batch.weights.as_deref().map(|weights| builder.add(weights));
        let loss = builder.add(&random_words(items));
        let status = wanted.status.then(|| builder.add(&random_words(items)));
        let reduced = wanted.reduced && plan.options().reduction != Reduction::None;
        let reduced = reduced.then(|| builder.add(&random_words(1)));
        let grad = (plan.task() == Task::LossAndGrad).then(|| match placement {
            BufferPlacement::InPlace => logits,
            _ => builder.add(&random_words(batch.logits.len())),
        });
        Self {
            buffers: builder.on(gpu),
            logits,
            labels,
            logit_lengths,
            label_lengths,
            weights,
            loss,
            status,
            reduced,
            grad,
        }
    }

    /// Returns the bindings to encode the plan with.
    #[must_use]
    pub fn buffers(&self) -> Buffers<'_> {
        let binding = |range: Option<ArrayRange>| range.map(|range| self.buffers.binding(range));
        let mut buffers = Buffers::from_bindings(
            self.buffers.binding(self.logits),
            self.buffers.binding(self.labels),
            self.buffers.binding(self.label_lengths),
            self.buffers.binding(self.loss),
        );
        buffers.logit_lengths = binding(self.logit_lengths);
        buffers.weights = binding(self.weights);
        buffers.status = binding(self.status);
        buffers.reduced = binding(self.reduced);
        buffers.grad = binding(self.grad);
        buffers
    }

    /// Reads the outputs, after a check that all inputs and canaries are unchanged.
    ///
    /// # Errors
    /// A word that was written outside of the outputs, or an error of the device.
    pub fn outputs(&self, gpu: &Gpu) -> Result<Outputs, String> {
        let written = [Some(self.loss), self.status, self.reduced, self.grad];
        let ranges: Vec<_> = written.into_iter().flatten().collect();
        let mut words = self.buffers.words(gpu, &ranges)?.into_iter();
        let mut next = |range: Option<ArrayRange>| match range {
            Some(_) => words.next().unwrap_or_default(),
            None => Vec::new(),
        };
        let [loss, status, reduced, grad] = written.map(&mut next);
        Ok(Outputs {
            loss,
            status,
            reduced,
            grad,
        })
    }
}

/// Runs a batch through a plan, in buffers with canaries.
///
/// # Errors
/// An error of the device, or a word that was written outside of the outputs.
pub fn run(
    gpu: &Gpu,
    plan: &GpuPlan,
    batch: &DeviceBatch,
    placement: BufferPlacement,
) -> Result<Outputs, String> {
    let outputs = guarded(&gpu.device, "running a batch between canaries", || {
        let buffers = GuardedBuffers::new(gpu, plan, batch, placement, ALL);
        submit(gpu, plan, &buffers).map_err(|e| e.to_string())?;
        buffers.outputs(gpu)
    });
    outputs.map_err(|e| e.to_string())?
}

/// Encodes and submits a batch.
///
/// # Errors
/// As [`GpuPlan::encode`].
pub fn submit(gpu: &Gpu, plan: &GpuPlan, buffers: &GuardedBuffers) -> Result<(), Error> {
    let mut encoder = gpu.encoder();
    plan.encode(&mut encoder, &buffers.buffers())?;
    gpu.queue.submit([encoder.finish()]);
    Ok(())
}
