//! Nonsense that is on the device already: each item is told of it, its neighbours do not notice, and nothing is touched
//! that should not be.

mod corruptions;

pub use corruptions::{
    Corruption, blank_among_the_labels, label_lengths_out_of_range, labels_that_are_no_class,
    logit_lengths_out_of_range, logits_without_a_meaning, weights_that_are_not_finite,
};

use super::batch::{OwnedLabels, concatenated, padded};
use super::device::Gpu;
use super::guarded_buffers::{BUFFER_PLACEMENTS, BufferPlacement, DeviceBatch, Outputs, run};
use super::random::{Recipe, Rng};
use crate::{Blank, BlankInLabels, Error, GpuCtc, Impossible, Options, RepeatedLabels, Status};

pub(super) const ITEMS: usize = 6;
pub(super) const FRAMES: usize = 11;
pub(super) const CLASSES: usize = 5;
pub(super) const LABELS: usize = 4;
const BLANK: u8 = 2;

/// The item that is spoiled; its neighbours on both sides are not.
pub(super) const VICTIM: usize = 2;

pub(super) fn options() -> Options {
    Options {
        blank: Blank::Index(BLANK.into()),
        ..Options::default()
    }
}

/// A right batch whose items all have two labels or more and frames enough.
pub(super) fn clean(joined: bool, time_major: bool) -> DeviceBatch {
    let recipe = Recipe {
        blank: BLANK.into(),
        weights: true,
        ragged: false,
        ..Recipe::new([ITEMS, FRAMES, CLASSES], LABELS)
    };
    let lists: [&[i32]; ITEMS] = [
        &[1, 3],
        &[4, 0, 1, 1],
        &[0, 1, 3],
        &[3, 3],
        &[1, 0, 4, 3],
        &[4, 1],
    ];
    let labels = if joined {
        concatenated(&lists)
    } else {
        padded(&lists)
    };
    let mut batch = recipe.batch(77).labels(labels);
    batch = batch.logit_lengths(&[11, 9, 8, 11, 10, 7]);
    if time_major {
        batch = batch.transposed();
    }
    DeviceBatch::of(&batch)
}

