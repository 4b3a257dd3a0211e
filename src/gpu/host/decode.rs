//! Forced alignment and greedy decoding of arrays of the host. Buffers are created per call,
//! because decoding is not on the hot path of training.

use super::parts::BatchPart;
use super::staging::{Pending, mapped, status_of, unmap, unreadable};
use super::{HostRunner, PollThread};
use crate::batch::CheckedBatch;
use crate::decode::{Alignment, GreedyHypothesis, Span};
use crate::error::Error;
use crate::gpu::error_scope::{guarded, guarded_async};
use crate::gpu::{AlignBuffers, GpuPlan, GreedyBuffers};
use crate::options::{Options, Reduction, Status};
use crate::plan::Task;

impl HostRunner {
    /// Returns the same as [`decode::align`](crate::decode::align), computed on the device.
    pub(crate) async fn align(
        &self,
        checked: &CheckedBatch<'_>,
        options: &Options,
        poll_thread: PollThread,
    ) -> Result<Vec<Alignment>, Error> {
        let _device_use = self.enter()?;
        let mut decoded = Vec::with_capacity(checked.shape().items);
        let parts = self.split(checked, &unreduced(options), Task::Align);
        for part in parts.iter() {
            let words = self.run_decoder(&part, Task::Align, poll_thread).await?;
            alignments(&part, &words, &mut decoded)?;
        }
        Ok(decoded)
    }

    /// Returns the same as [`decode::greedy`](crate::decode::greedy), computed on the device.
    pub(crate) async fn greedy(
        &self,
        checked: &CheckedBatch<'_>,
        options: &Options,
        poll_thread: PollThread,
    ) -> Result<Vec<GreedyHypothesis>, Error> {
        let _device_use = self.enter()?;
        let mut decoded = Vec::with_capacity(checked.shape().items);
        let parts = self.split(checked, &unreduced(options), Task::Greedy);
        for part in parts.iter() {
            let words = self.run_decoder(&part, Task::Greedy, poll_thread).await?;
            hypotheses(&part, &words, &mut decoded)?;
        }
        Ok(decoded)
    }

    /// Runs a part of the batch and returns the words of each output, in the order of the outputs.
    async fn run_decoder(
        &self,
        part: &BatchPart<'_>,
        task: Task,
        poll_thread: PollThread,
    ) -> Result<Vec<Vec<u32>>, Error> {
        self.check_lost()?;
        let result = self.submit_and_read(part, task, poll_thread).await;
        if result.is_err() {
            self.poll_lost_reason();
        }
        self.check_lost()?;
        result
    }

    async fn submit_and_read(
        &self,
        part: &BatchPart<'_>,
        task: Task,
        poll_thread: PollThread,
    ) -> Result<Vec<Vec<u32>>, Error> {
        let start = || {
            let staging = DecodeStaging::new(self, part, task)?;
            let pending = staging.submit(self, part)?;
            Ok::<_, Error>((staging, pending))
        };
        let (staging, pending) = guarded_async(&self.device, "decoding a batch", start).await??;
        self.wait_readable(pending, poll_thread).await?;
        staging.read(self)
    }
}

/// Returns the options without a reduction, since there are no losses.
fn unreduced(options: &Options) -> Options {
    Options {
        reduction: Reduction::None,
        ..*options
    }
}

/// A plan, the buffers of its inputs and outputs, and copies of the outputs for the host.
struct DecodeStaging {
    plan: GpuPlan,
    logits: wgpu::Buffer,
    labels: wgpu::Buffer,
    logit_lengths: wgpu::Buffer,
    label_lengths: wgpu::Buffer,
    outputs: Vec<wgpu::Buffer>,
    to_host: Vec<wgpu::Buffer>,
}

