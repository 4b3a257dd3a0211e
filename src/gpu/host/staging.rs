//! A plan with buffers for what goes in and what comes out. One batch uses it at a time.

use futures::channel::oneshot;

use super::parts::Part;
use crate::batch::BatchShape;
use crate::error::Error;
use crate::gpu::error_scope::guarded;
use crate::gpu::{Buffers, GpuPlan};
use crate::options::{Options, Reduction, Status};
use crate::output::Answer;
use crate::plan::Task;

/// See the module.
#[derive(Debug)]
pub(super) struct Staging {
    plan: GpuPlan,
    logits: wgpu::Buffer,
    labels: wgpu::Buffer,
    logit_lengths: wgpu::Buffer,
    label_lengths: wgpu::Buffer,
    weights: wgpu::Buffer,
    loss: wgpu::Buffer,
    status: wgpu::Buffer,
    reduced: wgpu::Buffer,
    grad: wgpu::Buffer,
    /// Loss, status and the reduced number, as the host reads them.
    small: wgpu::Buffer,
    /// The gradient, as the host reads it.
    large: wgpu::Buffer,
}

/// A batch on its way: one answer for each buffer that will be read.
pub(super) struct Pending(pub(super) Vec<oneshot::Receiver<Result<(), wgpu::BufferAsyncError>>>);

impl Pending {
    pub(super) async fn ready(self) -> Result<(), Error> {
        for answer in self.0 {
            match answer.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(unreadable(&error)),
                Err(error) => return Err(unreadable(&error)),
            }
        }
        Ok(())
    }
}

pub(super) fn unreadable(reason: &dyn std::fmt::Display) -> Error {
    Error::gpu("reading the results back", reason)
}

