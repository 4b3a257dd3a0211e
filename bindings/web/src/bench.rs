//! Batches to be timed: on the GPU from device to device, as in a training loop, or on the CPU backend.
//!
//! The page does the timing: a wasm has no clock of its own.

use ctc_wgpu::{
    Batch, BatchShape, Buffers, Ctc, DeviceLimits, GpuCtc, GpuPlan, LossAndGradOutput, Options,
};
use futures::channel::oneshot;
use js_sys::Uint32Array;
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;
use wgpu::BufferUsages as Use;

// The batches of `benches/`, number for number.
#[path = "../../../benches/inputs/seeded.rs"]
pub(crate) mod seeded;

/// The shapes that the page times, as `[T, N, C, L]`: those of `benches/` without the one of 48 million logits, which
/// is too much for a phone.
#[wasm_bindgen(js_name = benchmarkShapes)]
#[must_use]
pub fn benchmark_shapes() -> Vec<Uint32Array> {
    seeded::SHAPES
        .iter()
        .filter(|[frames, items, classes, _]| frames * items * classes < 10_000_000)
        .map(|shape| {
            let axes = shape.map(|axis| u32::try_from(axis).unwrap_or(u32::MAX));
            Uint32Array::from(&axes[..])
        })
        .collect()
}

/// A place to compute, and the batch that is timed there.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Benchmark {
    gpu: Option<Gpu>,
    cpu: Ctc,
    inputs: Inputs,
    output: LossAndGradOutput,
    resident: Option<Resident>,
}

#[derive(Debug)]
struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    ctc: GpuCtc,
}

#[derive(Debug, Default)]
struct Inputs {
    axes: [usize; 3],
    logits: Vec<f32>,
    labels: Vec<i32>,
    label_lengths: Vec<i32>,
}

impl Inputs {
    fn batch(&self) -> Batch<'_> {
        Batch::new(self.axes, &self.logits).labels(&self.labels, &self.label_lengths)
    }
}

/// A batch on the device, where it stays.
#[derive(Debug)]
struct Resident {
    plan: GpuPlan,
    logits: wgpu::Buffer,
    labels: wgpu::Buffer,
    label_lengths: wgpu::Buffer,
    loss: wgpu::Buffer,
    grad: wgpu::Buffer,
}

#[wasm_bindgen]
impl Benchmark {
    /// On the GPU, or on the CPU backend.
    ///
    /// # Errors
    /// If there is no GPU, or it gives no device.
    pub async fn open(gpu: bool) -> Result<Benchmark, JsError> {
        Ok(Self {
            gpu: if gpu { Some(Gpu::open().await?) } else { None },
            cpu: Ctc::cpu(),
            inputs: Inputs::default(),
            output: LossAndGradOutput::default(),
            resident: None,
        })
    }

    /// Makes the batch of this shape, `[T, N, C, L]`, computes it once, and holds what the GPU answers against the CPU backend.
    ///
    /// # Errors
    /// If the GPU refuses the batch or answers wrongly: a wrong answer is not worth timing.
    pub async fn prepare(&mut self, shape: Vec<u32>) -> Result<(), JsError> {
        let shape: [u32; 4] = shape
            .try_into()
            .map_err(|_| JsError::new("shape: must be four numbers, T, N, C and L"))?;
        let [frames, items, classes, labels] = shape.map(|axis| axis as usize);
        let (logits, label_values) = seeded::numbers([frames, items, classes, labels], 1.0);
        self.inputs = Inputs {
            axes: [items, frames, classes],
            logits,
            labels: label_values,
            label_lengths: vec![i32::try_from(labels)?; items],
        };
        self.resident = None;
        let (batch, options) = (self.inputs.batch(), Options::default());
        self.output = self.cpu.loss_and_grad(&batch, &options)?;
        let Some(gpu) = &self.gpu else { return Ok(()) };

        let ctc = Ctc::on_device(&gpu.device, &gpu.queue)?;
        let answer = ctc.loss_and_grad_async(&batch, &options).await?;
        check("loss", &answer.loss, &self.output.loss, 2e-6)?;
        check("gradient", &answer.grad, &self.output.grad, 2e-5)?;
        self.resident = Some(gpu.resident(&self.inputs, labels)?);
        Ok(())
    }

