//! Batches in buffers on a device, whose neighbours are canaries.

use std::num::NonZeroU64;
use std::time::Duration;

use super::batch::{OwnedBatch, OwnedLabels, padded};
use super::check::Answer;
use super::random::Rng;
use crate::blocking::block_on;
use crate::gpu::guarded;
use crate::{
    Buffers, CtcOutput, Error, Goal, GpuPlan, LabelLayout, Limits, Reduction, Shape, Status,
};

/// After this long a device is taken for one that hangs.
const PATIENCE: Duration = Duration::from_secs(600);

/// A device of its own on an adapter, with all features that kernels can use.
#[derive(Debug)]
pub struct Gpu {
    /// The adapter's name and backend.
    pub name: String,
    /// The device.
    pub device: wgpu::Device,
    /// Its queue.
    pub queue: wgpu::Queue,
    adapter: wgpu::Adapter,
}

impl Gpu {
    /// A device of this adapter with these limits.
    ///
    /// # Errors
    /// [`Error::NoDevice`] if the adapter gives none.
    pub fn new(adapter: &wgpu::Adapter, limits: wgpu::Limits) -> Result<Self, Error> {
        let info = adapter.get_info();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("conformance"),
            required_limits: limits,
            required_features: adapter.features() & Limits::FEATURES,
            ..wgpu::DeviceDescriptor::default()
        };
        let made = block_on(async { Ok(adapter.request_device(&descriptor).await) })?;
        let (device, queue) = made.map_err(|reason| Error::NoDevice {
            adapter: info.name.clone(),
            reason: reason.to_string(),
        })?;
        Ok(Self {
            name: format!("{} ({})", info.name, info.backend),
            device,
            queue,
            adapter: adapter.clone(),
        })
    }

    /// Another device of the same adapter and instance.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn another(&self) -> Result<Self, Error> {
        Self::new(&self.adapter, self.device.limits())
    }

    /// An encoder for work on it.
    #[must_use]
    pub fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&Default::default())
    }

    /// A buffer with these words, that can be read back.
    #[must_use]
    pub fn buffer(&self, words: &[u32]) -> wgpu::Buffer {
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("conformance"),
            size: size_of_val(words).max(4) as u64,
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.queue
            .write_buffer(&buffer, 0, bytemuck::cast_slice(words));
        buffer
    }

    /// The words of a buffer, after all that was submitted.
    ///
    /// # Errors
    /// What the device answers instead.
    pub fn read(&self, buffer: &wgpu::Buffer) -> Result<Vec<u32>, String> {
        let staging = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("conformance.read"),
            size: buffer.size(),
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = self.encoder();
        encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, buffer.size());
        self.queue.submit([encoder.finish()]);
        let (sender, mapped) = std::sync::mpsc::channel();
        // Who has stopped listening has failed already.
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            drop(sender.send(result))
        });
        let wait = wgpu::PollType::Wait {
            submission_index: None,
            timeout: Some(PATIENCE),
        };
        self.device.poll(wait).map_err(|e| e.to_string())?;
        let mapped = mapped.recv().map_err(|e| e.to_string())?;
        mapped.map_err(|e| e.to_string())?;
        let view = staging.get_mapped_range(..).map_err(|e| e.to_string())?;
        Ok(bytemuck::cast_slice(&view).to_vec())
    }
}

