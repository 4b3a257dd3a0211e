//! Devices for the tests that bring their own buffers, and buffers whose neighbours are canaries.

use std::num::NonZeroU64;

use ctc_wgpu::{Buffers, CtcOutput, Goal, GpuPlan, LabelLayout, Reduction, Shape};

use super::adapters;
use super::batch::{OwnedBatch, OwnedLabels};
use super::random::Rng;

/// A device of the tests' own. An error that no scope catches panics: every test runs under wgpu's validation.
pub(crate) struct Gpu {
    pub(crate) name: String,
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    adapter: wgpu::Adapter,
}

/// Runs `test` on each adapter with all that it gives; its name is printed, so that a failure says where.
pub(crate) fn on_each_device(test: impl Fn(&Gpu)) {
    on_each_device_within(wgpu::Adapter::limits, test);
}

/// Runs `test` on each adapter, on a device made with these limits.
pub(crate) fn on_each_device_within(
    limits: impl Fn(&wgpu::Adapter) -> wgpu::Limits,
    test: impl Fn(&Gpu),
) {
    for adapter in adapters::all() {
        let limits = limits(&adapter);
        let gpu = Gpu::new(adapter, limits);
        println!("on {}", gpu.name);
        test(&gpu);
    }
}

impl Gpu {
    fn new(adapter: wgpu::Adapter, limits: wgpu::Limits) -> Self {
        let info = adapter.get_info();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("test"),
            required_limits: limits,
            // All that kernels can use.
            required_features: adapter.features()
                & (wgpu::Features::SUBGROUP | wgpu::Features::SHADER_F16),
            ..wgpu::DeviceDescriptor::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
        Self {
            name: format!("{} ({})", info.name, info.backend),
            device,
            queue,
            adapter,
        }
    }

    /// Another device of the same adapter and instance.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.adapter.clone(), self.device.limits())
    }

    pub(crate) fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&Default::default())
    }

    /// A buffer with these words, that can be read back.
    pub(crate) fn buffer(&self, words: &[u32]) -> wgpu::Buffer {
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("test"),
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
    pub(crate) fn read(&self, buffer: &wgpu::Buffer) -> Vec<u32> {
        let staging = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("test.read"),
            size: buffer.size(),
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = self.encoder();
        encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, buffer.size());
        self.queue.submit([encoder.finish()]);
        staging.map_async(wgpu::MapMode::Read, .., |mapped| mapped.unwrap());
        self.device
            .poll(wgpu::PollType::wait_indefinitely())
            .unwrap();
        let view = staging.get_mapped_range(..).unwrap();
        bytemuck::cast_slice(&view).to_vec()
    }
}

/// A batch as the device sees it: bits, which need not be right.
#[derive(Debug, Clone)]
pub(crate) struct DeviceBatch {
    pub(crate) shape: Shape,
    pub(crate) logits: Vec<u32>,
    pub(crate) labels: Vec<i32>,
    pub(crate) logit_lengths: Option<Vec<i32>>,
    pub(crate) label_lengths: Vec<i32>,
    pub(crate) weights: Option<Vec<u32>>,
}

impl DeviceBatch {
    /// Of a batch with padded or concatenated labels, and lengths instead of masks.
    pub(crate) fn of(batch: &OwnedBatch) -> Self {
        let [items, frames, classes] = batch.dims;
        let (labels, label_lengths, label_layout) = match &batch.labels {
            OwnedLabels::Padded { values, lengths } => (values, lengths, LabelLayout::Padded),
            OwnedLabels::Concatenated { values, lengths } => {
                (values, lengths, LabelLayout::Concatenated)
            }
            other => panic!("a device has no such labels: {other:?}"),
        };
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
            labels: labels.clone(),
            logit_lengths: batch.logit_lengths.clone(),
            label_lengths: label_lengths.clone(),
            weights: batch.weights.as_deref().map(bits),
        }
    }
}

impl DeviceBatch {
    /// With logits of f16, two in a word.
    pub(crate) fn narrowed(self) -> Self {
        let narrow = |bits: &u32| u32::from(half::f16::from_f32(f32::from_bits(*bits)).to_bits());
        let word = |pair: &[u32]| narrow(&pair[0]) | pair.get(1).map_or(0, narrow) << 16;
        Self {
            shape: self.shape.f16(),
            logits: self.logits.chunks(2).map(word).collect(),
            ..self
        }
    }
}

pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// What a batch gave, bit for bit. What was not asked for is empty.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outputs {
    pub(crate) loss: Vec<u32>,
    pub(crate) grad: Vec<u32>,
    pub(crate) status: Vec<u32>,
    pub(crate) reduced: Vec<u32>,
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
    /// A gradient of `count` numbers of f16, two in a word, as one of f32.
    pub(crate) fn widened(self, count: usize) -> Self {
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

    pub(crate) fn loss(&self, item: usize) -> f32 {
        f32::from_bits(self.loss[item])
    }

    /// Panics where the two differ in any bit, saying where first.
    pub(crate) fn same(&self, other: &Self, what: &str) {
        for (name, a, b) in [
            ("status", &self.status, &other.status),
            ("loss", &self.loss, &other.loss),
            ("reduced", &self.reduced, &other.reduced),
            ("gradient", &self.grad, &other.grad),
        ] {
            assert_eq!(a.len(), b.len(), "{what}: length of {name}");
            if let Some(at) = a.iter().zip(b).position(|(a, b)| a != b) {
                let count = a.iter().zip(b).filter(|(a, b)| a != b).count();
                let [a, b] = [a[at], b[at]];
                panic!(
                    "{what}: {name} differs in {count} places, first at {at}: {a:#x} ({:e}) and {b:#x} ({:e})",
                    f32::from_bits(a),
                    f32::from_bits(b)
                );
            }
        }
    }
}

/// Where the buffers of a batch lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Each in a `wgpu::Buffer` of its own, not at its beginning.
    Apart,
    /// All in one.
    Together,
    /// As apart, but the gradient overwrites the logits.
    InPlace,
}

pub(crate) const PLACEMENTS: [Placement; 2] = [Placement::Apart, Placement::Together];

/// Which of the optional outputs a batch has buffers for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) status: bool,
    pub(crate) reduced: bool,
}

pub(crate) const ALL: Wanted = Wanted {
    status: true,
    reduced: true,
};

/// Words between two ranges: the largest offset alignment that WebGPU allows, so that any range may begin after them.
const GUARD: usize = 64;

/// The buffers of a batch on a device, among canaries; outputs are full of garbage.
pub(crate) struct Placed {
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
    pub(crate) fn new(
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

    pub(crate) fn buffers(&self) -> Buffers<'_> {
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
    pub(crate) fn outputs(&self, gpu: &Gpu) -> Outputs {
        let after: Vec<_> = self.buffers.iter().map(|b| gpu.read(b)).collect();
        for (buffer, (before, after)) in self.before.iter().zip(&after).enumerate() {
            let mut expected = before.clone();
            for place in self.places.iter().flatten() {
                if place.written && place.buffer == buffer {
                    let range = place.start..place.start + place.words;
                    expected[range.clone()].copy_from_slice(&after[range]);
                }
            }
            if let Some(at) = expected.iter().zip(after).position(|(a, b)| a != b) {
                panic!(
                    "{}: word {at} of buffer {buffer} was {:#x} and is {:#x}: nobody may write there ({:?})",
                    gpu.name, expected[at], after[at], self.places
                );
            }
        }
        let words = |slot: usize| {
            self.places[slot].map_or(Vec::new(), |place| {
                after[place.buffer][place.start..place.start + place.words].to_vec()
            })
        };
        Outputs {
            loss: words(5),
            status: words(6),
            reduced: words(7),
            grad: words(self.grad),
        }
    }
}

fn canaries(words: &mut Vec<u32>, count: usize) {
    for _ in 0..count {
        words.push(0xCA9A_0000 ^ words.len() as u32);
    }
}

/// One batch through a plan, in buffers among canaries.
pub(crate) fn run(gpu: &Gpu, plan: &GpuPlan, batch: &DeviceBatch, placement: Placement) -> Outputs {
    let placed = Placed::new(gpu, plan, batch, placement, ALL);
    submit(gpu, plan, &placed);
    placed.outputs(gpu)
}

/// Encodes a batch and submits it.
pub(crate) fn submit(gpu: &Gpu, plan: &GpuPlan, placed: &Placed) {
    let mut encoder = gpu.encoder();
    plan.encode(&mut encoder, &placed.buffers()).unwrap();
    gpu.queue.submit([encoder.finish()]);
}
