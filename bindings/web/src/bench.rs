//! Batches for the benchmark: on the GPU with all arrays in device memory, as in a training loop,
//! or on the CPU backend.
//!
//! The page measures the time, because WebAssembly has no clock.

use ctc_wgpu::{
    Batch, BatchShape, Buffers, Ctc, DeviceLimits, GpuCtc, GpuPlan, LossAndGradOutput, Options,
};
// The same batches as those of `benches/`.
use ctc_wgpu_bench_support::seeded;
use futures::channel::oneshot;
use js_sys::Uint32Array;
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;
use wgpu::BufferUsages as Use;

/// Returns the shapes of the benchmark as `[T, N, C, L]`: those of `benches/`, except the one with
/// 48 million logits, which is too large for a phone.
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

/// A backend, and the batch that is timed on it.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Benchmark {
    gpu: Option<Gpu>,
    cpu: Ctc,
    inputs: Inputs,
    output: LossAndGradOutput,
    device_batch: Option<DeviceBatch>,
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

/// A batch in device memory.
#[derive(Debug)]
struct DeviceBatch {
    plan: GpuPlan,
    logits: wgpu::Buffer,
    labels: wgpu::Buffer,
    label_lengths: wgpu::Buffer,
    loss: wgpu::Buffer,
    grad: wgpu::Buffer,
}

#[wasm_bindgen]
impl Benchmark {
    /// Opens the GPU, or the CPU backend.
    ///
    /// # Errors
    /// If no GPU is available, or no device can be created on it.
    pub async fn open(gpu: bool) -> Result<Benchmark, JsError> {
        Ok(Self {
            gpu: if gpu { Some(Gpu::open().await?) } else { None },
            cpu: Ctc::cpu(),
            inputs: Inputs::default(),
            output: LossAndGradOutput::default(),
            device_batch: None,
        })
    }

    /// Creates the batch of a shape, `[T, N, C, L]`, computes it once, and compares the results of
    /// the GPU with those of the CPU backend.
    ///
    /// # Errors
    /// If the GPU fails, or its results are wrong.
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
        self.device_batch = None;
        let (batch, options) = (self.inputs.batch(), Options::default());
        self.output = self.cpu.loss_and_grad(&batch, &options)?;
        let Some(gpu) = &self.gpu else { return Ok(()) };

        let ctc = Ctc::on_device(&gpu.device, &gpu.queue)?;
        let output = ctc.loss_and_grad_async(&batch, &options).await?;
        check("loss", &output.loss, &self.output.loss, 2e-6)?;
        check("gradient", &output.grad, &self.output.grad, 2e-5)?;
        self.device_batch = Some(gpu.upload(&self.inputs, labels)?);
        Ok(())
    }

    /// Computes loss and gradient `times` times, and waits until all are finished.
    ///
    /// # Errors
    /// If the GPU fails.
    pub async fn run(&mut self, times: u32) -> Result<(), JsError> {
        let (Some(gpu), Some(batch)) = (&self.gpu, &self.device_batch) else {
            let (batch, options) = (self.inputs.batch(), Options::default());
            for _ in 0..times {
                self.cpu
                    .loss_and_grad_into(&batch, &options, &mut self.output)?;
            }
            return Ok(());
        };
        for _ in 0..times {
            gpu.submit(batch)?;
        }
        gpu.finished().await
    }
}

/// Returns an error unless each number is within `tolerance · max(1, |expected|)`. The tolerance is
/// twice that of one backend, since both have errors.
fn check(name: &str, got: &[f32], expected: &[f32], tolerance: f32) -> Result<(), JsError> {
    let wrong = got.iter().zip(expected).position(|(g, e)| {
        (g - e).abs() > tolerance * e.abs().max(1.0) || g.is_nan() != e.is_nan()
    });
    match wrong {
        None => Ok(()),
        Some(index) => Err(JsError::new(&format!(
            "element {index} of the {name} is {} on the GPU, but {} on the CPU",
            got[index], expected[index]
        ))),
    }
}

impl Gpu {
    async fn open() -> Result<Self, JsError> {
        let adapters = ctc_wgpu::adapters_async().await;
        let adapter = adapters
            .first()
            .ok_or_else(|| JsError::new("no GPU adapter was found"))?;
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

    fn upload(&self, inputs: &Inputs, max_labels: usize) -> Result<DeviceBatch, JsError> {
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
        Ok(DeviceBatch {
            plan: self.ctc.plan(&shape, &Options::default())?,
            logits: with(bytemuck::cast_slice(&inputs.logits)),
            labels: with(bytemuck::cast_slice(&inputs.labels)),
            label_lengths: with(bytemuck::cast_slice(&inputs.label_lengths)),
            loss: buffer(&[], items),
            grad: buffer(&[], inputs.logits.len()),
        })
    }

    fn submit(&self, batch: &DeviceBatch) -> Result<(), JsError> {
        let DeviceBatch {
            plan,
            logits,
            labels,
            label_lengths,
            loss,
            grad,
        } = batch;
        let mut encoder = self
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let buffers = Buffers::new(logits, labels, label_lengths, loss).grad(grad);
        plan.encode(&mut encoder, &buffers)?;
        self.queue.submit([encoder.finish()]);
        Ok(())
    }

    async fn finished(&self) -> Result<(), JsError> {
        let (sender, receiver) = oneshot::channel();
        self.queue.on_submitted_work_done(move || {
            // The receiver no longer exists if the page has cancelled the benchmark.
            let _ = sender.send(());
        });
        Ok(receiver.await?)
    }
}