/// A batch as the device sees it: bits, which need not be right.
#[derive(Debug, Clone)]
pub struct DeviceBatch {
    /// What a plan is made for.
    pub shape: Shape,
    /// The bits of f32s, or two f16s a word.
    pub logits: Vec<u32>,
    /// Padded or concatenated.
    pub labels: Vec<i32>,
    /// [N]; all frames count without them.
    pub logit_lengths: Option<Vec<i32>>,
    /// [N]
    pub label_lengths: Vec<i32>,
    /// The bits of f32s, [N].
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
    /// Bits of f32s, [N].
    pub loss: Vec<u32>,
    /// In the order of the logits.
    pub grad: Vec<u32>,
    /// Codes, [N].
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
pub struct Placed {
    buffers: Vec<wgpu::Buffer>,
    before: Vec<Vec<u32>>,
    places: Vec<Option<Place>>,
    /// The slot where the gradient lies.
    grad: usize,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    buffer: usize,
    start: usize,
    words: usize,
    written: bool,
}

impl Placed {
    /// Buffers for a plan, with this batch in them.
    pub fn new(
        gpu: &Gpu,
        plan: &GpuPlan,
        batch: &DeviceBatch,
        placement: Placement,
        wanted: Wanted,
    ) -> Self {
        let mut rng = Rng::new(0xCA9A41E5);
        let plan = plan.plan();
        let cast = |ints: &[i32]| -> Vec<u32> { bytemuck::cast_slice(ints).to_vec() };
        let mut garbage =
            |words: usize| -> Vec<u32> { (0..words).map(|_| rng.next() as u32).collect() };
        let items = batch.shape.items;
        let reduced = wanted.reduced && plan.options().reduction != Reduction::None;
        let in_place = placement == Placement::InPlace;
        let grad = plan.goal() == Goal::LossAndGrad && !in_place;
        let arrays = [
            (Some(batch.logits.clone()), in_place),
            (Some(cast(&batch.labels)), false),
            (batch.logit_lengths.as_deref().map(cast), false),
            (Some(cast(&batch.label_lengths)), false),
            (batch.weights.clone(), false),
            (Some(garbage(items)), true),
            (wanted.status.then(|| garbage(items)), true),
            (reduced.then(|| garbage(1)), true),
            (grad.then(|| garbage(batch.logits.len())), true),
        ];
        let mut before: Vec<Vec<u32>> = Vec::new();
        let mut places = Vec::new();
        for (array, written) in arrays {
            let Some(array) = array else {
                places.push(None);
                continue;
            };
            if placement != Placement::Together || before.is_empty() {
                before.push(Vec::new());
            }
            let buffer = before.len() - 1;
            let words = before.last_mut().unwrap();
            canaries(words, GUARD);
            let start = words.len();
            words.extend(&array);
            // At least one word past the end, and on to the next aligned offset.
            let past = 1 + (GUARD - 1 - words.len() % GUARD);
            canaries(words, past);
            places.push(Some(Place {
                buffer,
                start,
                words: array.len(),
                written,
            }));
        }
        Self {
            buffers: before.iter().map(|words| gpu.buffer(words)).collect(),
            before,
            places,
            grad: if in_place { 0 } else { 8 },
        }
    }

    /// What to encode the plan with.
    pub fn buffers(&self) -> Buffers<'_> {
        let binding = |slot: usize| {
            self.places[slot].map(|place| wgpu::BufferBinding {
                buffer: &self.buffers[place.buffer],
                offset: place.start as u64 * 4,
                size: NonZeroU64::new(place.words.max(1) as u64 * 4),
            })
        };
        Buffers {
            logits: binding(0).unwrap(),
            labels: binding(1).unwrap(),
            logit_lengths: binding(2),
            label_lengths: binding(3).unwrap(),
            weights: binding(4),
            loss: binding(5).unwrap(),
            status: binding(6),
            reduced: binding(7),
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
        for (buffer, (before, after)) in self.before.iter().zip(&after).enumerate() {
            let mut expected = before.clone();
            for place in self.places.iter().flatten() {
                if place.written && place.buffer == buffer {
                    let range = place.start..place.start + place.words;
                    expected[range.clone()].copy_from_slice(&after[range]);
                }
            }
            if let Some(at) = expected.iter().zip(after).position(|(a, b)| a != b) {
                return Err(format!(
                    "word {at} of buffer {buffer} was {:#x} and is {:#x}: nobody may write there ({:?})",
                    expected[at], after[at], self.places
                ));
            }
        }
        let words = |slot: usize| {
            self.places[slot].map_or(Vec::new(), |place| {
                after[place.buffer][place.start..place.start + place.words].to_vec()
            })
        };
        Ok(Outputs {
            loss: words(5),
            status: words(6),
            reduced: words(7),
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
