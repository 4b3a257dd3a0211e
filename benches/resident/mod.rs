//! A batch that lies on the device and stays there, as in a training loop.

use std::sync::mpsc;

use ctc_wgpu::{Buffers, Goal, GpuCtc, GpuPlan, Options};
use wgpu::util::DeviceExt;
use wgpu::{BufferUsages, Device, Queue};

use crate::inputs::Inputs;

pub(crate) struct Resident {
    device: Device,
    queue: Queue,
    plan: GpuPlan,
    logits: wgpu::Buffer,
    labels: wgpu::Buffer,
    label_lengths: wgpu::Buffer,
    loss: wgpu::Buffer,
    grad: Option<wgpu::Buffer>,
}

impl Resident {
    pub(crate) fn new(adapter: &wgpu::Adapter, inputs: &Inputs, goal: Goal) -> Self {
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            required_limits: adapter.limits(),
            ..wgpu::DeviceDescriptor::default()
        }))
        .unwrap();
        let ctc = GpuCtc::new(&device, &queue).unwrap();
        let plan = match goal {
            Goal::LossAndGrad => ctc.plan(&inputs.shape, &Options::default()),
            Goal::Loss => ctc.plan_loss(&inputs.shape, &Options::default()),
        };
        let with = |contents: &[u8]| {
            device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: None,
                contents,
                usage: BufferUsages::STORAGE,
            })
        };
        let of = |words: usize| {
            buffer(
                &device,
                words as u64 * 4,
                BufferUsages::STORAGE | BufferUsages::COPY_SRC,
            )
        };
        Self {
            logits: with(bytemuck::cast_slice(&inputs.logits)),
            labels: with(bytemuck::cast_slice(&inputs.labels)),
            label_lengths: with(bytemuck::cast_slice(&inputs.label_lengths)),
            loss: of(inputs.shape.items),
            grad: (goal == Goal::LossAndGrad).then(|| of(inputs.shape.elements())),
            plan: plan.unwrap(),
            device,
            queue,
        }
    }

    /// What is timed: bindings and dispatches recorded, submitted, and waited for.
    pub(crate) fn run(&self) {
        let mut buffers = Buffers::new(&self.logits, &self.labels, &self.label_lengths, &self.loss);
        if let Some(grad) = &self.grad {
            buffers = buffers.grad(grad);
        }
        let mut encoder = self
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        self.plan.encode(&mut encoder, &buffers).unwrap();
        self.queue.submit([encoder.finish()]);
        self.wait();
    }

    pub(crate) fn loss(&self) -> Vec<f32> {
        self.read(&self.loss)
    }

    pub(crate) fn grad(&self) -> Option<Vec<f32>> {
        self.grad.as_ref().map(|grad| self.read(grad))
    }

    fn wait(&self) {
        self.device
            .poll(wgpu::PollType::wait_indefinitely())
            .unwrap();
    }

    fn read(&self, source: &wgpu::Buffer) -> Vec<f32> {
        let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let readable = buffer(&self.device, source.size(), usage);
        let mut encoder = self
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(source, 0, &readable, 0, source.size());
        self.queue.submit([encoder.finish()]);
        let (sender, receiver) = mpsc::channel();
        readable.map_async(wgpu::MapMode::Read, .., move |result| {
            sender.send(result).unwrap()
        });
        self.wait();
        receiver.recv().unwrap().unwrap();
        let bytes = readable.get_mapped_range(..).unwrap();
        bytemuck::cast_slice(&bytes).to_vec()
    }
}

fn buffer(device: &Device, size: u64, usage: BufferUsages) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size,
        usage,
        mapped_at_creation: false,
    })
}
