//! A batch that stays on the device, as in a training loop.

use std::sync::{Arc, Mutex, PoisonError, mpsc};

use ctc_wgpu::{Buffers, DeviceLimits, Error, GpuCtc, GpuPlan, Options, Task};
use wgpu::{BufferUsages, CommandEncoder, Device, Queue};

use crate::inputs::Inputs;

/// A device with a `GpuCtc`.
#[derive(Debug)]
pub struct Gpu {
    /// The device.
    pub device: Device,
    /// The queue of the device.
    pub queue: Queue,
    /// CTC on the device.
    pub ctc: GpuCtc,
    /// The first uncaptured error of wgpu, which would panic otherwise.
    refused: Arc<Mutex<Option<String>>>,
}

impl Gpu {
    /// Opens a device with the adapter's limits, the features that CTC uses, and `features`, each
    /// as far as the adapter has them.
    pub fn open(adapter: &wgpu::Adapter, features: wgpu::Features) -> Result<Self, Error> {
        let descriptor = wgpu::DeviceDescriptor {
            required_limits: adapter.limits(),
            required_features: adapter.features() & (features | DeviceLimits::FEATURES),
            ..wgpu::DeviceDescriptor::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
            .map_err(|reason| Error::no_device(adapter.get_info().name, reason))?;
        let refused = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&refused);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.get_or_insert(error.to_string());
        }));
        Ok(Self {
            ctc: GpuCtc::new(&device, &queue)?,
            device,
            queue,
            refused,
        })
    }

    /// Creates a buffer.
    #[must_use]
    pub fn buffer(&self, size: u64, usage: BufferUsages) -> wgpu::Buffer {
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage,
            mapped_at_creation: false,
        })
    }

    /// Creates a buffer with these contents, which a plan reads.
    pub fn filled(&self, contents: &[u8]) -> wgpu::Buffer {
        // A binding must not be empty.
        let size = contents.len().max(4) as u64;
        let buffer = self.buffer(size, BufferUsages::STORAGE | BufferUsages::COPY_DST);
        self.queue.write_buffer(&buffer, 0, contents);
        buffer
    }

    /// Creates a buffer of this many words of 4 bytes, which a plan writes.
    pub fn room(&self, words: usize) -> wgpu::Buffer {
        let size = words.max(1) as u64 * 4;
        self.buffer(size, BufferUsages::STORAGE | BufferUsages::COPY_SRC)
    }

    /// Records `work`, submits it and waits for it.
    pub fn run(
        &self,
        work: impl FnOnce(&mut CommandEncoder) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.submit(work)?;
        self.wait()
    }

    /// Records `work` and submits it.
    pub fn submit(
        &self,
        work: impl FnOnce(&mut CommandEncoder) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut encoder = self
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        work(&mut encoder)?;
        self.queue.submit([encoder.finish()]);
        Ok(())
    }

    /// Copies the contents of a buffer to the host.
    pub fn read<T: bytemuck::AnyBitPattern>(&self, source: &wgpu::Buffer) -> Result<Vec<T>, Error> {
        let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let readable = self.buffer(source.size(), usage);
        self.run(|encoder| {
            encoder.copy_buffer_to_buffer(source, 0, &readable, 0, source.size());
            Ok(())
        })?;
        let (sender, receiver) = mpsc::channel();
        readable.map_async(wgpu::MapMode::Read, .., move |result| {
            // The receiver is gone if waiting failed.
            let _ = sender.send(result);
        });
        self.wait()?;
        let unread = |reason: String| Error::gpu("reading an answer", reason);
        let mapped = receiver.recv().map_err(|e| unread(e.to_string()))?;
        mapped.map_err(|e| unread(e.to_string()))?;
        let bytes = readable
            .get_mapped_range(..)
            .map_err(|e| unread(e.to_string()))?;
        let words = bytes.chunks_exact(size_of::<T>());
        Ok(words.map(bytemuck::pod_read_unaligned).collect())
    }

    /// Waits for all that was submitted.
    pub fn wait(&self) -> Result<(), Error> {
        self.device
            .poll(wgpu::PollType::wait_indefinitely())
            .map_err(|e| Error::DeviceLost(e.to_string()))?;
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match refused.take() {
            None => Ok(()),
            Some(reason) => Err(Error::gpu("a step of the bench", reason)),
        }
    }
}

/// The arrays of a batch on a device.
#[derive(Debug)]
pub struct Arrays {
    logits: wgpu::Buffer,
    labels: wgpu::Buffer,
    label_lengths: wgpu::Buffer,
    loss: wgpu::Buffer,
    grad: Option<wgpu::Buffer>,
}

impl Arrays {
    /// Creates the arrays of a batch, with a gradient if the task has one.
    #[must_use]
    pub fn new(gpu: &Gpu, inputs: &Inputs, task: Task) -> Self {
        Self {
            logits: gpu.filled(bytemuck::cast_slice(&inputs.logits)),
            labels: gpu.filled(bytemuck::cast_slice(&inputs.labels)),
            label_lengths: gpu.filled(bytemuck::cast_slice(&inputs.label_lengths)),
            loss: gpu.room(inputs.shape.items),
            grad: (task == Task::LossAndGrad).then(|| gpu.room(inputs.shape.elements())),
        }
    }

    /// Returns the bindings of the arrays.
    #[must_use]
    pub fn buffers(&self) -> Buffers<'_> {
        let buffers = Buffers::new(&self.logits, &self.labels, &self.label_lengths, &self.loss);
        match &self.grad {
            Some(grad) => buffers.grad(grad),
            None => buffers,
        }
    }
}

/// The plan of a batch.
pub fn plan(ctc: &GpuCtc, inputs: &Inputs, task: Task) -> Result<GpuPlan, Error> {
    ctc.plan_within(&inputs.shape, &Options::default(), task, &ctc.limits())
}

/// A batch with its plan.
#[derive(Debug)]
pub struct Resident<'a> {
    gpu: &'a Gpu,
    /// The plan.
    pub plan: GpuPlan,
    /// The arrays.
    pub arrays: Arrays,
}

impl<'a> Resident<'a> {
    /// Joins a plan and the arrays of its shape.
    #[must_use]
    pub fn new(gpu: &'a Gpu, plan: GpuPlan, arrays: Arrays) -> Self {
        Self { gpu, plan, arrays }
    }

    /// Runs the timed work: records bindings and dispatches, submits them and waits.
    pub fn run(&self) -> Result<(), Error> {
        self.gpu.run(|encoder| self.encode(encoder))
    }

    /// Records the batch.
    ///
    /// # Errors
    /// Those of [`GpuPlan::encode`].
    pub fn encode(&self, encoder: &mut CommandEncoder) -> Result<(), Error> {
        self.plan.encode(encoder, &self.arrays.buffers())
    }

    /// Reads the losses of the last run, `[N]`.
    ///
    /// # Errors
    /// Those of [`Gpu::read`].
    pub fn loss(&self) -> Result<Vec<f32>, Error> {
        self.gpu.read(&self.arrays.loss)
    }

    /// Reads the gradient of the last run; `None` if the task has none.
    ///
    /// # Errors
    /// Those of [`Gpu::read`].
    pub fn grad(&self) -> Result<Option<Vec<f32>>, Error> {
        let grad = self.arrays.grad.as_ref();
        grad.map(|grad| self.gpu.read(grad)).transpose()
    }
}
