//! Alignments and greedy readings in the caller's buffers: nonsense on the device, and what is written where.

use super::super::canaries::Layer;
use super::super::device::Gpu;
use super::super::guarded_buffers::{BufferPlacement, DeviceBatch};
use super::super::malformed::{
    Corruption, FRAMES, ITEMS, LABELS, VICTIM, clean, ensure, garbage_batch, options, told,
};
use super::super::random::Rng;
use crate::decode::STAR;
use crate::{AlignBuffers, Error, GpuCtc, GpuPlan, GreedyBuffers, Options, Status, Task};

/// What a plan wrote: the arrays of [`AlignBuffers`] or [`GreedyBuffers`], in the order of their fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// What was planned.
    pub task: Task,
    /// The words of each array.
    pub arrays: Vec<Vec<u32>>,
}

impl Decoded {
    fn statuses(&self) -> &[u32] {
        self.arrays.last().map_or(&[], Vec::as_slice)
    }

    /// One item's part of each array.
    fn of_item(&self, n: usize) -> Vec<&[u32]> {
        let part = |array: &'_ Vec<u32>| -> (usize, usize) {
            let each = array.len() / ITEMS;
            (n * each, (n + 1) * each)
        };
        let arrays = self.arrays.iter();
        arrays
            .map(|array| {
                let (first, end) = part(array);
                &array[first..end]
            })
            .collect()
    }
}

/// A batch through a plan, in buffers among canaries, the outputs full of garbage.
///
/// # Errors
/// What the device answers instead, and what was written where nobody may write.
pub fn run(
    gpu: &Gpu,
    plan: &GpuPlan,
    batch: &DeviceBatch,
    placement: BufferPlacement,
) -> Result<Decoded, String> {
    let (task, shape) = (plan.plan().task(), batch.shape);
    let [n, t, l] = [shape.items, shape.frames, shape.max_labels];
    let mut layer = Layer::new(placement == BufferPlacement::Together);
    let logits = layer.place(&batch.logits);
    let labels = layer.integers(&batch.labels);
    let label_lengths = layer.integers(&batch.label_lengths);
    let logit_lengths = batch.logit_lengths.as_deref();
    let logit_lengths = logit_lengths.map(|lengths| layer.integers(lengths));
    let sizes = match task {
        Task::Align => vec![n * t, n * t, 2 * n * l, n * l, n, n],
        _ => vec![n * t, n, 2 * n * t, n, n],
    };
    let mut rng = Rng::new(0xDEC0DE);
    let outputs: Vec<_> = sizes
        .into_iter()
        .map(|words| {
            let garbage: Vec<_> = (0..words).map(|_| rng.bits() as u32).collect();
            layer.place(&garbage)
        })
        .collect();
    let laid = layer.on(gpu);
    let out = |index: usize| laid.binding(outputs[index]);
    let logit_lengths = logit_lengths.map(|place| laid.binding(place));
    let mut encoder = gpu.encoder();
    let encoded = match task {
        Task::Align => {
            let buffers = AlignBuffers {
                logits: laid.binding(logits),
                labels: laid.binding(labels),
                logit_lengths,
                label_lengths: laid.binding(label_lengths),
                path: Some(out(0)),
                log_probs: Some(out(1)),
                spans: Some(out(2)),
                probabilities: Some(out(3)),
                path_log_prob: Some(out(4)),
                status: Some(out(5)),
            };
            plan.encode_align(&mut encoder, &buffers)
        }
        _ => {
            let buffers = GreedyBuffers {
                logits: laid.binding(logits),
                logit_lengths,
                labels: Some(out(0)),
                label_lengths: Some(out(1)),
                frames: Some(out(2)),
                path_log_prob: Some(out(3)),
                status: Some(out(4)),
            };
            plan.encode_greedy(&mut encoder, &buffers)
        }
    };
    encoded.map_err(told)?;
    gpu.queue.submit([encoder.finish()]);
    let arrays = laid.words(gpu, &outputs)?;
    Ok(Decoded { task, arrays })
}

fn planned(
    ctc: &GpuCtc,
    batch: &DeviceBatch,
    options: &Options,
    task: Task,
) -> Result<GpuPlan, Error> {
    match task {
        Task::Align => ctc.plan_align(&batch.shape, options),
        _ => ctc.plan_greedy(&batch.shape, options),
    }
}

