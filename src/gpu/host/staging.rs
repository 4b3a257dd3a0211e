//! A plan with buffers for the inputs and outputs of one batch at a time.

use futures::channel::oneshot;

use super::parts::BatchPart;
use crate::batch::BatchShape;
use crate::error::Error;
use crate::gpu::error_scope::guarded;
use crate::gpu::{Buffers, GpuPlan};
use crate::options::{Options, Reduction, Status};
use crate::output::RawOutput;
use crate::plan::Task;

/// A plan, the buffers of its inputs and outputs, and copies of the outputs for the host.
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
    /// Losses, status and the reduced loss, for the host.
    losses_readback: wgpu::Buffer,
    /// The gradient, for the host.
    grad_readback: wgpu::Buffer,
}

/// A submitted batch: one receiver per buffer that is being mapped.
pub(super) struct Pending(pub(super) Vec<oneshot::Receiver<Result<(), wgpu::BufferAsyncError>>>);

impl Pending {
    /// Waits until all buffers are mapped.
    pub(super) async fn ready(self) -> Result<(), Error> {
        for mapped in self.0 {
            match mapped.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(unreadable(&error)),
                Err(error) => return Err(unreadable(&error)),
            }
        }
        Ok(())
    }
}

/// Returns the error of a failed read-back.
pub(super) fn unreadable(reason: &dyn std::fmt::Display) -> Error {
    Error::gpu("reading the results back", reason)
}

impl Staging {
    pub(super) fn new(device: &wgpu::Device, plan: GpuPlan, labels: usize) -> Result<Self, Error> {
        use wgpu::BufferUsages as Use;
        let shape = *plan.plan().shape();
        let create = |name: &str, words: usize, usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(&format!("ctc.host.{name}")),
                size: words.max(1) as u64 * 4,
                usage,
                mapped_at_creation: false,
            })
        };
        let elements = shape.elements();
        let grad_elements = match plan.plan().task() {
            Task::LossAndGrad => elements,
            _ => 0,
        };
        let during = format!("creating buffers for {elements} logits");
        let to_device = Use::STORAGE | Use::COPY_DST;
        let from_device = Use::STORAGE | Use::COPY_SRC;
        let to_host = Use::MAP_READ | Use::COPY_DST;
        guarded(device, &during, || Self {
            logits: create("logits", elements, to_device),
            labels: create("labels", labels.next_power_of_two(), to_device),
            logit_lengths: create("logit_lengths", shape.items, to_device),
            label_lengths: create("label_lengths", shape.items, to_device),
            weights: create("weights", shape.items, to_device),
            loss: create("loss", shape.items, from_device),
            status: create("status", shape.items, from_device),
            reduced: create("reduced", 1, from_device),
            grad: create("grad", grad_elements, from_device),
            losses_readback: create("losses_readback", 2 * shape.items + 1, to_host),
            grad_readback: create("grad_readback", grad_elements, to_host),
            plan,
        })
    }

    /// Returns true if the plan and the buffers fit a part of this shape with `labels` labels in
    /// all.
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

    pub(super) fn upload(&self, queue: &wgpu::Queue, part: &BatchPart<'_>) {
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
        part: &BatchPart<'_>,
    ) -> Result<Pending, Error> {
        let has_grad = self.plan.plan().task() == Task::LossAndGrad;
        let has_reduced = part.options().reduction != Reduction::None;
        let mut buffers = Buffers::new(&self.logits, &self.labels, &self.label_lengths, &self.loss)
            .logit_lengths(&self.logit_lengths)
            .weights(&self.weights)
            .status(&self.status);
        if has_grad {
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
            let array_bytes = part.items.len() as u64 * 4;
            if array_bytes > 0 {
                encoder.copy_buffer_to_buffer(&self.loss, 0, &self.losses_readback, 0, array_bytes);
                encoder.copy_buffer_to_buffer(
                    &self.status,
                    0,
                    &self.losses_readback,
                    array_bytes,
                    array_bytes,
                );
            }
            encoder.copy_buffer_to_buffer(
                &self.reduced,
                0,
                &self.losses_readback,
                2 * array_bytes,
                4,
            );
            if has_grad && self.grad.size() > 0 {
                encoder.copy_buffer_to_buffer(
                    &self.grad,
                    0,
                    &self.grad_readback,
                    0,
                    self.grad.size(),
                );
            }
            queue.submit([encoder.finish()]);
            let mut pending = vec![mapped(&self.losses_readback)];
            if has_grad {
                pending.push(mapped(&self.grad_readback));
            }
            Pending(pending)
        })
    }

    pub(super) fn read(
        &self,
        device: &wgpu::Device,
        part: &BatchPart<'_>,
        output: &mut RawOutput,
    ) -> Result<(), Error> {
        let items = part.items.len();
        {
            let view = self
                .losses_readback
                .get_mapped_range(..)
                .map_err(|error| unreadable(&error))?;
            let words: &[u32] = bytemuck::cast_slice(&view);
            let losses = words[..items].iter().map(|bits| f32::from_bits(*bits));
            output.loss.extend(losses);
            for code in &words[items..2 * items] {
                output.status.push(status_of(*code)?);
            }
            if part.options().reduction != Reduction::None {
                output.reduced = Some(f32::from_bits(words[2 * items]));
            }
        }
        unmap(device, &self.losses_readback)?;
        if self.plan.plan().task() == Task::LossAndGrad {
            {
                let view = self
                    .grad_readback
                    .get_mapped_range(..)
                    .map_err(|error| unreadable(&error))?;
                let grad: &[f32] = bytemuck::cast_slice(&view);
                if part.is_whole() {
                    output.grad.clear();
                    output
                        .grad
                        .extend_from_slice(&grad[..part.shape().elements()]);
                } else {
                    output.grad.resize(part.values().len(), 0.0);
                    let mut from = 0;
                    for run in part.runs() {
                        let length = run.len();
                        output.grad[run].copy_from_slice(&grad[from..from + length]);
                        from += length;
                    }
                }
            }
            unmap(device, &self.grad_readback)?;
        }
        Ok(())
    }
}

pub(super) fn status_of(code: u32) -> Result<Status, Error> {
    Status::from_code(code).ok_or_else(|| unreadable(&format!("unknown status code {code}")))
}

/// Unmaps a buffer. Destroying a device destroys its buffers too, and unmapping one of these is an
/// error.
///
/// # Errors
/// [`Error::Gpu`] if the buffer was destroyed.
pub(super) fn unmap(device: &wgpu::Device, buffer: &wgpu::Buffer) -> Result<(), Error> {
    guarded(device, "unmapping the results", || buffer.unmap())
}

/// Maps a buffer for reading. The receiver gets the result when a poll completes the mapping.
pub(super) fn mapped(
    buffer: &wgpu::Buffer,
) -> oneshot::Receiver<Result<(), wgpu::BufferAsyncError>> {
    let (sender, receiver) = oneshot::channel();
    buffer.map_async(wgpu::MapMode::Read, .., move |result| {
        // The receiver is gone if the run has ended with an error.
        let _ = sender.send(result);
    });
    receiver
}