impl Corruption {
    /// Spoils the victim of each layout and looks at what came of it.
    ///
    /// # Errors
    /// What was not as it must be.
    pub fn check(&self, gpu: &Gpu, ctc: &GpuCtc) -> Result<(), String> {
        for (joined, time_major, placement) in [
            (false, false, BufferPlacement::Apart),
            (false, true, BufferPlacement::Together),
            (true, false, BufferPlacement::Together),
            (true, true, BufferPlacement::Apart),
        ] {
            if joined && !self.concatenated {
                continue;
            }
            let clean = clean(joined, time_major);
            let name = format!("{}, {:?}, {placement:?}", self.name, clean.shape);
            let plan = ctc.plan(&clean.shape, &self.options).map_err(told)?;
            let expected = run(gpu, &plan, &clean, placement)?;
            ensure(expected.status == [0; ITEMS], || {
                format!("{name}: not right before")
            })?;
            let mut batch = clean.clone();
            (self.change)(&mut batch);
            let outputs = run(gpu, &plan, &batch, placement)?;
            check_item(&batch, &outputs, VICTIM, self.status, &name)?;
            check_others(&batch, &outputs, &expected, &[VICTIM], &name)?;
            // A plan of losses only comes to the same.
            let losses = ctc.plan_loss(&clean.shape, &self.options).map_err(told)?;
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

/// The blank as a label where that is allowed.
///
/// # Errors
/// What was not as it must be.
pub fn allowed_blank(gpu: &Gpu, ctc: &GpuCtc) -> Result<(), String> {
    let allow = Options {
        blank_in_labels: BlankInLabels::Allow,
        ..options()
    };
    let mut batch = clean(false, false);
    corruptions::put_a_blank(&mut batch);
    let plan = ctc.plan(&batch.shape, &allow).map_err(told)?;
    let outputs = run(gpu, &plan, &batch, BufferPlacement::Apart)?;
    ensure(outputs.status == [Status::Ok as u32; ITEMS], || {
        format!("an allowed blank: statuses {:?}", outputs.status)
    })
}

pub(super) fn told(error: Error) -> String {
    error.to_string()
}

pub(super) fn ensure(right: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if right { Ok(()) } else { Err(message()) }
}

/// What became of one item: its status, NaN or not, and every word of its gradient.
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
    let counting = match &batch.logit_lengths {
        Some(lengths) => usize::try_from(lengths[item]).unwrap_or(0),
        None => FRAMES,
    };
    for frame in 0..FRAMES {
        let start = batch.shape.row(item, frame);
        for bits in &outputs.grad[start..start + CLASSES] {
            let nan = status == Status::NotFinite && frame < counting;
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

/// All items but some have the same bits as in the clean batch.
fn check_others(
    batch: &DeviceBatch,
    outputs: &Outputs,
    clean: &Outputs,
    spoiled: &[usize],
    name: &str,
) -> Result<(), String> {
    for item in (0..ITEMS).filter(|item| !spoiled.contains(item)) {
        let told = |o: &Outputs| (o.status[item], o.loss[item]);
        ensure(told(outputs) == told(clean), || {
            format!("{name}: item {item} noticed")
        })?;
        for frame in 0..FRAMES {
            let start = batch.shape.row(item, frame);
            let range = start..start + CLASSES;
            ensure(outputs.grad[range.clone()] == clean.grad[range], || {
                format!("{name}: item {item} noticed in frame {frame}")
            })?;
        }
    }
    Ok(())
}

/// Concatenated lengths, out of range or with sums that overflow or leave the buffer.
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

/// What concatenated lengths mean, hostile ones too: an item's labels begin at the sum of the lengths before it, those
/// below 0 counting as 0, and must lie inside the buffer.
fn places(lengths: &[i32], words: usize) -> Vec<Option<std::ops::Range<usize>>> {
    let mut start = 0_usize;
    let place = |&length: &i32| {
        let begin = start;
        start += usize::try_from(length).unwrap_or(0);
        let inside = (0..=LABELS as i32).contains(&length) && start <= words;
        // An empty item may stand past the end.
        (inside || length == 0).then_some(begin..start)
    };
    lengths.iter().map(place).collect()
}

/// Items whose labels these lengths put outside of the buffer are told of it, and the others have what stands there.
///
/// # Errors
/// What was not as it must be.
pub fn concatenated_lengths(gpu: &Gpu, ctc: &GpuCtc, lengths: &[i32; ITEMS]) -> Result<(), String> {
    let clean = clean(true, false);
    let plan = ctc.plan(&clean.shape, &options()).map_err(told)?;
    let batch = DeviceBatch {
        label_lengths: lengths.to_vec(),
        ..clean.clone()
    };
    for placement in BUFFER_PLACEMENTS {
        let outputs = run(gpu, &plan, &batch, placement)?;
        let name = format!("label lengths {lengths:?}, {placement:?}");
        let places = places(lengths, batch.labels.len());
        for (item, place) in places.iter().enumerate() {
            if place.is_none() {
                check_item(&batch, &outputs, item, Status::BadLength, &name)?;
            }
        }
        let list = |place: &Option<std::ops::Range<usize>>| match place {
            Some(place) if !place.is_empty() => batch.labels[place.clone()].to_vec(),
            _ => Vec::new(),
        };
        let lists: Vec<Vec<i32>> = places.iter().map(list).collect();
        let spoiled: Vec<_> = (0..ITEMS).filter(|i| places[*i].is_none()).collect();
        let expected = run(gpu, &plan, &relabelled(&clean, &lists), placement)?;
        check_others(&batch, &outputs, &expected, &spoiled, &name)?;
    }
    Ok(())
}

/// The clean batch with other, right labels. The longest item may be shorter now, and the plan is still for the clean
/// batch.
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

/// A batch of every bit pattern, small numbers more often than they would come.
pub(super) fn garbage_batch(seed: u64) -> DeviceBatch {
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
    let mut spoil =
        |words: &mut [i32], small| words.iter_mut().for_each(|w| *w = word(small) as i32);
    spoil(&mut batch.labels, CLASSES);
    spoil(&mut batch.label_lengths, LABELS + 2);
    spoil(
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

/// A batch of nothing but garbage touches nothing but its outputs, and each item gets a status that goes with its loss.
///
/// # Errors
/// What was not as it must be.
pub fn garbage(gpu: &Gpu, ctc: &GpuCtc, seed: u64) -> Result<(), String> {
    let batch = garbage_batch(seed);

    let options = Options {
        impossible: Impossible::Zero,
        repeated_labels: if seed.is_multiple_of(5) {
            RepeatedLabels::Collapse
        } else {
            RepeatedLabels::Keep
        },
        ..options()
    };
    let plan = ctc.plan(&batch.shape, &options).map_err(told)?;
    let apart = run(gpu, &plan, &batch, BufferPlacement::Apart)?;
    let together = run(gpu, &plan, &batch, BufferPlacement::Together)?;
    together.same(&apart, &format!("garbage of seed {seed}, placements"))?;
    for (item, code) in apart.status.iter().enumerate() {
        let loss = apart.loss(item);
        let status = Status::from_code(*code);
        let right = match status {
            None => false,
            Some(Status::Ok) => loss >= 0.0 && loss.is_finite(),
            Some(Status::Impossible) => apart.loss[item] == 0,
            Some(_) => loss.is_nan(),
        };
        ensure(right, || {
            format!("garbage of seed {seed} item {item}: {status:?} and loss {loss}")
        })?;
        if let Some(status @ (Status::BadLabel | Status::BadLength)) = status {
            let unread = DeviceBatch {
                logit_lengths: None,
                ..batch.clone()
            };
            check_item(
                &unread,
                &apart,
                item,
                status,
                &format!("garbage of seed {seed}"),
            )?;
        }
    }
    Ok(())
}
