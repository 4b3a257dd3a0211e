//! Malformed input in the caller's buffers: the item gets an error status, the other items are
//! unaffected, and nothing is read or written out of bounds.

mod corruptions;

pub use corruptions::{
    Corruption, blank_among_labels, label_lengths_out_of_range, labels_out_of_range,
    logit_lengths_out_of_range, logits_that_are_not_finite, weights_that_are_not_finite,
};

use super::batch::{OwnedLabels, concatenated, padded};
use super::device::Gpu;
use super::guarded_buffers::{BUFFER_PLACEMENTS, BufferPlacement, DeviceBatch, Outputs, run};
use super::random::{BatchSpec, Rng};
use ctc_wgpu::{Blank, BlankInLabels, Error, GpuCtc, Impossible, Options, RepeatedLabels, Status};

pub(super) const ITEMS: usize = 6;
pub(super) const FRAMES: usize = 11;
pub(super) const CLASSES: usize = 5;
pub(super) const LABELS: usize = 4;
const BLANK: u8 = 2;

/// The item that is corrupted. The items before and after it are not.
pub(super) const TARGET: usize = 2;

pub(super) fn options() -> Options {
    Options::default().blank(Blank::Index(BLANK.into()))
}

/// Returns a valid batch whose items have at least two labels and enough frames.
pub(super) fn clean(concatenate: bool, time_major: bool) -> DeviceBatch {
    let spec = BatchSpec {
        blank: BLANK.into(),
        weights: true,
        ragged: false,
        ..BatchSpec::new([ITEMS, FRAMES, CLASSES], LABELS)
    };
    let lists: [&[i32]; ITEMS] = [
        &[1, 3],
        &[4, 0, 1, 1],
        &[0, 1, 3],
        &[3, 3],
        &[1, 0, 4, 3],
        &[4, 1],
    ];
    let labels = if concatenate {
        concatenated(&lists)
    } else {
        padded(&lists)
    };
    let mut batch = spec.batch(77).labels(labels);
    batch = batch.logit_lengths(&[11, 9, 8, 11, 10, 7]);
    if time_major {
        batch = batch.transposed();
    }
    DeviceBatch::of(&batch)
}

impl Corruption {
    /// Corrupts the target item in each layout, and checks the outputs of all items.
    ///
    /// # Errors
    /// The first output that is wrong.
    pub fn check(&self, gpu: &Gpu, ctc: &GpuCtc) -> Result<(), String> {
        for (concatenate, time_major, placement) in [
            (false, false, BufferPlacement::Separate),
            (false, true, BufferPlacement::OneBuffer),
            (true, false, BufferPlacement::OneBuffer),
            (true, true, BufferPlacement::Separate),
        ] {
            if concatenate && !self.concatenated {
                continue;
            }
            let clean = clean(concatenate, time_major);
            let name = format!("{}, {:?}, {placement:?}", self.name, clean.shape);
            let plan = ctc.plan(&clean.shape, &self.options).map_err(message)?;
            let expected = run(gpu, &plan, &clean, placement)?;
            ensure(expected.status == [0; ITEMS], || {
                format!("{name}: the uncorrupted batch is not ok")
            })?;
            let mut batch = clean.clone();
            (self.change)(&mut batch);
            let outputs = run(gpu, &plan, &batch, placement)?;
            check_item(&batch, &outputs, TARGET, self.status, &name)?;
            check_others(&batch, &outputs, &expected, &[TARGET], &name)?;
            // A plan without a gradient must give the same losses and statuses.
            let losses = ctc
                .plan_loss(&clean.shape, &self.options)
                .map_err(message)?;
            let only = run(gpu, &losses, &batch, placement)?;
            let expected = Outputs {
                grad: Vec::new(),
                ..outputs
            };
            only.same(&expected, &name)?;
        }
        Ok(())
    }
}

/// Checks that the blank is accepted as a label if the options allow it.
///
/// # Errors
/// The statuses, if one is not `Ok`.
pub fn allowed_blank(gpu: &Gpu, ctc: &GpuCtc) -> Result<(), String> {
    let allow = options().blank_in_labels(BlankInLabels::Allow);
    let mut batch = clean(false, false);
    corruptions::put_a_blank(&mut batch);
    let plan = ctc.plan(&batch.shape, &allow).map_err(message)?;
    let outputs = run(gpu, &plan, &batch, BufferPlacement::Separate)?;
    ensure(outputs.status == [Status::Ok as u32; ITEMS], || {
        format!("an allowed blank: statuses {:?}", outputs.status)
    })
}