impl DecodeStaging {
    fn new(runner: &HostRunner, part: &BatchPart<'_>, task: Task) -> Result<Self, Error> {
        use wgpu::BufferUsages as Use;
        let shape = part.plan_shape();
        let plan = runner.plan(&shape, part.options(), task)?;
        let [n, t, l] = [shape.items, shape.frames, shape.max_labels];
        // In the order of the fields of `AlignBuffers` and `GreedyBuffers`.
        let outputs = match task {
            Task::Align => vec![n * t, n * t, 2 * n * l, n * l, n, n],
            _ => vec![n * t, n, 2 * n * t, n, n],
        };
        let create = |name: &str, words: usize, usage| {
            runner.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(&format!("ctc.decode.{name}")),
                size: words.max(1) as u64 * 4,
                usage,
                mapped_at_creation: false,
            })
        };
        let each = |name: &str, usage| {
            let words = outputs.iter();
            words.map(|words| create(name, *words, usage)).collect()
        };
        let during = format!("creating buffers for {} logits", shape.elements());
        let to_device = Use::STORAGE | Use::COPY_DST;
        guarded(&runner.device, &during, || Self {
            logits: create("logits", shape.elements(), to_device),
            labels: create("labels", part.labels().len(), to_device),
            logit_lengths: create("logit_lengths", n, to_device),
            label_lengths: create("label_lengths", n, to_device),
            outputs: each("output", Use::STORAGE | Use::COPY_SRC),
            to_host: each("to_host", Use::MAP_READ | Use::COPY_DST),
            plan,
        })
    }

    fn submit(&self, runner: &HostRunner, part: &BatchPart<'_>) -> Result<Pending, Error> {
        let write =
            |buffer: &wgpu::Buffer, bytes: &[u8]| runner.queue.write_buffer(buffer, 0, bytes);
        guarded(&runner.device, "uploading a batch", || {
            part.upload(&runner.queue, &self.logits);
            write(&self.labels, bytemuck::cast_slice(part.labels()));
            write(
                &self.logit_lengths,
                bytemuck::cast_slice(part.logit_lengths()),
            );
            write(
                &self.label_lengths,
                bytemuck::cast_slice(part.label_lengths()),
            );
        })?;
        let mut encoder = runner.device.create_command_encoder(&Default::default());
        match self.plan.plan().task() {
            Task::Align => {
                let buffers = AlignBuffers::new(&self.logits, &self.labels, &self.label_lengths)
                    .logit_lengths(&self.logit_lengths)
                    .path(&self.outputs[0])
                    .log_probs(&self.outputs[1])
                    .spans(&self.outputs[2])
                    .probabilities(&self.outputs[3])
                    .path_log_prob(&self.outputs[4])
                    .status(&self.outputs[5]);
                self.plan.encode_align(&mut encoder, &buffers)?;
            }
            _ => {
                let buffers = GreedyBuffers::new(&self.logits)
                    .logit_lengths(&self.logit_lengths)
                    .labels(&self.outputs[0])
                    .label_lengths(&self.outputs[1])
                    .frames(&self.outputs[2])
                    .path_log_prob(&self.outputs[3])
                    .status(&self.outputs[4]);
                self.plan.encode_greedy(&mut encoder, &buffers)?;
            }
        }
        guarded(&runner.device, "submitting a batch", || {
            for (from, to) in self.outputs.iter().zip(&self.to_host) {
                encoder.copy_buffer_to_buffer(from, 0, to, 0, from.size());
            }
            runner.queue.submit([encoder.finish()]);
            Pending(self.to_host.iter().map(mapped).collect())
        })
    }

    fn read(&self, runner: &HostRunner) -> Result<Vec<Vec<u32>>, Error> {
        let mut arrays = Vec::with_capacity(self.to_host.len());
        for buffer in &self.to_host {
            {
                let view = (buffer.get_mapped_range(..)).map_err(|error| unreadable(&error))?;
                arrays.push(bytemuck::cast_slice(&view).to_vec());
            }
            unmap(&runner.device, buffer)?;
        }
        Ok(arrays)
    }
}

fn float_from_bits(bits: u32) -> f64 {
    f32::from_bits(bits).into()
}

fn alignments(
    part: &BatchPart<'_>,
    words: &[Vec<u32>],
    decoded: &mut Vec<Alignment>,
) -> Result<(), Error> {
    let shape = part.plan_shape();
    for n in 0..part.items.len() {
        let status = status_of(words[5][n])?;
        let mut alignment = Alignment::without_path(float_from_bits(words[4][n]), status);
        if status == Status::Ok {
            let frames = n * shape.frames..n * shape.frames + part.logit_lengths()[n] as usize;
            alignment.path = words[0][frames.clone()].to_vec();
            alignment.log_probs = words[1][frames]
                .iter()
                .map(|bits| float_from_bits(*bits))
                .collect();
            for (i, label) in part.labels_of(n).into_iter().enumerate() {
                let at = n * shape.max_labels + i;
                let [first, end] = [words[2][2 * at], words[2][2 * at + 1]].map(|t| t as usize);
                alignment.spans.push(Span {
                    // A star is -1, which becomes `u32::MAX`.
                    label: label.cast_unsigned(),
                    frames: first..end,
                    probability: float_from_bits(words[3][at]),
                });
            }
            alignment.find_states();
        }
        decoded.push(alignment);
    }
    Ok(())
}

fn hypotheses(
    part: &BatchPart<'_>,
    words: &[Vec<u32>],
    decoded: &mut Vec<GreedyHypothesis>,
) -> Result<(), Error> {
    let frames = part.shape().frames;
    for n in 0..part.items.len() {
        let labels = n * frames..n * frames + words[1][n] as usize;
        let pairs = words[2][2 * labels.start..2 * labels.end].chunks_exact(2);
        decoded.push(GreedyHypothesis {
            labels: words[0][labels].to_vec(),
            frames: pairs
                .map(|pair| pair[0] as usize..pair[1] as usize)
                .collect(),
            log_prob: float_from_bits(words[3][n]),
            status: status_of(words[4][n])?,
        });
    }
    Ok(())
}
