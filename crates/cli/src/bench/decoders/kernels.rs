//! Checks the alignment and greedy kernels of an adapter against the CPU backend, and then times
//! them.

use ctc_wgpu::{AlignBuffers, Ctc, Error, GpuPlan, GreedyBuffers, Prepared, Task};
use wgpu::{Buffer, CommandEncoder};

use super::super::batch_times::{BatchTimes, MeasureOptions};
use super::super::timestamps::Timestamps;
use super::{Decoded, Decoder, DecoderMeasurement, Method, TOLERANCE};
use ctc_wgpu_bench_support::inputs::Inputs;
use ctc_wgpu_bench_support::resident::{Gpu, plan};

/// Returns the task of a decoder that has kernels.
pub(super) fn task(decoder: &Decoder) -> Option<Task> {
    match decoder.method {
        Method::Align => Some(Task::Align),
        Method::Greedy => Some(Task::Greedy),
        Method::Beam(_) => None,
    }
}

/// The arrays of a batch on a device, with outputs for either task.
struct Arrays {
    task: Task,
    logits: Buffer,
    labels: Buffer,
    label_lengths: Buffer,
    /// `[N, T]`: the class at each frame, or the decoded labels.
    path: Buffer,
    /// `[N, T]`
    log_probs: Buffer,
    /// `[N, max(T, L), 2]`
    spans: Buffer,
    /// `[N, L]`
    probabilities: Buffer,
    /// `[N]`: the number of decoded labels.
    decoded_lengths: Buffer,
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
            decoded_lengths: gpu.room(n),
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
            .label_lengths(&self.decoded_lengths)
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

    fn results(&self, gpu: &Gpu, frames: usize) -> Result<Vec<Decoded>, Error> {
        let paths: Vec<u32> = gpu.read(&self.path)?;
        let log_probs: Vec<f32> = gpu.read(&self.path_log_prob)?;
        let lengths = match self.task {
            Task::Align => vec![frames; log_probs.len()],
            _ => {
                let lengths: Vec<u32> = gpu.read(&self.decoded_lengths)?;
                let length = |length| usize::try_from(length).unwrap_or(usize::MAX);
                lengths.into_iter().map(length).collect()
            }
        };
        let items = paths.chunks_exact(frames).zip(lengths).zip(log_probs);
        Ok(items
            .map(|((path, length), log_prob)| {
                (path[..length.min(frames)].to_vec(), f64::from(log_prob))
            })
            .collect())
    }
}

/// Checks the results of the CPU backend and compares the adapter's with them, and then times both.
pub(super) fn measure(
    gpu: &Gpu,
    timestamps: Option<&Timestamps>,
    options: MeasureOptions,
    inputs: &Inputs,
    decoder: &Decoder,
    task: Task,
) -> Result<DecoderMeasurement, String> {
    let message = |error: Error| error.to_string();
    let on_cpu = super::measure(&Ctc::cpu(), inputs, decoder)?;
    let arrays = Arrays::new(gpu, inputs, task);
    let plan = plan(&gpu.ctc, inputs, task).map_err(message)?;
    gpu.run(|encoder| arrays.encode(&plan, encoder))
        .map_err(message)?;
    let results = arrays.results(gpu, inputs.shape.frames).map_err(message)?;
    compare(&results, &on_cpu.results)?;
    let prepared = arrays.prepare(&plan).map_err(message)?;
    let times = BatchTimes::take(gpu, timestamps, options, &prepared, |encoder| {
        arrays.encode(&plan, encoder)
    });
    Ok(DecoderMeasurement {
        times: times.map_err(message)?,
        on_cpu: Some(on_cpu.times.wall),
        results,
    })
}

fn compare(results: &[Decoded], expected: &[Decoded]) -> Result<(), String> {
    if results.len() != expected.len() {
        let (got, expected) = (results.len(), expected.len());
        return Err(format!(
            "the kernels returned {got} results: expected {expected}"
        ));
    }
    for (n, ((path, log_prob), (expected, expected_log_prob))) in
        results.iter().zip(expected).enumerate()
    {
        if path != expected {
            return Err(format!(
                "item {n}: the result differs from that of the CPU backend"
            ));
        }
        // Not `error > tolerance`: a NaN must fail.
        let near =
            (log_prob - expected_log_prob).abs() <= TOLERANCE * expected_log_prob.abs().max(1.0);
        if !near {
            return Err(format!(
                "item {n}: log_prob is {log_prob}: expected {expected_log_prob}, as on the CPU"
            ));
        }
    }
    Ok(())
}