    /// Loss and gradient so many times, until all are done.
    ///
    /// # Errors
    /// What the GPU met.
    pub async fn run(&mut self, times: u32) -> Result<(), JsError> {
        let (Some(gpu), Some(resident)) = (&self.gpu, &self.resident) else {
            let (batch, options) = (self.inputs.batch(), Options::default());
            for _ in 0..times {
                self.cpu
                    .loss_and_grad_into(&batch, &options, &mut self.output)?;
            }
            return Ok(());
        };
        for _ in 0..times {
            gpu.submit(resident)?;
        }
        gpu.done().await
    }
}

/// Each number within `tolerance · max(1, |expected|)`: twice what either side is allowed.
fn check(what: &str, got: &[f32], expected: &[f32], tolerance: f32) -> Result<(), JsError> {
    let wrong = got.iter().zip(expected).position(|(g, e)| {
        (g - e).abs() > tolerance * e.abs().max(1.0) || g.is_nan() != e.is_nan()
    });
    match wrong {
        None => Ok(()),
        Some(index) => Err(JsError::new(&format!(
            "the GPU's {what} {index} is {}, but the CPU's is {}",
            got[index], expected[index]
        ))),
    }
}

impl Gpu {
    async fn open() -> Result<Self, JsError> {
        let adapters = ctc_wgpu::adapters_async().await;
        let adapter = adapters
            .first()
            .ok_or_else(|| JsError::new("no GPU adapter"))?;
        let descriptor = wgpu::DeviceDescriptor {
            required_limits: adapter.limits(),
            required_features: adapter.features() & DeviceLimits::FEATURES,
            ..wgpu::DeviceDescriptor::default()
        };
        let (device, queue) = adapter.request_device(&descriptor).await?;
        Ok(Self {
            ctc: GpuCtc::new(&device, &queue)?,
            device,
            queue,
        })
    }

    fn resident(&self, inputs: &Inputs, max_labels: usize) -> Result<Resident, JsError> {
        let buffer = |words: &[u32], count: usize| {
            let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: count as u64 * 4,
                usage: Use::STORAGE | Use::COPY_DST,
                mapped_at_creation: false,
            });
            self.queue
                .write_buffer(&buffer, 0, bytemuck::cast_slice(words));
            buffer
        };
        let with = |words: &[u32]| buffer(words, words.len());
        let [items, frames, classes] = inputs.axes;
        let shape = BatchShape::new(items, frames, classes, max_labels);
        Ok(Resident {
            plan: self.ctc.plan(&shape, &Options::default())?,
            logits: with(bytemuck::cast_slice(&inputs.logits)),
            labels: with(bytemuck::cast_slice(&inputs.labels)),
            label_lengths: with(bytemuck::cast_slice(&inputs.label_lengths)),
            loss: buffer(&[], items),
            grad: buffer(&[], inputs.logits.len()),
        })
    }

    fn submit(&self, resident: &Resident) -> Result<(), JsError> {
        let Resident {
            plan,
            logits,
            labels,
            label_lengths,
            loss,
            grad,
        } = resident;
        let mut encoder = self
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let buffers = Buffers::new(logits, labels, label_lengths, loss).grad(grad);
        plan.encode(&mut encoder, &buffers)?;
        self.queue.submit([encoder.finish()]);
        Ok(())
    }

    async fn done(&self) -> Result<(), JsError> {
        let (sender, receiver) = oneshot::channel();
        self.queue.on_submitted_work_done(move || {
            // Nobody listens any more where the page has cancelled.
            let _ = sender.send(());
        });
        Ok(receiver.await?)
    }
}