pub(super) fn message(error: Error) -> String {
    error.to_string()
}

pub(super) fn ensure(right: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if right { Ok(()) } else { Err(message()) }
}

/// Checks the status of one item, that its loss is NaN, and every element of its gradient.
fn check_item(
    batch: &DeviceBatch,
    outputs: &Outputs,
    item: usize,
    status: Status,
    name: &str,
) -> Result<(), String> {
    let (got, loss) = (outputs.status[item], outputs.loss(item));
    ensure(got == status as u32 && loss.is_nan(), || {
        format!("{name}: status {got} and loss {loss}, expected {status:?} and NaN")
    })?;
    let valid = match &batch.logit_lengths {
        Some(lengths) => usize::try_from(lengths[item]).unwrap_or(0),
        None => FRAMES,
    };
    for frame in 0..FRAMES {
        let start = batch.shape.row(item, frame);
        for bits in &outputs.grad[start..start + CLASSES] {
            let nan = status == Status::NotFinite && frame < valid;
            let right = if nan {
                f32::from_bits(*bits).is_nan()
            } else {
                *bits == 0
            };
            ensure(right, || format!("{name}: frame {frame} holds {bits:#x}"))?;
        }
    }
    Ok(())
}

/// Checks that all items except the `corrupted` ones have the same bits as in the clean batch.
fn check_others(
    batch: &DeviceBatch,
    outputs: &Outputs,
    clean: &Outputs,
    corrupted: &[usize],
    name: &str,
) -> Result<(), String> {
    for item in (0..ITEMS).filter(|item| !corrupted.contains(item)) {
        let result = |o: &Outputs| (o.status[item], o.loss[item]);
        ensure(result(outputs) == result(clean), || {
            format!("{name}: item {item} was affected")
        })?;
        for frame in 0..FRAMES {
            let start = batch.shape.row(item, frame);
            let range = start..start + CLASSES;
            ensure(outputs.grad[range.clone()] == clean.grad[range], || {
                format!("{name}: item {item} was affected in frame {frame}")
            })?;
        }
    }
    Ok(())
}

/// Lengths of concatenated labels that are out of range, or whose sums overflow or exceed the
/// buffer.
pub const CONCATENATED_LENGTHS: [[i32; ITEMS]; 11] = [
    [2, 4, -1, 2, 4, 2],
    [2, 4, i32::MIN, 2, 4, 2],
    [2, 4, 100, 2, 0, 2],
    [2, 4, i32::MAX, 2, 4, 0],
    [i32::MAX; ITEMS],
    [i32::MAX, i32::MAX, i32::MAX, 1, 0, 3],
    [i32::MIN; ITEMS],
    [4, 4, 4, 4, 4, 4],
    [-5, 3, -5, 3, -5, 3],
    [0, 0, 0, 0, 0, 0],
    [1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30, 2],
];

/// Returns the range of each item's labels, or `None` if it is invalid. An item's labels begin at
/// the sum of the lengths before it, where negative lengths count as 0, and must be inside the
/// buffer.
fn label_ranges(lengths: &[i32], words: usize) -> Vec<Option<std::ops::Range<usize>>> {
    let mut start = 0_usize;
    let range = |&length: &i32| {
        let begin = start;
        start += usize::try_from(length).unwrap_or(0);
        let inside = (0..=LABELS as i32).contains(&length) && start <= words;
        // An empty item may begin past the end.
        (inside || length == 0).then_some(begin..start)
    };
    lengths.iter().map(range).collect()
}

