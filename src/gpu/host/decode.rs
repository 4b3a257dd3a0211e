//! Alignments and greedy readings of arrays on the host: upload, run, read back. Buffers are made for the call: who decodes does
//! it once, not a thousand times an epoch.

use super::parts::Part;
use super::staging::{Pending, mapped, status_of, unmap, unreadable};
use super::{Host, Waiting};
use crate::batch::CheckedBatch;
use crate::decode::{Alignment, GreedyHypothesis, Span};
use crate::error::Error;
use crate::gpu::error_scope::{guarded, guarded_async};
use crate::gpu::{AlignBuffers, GpuPlan, GreedyBuffers};
use crate::options::{Options, Reduction, Status};
use crate::plan::Task;

impl Host {
    /// As [`decode::align`](crate::decode::align).
    pub(crate) async fn align(
        &self,
        checked: &CheckedBatch<'_>,
        options: &Options,
        waiting: Waiting,
    ) -> Result<Vec<Alignment>, Error> {
        let _driving = self.enter()?;
        let mut found = Vec::with_capacity(checked.shape().items);
        let parts = self.parts(checked, &unreduced(options), Task::Align);
        for part in parts.iter() {
            let words = self.decoded(&part, Task::Align, waiting).await?;
            alignments(&part, &words, &mut found)?;
        }
        Ok(found)
    }

    /// As [`decode::greedy`](crate::decode::greedy).
    pub(crate) async fn greedy(
        &self,
        checked: &CheckedBatch<'_>,
        options: &Options,
        waiting: Waiting,
    ) -> Result<Vec<GreedyHypothesis>, Error> {
        let _driving = self.enter()?;
        let mut found = Vec::with_capacity(checked.shape().items);
        let parts = self.parts(checked, &unreduced(options), Task::Greedy);
        for part in parts.iter() {
            let words = self.decoded(&part, Task::Greedy, waiting).await?;
            readings(&part, &words, &mut found)?;
        }
        Ok(found)
    }

    /// What the plan writes, array after array.
    async fn decoded(
        &self,
        part: &Part<'_>,
        task: Task,
        waiting: Waiting,
    ) -> Result<Vec<Vec<u32>>, Error> {
        self.alive()?;
        let result = self.try_decoded(part, task, waiting).await;
        if result.is_err() {
            self.hear();
        }
        self.alive()?;
        result
    }

    async fn try_decoded(
        &self,
        part: &Part<'_>,
        task: Task,
        waiting: Waiting,
    ) -> Result<Vec<Vec<u32>>, Error> {
        let begin = || {
            let exchange = DecodeStaging::new(self, part, task)?;
            let pending = exchange.submit(self, part)?;
            Ok::<_, Error>((exchange, pending))
        };
        let (exchange, pending) = guarded_async(&self.device, "decoding a batch", begin).await??;
        self.answered(pending, waiting).await?;
        exchange.read(self)
    }
}

/// Nothing is reduced where nothing is lost.
fn unreduced(options: &Options) -> Options {
    Options {
        reduction: Reduction::None,
        ..*options
    }
}