/// Spoils the victim of each layout and looks at what came of it.
///
/// # Errors
/// What was not as it must be.
pub fn check(spoiler: &Corruption, gpu: &Gpu, ctc: &GpuCtc, task: Task) -> Result<(), String> {
    for (joined, time_major, placement) in [
        (false, false, BufferPlacement::Apart),
        (false, true, BufferPlacement::Together),
        (true, false, BufferPlacement::Together),
        (true, true, BufferPlacement::Apart),
    ] {
        if joined && !spoiler.concatenated {
            continue;
        }
        let clean = clean(joined, time_major);
        let name = format!(
            "{task:?}, {}, {:?}, {placement:?}",
            spoiler.name, clean.shape
        );
        let plan = planned(ctc, &clean, &spoiler.options, task).map_err(told)?;
        let expected = run(gpu, &plan, &clean, placement)?;
        ensure(expected.statuses() == [Status::Ok as u32; ITEMS], || {
            format!("{name}: not right before")
        })?;
        (0..ITEMS).try_for_each(|n| check_padding(&clean, &expected, n, &name))?;
        let mut batch = clean.clone();
        (spoiler.change)(&mut batch);
        let got = run(gpu, &plan, &batch, placement)?;
        // Neither looks at weights, a greedy reading at no labels, and an alignment knows a star.
        let harmless = batch.logits == clean.logits
            && batch.logit_lengths == clean.logit_lengths
            && (task == Task::Greedy
                || batch.label_lengths == clean.label_lengths
                    && batch
                        .labels
                        .iter()
                        .zip(&clean.labels)
                        .all(|(a, b)| a == b || *a == STAR));
        let status = if harmless { Status::Ok } else { spoiler.status };
        check_item(&got, VICTIM, status, &name)?;
        for n in (0..ITEMS).filter(|n| *n != VICTIM) {
            ensure(got.of_item(n) == expected.of_item(n), || {
                format!("{name}: item {n} noticed")
            })?;
        }
    }
    Ok(())
}

/// Past an item's frames and labels nothing is left of what was in its arrays either.
fn check_padding(batch: &DeviceBatch, got: &Decoded, n: usize, name: &str) -> Result<(), String> {
    let arrays = got.of_item(n);
    let length = |lengths: &[i32]| lengths[n] as usize;
    let frames = batch.logit_lengths.as_deref().map_or(FRAMES, length);
    let (none, zero) = (u32::MAX, 0);
    let rests = match got.task {
        Task::Align => {
            let labels = length(&batch.label_lengths);
            vec![
                (&arrays[0][frames..], none),
                (&arrays[1][frames..], zero),
                (&arrays[2][2 * labels..], zero),
                (&arrays[3][labels..], zero),
            ]
        }
        _ => {
            let labels = arrays[1][0] as usize;
            vec![
                (&arrays[0][labels..], none),
                (&arrays[2][2 * labels..], zero),
            ]
        }
    };
    ensure(
        rests
            .iter()
            .all(|(rest, word)| rest.iter().all(|w| w == word)),
        || format!("{name}: item {n}: something is left: {arrays:?}"),
    )
}

/// What became of one item: its status, and that nothing is left of what was in its arrays.
fn check_item(got: &Decoded, n: usize, status: Status, name: &str) -> Result<(), String> {
    let arrays = got.of_item(n);
    let code = got.statuses()[n];
    ensure(code == status.code(), || {
        format!("{name}: status {code}, expected {status:?}")
    })?;
    if status == Status::Ok {
        return Ok(());
    }
    let none = [u32::MAX; FRAMES];
    let empty: Vec<&[u32]> = match got.task {
        Task::Align => vec![&none, &[0; FRAMES], &[0; 2 * LABELS], &[0; LABELS]],
        _ => vec![&none, &[0], &[0; 2 * FRAMES]],
    };
    ensure(arrays[..empty.len()] == empty, || {
        format!("{name}: something is left: {arrays:?}")
    })?;
    let log_prob = f32::from_bits(arrays[empty.len()][0]);
    let right = match status {
        Status::Impossible => log_prob == f32::NEG_INFINITY,
        _ => log_prob.is_nan(),
    };
    ensure(right, || {
        format!("{name}: {status:?} and log_prob {log_prob}")
    })
}

/// A batch of nothing but garbage touches nothing but its outputs, and each item gets a status that goes with its score.
///
/// # Errors
/// What was not as it must be.
pub fn garbage(gpu: &Gpu, ctc: &GpuCtc, seed: u64, task: Task) -> Result<(), String> {
    let batch = garbage_batch(seed);
    let plan = planned(ctc, &batch, &options(), task).map_err(told)?;
    let apart = run(gpu, &plan, &batch, BufferPlacement::Apart)?;
    let together = run(gpu, &plan, &batch, BufferPlacement::Together)?;
    let name = format!("{task:?} of garbage, seed {seed}");
    ensure(apart == together, || {
        format!("{name}: other words where the buffers lie in one")
    })?;
    for (n, code) in apart.statuses().iter().enumerate() {
        let status = Status::from_code(*code);
        let status = status.ok_or_else(|| format!("{name}: status {code}"))?;
        check_item(&apart, n, status, &format!("{name}, item {n}"))?;
    }
    Ok(())
}
