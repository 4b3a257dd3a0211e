//! The alignment and greedy kernels on an adapter, held against the CPU's answers and only then timed.

use ctc_wgpu::{AlignBuffers, Ctc, Error, GpuPlan, GreedyBuffers, Prepared, Task};
use wgpu::{Buffer, CommandEncoder};

use super::super::inputs::Inputs;
use super::super::on_device::{Clocks, Extras};
use super::super::resident::{Gpu, plan};
use super::super::stamps::Stamps;
use super::{Answer, Decoder, Figures, TOLERANCE};

/// What an adapter has kernels for.
pub(super) fn task(decoder: &Decoder) -> Option<Task> {
    match decoder.name {
        "align" => Some(Task::Align),
        "greedy" => Some(Task::Greedy),
        _ => None,
    }
}

/// The arrays of a batch on a device, with room for the answer of either kernel.
struct Arrays {
    task: Task,
    logits: Buffer,
    labels: Buffer,
    label_lengths: Buffer,
    /// `[N, T]`: the class at each frame, or the labels that were read.
    path: Buffer,
    /// `[N, T]`
    log_probs: Buffer,
    /// `[N, max(T, L), 2]`
    spans: Buffer,
    /// `[N, L]`
    probabilities: Buffer,
    /// `[N]`: how many labels were read.
    read: Buffer,
    /// `[N]`
    path_log_prob: Buffer,
}

impl Arrays {
    fn new(gpu: &Gpu, inputs: &Inputs, task: Task) -> Self {
        let shape = &inputs.shape;
        let [n, t, l] = [shape.items, shape.frames, shape.max_labels];
        Self {
            task,
            logits: gpu.filled(bytemuck::cast_slice(&inputs.logits)),
            labels: gpu.filled(bytemuck::cast_slice(&inputs.labels)),
            label_lengths: gpu.filled(bytemuck::cast_slice(&inputs.label_lengths)),
            path: gpu.room(n * t),
            log_probs: gpu.room(n * t),
            spans: gpu.room(2 * n * t.max(l)),
            probabilities: gpu.room(n * l),
            read: gpu.room(n),
            path_log_prob: gpu.room(n),
        }
    }

    fn align(&self) -> AlignBuffers<'_> {
        AlignBuffers::new(&self.logits, &self.labels, &self.label_lengths)
            .path(&self.path)
            .log_probs(&self.log_probs)
            .spans(&self.spans)
            .probabilities(&self.probabilities)
            .path_log_prob(&self.path_log_prob)
    }

    fn greedy(&self) -> GreedyBuffers<'_> {
        GreedyBuffers::new(&self.logits)
            .labels(&self.path)
            .label_lengths(&self.read)
            .frames(&self.spans)
            .path_log_prob(&self.path_log_prob)
    }

    fn encode(&self, plan: &GpuPlan, encoder: &mut CommandEncoder) -> Result<(), Error> {
        match self.task {
            Task::Align => plan.encode_align(encoder, &self.align()),
            _ => plan.encode_greedy(encoder, &self.greedy()),
        }
    }

    fn prepare(&self, plan: &GpuPlan) -> Result<Prepared, Error> {
        match self.task {
            Task::Align => plan.prepare_align(&self.align()),
            _ => plan.prepare_greedy(&self.greedy()),
        }
    }

    fn answers(&self, gpu: &Gpu, frames: usize) -> Result<Vec<Answer>, Error> {
        let paths: Vec<u32> = gpu.read(&self.path)?;
        let log_probs: Vec<f32> = gpu.read(&self.path_log_prob)?;
        let lengths = match self.task {
            Task::Align => vec![frames; log_probs.len()],
            _ => {
                let read: Vec<u32> = gpu.read(&self.read)?;
                let length = |length| usize::try_from(length).unwrap_or(usize::MAX);
                read.into_iter().map(length).collect()
            }
        };
        let items = paths.chunks_exact(frames).zip(lengths).zip(log_probs);
        Ok(items
            .map(|((path, length), log_prob)| {
                (
                    path[..length.min(frames)].to_vec(),
                    0.0 - f64::from(log_prob),
                )
            })
            .collect())
    }
}

/// Holds the answers against the CPU's, which are held against the losses of what they read, and then times both.
pub(super) fn measure(
    gpu: &Gpu,
    stamps: Option<&Stamps>,
    extras: Extras,
    inputs: &Inputs,
    decoder: &Decoder,
    task: Task,
) -> Result<Figures, String> {
    let told = |error: Error| error.to_string();
    let on_cpu = super::measure(&Ctc::cpu(), inputs, decoder)?;
    let arrays = Arrays::new(gpu, inputs, task);
    let plan = plan(&gpu.ctc, inputs, task).map_err(told)?;
    gpu.run(|encoder| arrays.encode(&plan, encoder))
        .map_err(told)?;
    let answers = arrays.answers(gpu, inputs.shape.frames).map_err(told)?;
    same(&answers, &on_cpu.answers)?;
    let prepared = arrays.prepare(&plan).map_err(told)?;
    let clocks = Clocks::take(gpu, stamps, extras, &prepared, |encoder| {
        arrays.encode(&plan, encoder)
    });
    Ok(Figures {
        clocks: clocks.map_err(told)?,
        on_cpu: Some(on_cpu.clocks.wall),
        answers,
    })
}

fn same(found: &[Answer], expected: &[Answer]) -> Result<(), String> {
    if found.len() != expected.len() {
        let (found, expected) = (found.len(), expected.len());
        return Err(format!("{found} answers: expected {expected}"));
    }
    for (n, ((path, score), (expected, expected_score))) in found.iter().zip(expected).enumerate() {
        if path != expected {
            return Err(format!("item {n}: the CPU's answer is another one"));
        }
        // Not `error > tolerance`: a NaN must fail.
        let near = (score - expected_score).abs() <= TOLERANCE * expected_score.max(1.0);
        if !near {
            return Err(format!(
                "item {n}: {score}, and on the CPU {expected_score}"
            ));
        }
    }
    Ok(())
}