impl Staging {
    pub(super) fn new(device: &wgpu::Device, plan: GpuPlan, labels: usize) -> Result<Self, Error> {
        use wgpu::BufferUsages as Use;
        let shape = *plan.plan().shape();
        let make = |name: &str, words: usize, usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(&format!("ctc.host.{name}")),
                size: words.max(1) as u64 * 4,
                usage,
                mapped_at_creation: false,
            })
        };
        let elements = shape.elements();
        let wanted = match plan.plan().task() {
            Task::LossAndGrad => elements,
            _ => 0,
        };
        let during = format!("making buffers for {elements} logits");
        let to_device = Use::STORAGE | Use::COPY_DST;
        let from_device = Use::STORAGE | Use::COPY_SRC;
        let to_host = Use::MAP_READ | Use::COPY_DST;
        guarded(device, &during, || Self {
            logits: make("logits", elements, to_device),
            labels: make("labels", labels.next_power_of_two(), to_device),
            logit_lengths: make("logit_lengths", shape.items, to_device),
            label_lengths: make("label_lengths", shape.items, to_device),
            weights: make("weights", shape.items, to_device),
            loss: make("loss", shape.items, from_device),
            status: make("status", shape.items, from_device),
            reduced: make("reduced", 1, from_device),
            grad: make("grad", wanted, from_device),
            small: make("small", 2 * shape.items + 1, to_host),
            large: make("large", wanted, to_host),
            plan,
        })
    }

    pub(super) fn fits(
        &self,
        shape: &BatchShape,
        options: &Options,
        task: Task,
        labels: usize,
    ) -> bool {
        let plan = self.plan.plan();
        plan.shape() == shape
            && plan.options() == options
            && plan.task() == task
            && self.labels.size() >= labels as u64 * 4
    }

    pub(super) fn upload(&self, queue: &wgpu::Queue, part: &Part<'_>) {
        part.upload(queue, &self.logits);
        queue.write_buffer(&self.labels, 0, bytemuck::cast_slice(part.labels()));
        queue.write_buffer(
            &self.logit_lengths,
            0,
            bytemuck::cast_slice(part.logit_lengths()),
        );
        queue.write_buffer(
            &self.label_lengths,
            0,
            bytemuck::cast_slice(part.label_lengths()),
        );
        queue.write_buffer(&self.weights, 0, bytemuck::cast_slice(part.weights()));
    }

    pub(super) fn submit(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        part: &Part<'_>,
    ) -> Result<Pending, Error> {
        let wants_grad = self.plan.plan().task() == Task::LossAndGrad;
        let has_reduced = part.options().reduction != Reduction::None;
        let mut buffers = Buffers::new(&self.logits, &self.labels, &self.label_lengths, &self.loss)
            .logit_lengths(&self.logit_lengths)
            .weights(&self.weights)
            .status(&self.status);
        if wants_grad {
            buffers = buffers.grad(&self.grad);
        }
        if has_reduced {
            buffers = buffers.reduced(&self.reduced);
        }
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor {
            label: Some("ctc.host"),
        });
        self.plan.encode(&mut encoder, &buffers)?;
        guarded(device, "submitting a batch", || {
            let vector = part.items.len() as u64 * 4;
            if vector > 0 {
                encoder.copy_buffer_to_buffer(&self.loss, 0, &self.small, 0, vector);
                encoder.copy_buffer_to_buffer(&self.status, 0, &self.small, vector, vector);
            }
            encoder.copy_buffer_to_buffer(&self.reduced, 0, &self.small, 2 * vector, 4);
            if wants_grad && self.grad.size() > 0 {
                encoder.copy_buffer_to_buffer(&self.grad, 0, &self.large, 0, self.grad.size());
            }
            queue.submit([encoder.finish()]);
            let mut pending = vec![mapped(&self.small)];
            if wants_grad {
                pending.push(mapped(&self.large));
            }
            Pending(pending)
        })
    }

    pub(super) fn read(
        &self,
        device: &wgpu::Device,
        part: &Part<'_>,
        answer: &mut Answer,
    ) -> Result<(), Error> {
        let items = part.items.len();
        {
            let view = self
                .small
                .get_mapped_range(..)
                .map_err(|error| unreadable(&error))?;
            let words: &[u32] = bytemuck::cast_slice(&view);
            let losses = words[..items].iter().map(|bits| f32::from_bits(*bits));
            answer.loss.extend(losses);
            for code in &words[items..2 * items] {
                answer.status.push(status_of(*code)?);
            }
            if part.options().reduction != Reduction::None {
                answer.reduced = Some(f32::from_bits(words[2 * items]));
            }
        }
        unmap(device, &self.small)?;
        if self.plan.plan().task() == Task::LossAndGrad {
            {
                let view = self
                    .large
                    .get_mapped_range(..)
                    .map_err(|error| unreadable(&error))?;
                let grad: &[f32] = bytemuck::cast_slice(&view);
                if part.is_whole() {
                    answer.grad.clear();
                    answer
                        .grad
                        .extend_from_slice(&grad[..part.shape().elements()]);
                } else {
                    answer.grad.resize(part.values().len(), 0.0);
                    let mut from = 0;
                    for run in part.runs() {
                        let length = run.len();
                        answer.grad[run].copy_from_slice(&grad[from..from + length]);
                        from += length;
                    }
                }
            }
            unmap(device, &self.large)?;
        }
        Ok(())
    }
}

pub(super) fn status_of(code: u32) -> Result<Status, Error> {
    Status::from_code(code)
        .ok_or_else(|| unreadable(&format!("a kernel wrote status {code}, which there is not")))
}

/// A device that is destroyed takes its buffers with it, and wgpu refuses to unmap what is not there.
pub(super) fn unmap(device: &wgpu::Device, buffer: &wgpu::Buffer) -> Result<(), Error> {
    guarded(device, "unmapping the results", || buffer.unmap())
}

pub(super) fn mapped(
    buffer: &wgpu::Buffer,
) -> oneshot::Receiver<Result<(), wgpu::BufferAsyncError>> {
    let (sender, receiver) = oneshot::channel();
    buffer.map_async(wgpu::MapMode::Read, .., move |result| {
        // The receiver is gone only where an error before this one ended the run.
        let _ = sender.send(result);
    });
    receiver
}
