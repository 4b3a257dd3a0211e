//! Batches in buffers on a device, whose neighbours are canaries.

use std::num::NonZeroU64;

use super::batch::{OwnedBatch, OwnedLabels, padded};
use super::check::Answer;
use super::device::Gpu;
use super::random::Rng;
use crate::gpu::guarded;
use crate::{Buffers, CtcOutput, Error, Goal, GpuPlan, LabelLayout, Reduction, Shape, Status};

/// A batch as the device sees it: bits, which need not be right.
#[derive(Debug, Clone)]
pub struct DeviceBatch {
    /// What a plan is made for.
    pub shape: Shape,
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
            shape: Shape {
                layout: batch.layout,
                label_layout,
                ..Shape::new(items, frames, classes, max_labels)
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

impl From<CtcOutput> for Outputs {
    fn from(output: CtcOutput) -> Self {
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
pub enum Placement {
    /// Each in a `wgpu::Buffer` of its own, not at its beginning.
    Apart,
    /// All in one.
    Together,
    /// As apart, but the gradient overwrites the logits.
    InPlace,
}

/// The placements of a gradient of its own.
pub const PLACEMENTS: [Placement; 2] = [Placement::Apart, Placement::Together];

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

/// Words between two ranges: the largest offset alignment that WebGPU allows, so that any range may begin after them.
const GUARD: usize = 64;

/// The buffers of a batch on a device, among canaries; outputs are full of garbage.
#[derive(Debug)]
pub struct Placed {
    buffers: Vec<wgpu::Buffer>,
    before: Vec<Vec<u32>>,
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

#[derive(Debug, Clone, Copy)]
struct Place {
    buffer: usize,
    start: usize,
    words: usize,
}

/// The words of buffers to be, an array after the other.
struct Layer {
    together: bool,
    buffers: Vec<Vec<u32>>,
}

impl Layer {
    fn place(&mut self, array: &[u32]) -> Place {
        if !self.together || self.buffers.is_empty() {
            self.buffers.push(Vec::new());
        }
        let buffer = self.buffers.len() - 1;
        let words = &mut self.buffers[buffer];
        canaries(words, GUARD);
        let start = words.len();
        words.extend(array);
        // At least one word past the end, and on to the next aligned offset.
        let past = 1 + (GUARD - 1 - words.len() % GUARD);
        canaries(words, past);
        Place {
            buffer,
            start,
            words: array.len(),
        }
    }

    fn integers(&mut self, array: &[i32]) -> Place {
        self.place(bytemuck::cast_slice(array))
    }
}

impl Placed {
    /// Buffers for a plan, with this batch in them.
    #[must_use]
    pub fn new(
        gpu: &Gpu,
        plan: &GpuPlan,
        batch: &DeviceBatch,
        placement: Placement,
        wanted: Wanted,
    ) -> Self {
        let mut rng = Rng::new(0xCA9A41E5);
        let plan = plan.plan();
        let mut garbage =
            |words: usize| -> Vec<u32> { (0..words).map(|_| rng.bits() as u32).collect() };
        let items = batch.shape.items;
        let mut layer = Layer {
            together: placement == Placement::Together,
            buffers: Vec::new(),
        };
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
        let grad = match (plan.goal(), placement) {
            (Goal::Loss | Goal::Align | Goal::Greedy, _) => None,
            (Goal::LossAndGrad, Placement::InPlace) => Some(logits),
            (Goal::LossAndGrad, _) => Some(layer.place(&garbage(batch.logits.len()))),
        };
        Self {
            buffers: layer
                .buffers
                .iter()
                .map(|words| gpu.buffer(words))
                .collect(),
            before: layer.buffers,
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

    fn binding(&self, place: Place) -> wgpu::BufferBinding<'_> {
        wgpu::BufferBinding {
            buffer: &self.buffers[place.buffer],
            offset: place.start as u64 * 4,
            size: NonZeroU64::new(place.words.max(1) as u64 * 4),
        }
    }

    /// What to encode the plan with.
    #[must_use]
    pub fn buffers(&self) -> Buffers<'_> {
        let binding = |place: Option<Place>| place.map(|place| self.binding(place));
        Buffers {
            logits: self.binding(self.logits),
            labels: self.binding(self.labels),
            logit_lengths: binding(self.logit_lengths),
            label_lengths: self.binding(self.label_lengths),
            weights: binding(self.weights),
            loss: self.binding(self.loss),
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
        let after: Result<Vec<_>, _> = self.buffers.iter().map(|b| gpu.read(b)).collect();
        let after = after?;
        let written = [Some(self.loss), self.status, self.reduced, self.grad];
        let mut expected = self.before.clone();
        for place in written.into_iter().flatten() {
            let range = place.start..place.start + place.words;
            expected[place.buffer][range.clone()].copy_from_slice(&after[place.buffer][range]);
        }
        for (buffer, (expected, after)) in expected.iter().zip(&after).enumerate() {
            if let Some(at) = expected.iter().zip(after).position(|(a, b)| a != b) {
                return Err(format!(
                    "word {at} of buffer {buffer} was {:#x} and is {:#x}: nobody may write there ({self:?})",
                    expected[at], after[at]
                ));
            }
        }
        let words = |place: Option<Place>| {
            place.map_or(Vec::new(), |place| {
                after[place.buffer][place.start..place.start + place.words].to_vec()
            })
        };
        Ok(Outputs {
            loss: words(Some(self.loss)),
            status: words(self.status),
            reduced: words(self.reduced),
            grad: words(self.grad),
        })
    }
}

fn canaries(words: &mut Vec<u32>, count: usize) {
    for _ in 0..count {
        words.push(0xCA9A_0000 ^ words.len() as u32);
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
    placement: Placement,
) -> Result<Outputs, String> {
    let outputs = guarded(&gpu.device, "a batch in buffers of its own", || {
        let placed = Placed::new(gpu, plan, batch, placement, ALL);
        submit(gpu, plan, &placed).map_err(|e| e.to_string())?;
        placed.outputs(gpu)
    });
    outputs.map_err(|e| e.to_string())?
}

/// Encodes a batch and submits it.
///
/// # Errors
/// As [`GpuPlan::encode`].
pub fn submit(gpu: &Gpu, plan: &GpuPlan, placed: &Placed) -> Result<(), Error> {
    let mut encoder = gpu.encoder();
    plan.encode(&mut encoder, &placed.buffers())?;
    gpu.queue.submit([encoder.finish()]);
    Ok(())
}