/// Checks that items whose labels are outside of the buffer get [`Status::BadLength`], and that the
/// others use the labels at their range.
///
/// # Errors
/// The first output that is wrong.
pub fn concatenated_lengths(gpu: &Gpu, ctc: &GpuCtc, lengths: &[i32; ITEMS]) -> Result<(), String> {
    let clean = clean(true, false);
    let plan = ctc.plan(&clean.shape, &options()).map_err(message)?;
    let batch = DeviceBatch {
        label_lengths: lengths.to_vec(),
        ..clean.clone()
    };
    for placement in BUFFER_PLACEMENTS {
        let outputs = run(gpu, &plan, &batch, placement)?;
        let name = format!("label lengths {lengths:?}, {placement:?}");
        let ranges = label_ranges(lengths, batch.labels.len());
        for (item, range) in ranges.iter().enumerate() {
            if range.is_none() {
                check_item(&batch, &outputs, item, Status::BadLength, &name)?;
            }
        }
        let list = |range: &Option<std::ops::Range<usize>>| match range {
            Some(range) if !range.is_empty() => batch.labels[range.clone()].to_vec(),
            _ => Vec::new(),
        };
        let lists: Vec<Vec<i32>> = ranges.iter().map(list).collect();
        let corrupted: Vec<_> = (0..ITEMS).filter(|i| ranges[*i].is_none()).collect();
        let expected = run(gpu, &plan, &relabelled(&clean, &lists), placement)?;
        check_others(&batch, &outputs, &expected, &corrupted, &name)?;
    }
    Ok(())
}

/// Returns the clean batch with other valid labels. Its longest item may be shorter, but the plan
/// of the clean batch is used.
fn relabelled(clean: &DeviceBatch, lists: &[Vec<i32>]) -> DeviceBatch {
    match concatenated(lists) {
        OwnedLabels::Concatenated { values, lengths } => DeviceBatch {
            labels: values,
            label_lengths: lengths,
            ..clean.clone()
        },
        _ => clean.clone(),
    }
}

/// Returns a batch of random bits, in which small integers are more frequent than by chance.
pub(super) fn random_bits_batch(seed: u64) -> DeviceBatch {
    let mut rng = Rng::new(seed);
    let mut batch = clean(seed.is_multiple_of(2), seed % 4 < 2);
    let mut word = |small: usize| {
        let bits = rng.bits();
        if bits.is_multiple_of(3) {
            (bits >> 8) as u32
        } else {
            ((bits >> 8) as usize % small) as u32
        }
    };
    let mut randomise =
        |words: &mut [i32], small| words.iter_mut().for_each(|w| *w = word(small) as i32);
    randomise(&mut batch.labels, CLASSES);
    randomise(&mut batch.label_lengths, LABELS + 2);
    randomise(
        batch.logit_lengths.as_deref_mut().unwrap_or_default(),
        FRAMES + 2,
    );
    for weight in batch.weights.iter_mut().flatten() {
        *weight = word(usize::MAX);
    }
    if seed.is_multiple_of(3) {
        batch.logits.iter_mut().for_each(|x| *x = word(usize::MAX));
    }
    batch
}

/// Runs a batch of random bits, and checks that only the outputs are written and that each item's
/// status agrees with its loss.
///
/// # Errors
/// The first output that is wrong.
pub fn random_bits(gpu: &Gpu, ctc: &GpuCtc, seed: u64) -> Result<(), String> {
    let batch = random_bits_batch(seed);

    let options =
        options()
            .impossible(Impossible::Zero)
            .repeated_labels(if seed.is_multiple_of(5) {
                RepeatedLabels::Collapse
            } else {
                RepeatedLabels::Keep
            });
    let plan = ctc.plan(&batch.shape, &options).map_err(message)?;
    let separate = run(gpu, &plan, &batch, BufferPlacement::Separate)?;
    let one_buffer = run(gpu, &plan, &batch, BufferPlacement::OneBuffer)?;
    one_buffer.same(&separate, &format!("random bits, seed {seed}, placements"))?;
    for (item, code) in separate.status.iter().enumerate() {
        let loss = separate.loss(item);
        let status = Status::from_code(*code);
        let right = match status {
            None => false,
            Some(Status::Ok) => loss >= 0.0 && loss.is_finite(),
            Some(Status::Impossible) => separate.loss[item] == 0,
            Some(_) => loss.is_nan(),
        };
        ensure(right, || {
            format!("random bits, seed {seed} item {item}: {status:?} and loss {loss}")
        })?;
        if let Some(status @ (Status::BadLabel | Status::BadLength)) = status {
            let unread = DeviceBatch {
                logit_lengths: None,
                ..batch.clone()
            };
            check_item(
                &unread,
                &separate,
                item,
                status,
                &format!("random bits, seed {seed}"),
            )?;
        }
    }
    Ok(())
}
