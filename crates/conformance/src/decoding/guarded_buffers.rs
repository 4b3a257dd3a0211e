//! Alignment and greedy decoding in the caller's buffers, with malformed input, and a check of
//! every word that is written.

use super::super::canaries::BufferBuilder;
use super::super::device::Gpu;
use super::super::guarded_buffers::{BufferPlacement, DeviceBatch};
use super::super::malformed::{
    Corruption, FRAMES, ITEMS, LABELS, TARGET, clean, ensure, message, options, random_bits_batch,
};
use super::super::random::Rng;
use ctc_wgpu::decode::STAR;
use ctc_wgpu::{AlignBuffers, Error, GpuCtc, GpuPlan, GreedyBuffers, Options, Status, Task};

/// The output arrays of a plan, in the order of the fields of [`AlignBuffers`] or
/// [`GreedyBuffers`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The task of the plan.
    pub task: Task,
    /// The words of each array.
    pub arrays: Vec<Vec<u32>>,
}

impl Decoded {
    fn statuses(&self) -> &[u32] {
        self.arrays.last().map_or(&[], Vec::as_slice)
    }

    /// Returns one item's part of each array.
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

/// Runs a batch through a plan, in buffers that are surrounded by canaries. The outputs hold random
/// bits before.
///
/// # Errors
/// An error of the device, or a word that was written outside of the outputs.
pub fn run(
    gpu: &Gpu,
    plan: &GpuPlan,
    batch: &DeviceBatch,
    placement: BufferPlacement,
) -> Result<Decoded, String> {
    let (task, shape) = (plan.plan().task(), batch.shape);
    let [n, t, l] = [shape.items, shape.frames, shape.max_labels];
    let mut builder = BufferBuilder::new(placement == BufferPlacement::OneBuffer);
    let logits = builder.add(&batch.logits);
    let labels = builder.integers(&batch.labels);
    let label_lengths = builder.integers(&batch.label_lengths);
    let logit_lengths = batch.logit_lengths.as_deref();
    let logit_lengths = logit_lengths.map(|lengths| builder.integers(lengths));
    let sizes = match task {
        Task::Align => vec![n * t, n * t, 2 * n * l, n * l, n, n],
        _ => vec![n * t, n, 2 * n * t, n, n],
    };
    let mut rng = Rng::new(0xDEC0DE);
    let outputs: Vec<_> = sizes
        .into_iter()
        .map(|words| {
            let random_words: Vec<_> = (0..words).map(|_| rng.bits() as u32).collect();
            builder.add(&random_words)
        })
        .collect();
    let buffers = builder.on(gpu);
    let out = |index: usize| buffers.binding(outputs[index]);
    let logit_lengths = logit_lengths.map(|range| buffers.binding(range));
    let mut encoder = gpu.encoder();
    let encoded = match task {
        Task::Align => {
            let mut bindings = AlignBuffers::from_bindings(
                buffers.binding(logits),
                buffers.binding(labels),
                buffers.binding(label_lengths),
            );
            bindings.logit_lengths = logit_lengths;
            bindings.path = Some(out(0));
            bindings.log_probs = Some(out(1));
            bindings.spans = Some(out(2));
            bindings.probabilities = Some(out(3));
            bindings.path_log_prob = Some(out(4));
            bindings.status = Some(out(5));
            plan.encode_align(&mut encoder, &bindings)
        }
        _ => {
            let mut bindings = GreedyBuffers::from_bindings(buffers.binding(logits));
            bindings.logit_lengths = logit_lengths;
            bindings.labels = Some(out(0));
            bindings.label_lengths = Some(out(1));
            bindings.frames = Some(out(2));
            bindings.path_log_prob = Some(out(3));
            bindings.status = Some(out(4));
            plan.encode_greedy(&mut encoder, &bindings)
        }
    };
    encoded.map_err(message)?;
    gpu.queue.submit([encoder.finish()]);
    let arrays = buffers.words(gpu, &outputs)?;
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

/// Corrupts the target item in each layout, and checks the outputs of all items.
///
/// # Errors
/// The first output that is wrong.
pub fn check(corruption: &Corruption, gpu: &Gpu, ctc: &GpuCtc, task: Task) -> Result<(), String> {
    for (concatenate, time_major, placement) in [
        (false, false, BufferPlacement::Separate),
        (false, true, BufferPlacement::OneBuffer),
        (true, false, BufferPlacement::OneBuffer),
        (true, true, BufferPlacement::Separate),
    ] {
        if concatenate && !corruption.concatenated {
            continue;
        }
        let clean = clean(concatenate, time_major);
        let name = format!(
            "{task:?}, {}, {:?}, {placement:?}",
            corruption.name, clean.shape
        );
        let plan = planned(ctc, &clean, &corruption.options, task).map_err(message)?;
        let expected = run(gpu, &plan, &clean, placement)?;
        ensure(expected.statuses() == [Status::Ok as u32; ITEMS], || {
            format!("{name}: the uncorrupted batch is not ok")
        })?;
        (0..ITEMS).try_for_each(|n| check_padding(&clean, &expected, n, &name))?;
        let mut batch = clean.clone();
        (corruption.change)(&mut batch);
        let got = run(gpu, &plan, &batch, placement)?;
        // Neither task reads weights, greedy decoding reads no labels, and −1 is a wildcard for
        // alignment.
        let harmless = batch.logits == clean.logits
            && batch.logit_lengths == clean.logit_lengths
            && (task == Task::Greedy
                || batch.label_lengths == clean.label_lengths
                    && batch
                        .labels
                        .iter()
                        .zip(&clean.labels)
                        .all(|(a, b)| a == b || *a == STAR));
        let status = if harmless {
            Status::Ok
        } else {
            corruption.status
        };
        check_item(&got, TARGET, status, &name)?;
        for n in (0..ITEMS).filter(|n| *n != TARGET) {
            ensure(got.of_item(n) == expected.of_item(n), || {
                format!("{name}: item {n} was affected")
            })?;
        }
    }
    Ok(())
}

/// Checks that the outputs past an item's frames and labels were overwritten with padding.
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
        || format!("{name}: item {n}: not padded: {arrays:?}"),
    )
}

/// Checks one item's status and, if that is not `Ok`, that its outputs are empty.
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
        format!("{name}: not empty: {arrays:?}")
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

/// Runs a batch of random bits, and checks that only the outputs are written and that each item's
/// status agrees with its log-probability.
///
/// # Errors
/// The first output that is wrong.
pub fn random_bits(gpu: &Gpu, ctc: &GpuCtc, seed: u64, task: Task) -> Result<(), String> {
    let batch = random_bits_batch(seed);
    let plan = planned(ctc, &batch, &options(), task).map_err(message)?;
    let separate = run(gpu, &plan, &batch, BufferPlacement::Separate)?;
    let one_buffer = run(gpu, &plan, &batch, BufferPlacement::OneBuffer)?;
    let name = format!("{task:?} of random bits, seed {seed}");
    ensure(separate == one_buffer, || {
        format!("{name}: different words with all arrays in one buffer")
    })?;
    for (n, code) in separate.statuses().iter().enumerate() {
        let status = Status::from_code(*code);
        let status = status.ok_or_else(|| format!("{name}: status {code}"))?;
        check_item(&separate, n, status, &format!("{name}, item {n}"))?;
    }
    Ok(())
}
