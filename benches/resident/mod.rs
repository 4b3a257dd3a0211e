//! A batch that lies on the device and stays there, as in a training loop.

use std::sync::{Arc, Mutex, PoisonError, mpsc};

use ctc_wgpu::{Buffers, DeviceLimits, Error, GpuCtc, GpuPlan, Options, Task};
use wgpu::{BufferUsages, CommandEncoder, Device, Queue};

use super::inputs::Inputs;

/// A device of our own, and CTC on it.
pub(crate) struct Gpu {
    pub(crate) device: Device,
    pub(crate) queue: Queue,
    pub(crate) ctc: GpuCtc,
    /// What wgpu refused first. It would panic otherwise.
    refused: Arc<Mutex<Option<String>>>,
}

impl Gpu {
    /// A device with all that the adapter gives in memory, what CTC can use of its features, and those of `features` that
    /// it has.
    pub(crate) fn open(adapter: &wgpu::Adapter, features: wgpu::Features) -> Result<Self, Error> {
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

    pub(crate) fn buffer(&self, size: u64, usage: BufferUsages) -> wgpu::Buffer {
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage,
            mapped_at_creation: false,
        })
    }

    /// A buffer that a plan reads, with these contents.
    pub(crate) fn filled(&self, contents: &[u8]) -> wgpu::Buffer {
        // An empty binding is none.
        let size = contents.len().max(4) as u64;
        let buffer = self.buffer(size, BufferUsages::STORAGE | BufferUsages::COPY_DST);
        self.queue.write_buffer(&buffer, 0, contents);
        buffer
    }

    /// A buffer that a plan writes: so many words of 4 bytes.
    pub(crate) fn room(&self, words: usize) -> wgpu::Buffer {
        let size = words.max(1) as u64 * 4;
        self.buffer(size, BufferUsages::STORAGE | BufferUsages::COPY_SRC)
    }

    /// Records `work`, submits it and waits for it.
    pub(crate) fn run(
        &self,
        work: impl FnOnce(&mut CommandEncoder) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.submit(work)?;
        self.wait()
    }

    /// Records `work` and submits it.
    pub(crate) fn submit(
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

    /// The contents of a buffer, on the host.
    pub(crate) fn read<T: bytemuck::AnyBitPattern>(
        &self,
        source: &wgpu::Buffer,
    ) -> Result<Vec<T>, Error> {
        let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let readable = self.buffer(source.size(), usage);
        self.run(|encoder| {
            encoder.copy_buffer_to_buffer(source, 0, &readable, 0, source.size());
            Ok(())
        })?;
        let (sender, receiver) = mpsc::channel();
        readable.map_async(wgpu::MapMode::Read, .., move |result| {
            // Nobody listens any more where waiting failed.
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
    pub(crate) fn wait(&self) -> Result<(), Error> {
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
pub(crate) struct Arrays {
    logits: wgpu::Buffer,
    labels: wgpu::Buffer,
    label_lengths: wgpu::Buffer,
    loss: wgpu::Buffer,
    grad: Option<wgpu::Buffer>,
}

impl Arrays {
    pub(crate) fn new(gpu: &Gpu, inputs: &Inputs, task: Task) -> Self {
        Self {
            logits: gpu.filled(bytemuck::cast_slice(&inputs.logits)),
            labels: gpu.filled(bytemuck::cast_slice(&inputs.labels)),
            label_lengths: gpu.filled(bytemuck::cast_slice(&inputs.label_lengths)),
            loss: gpu.room(inputs.shape.items),
            grad: (task == Task::LossAndGrad).then(|| gpu.room(inputs.shape.elements())),
        }
    }

    pub(crate) fn buffers(&self) -> Buffers<'_> {
        let buffers = Buffers::new(&self.logits, &self.labels, &self.label_lengths, &self.loss);
        match &self.grad {
            Some(grad) => buffers.grad(grad),
            None => buffers,
        }
    }
}

/// The plan of a batch.
pub(crate) fn plan(ctc: &GpuCtc, inputs: &Inputs, task: Task) -> Result<GpuPlan, Error> {
    ctc.plan_within(&inputs.shape, &Options::default(), task, &ctc.limits())
}

/// A batch with its plan.
pub(crate) struct Resident<'a> {
    gpu: &'a Gpu,
    pub(crate) plan: GpuPlan,
    pub(crate) arrays: Arrays,
}

impl<'a> Resident<'a> {
    pub(crate) fn new(gpu: &'a Gpu, plan: GpuPlan, arrays: Arrays) -> Self {
        Self { gpu, plan, arrays }
    }

    /// What is timed: bindings and dispatches recorded, submitted, and waited for.
    pub(crate) fn run(&self) -> Result<(), Error> {
        self.gpu.run(|encoder| self.encode(encoder))
    }

    pub(crate) fn encode(&self, encoder: &mut CommandEncoder) -> Result<(), Error> {
        self.plan.encode(encoder, &self.arrays.buffers())
    }

    pub(crate) fn loss(&self) -> Result<Vec<f32>, Error> {
        self.gpu.read(&self.arrays.loss)
    }

    pub(crate) fn grad(&self) -> Result<Option<Vec<f32>>, Error> {
        let grad = self.arrays.grad.as_ref();
        grad.map(|grad| self.gpu.read(grad)).transpose()
    }
}