/// A plan, what it reads, and what it writes.
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
    fn new(host: &Host, part: &Part<'_>, task: Task) -> Result<Self, Error> {
        use wgpu::BufferUsages as Use;
        let shape = part.plan_shape();
        let plan = host.plan(&shape, part.options(), task)?;
        let [n, t, l] = [shape.items, shape.frames, shape.max_labels];
        // In the order of the fields of `AlignBuffers` and `GreedyBuffers`.
        let outputs = match task {
            Task::Align => vec![n * t, n * t, 2 * n * l, n * l, n, n],
            _ => vec![n * t, n, 2 * n * t, n, n],
        };
        let make = |name: &str, words: usize, usage| {
            host.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(&format!("ctc.decode.{name}")),
                size: words.max(1) as u64 * 4,
                usage,
                mapped_at_creation: false,
            })
        };
        let each = |name: &str, usage| {
            let words = outputs.iter();
            words.map(|words| make(name, *words, usage)).collect()
        };
        let during = format!("making buffers for {} logits", shape.elements());
        let to_device = Use::STORAGE | Use::COPY_DST;
        guarded(&host.device, &during, || Self {
            logits: make("logits", shape.elements(), to_device),
            labels: make("labels", part.labels().len(), to_device),
            logit_lengths: make("logit_lengths", n, to_device),
            label_lengths: make("label_lengths", n, to_device),
            outputs: each("output", Use::STORAGE | Use::COPY_SRC),
            to_host: each("to_host", Use::MAP_READ | Use::COPY_DST),
            plan,
        })
    }

    fn submit(&self, host: &Host, part: &Part<'_>) -> Result<Pending, Error> {
        let whole = |buffer: &wgpu::Buffer, bytes: &[u8]| host.queue.write_buffer(buffer, 0, bytes);
        guarded(&host.device, "uploading a batch", || {
            part.upload(&host.queue, &self.logits);
            whole(&self.labels, bytemuck::cast_slice(part.labels()));
            whole(
                &self.logit_lengths,
                bytemuck::cast_slice(part.logit_lengths()),
            );
            whole(
                &self.label_lengths,
                bytemuck::cast_slice(part.label_lengths()),
            );
        })?;
        let mut encoder = host.device.create_command_encoder(&Default::default());
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
        guarded(&host.device, "submitting a batch", || {
            for (from, to) in self.outputs.iter().zip(&self.to_host) {
                encoder.copy_buffer_to_buffer(from, 0, to, 0, from.size());
            }
            host.queue.submit([encoder.finish()]);
            Pending(self.to_host.iter().map(mapped).collect())
        })
    }

    fn read(&self, host: &Host) -> Result<Vec<Vec<u32>>, Error> {
        let mut arrays = Vec::with_capacity(self.to_host.len());
        for buffer in &self.to_host {
            {
                let view = (buffer.get_mapped_range(..)).map_err(|error| unreadable(&error))?;
                arrays.push(bytemuck::cast_slice(&view).to_vec());
            }
            unmap(&host.device, buffer)?;
        }
        Ok(arrays)
    }
}

fn number(bits: u32) -> f64 {
    f32::from_bits(bits).into()
}

fn alignments(
    part: &Part<'_>,
    words: &[Vec<u32>],
    found: &mut Vec<Alignment>,
) -> Result<(), Error> {
    let shape = part.plan_shape();
    for n in 0..part.items.len() {
        let status = status_of(words[5][n])?;
        let mut alignment = Alignment::without_path(number(words[4][n]), status);
        if status == Status::Ok {
            let frames = n * shape.frames..n * shape.frames + part.logit_lengths()[n] as usize;
            alignment.path = words[0][frames.clone()].to_vec();
            alignment.log_probs = words[1][frames].iter().map(|bits| number(*bits)).collect();
            for (i, label) in part.labels_of(n).into_iter().enumerate() {
                let at = n * shape.max_labels + i;
                let [first, end] = [words[2][2 * at], words[2][2 * at + 1]].map(|t| t as usize);
                alignment.spans.push(Span {
                    // Of a star -1, which is `u32::MAX`.
                    label: label.cast_unsigned(),
                    frames: first..end,
                    probability: number(words[3][at]),
                });
            }
            alignment.find_states();
        }
        found.push(alignment);
    }
    Ok(())
}

fn readings(
    part: &Part<'_>,
    words: &[Vec<u32>],
    found: &mut Vec<GreedyHypothesis>,
) -> Result<(), Error> {
    let frames = part.shape().frames;
    for n in 0..part.items.len() {
        let read = n * frames..n * frames + words[1][n] as usize;
        let pairs = words[2][2 * read.start..2 * read.end].chunks_exact(2);
        found.push(GreedyHypothesis {
            labels: words[0][read].to_vec(),
            frames: pairs
                .map(|pair| pair[0] as usize..pair[1] as usize)
                .collect(),
            log_prob: number(words[3][n]),
            status: status_of(words[4][n])?,
        });
    }
    Ok(())
}
