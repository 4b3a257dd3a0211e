//! Batches in buffers on a device, whose neighbours are canaries.

use super::batch::{OwnedBatch, OwnedLabels, padded};
use super::canaries::{Laid, Layer, Place};
use super::check::Answer;
use super::device::Gpu;
use super::random::Rng;
use crate::gpu::guarded;
use crate::{
    BatchShape, Buffers, Error, GpuPlan, LabelLayout, LossAndGradOutput, Reduction, Status, Task,
};

/// A batch as the device sees it: bits, which need not be right.
#[derive(Debug, Clone)]
pub struct DeviceBatch {
    /// What a plan is made for.
    pub shape: BatchShape,
    /// The bits of f32s, or two f16s a word.
    pub logits: Vec<u32>,
    /// Padded or concatenated.
    pub labels: Vec<i32>,
    /// `[N]`; all frames count without them.
    pub logit_lengths: Option<Vec<i32>>,
    /// `[N]`
    pub label_lengths: Vec<i32>,
    /// The bits of f32s, `[N]`.
    pub weights: Option<Vec<u32>>,
}

impl DeviceBatch {
    /// Of a batch with padded or concatenated labels, and lengths instead of masks.
    pub fn of(batch: &OwnedBatch) -> Self {
        let [items, frames, classes] = batch.dims;
        let given = match &batch.labels {
            given @ (OwnedLabels::Padded { .. } | OwnedLabels::Concatenated { .. }) => {
                given.clone()
            }
            // A device has no other labels.
            OwnedLabels::Sparse { .. } | OwnedLabels::Masked { .. } | OwnedLabels::Missing => {
                let list = |item| batch.item_labels(item).iter().map(|l| *l as i32).collect();
                padded(&(0..items).map(list).collect::<Vec<Vec<i32>>>())
            }
        };
        let label_layout = match &given {
            OwnedLabels::Concatenated { .. } => LabelLayout::Concatenated,
            _ => LabelLayout::Padded,
        };
        let (labels, label_lengths) = given.into_values();
        let max_labels = match label_layout {
            LabelLayout::Padded => labels.len() / items.max(1),
            LabelLayout::Concatenated => label_lengths.iter().max().map_or(0, |l| *l as usize),
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
    /// With logits of f16, two in a word.
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

/// The bits of numbers.
pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// What a batch gave, bit for bit. What was not asked for is empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Outputs {
    /// Bits of f32s, `[N]`.
    pub loss: Vec<u32>,
    /// In the order of the logits.
    pub grad: Vec<u32>,
    /// Codes, `[N]`.
    pub status: Vec<u32>,
    /// One word, or none.
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
    /// As numbers.
    ///
    /// # Errors
    /// A word that is no status.
    pub fn answer(&self) -> Result<Answer, String> {
        let wide = |words: &[u32]| words.iter().map(|w| f32::from_bits(*w).into()).collect();
        let status = |(item, code): (usize, &u32)| {
            Status::from_code(*code).ok_or_else(|| format!("item {item}: {code} is no status"))
        };
        let reduced: Vec<f64> = wide(&self.reduced);
        Ok(Answer {
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

    /// A gradient of `count` numbers of f16, two in a word, as one of f32.
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

    /// The loss of an item as a number.
    pub fn loss(&self, item: usize) -> f32 {
        f32::from_bits(self.loss[item])
    }

    /// Whether the two are the same in every bit.
    ///
    /// # Errors
    /// Where they differ first, after `what`.
    pub fn same(&self, other: &Self, what: &str) -> Result<(), String> {
        for (name, a, b) in [
            ("status", &self.status, &other.status),
            ("loss", &self.loss, &other.loss),
            ("reduced", &self.reduced, &other.reduced),
            ("gradient", &self.grad, &other.grad),
        ] {
            if a.len() != b.len() {
                return Err(format!("{what}: {} and {} of {name}", a.len(), b.len()));
            }
            if let Some(at) = a.iter().zip(b).position(|(a, b)| a != b) {
                let count = a.iter().zip(b).filter(|(a, b)| a != b).count();
                let [a, b] = [a[at], b[at]];
                return Err(format!(
                    "{what}: {name} differs in {count} places, first at {at}: {a:#x} ({:e}) and {b:#x} ({:e})",
                    f32::from_bits(a),
                    f32::from_bits(b)
                ));
            }
        }
        Ok(())
    }
}

/// Where the buffers of a batch lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BufferPlacement {
    /// Each in a `wgpu::Buffer` of its own, not at its beginning.
    Apart,
    /// All in one.
    Together,
    /// As apart, but the gradient overwrites the logits.
    InPlace,
}

/// The placements of a gradient of its own.
pub const BUFFER_PLACEMENTS: [BufferPlacement; 2] =
    [BufferPlacement::Apart, BufferPlacement::Together];

/// Which of the optional outputs a batch has buffers for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The statuses.
    pub status: bool,
    /// The reduced loss.
    pub reduced: bool,
}

/// All of them.
pub const ALL: Wanted = Wanted {
    status: true,
    reduced: true,
};

/// The buffers of a batch on a device, among canaries; outputs are full of garbage.
#[derive(Debug)]
pub struct GuardedBuffers {
    laid: Laid,
    logits: Place,
    labels: Place,
    logit_lengths: Option<Place>,
    label_lengths: Place,
    weights: Option<Place>,
    loss: Place,
    status: Option<Place>,
    reduced: Option<Place>,
    /// Where the logits are, if it takes their place.
    grad: Option<Place>,
}

impl GuardedBuffers {
    /// Buffers for a plan, with this batch in them.
    #[must_use]
    pub fn new(
        gpu: &Gpu,
        plan: &GpuPlan,
        batch: &DeviceBatch,
        placement: BufferPlacement,
        wanted: Wanted,
    ) -> Self {
        let mut rng = Rng::new(0xCA9A41E5);
        let plan = plan.plan();
        let mut garbage =
            |words: usize| -> Vec<u32> { (0..words).map(|_| rng.bits() as u32).collect() };
        let items = batch.shape.items;
        let mut layer = Layer::new(placement == BufferPlacement::Together);
        let logits = layer.place(&batch.logits);
        let labels = layer.integers(&batch.labels);
        let logit_lengths = batch.logit_lengths.as_deref();
        let logit_lengths = logit_lengths.map(|lengths| layer.integers(lengths));
        let label_lengths = layer.integers(&batch.label_lengths);
        let weights = batch.weights.as_deref().map(|weights| layer.place(weights));
        let loss = layer.place(&garbage(items));
        let status = wanted.status.then(|| layer.place(&garbage(items)));
        let reduced = wanted.reduced && plan.options().reduction != Reduction::None;
        let reduced = reduced.then(|| layer.place(&garbage(1)));
        let grad = match (plan.task(), placement) {
            (Task::Loss | Task::Align | Task::Greedy, _) => None,
            (Task::LossAndGrad, BufferPlacement::InPlace) => Some(logits),
            (Task::LossAndGrad, _) => Some(layer.place(&garbage(batch.logits.len()))),
        };
        Self {
            laid: layer.on(gpu),
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

    /// What to encode the plan with.
    #[must_use]
    pub fn buffers(&self) -> Buffers<'_> {
        let binding = |place: Option<Place>| place.map(|place| self.laid.binding(place));
        Buffers {
            logits: self.laid.binding(self.logits),
            labels: self.laid.binding(self.labels),
            logit_lengths: binding(self.logit_lengths),
            label_lengths: self.laid.binding(self.label_lengths),
            weights: binding(self.weights),
            loss: self.laid.binding(self.loss),
            status: binding(self.status),
            reduced: binding(self.reduced),
            grad: binding(self.grad),
        }
    }

    /// The outputs, after a check that nothing else was written: neither an input, nor a canary.
    ///
    /// # Errors
    /// What was written where nobody may write, and what the device answers instead of its words.
    pub fn outputs(&self, gpu: &Gpu) -> Result<Outputs, String> {
        let written = [Some(self.loss), self.status, self.reduced, self.grad];
        let places: Vec<_> = written.into_iter().flatten().collect();
        let mut words = self.laid.words(gpu, &places)?.into_iter();
        let mut next = |place: Option<Place>| match place {
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

/// One batch through a plan, in buffers among canaries.
///
/// # Errors
/// What the device answers instead, and what was written where nobody may write.
pub fn run(
    gpu: &Gpu,
    plan: &GpuPlan,
    batch: &DeviceBatch,
    placement: BufferPlacement,
) -> Result<Outputs, String> {
    let outputs = guarded(&gpu.device, "a batch in buffers of its own", || {
        let placed = GuardedBuffers::new(gpu, plan, batch, placement, ALL);
        submit(gpu, plan, &placed).map_err(|e| e.to_string())?;
        placed.outputs(gpu)
    });
    outputs.map_err(|e| e.to_string())?
}

/// Encodes a batch and submits it.
///
/// # Errors
/// As [`GpuPlan::encode`].
pub fn submit(gpu: &Gpu, plan: &GpuPlan, placed: &GuardedBuffers) -> Result<(), Error> {
    let mut encoder = gpu.encoder();
    plan.encode(&mut encoder, &placed.buffers())?;
    gpu.queue.submit([encoder.finish()]);
    Ok(())
}
